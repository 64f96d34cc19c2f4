//! The memory: routes and token hashes.
