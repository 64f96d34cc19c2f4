//! What the service did, one line each, written before it goes on: a kill loses nothing.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::SystemTime;

pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &str) -> Journal {
        Journal(OpenOptions::new().create(true).append(true).open(path).unwrap())
    }

    pub(crate) fn note(&self, what: &str, method: &str, id: &str) {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros();
        // One write of a line to a file opened for appending is never mixed with another's.
        let _ = (&self.0).write_all(format!("{now} {what} {method} {id}\n").as_bytes());
    }
}
