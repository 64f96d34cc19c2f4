//! A file on its way to the gateway: read piece by piece while it is sent, on a connection of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::io::{AsyncRead, ReadBuf};

/// What is read at once.
const PIECE: usize = 64 * 1024;

/// What is to be sent.
pub(crate) type Source = Pin<Box<dyn AsyncRead + Send>>;

/// The body of an upload.
pub(crate) struct File {
    source: Source,
    /// How much of it has been taken by the connection.
    taken: Arc<AtomicU64>,
}

impl File {
    pub(crate) fn new(source: Source) -> File {
        File { source, taken: Arc::default() }
    }

    /// Counts while it is sent.
    pub(crate) fn taken(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.taken)
    }
}

impl Body for File {
    type Data = Bytes;
    type Error = std::io::Error;

    /// An error ends the connection: a file that was cut never looks whole.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let mut piece = vec![0; PIECE];
        let mut into = ReadBuf::new(&mut piece);
        ready!(self.source.as_mut().poll_read(cx, &mut into))?;
        let read = into.filled().len();
        if read == 0 {
            return Poll::Ready(None);
        }
        piece.truncate(read);
        self.taken.fetch_add(read as u64, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }
}
