//! The decisions: match, pick, admit, retry, trip. No clock, socket, file or random source.
