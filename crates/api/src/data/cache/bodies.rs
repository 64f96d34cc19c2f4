//! What cache calls say in their bodies, and how times and bytes are written there.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use model::check::Problems;
use model::field::{Field, Shape, field, word};
use model::tree::Place;
use model::{Code, Failure};
use serde::{Deserialize, Serialize};

use crate::body::Table;

/// The longest time to live, in seconds: a hundred years. More is a slip, and clocks overflow somewhere.
const LONGEST: f64 = 3_155_760_000.0;

/// Standard base64; padding is written, and read where it is there.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const KEY: Field = field("key", Shape::Text, "The key.").required();
const SECONDS: Shape = Shape::Number(0.0, LONGEST);

/// `{key}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyBody<'b> {
    #[serde(borrow)]
    pub(crate) key: Cow<'b, str>,
}

impl Table for KeyBody<'_> {
    const NAME: &'static str = "CacheKey";
    const FIELDS: &'static [Field] = &[KEY];
}

/// `{key, value, ttl?, expiration?, encoding?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetBody<'b> {
    #[serde(borrow)]
    pub(crate) key: Cow<'b, str>,
    #[serde(borrow)]
    value: Cow<'b, str>,
    ttl: Option<f64>,
    expiration: Option<f64>,
    encoding: Option<Encoding>,
}

impl Table for SetBody<'_> {
    const NAME: &'static str = "CacheSet";
    const FIELDS: &'static [Field] = &[
        KEY,
        field("value", Shape::Text, "The value: text, or base64 where `encoding` says so.").required(),
        field("ttl", SECONDS, "How long it stays, in seconds, above 0; left out, for ever."),
        field("expiration", SECONDS, "The same as `ttl`, for clients that send this name; 0 is for ever."),
        field("encoding", Shape::Choice(&[word("base64")]), "How `value` is written; left out, as text."),
    ];
}

/// `{key, by?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncrBody<'b> {
    #[serde(borrow)]
    pub(crate) key: Cow<'b, str>,
    pub(crate) by: Option<i64>,
}

impl Table for IncrBody<'_> {
    const NAME: &'static str = "CacheIncr";
    const FIELDS: &'static [Field] = &[
        KEY,
        field("by", Shape::Integer(i64::MIN, i64::MAX), "What is added; may be negative.").default("1"),
    ];
}

/// `{key, ttl}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpireBody<'b> {
    #[serde(borrow)]
    pub(crate) key: Cow<'b, str>,
    ttl: f64,
}

impl Table for ExpireBody<'_> {
    const NAME: &'static str = "CacheExpire";
    const FIELDS: &'static [Field] =
        &[KEY, field("ttl", SECONDS, "How long it stays from now, in seconds, above 0.").required()];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    Base64,
}

impl SetBody<'_> {
    /// The bytes of the value.
    ///
    /// # Errors
    /// `invalid_request` when it is not the base64 that it says it is.
    pub(crate) fn bytes(&self) -> Result<Bytes, Failure> {
        match self.encoding {
            None => Ok(Bytes::copy_from_slice(self.value.as_bytes())),
            Some(Encoding::Base64) => match BASE64.decode(&*self.value) {
                Ok(bytes) => Ok(bytes.into()),
                Err(error) => Err(fault("value", &format!("is not base64: {error}"))),
            },
        }
    }

    /// How long it stays, under whichever name.
    ///
    /// # Errors
    /// `invalid_request` when the two names differ, or say no time.
    pub(crate) fn ttl(&self) -> Result<Option<Duration>, Failure> {
        let (name, seconds) = match (self.ttl, self.expiration) {
            (None, None) => return Ok(None),
            #[expect(clippy::float_cmp, reason = "the same number twice, as it was written")]
            (Some(ttl), Some(other)) if ttl != other => {
                return Err(fault(
                    "expiration",
                    &format!("says {other} where `ttl` says {ttl}; write one of them"),
                ));
            }
            (Some(ttl), _) => ("ttl", ttl),
            // Earlier clients send it always, and mean no end by 0.
            (None, Some(0.0)) => return Ok(None),
            (None, Some(expiration)) => ("expiration", expiration),
        };
        seconds_of(name, seconds).map(Some)
    }
}

impl ExpireBody<'_> {
    /// How long it stays.
    ///
    /// # Errors
    /// `invalid_request` when it says no time.
    pub(crate) fn ttl(&self) -> Result<Duration, Failure> {
        seconds_of("ttl", self.ttl)
    }
}

/// A number of seconds as a time to live.
///
/// # Errors
/// `invalid_request`, naming the field.
pub(crate) fn seconds_of(name: &str, seconds: f64) -> Result<Duration, Failure> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if seconds <= LONGEST && !time.is_zero() => Ok(time),
        _ => Err(fault(
            name,
            &format!("must be a number of seconds above 0 and up to {LONGEST}, not {seconds}"),
        )),
    }
}

/// Bytes as text, or as base64 where they are no text.
pub(crate) fn written(bytes: &[u8]) -> (Cow<'_, str>, Option<Encoding>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(_) => (Cow::Owned(BASE64.encode(bytes)), Some(Encoding::Base64)),
    }
}

/// Bytes as base64, whatever they are.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn fault(path: &str, message: &str) -> Failure {
    let mut problems = Problems::default();
    problems.add(path, Place::default(), message);
    Failure::invalid(Code::InvalidRequest, problems.into_vec())
}
