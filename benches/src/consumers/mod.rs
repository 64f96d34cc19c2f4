//! Readers of streams over HTTP. `fanout`: every group gets every message, and how long each took to arrive is
//! counted; `drain`: one consumer takes what is there as fast as it goes, and acknowledges it.

pub mod drain;
pub mod fanout;
mod lines;

use std::net::SocketAddr;

/// What reads where.
#[derive(Debug, Clone)]
pub struct Place {
    pub address: SocketAddr,
    /// The path of the queue's calls, such as `/api/v1/clusters/bench/queue`.
    pub queue: String,
    pub topic: String,
    /// The gateway's processes, whose processor time is read.
    pub watched: Vec<u32>,
}

impl Place {
    /// The request that opens a stream for a group.
    fn stream(&self, group: &str, credit: usize) -> Vec<u8> {
        // Nothing that is read here may come again because it was not acknowledged in time.
        let query =
            format!("topic={}&group={group}&credit={credit}&lease_ms=3600000&format=ndjson", self.topic);
        crate::client::get(self.address, &format!("{}/consume?{query}", self.queue))
    }
}

#[cfg(test)]
mod tests;
