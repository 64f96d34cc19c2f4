//! The languages: one folder per kind of service.
