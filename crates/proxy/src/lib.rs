//! The traffic door: accept, route, forward, relay.
