//! The embedded engine: one SQLite writer with group commit, and readers.
