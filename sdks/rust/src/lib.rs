//! The Rust client of a Throome gateway.
