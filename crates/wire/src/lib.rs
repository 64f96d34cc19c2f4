//! The bytes: sockets, bodies and our HTTP/1 codec for both sides.
