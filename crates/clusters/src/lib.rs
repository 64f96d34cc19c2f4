//! The living state: what is running now, and the try loop.
