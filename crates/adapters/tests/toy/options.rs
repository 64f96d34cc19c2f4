//! What only a `toy` service can say.

use bytes::Bytes;
use model::field::{Field, Shape, field};
use model::{Code, Failure, ServiceSpec};
use serde_json::Value as Json;
use throome_adapters::key_value::Value;

const MAX_VALUE: &str = "max_value";
const LARGEST: i64 = 1 << 30;

/// The keys of the kind.
pub(super) const FIELDS: &[Field] =
    &[field(MAX_VALUE, Shape::Integer(1, LARGEST), "The largest value, in bytes.").default("16777216")];

/// The checked options.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// In bytes.
    pub(super) max_value: usize,
}

/// The options of a service that was checked.
pub(super) fn of(service: &ServiceSpec) -> Result<Options, Failure> {
    let max_value = match service.options.get(MAX_VALUE) {
        None | Some(Json::Null) => Some(16 << 20),
        Some(value) => value.as_u64().and_then(|bytes| usize::try_from(bytes).ok()),
    };
    let wrong = || Failure::client(Code::InvalidConfig, "max_value: must be a number of bytes");
    Ok(Options { max_value: max_value.ok_or_else(wrong)? })
}

impl Options {
    /// A value as it is kept: a copy, since its bytes may be a small part of a large buffer.
    pub(super) fn own(&self, value: Value) -> Result<Value, Failure> {
        let (size, most) = (value.bytes.len(), self.max_value);
        if size <= most {
            return Ok(Value { bytes: Bytes::copy_from_slice(&value.bytes), ..value });
        }
        let detail = format!("The value has {size} bytes; at most {most} are kept.");
        Err(Failure::client(Code::TooLarge, detail).with_hint("Raise `max_value` of the service."))
    }
}
