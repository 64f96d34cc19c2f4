//! An answer that the gateway makes itself: the same in either protocol.

use std::borrow::Cow;

use bytes::Bytes;
use clusters::HeaderEdits;

/// The type of an answer to a call of gRPC.
pub(super) const GRPC: &str = "application/grpc";

/// Status, fields and body.
pub(super) struct Own<'a> {
    pub(super) status: u16,
    content_type: Option<&'a str>,
    more: Vec<(&'static str, Cow<'a, str>)>,
    pub(super) body: Bytes,
    /// What the route changes in it.
    pub(super) edits: Option<&'a HeaderEdits>,
}

impl<'a> Own<'a> {
    pub(super) fn new(status: u16, content_type: Option<&'a str>, body: Bytes) -> Self {
        Own { status, content_type, more: Vec::new(), body, edits: None }
    }

    pub(super) fn add(&mut self, name: &'static str, value: impl Into<Cow<'a, str>>) {
        self.more.push((name, value.into()));
    }

    /// Whether it says when it was made, as every answer does, unless the route has another word on that.
    pub(super) fn says_date(&self) -> bool {
        !self.edits.is_some_and(|edits| edits.speaks_of(b"date"))
    }

    /// All fields but the date and the request's id, in lower case, as the route has them.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&[u8], Cow<'_, [u8]>)> {
        let content_type = self.content_type.map(|kind| (&b"content-type"[..], kind.as_bytes()));
        let more = self.more.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let own = content_type.into_iter().chain(more);
        let own = own.filter(|(name, _)| !self.edits.is_some_and(|edits| edits.drops(name)));
        let added = self.edits.into_iter().flat_map(HeaderEdits::lines);
        // RFC 9110 8.6: a 204 has no length, and that of a 304 would be another's. A call of gRPC has a head and no more.
        let has_length = !matches!(self.status, 204 | 304) && self.content_type != Some(GRPC);
        let length = has_length.then(|| (&b"content-length"[..], self.body.len().to_string()));
        let length = length.map(|(name, length)| (name, Cow::Owned(length.into_bytes())));
        own.chain(added).map(|(name, value)| (name, Cow::Borrowed(value))).chain(length)
    }
}
