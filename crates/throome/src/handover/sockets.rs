//! What this process listens on: sockets of its own, or those of the process whose place it takes. They are the same
//! sockets in both, so that no connection which waits to be accepted is lost when one of the two lets go.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use wire::socket;

/// Every socket that listens. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Sockets(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    /// Those of the process before, until a door takes them.
    inherited: Vec<(SocketAddr, TcpListener)>,
    /// Those that doors have, to be passed on.
    held: Vec<TcpListener>,
}

impl Sockets {
    /// Those that the process before has passed on.
    pub(super) fn inherited(descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let listeners = descriptors.into_iter().map(TcpListener::from);
        let inherited = listeners.map(|l| Ok((l.local_addr()?, l))).collect::<io::Result<_>>()?;
        Ok(Sockets(Arc::new(Mutex::new(Book { inherited, held: Vec::new() }))))
    }

    /// One socket for one door.
    pub(crate) fn one(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let mut book = self.book();
        let socket = match book.take(address).into_iter().next() {
            Some(socket) => socket,
            None => socket::listen(address, false)?,
        };
        book.hold(&socket)?;
        Ok(socket)
    }

    /// At least so many sockets that share an address. There may be more of them when the process before had more cores:
    /// each has connections waiting, and must be served.
    pub(crate) fn shared(&self, address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
        let mut book = self.book();
        let mut sockets = book.take(address);
        let inherited = sockets.len();
        if inherited == 0 {
            // Sharing a port would also share it with a stranger: the first socket asks for it alone.
            drop(socket::listen(address, false)?);
            sockets = (0..count).map(|_| socket::listen(address, true)).collect::<io::Result<_>>()?;
        }
        for socket in &sockets {
            book.hold(socket)?;
        }
        // Those that are passed are shared by more cores, and none is added beside them: should this process fail, it
        // would take the connections with it that wait there.
        for at in (0..inherited).cycle().take(count.saturating_sub(sockets.len())) {
            sockets.push(sockets[at].try_clone()?);
        }
        Ok(sockets)
    }

    /// No door is for these any more.
    pub(crate) fn drop_unused(&self) {
        self.book().inherited.clear();
    }

    /// Nothing is passed on any more: a door that closes is closed.
    pub(crate) fn let_go(&self) {
        self.book().held.clear();
    }

    /// Looks at all that listen.
    pub(super) fn with_all<T>(&self, look: impl FnOnce(&[BorrowedFd<'_>]) -> T) -> T {
        let book = self.book();
        let all: Vec<_> = book.held.iter().map(AsFd::as_fd).collect();
        look(&all)
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn take(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        self.inherited.extract_if(.., |(at, _)| *at == address).map(|(_, socket)| socket).collect()
    }

    fn hold(&mut self, socket: &TcpListener) -> io::Result<()> {
        self.held.push(socket.try_clone()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn passed(from: &Sockets) -> Sockets {
        let all = from.with_all(|all| all.iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect());
        Sockets::inherited(all).unwrap()
    }

    /// Accepts on all of them until so many have come.
    fn accepted(sockets: &[TcpListener], most: usize) -> usize {
        let mut count = 0;
        for _ in 0..100 {
            count += sockets.iter().filter(|socket| socket.accept().is_ok()).count();
            if count >= most {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        count
    }

    #[test]
    fn what_waits_to_be_accepted_is_not_lost_whatever_the_number_of_cores() {
        for (before, after) in [(3, 3), (4, 1), (1, 4)] {
            let old = Sockets::default();
            let probe = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = probe.local_addr().unwrap();
            drop(probe);
            let first = old.shared(at, before).unwrap();
            let waiting: Vec<_> = (0..40).map(|_| TcpStream::connect(at).unwrap()).collect();
            let new = passed(&old);
            let second = new.shared(at, after).unwrap();
            assert!(second.len() >= after.max(before), "{before} to {after}");
            drop(first);
            old.let_go();
            let later: Vec<_> = (0..40).map(|_| TcpStream::connect(at).unwrap()).collect();
            assert_eq!(accepted(&second, 80), waiting.len() + later.len(), "{before} to {after}");
        }
    }

    #[test]
    fn a_process_that_fails_takes_no_connection_with_it() {
        let old = Sockets::default();
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = probe.local_addr().unwrap();
        drop(probe);
        let first = old.shared(at, 1).unwrap();
        let new = passed(&old);
        let second = new.shared(at, 4).unwrap();
        let waiting: Vec<_> = (0..40).map(|_| TcpStream::connect(at).unwrap()).collect();
        drop((new, second));
        assert_eq!(accepted(&first, 40), waiting.len());
    }

    #[test]
    fn a_socket_for_one_door_passes_too_and_another_address_is_new() {
        let old = Sockets::default();
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = probe.local_addr().unwrap();
        drop(probe);
        let first = old.one(at).unwrap();
        let new = passed(&old);
        let _client = TcpStream::connect(at).unwrap();
        drop(first);
        old.let_go();
        assert_eq!(accepted(&new.shared(at, 2).unwrap(), 1), 1);
        let other = passed(&new);
        other.drop_unused();
        new.let_go();
        assert!(TcpStream::connect(at).is_err(), "nobody has it any more");
    }
}
