//! Load and latency against the real binary, beside its peers.
