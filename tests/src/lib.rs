//! End to end: the real binary, real sockets, real servers.
