//! The commands, a client of the API.
