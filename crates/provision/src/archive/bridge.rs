//! What is read or written in one piece, by a thread that may wait, brought to where nobody may.

use std::io::{self, Read, Write};

use model::{Code, Failure};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy_buf, duplex};
use tokio::runtime::Handle;

use crate::{Input, Output};

/// What may be under way between the two.
const ROOM: usize = 256 << 10;

/// Has it read the input. Dropped, the input ends for it in the middle.
pub(crate) async fn reading<T: Send + 'static>(
    input: Input<'_>,
    read: impl FnOnce(Waiting) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (mut far, near) = duplex(ROOM);
    let waiting = Waiting::of(near);
    let reads = tokio::task::spawn_blocking(move || read(waiting));
    let brings = async move {
        let mut input = tokio::io::BufReader::with_capacity(ROOM, input);
        copy_buf(&mut input, &mut far).await?;
        far.shutdown().await
    };
    let mut reads = std::pin::pin!(reads);
    let read = tokio::select! {
        // It has read what there is, or enough of it.
        read = &mut reads => read,
        brought = brings => match brought {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(unread("read", error)),
            _ => reads.await,
        },
    };
    read.unwrap_or_else(|error| Err(unread("read", error.into())))
}

/// Has it write the output. Dropped, it can write no more.
pub(crate) async fn writing<T: Send + 'static>(
    mut output: Output<'_>,
    write: impl FnOnce(Waiting) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (far, near) = duplex(ROOM);
    let waiting = Waiting::of(near);
    let writes = tokio::task::spawn_blocking(move || write(waiting));
    let brings = async move {
        let mut far = tokio::io::BufReader::with_capacity(ROOM, far);
        copy_buf(&mut far, &mut output).await?;
        output.flush().await
    };
    let (brought, written) = tokio::join!(brings, writes);
    brought.map_err(|error| unread("written", error))?;
    written.unwrap_or_else(|error| Err(unread("written", error.into())))
}

fn unread(how: &str, error: io::Error) -> Failure {
    Failure::gateway(Code::ProvisionFailed, format!("An archive cannot be {how}: {error}.")).with_cause(error)
}

/// A stream, for a thread that may wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    stream: DuplexStream,
    runtime: Handle,
}

impl Waiting {
    /// On the runtime that moves the other end of it.
    pub(crate) fn of(stream: DuplexStream) -> Waiting {
        Waiting { stream, runtime: Handle::current() }
    }
}

impl Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.stream.read(buffer))
    }
}

impl Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(self.stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
