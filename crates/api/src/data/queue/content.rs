//! What a message says, as requests write it: text or a list of bytes, and headers in their order.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value as it was written. Whether a text is base64 stands elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content<'b> {
    /// Text.
    Text(Cow<'b, str>),
    /// Numbers from 0 to 255.
    Bytes(Vec<u8>),
}

/// Names and values that travel with a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers(pub(crate) Vec<(Box<str>, Bytes)>);

impl<'de: 'b, 'b> Deserialize<'de> for Content<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Content<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of numbers from 0 to 255")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element()? {
                    bytes.push(byte);
                }
                Ok(Content::Bytes(bytes))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Headers, A::Error> {
                let mut headers: Vec<(Box<str>, Bytes)> = Vec::new();
                let mut names = std::collections::HashSet::new();
                while let Some((name, value)) = entries.next_entry::<Box<str>, String>()? {
                    // Readers of JSON disagree on which of two counts.
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("the header `{name}` stands twice")));
                    }
                    headers.push((name, value.into()));
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_copied_and_bytes_are_bytes() {
        let read = |text| serde_json::from_str::<Content<'_>>(text).map_err(|error| error.to_string());
        assert!(matches!(read("\"plain\""), Ok(Content::Text(Cow::Borrowed("plain")))));
        assert!(matches!(read(r#""a\n""#), Ok(Content::Text(Cow::Owned(text))) if text == "a\n"));
        assert_eq!(read("[0, 255]"), Ok(Content::Bytes(vec![0, 255])));
        assert_eq!(read("[]"), Ok(Content::Bytes(vec![])));
        for wrong in ["[256]", "[-1]", "[1.5]", "[\"a\"]", "5", "{}", "null", "true"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_keep_their_order_and_stand_once() {
        let read = |text| serde_json::from_str::<Headers>(text).map_err(|error| error.to_string());
        let expected = vec![("z".into(), Bytes::from("1")), ("a".into(), Bytes::new())];
        assert_eq!(read(r#"{"z": "1", "a": ""}"#), Ok(Headers(expected)));
        assert!(read(r#"{"a": "1", "a": "2"}"#).unwrap_err().contains("`a` stands twice"));
        for wrong in [r#"{"a": 1}"#, "[]", "\"a\"", r#"{"a": null}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
