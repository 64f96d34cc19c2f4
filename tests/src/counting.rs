//! A service inside the test that counts: the connections open to it at once, and what was asked on them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long the end of a connection may take to be heard of.
const HEARD: Duration = Duration::from_millis(50);

/// How long the `n`th request takes, counted from 0.
type Takes = dyn Fn(usize) -> Duration + Send + Sync;

/// A service on a free port, which ends with the process.
#[derive(Debug, Clone)]
pub struct Counting {
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open: Mutex<Vec<TcpStream>>,
    most: AtomicUsize,
    accepted: AtomicUsize,
    gets: AtomicUsize,
    posts: AtomicUsize,
    abandoned: AtomicUsize,
}

impl Counting {
    /// Answers with 204 after `takes`; on `/ws` it agrees to a WebSocket and listens to it until its end.
    #[must_use]
    pub fn start(takes: impl Fn(usize) -> Duration + Send + Sync + 'static) -> Counting {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let counting = Counting { address: listener.local_addr().unwrap(), counts: Arc::default() };
        let (counts, takes): (_, Arc<Takes>) = (Arc::clone(&counting.counts), Arc::new(takes));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                let (counts, takes) = (Arc::clone(&counts), Arc::clone(&takes));
                counts.accept(&stream);
                let _ = thread::Builder::new()
                    .stack_size(128 * 1024)
                    .spawn(move || counts.serve(&stream, &*takes));
            }
        });
        counting
    }

    /// As an endpoint of a cluster file.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{{ host: 127.0.0.1, port: {} }}", self.address.port())
    }

    /// The most connections that were open at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.counts.most.load(SeqCst)
    }

    #[must_use]
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(SeqCst)
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.counts.look()
    }

    /// Requests that came, by whether they only read.
    #[must_use]
    pub fn asked(&self) -> (usize, usize) {
        (self.counts.gets.load(SeqCst), self.counts.posts.load(SeqCst))
    }

    /// Requests whose connection was closed before they were answered.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.counts.abandoned.load(SeqCst)
    }
}

impl Counts {
    fn accept(&self, stream: &TcpStream) {
        self.accepted.fetch_add(1, SeqCst);
        self.open.lock().unwrap().push(stream.try_clone().unwrap());
        let mut open = self.look();
        if open > self.most.load(SeqCst) {
            // That another was closed before this one was opened may be heard of a little later.
            thread::sleep(HEARD);
            open = open.min(self.look());
        }
        self.most.fetch_max(open, SeqCst);
    }

    /// How many are open, without those whose peer has closed them.
    fn look(&self) -> usize {
        let mut open = self.open.lock().unwrap();
        open.retain(|stream| !is_closed(stream));
        open.len()
    }

    fn serve(&self, stream: &TcpStream, takes: &Takes) {
        self.answer(stream, takes);
        // Whoever counts holds it open otherwise.
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn answer(&self, mut stream: &TcpStream, takes: &Takes) {
        let (mut said, mut part) = (Vec::new(), [0; 4096]);
        loop {
            match stream.read(&mut part) {
                Ok(0) | Err(_) => return,
                Ok(n) => said.extend_from_slice(&part[..n]),
            }
            let text = String::from_utf8_lossy(&said).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
            if body.len() < length.unwrap_or(0) {
                continue;
            }
            said.clear();
            if head.contains(" /ws ") {
                let agreed =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                let _ = stream.write_all(agreed.as_bytes());
                while matches!(stream.read(&mut part), Ok(1..)) {}
                return;
            }
            let of = if head.starts_with("GET ") { &self.gets } else { &self.posts };
            of.fetch_add(1, SeqCst);
            let number = self.gets.load(SeqCst) + self.posts.load(SeqCst) - 1;
            thread::sleep(takes(number));
            if is_closed(stream) {
                self.abandoned.fetch_add(1, SeqCst);
                return;
            }
            if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                return;
            }
        }
    }
}

/// Whether the peer has closed it, as far as can be seen without reading.
fn is_closed(stream: &TcpStream) -> bool {
    let socket = socket2::SockRef::from(stream);
    let mut byte = [std::mem::MaybeUninit::uninit()];
    match socket.recv_with_flags(&mut byte, PEEK_AND_GO_ON) {
        Ok(n) => n == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

/// `MSG_PEEK | MSG_DONTWAIT` of Linux.
const PEEK_AND_GO_ON: i32 = 0x02 | 0x40;
