//! A document as a tree whose every value knows where it stands.

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
}
