//! The line between a gateway and the one that takes its place: messages, and descriptors with them. It is inherited as
//! standard input, so that neither side handles a raw number of a descriptor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Descriptors of one message; the system takes 253.
pub(super) const AT_ONCE: usize = 128;

/// The longest message.
const LONGEST: usize = 64 << 10;

/// One end of the line.
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// A line, and what is handed to the process at its other end.
    pub(super) fn pair() -> io::Result<(Channel, OwnedFd)> {
        // Its messages have boundaries, and an end.
        let (own, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel(own), other))
    }

    /// The end that was inherited. Standard input reads nothing from here on.
    pub(super) fn inherited() -> io::Result<Channel> {
        let own = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Ok(Channel(own))
    }

    /// How long a message is waited for.
    pub(super) fn wait_at_most(&self, limit: Duration) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, Some(limit))?)
    }

    /// Sends words with at most [`AT_ONCE`] descriptors.
    pub(super) fn send(&self, words: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
        }
        sendmsg(&self.0, &[IoSlice::new(words)], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message. Nothing when the other end is gone.
    pub(super) fn receive(&self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut words = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut words)], &mut beside, RecvFlags::CMSG_CLOEXEC)
                .map_err(|error| match error {
                    rustix::io::Errno::AGAIN => {
                        io::Error::new(io::ErrorKind::TimedOut, "it said nothing in time")
                    }
                    other => other.into(),
                })?;
        let mut descriptors = Vec::new();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        words.truncate(received.bytes);
        Ok(Some((words, descriptors)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_pass_and_stay_the_same_ones() {
        let (own, other) = Channel::pair().unwrap();
        let other = Channel(other);
        let sockets: Vec<_> = (0..AT_ONCE).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        own.send(b"these", &descriptors).unwrap();
        own.send(b"no more", &[]).unwrap();
        let (words, passed) = other.receive().unwrap().unwrap();
        assert_eq!((&words[..], passed.len()), (&b"these"[..], AT_ONCE));
        for (passed, own) in passed.into_iter().map(TcpListener::from).zip(sockets) {
            let at = own.local_addr().unwrap();
            assert_eq!(passed.local_addr().unwrap(), at);
            drop(own);
            let _client = std::net::TcpStream::connect(at).unwrap();
            passed.accept().unwrap();
        }
        assert_eq!(other.receive().unwrap().unwrap().0, b"no more");
        other.wait_at_most(Duration::from_millis(20)).unwrap();
        assert_eq!(other.receive().unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(own);
        assert!(other.receive().unwrap().is_none());
    }
}
