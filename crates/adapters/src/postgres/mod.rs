//! `postgres`: PostgreSQL by its own protocol. So far its types; connections stand beside them.

mod types;
