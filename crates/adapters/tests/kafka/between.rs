//! Stands between clients and a real broker. It can make the answers name no broker at all, as a broker's own do while its
//! cluster has given it up, and it can keep some clients out: moments that cannot be had of a broker at will.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;
const API_VERSIONS: i16 = 18;

/// The last version of answers about the cluster whose texts and lists have lengths of a fixed size.
const METADATA_VERSION: i16 = 8;

/// Where clients connect, in the place of the broker.
pub(crate) struct Between {
    pub(crate) port: u16,
    broker: u16,
    names_none: AtomicBool,
    keeps_out: Mutex<Option<&'static str>>,
    cut: broadcast::Sender<()>,
}

impl Between {
    /// In front of the broker at this port of 127.0.0.1.
    pub(crate) async fn of(broker: u16) -> Arc<Between> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let (cut, _) = broadcast::channel(1);
        let (names_none, keeps_out) = (AtomicBool::new(false), Mutex::default());
        let own = Arc::new(Between { port, broker, names_none, keeps_out, cut });
        let between = Arc::clone(&own);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&between).carry(client));
            }
        });
        own
    }

    /// From now on its answers name no broker, or all again.
    pub(crate) fn name_none(&self, none: bool) {
        self.names_none.store(none, Ordering::SeqCst);
    }

    /// From now on no client comes through whose name begins with this. All connections end.
    pub(crate) fn keep_out(&self, name: Option<&'static str>) {
        *self.keeps_out.lock().unwrap_or_else(PoisonError::into_inner) = name;
        // Where there is no connection nobody hears it.
        let _ = self.cut.send(());
    }

    /// Whether the client that asks this may not come through. A question: what it is, its version, its number, and who asks.
    fn is_kept_out(&self, frame: &[u8]) -> bool {
        let name = *self.keeps_out.lock().unwrap_or_else(PoisonError::into_inner);
        name.is_some_and(|name| frame.get(10..).is_some_and(|own| own.starts_with(name.as_bytes())))
    }

    async fn carry(self: Arc<Self>, client: TcpStream) {
        let mut cut = self.cut.subscribe();
        let Ok(broker) = TcpStream::connect(("127.0.0.1", self.broker)).await else { return };
        let ((from_client, to_client), (from_broker, to_broker)) = (client.into_split(), broker.into_split());
        let asked = Mutex::new(HashMap::new());
        tokio::select! {
            () = self.ask(from_client, to_broker, &asked) => {}
            () = self.answer(from_broker, to_client, &asked) => {}
            _ = cut.recv() => {}
        }
    }

    async fn ask(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: &Asked) {
        while let Some(frame) = read(&mut from).await.filter(|frame| !self.is_kept_out(frame)) {
            let what = i16::from_be_bytes([frame[0], frame[1]]);
            asked.lock().unwrap_or_else(PoisonError::into_inner).insert(word(&frame, 4), what);
            if write(&mut to, &frame).await.is_none() {
                return;
            }
        }
    }

    async fn answer(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: &Asked) {
        while let Some(mut frame) = read(&mut from).await {
            let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&word(&frame, 0));
            match asked {
                Some(API_VERSIONS) => hold_back(&mut frame),
                Some(METADATA) if self.names_none.load(Ordering::SeqCst) => without_brokers(&mut frame),
                Some(METADATA | FIND_COORDINATOR) => self.lead_here(&mut frame),
                _ => {}
            }
            if write(&mut to, &frame).await.is_none() {
                return;
            }
        }
    }

    /// Has everything that the broker says of its own address said of this one.
    fn lead_here(&self, frame: &mut [u8]) {
        let address = |port: u16| [b"127.0.0.1".as_slice(), &u32::from(port).to_be_bytes()].concat();
        let (there, here) = (address(self.broker), address(self.port));
        let places: Vec<usize> = frame
            .windows(there.len())
            .enumerate()
            .filter(|(_, own)| *own == there)
            .map(|(at, _)| at)
            .collect();
        for at in places {
            frame[at..at + here.len()].copy_from_slice(&here);
        }
    }
}

/// What was asked, by the number that its answer has.
type Asked = Mutex<HashMap<i32, i16>>;

async fn read(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    let mut frame = vec![0; length as usize];
    from.read_exact(&mut frame).await.ok()?;
    Some(frame)
}

async fn write(to: &mut OwnedWriteHalf, frame: &[u8]) -> Option<()> {
    let length = u32::try_from(frame.len()).ok()?;
    to.write_all(&[&length.to_be_bytes(), frame].concat()).await.ok()
}

fn word(frame: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"))
}

/// Says that answers about the cluster are known in a version that can be read here, and in no later one. The answer: its
/// number, an error, how many there are, and of each what it is, the first version, the last, and a byte.
fn hold_back(frame: &mut [u8]) {
    let mut at = 7;
    while at + 7 <= frame.len() {
        if frame[at..at + 2] == METADATA.to_be_bytes() {
            frame[at + 4..at + 6].copy_from_slice(&METADATA_VERSION.to_be_bytes());
            return;
        }
        at += 7;
    }
    panic!("the broker knows nothing about its cluster");
}

/// Takes the brokers out of an answer: its number, a time, and of each broker its id, host, port and rack.
fn without_brokers(frame: &mut Vec<u8>) {
    let text = |frame: &[u8], at: usize| match i16::from_be_bytes([frame[at], frame[at + 1]]) {
        length if length < 0 => 2,
        length => 2 + usize::from(length.unsigned_abs()),
    };
    let mut end = 12;
    for _ in 0..word(frame, 8) {
        end += 4;
        end += text(frame, end) + 4;
        end += text(frame, end);
    }
    frame.splice(8..end, [0; 4]);
}
