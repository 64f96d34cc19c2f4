//! A client that sends many requests at once, each on a connection of its own that it keeps for the next.

use std::cell::RefCell;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::reply::{Parsed, Reply, parse};

/// The connections to one door that nobody uses just now.
#[derive(Debug)]
pub struct Idle {
    door: SocketAddr,
    streams: RefCell<Vec<TcpStream>>,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// It had begun and was cut, in a way that no client can take for its end.
    Cut,
    /// The connection broke before it began.
    Nothing(String),
    /// Bytes came that are no answer, or more than one.
    Wrong(String),
}

impl Idle {
    /// None yet.
    #[must_use]
    pub fn to(door: SocketAddr) -> Idle {
        Idle { door, streams: RefCell::default() }
    }

    /// Sends a request and takes its answer.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn ask(&self, request: &str) -> Result<Reply, Unanswered> {
        let nothing = |error: std::io::Error| Unanswered::Nothing(error.to_string());
        let mut stream = match self.open() {
            Some(stream) => stream,
            None => TcpStream::connect(self.door).await.map_err(nothing)?,
        };
        let _ = stream.set_nodelay(true);
        stream.write_all(request.as_bytes()).await.map_err(nothing)?;
        let mut inbox = Vec::with_capacity(4_096);
        loop {
            let read = stream.read_buf(&mut inbox).await;
            match parse(&inbox, false, matches!(read, Ok(0))) {
                Parsed::Whole(_, used) if used < inbox.len() => {
                    return Err(Unanswered::Wrong("bytes after the answer".to_owned()));
                }
                Parsed::Whole(reply, _) => {
                    if reply.keeps_alive() {
                        self.streams.borrow_mut().push(stream);
                    }
                    return Ok(reply);
                }
                Parsed::Bad(what) => return Err(Unanswered::Wrong(what)),
                Parsed::Partial { begun } => match read {
                    Ok(1..) => {}
                    Ok(_) | Err(_) if begun => return Err(Unanswered::Cut),
                    Ok(_) => return Err(Unanswered::Nothing("closed".to_owned())),
                    Err(error) => return Err(nothing(error)),
                },
            }
        }
    }

    /// One that its other end has not closed meanwhile.
    fn open(&self) -> Option<TcpStream> {
        let mut streams = self.streams.borrow_mut();
        loop {
            let stream = streams.pop()?;
            let nothing_came = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
            if stream.try_read(&mut [0; 1]).is_err_and(nothing_came) {
                return Some(stream);
            }
        }
    }
}
