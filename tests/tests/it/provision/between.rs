//! Stands in front of an engine's socket and hands on what is asked, but for the calls that a test wants to fail: a real
//! engine cannot be made to run out of disk, or to go away at one moment of many.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engines::Docker;
use tempfile::TempDir;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The engine refuses it, with this status and these words. It does nothing.
    Refused(u16, &'static str),
    /// The connection ends before the engine has heard of it.
    Cut,
    /// The engine does it, and its answer is lost.
    Unheard,
    /// Nobody answers, until the fault is over.
    Hangs,
    /// The engine does it once the fault is over, whoever waits for that.
    Late,
}

/// Which calls are spoilt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spoilt {
    /// `POST`; empty for any.
    pub(super) method: &'static str,
    /// What its path has; empty for any.
    pub(super) path: &'static str,
    /// Only behind a call whose method and path have these words.
    pub(super) behind: Option<(&'static str, &'static str)>,
    /// Only so many of them; without a number all.
    pub(super) times: Option<u32>,
    pub(super) fault: Fault,
}

impl Spoilt {
    /// The first such call.
    pub(super) const fn once(method: &'static str, path: &'static str, fault: Fault) -> Spoilt {
        Spoilt { method, path, behind: None, times: Some(1), fault }
    }

    /// All such calls.
    pub(super) const fn always(method: &'static str, path: &'static str, fault: Fault) -> Spoilt {
        Spoilt { times: None, ..Spoilt::once(method, path, fault) }
    }

    /// Those alone that come behind such a call.
    pub(super) const fn behind(self, method: &'static str, path: &'static str) -> Spoilt {
        Spoilt { behind: Some((method, path)), ..self }
    }
}

/// What is spoilt now, and how often it was met.
#[derive(Default)]
struct Faults {
    spoilt: Vec<Spoilt>,
    met: u32,
    /// How many calls the engine has answered late.
    came_late: u32,
}

/// A socket at which an engine answers, unless it is spoilt.
pub(super) struct Between {
    dir: TempDir,
    faults: Arc<Mutex<Faults>>,
}

impl Between {
    pub(super) fn of(engine: &Docker) -> Between {
        let dir = tempfile::tempdir().unwrap();
        let to = PathBuf::from(engine.host().strip_prefix("unix://").expect("the engine has a socket"));
        let listener = UnixListener::bind(dir.path().join("docker.sock")).unwrap();
        let faults = Arc::new(Mutex::new(Faults::default()));
        let shared = Arc::clone(&faults);
        // It ends with the process.
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let (to, faults) = (to.clone(), Arc::clone(&shared));
                std::thread::spawn(move || drop(serve(client, &to, &faults)));
            }
        });
        Between { dir, faults }
    }

    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// From here on these are spoilt.
    pub(super) fn spoil(&self, spoilt: &[Spoilt]) {
        *self.faults.lock().unwrap() = Faults { spoilt: spoilt.to_vec(), ..Faults::default() };
    }

    /// Nothing is spoilt any more. How many calls were.
    pub(super) fn over(&self) -> u32 {
        std::mem::take(&mut *self.faults.lock().unwrap()).met
    }

    /// How many calls the engine has answered late since the fault was over.
    pub(super) fn came_late(&self) -> u32 {
        self.faults.lock().unwrap().came_late
    }

    /// How many calls were spoilt by now.
    pub(super) fn met(&self) -> u32 {
        self.faults.lock().unwrap().met
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.socket());
    }
}

impl Faults {
    /// What becomes of this call.
    fn of(&mut self, method: &str, path: &str) -> Option<Fault> {
        let is = |word: &str, part: &str| (word.is_empty() || word == method) && path.contains(part);
        let mut found = None;
        for spoilt in &mut self.spoilt {
            if let Some((word, part)) = spoilt.behind {
                if is(word, part) {
                    spoilt.behind = None;
                }
            } else if found.is_none() && spoilt.times != Some(0) && is(spoilt.method, spoilt.path) {
                spoilt.times = spoilt.times.map(|times| times - 1);
                self.met += 1;
                found = Some(spoilt.fault);
            }
        }
        found
    }
}

/// One call on each connection: whoever asks is told that it ends with its answer.
fn serve(mut client: UnixStream, to: &PathBuf, faults: &Mutex<Faults>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fault = faults.lock().unwrap().of(method, path);
    match fault {
        Some(Fault::Cut) => return Ok(()),
        Some(Fault::Refused(status, says)) => {
            let body = format!("{{\"message\":\"{says}\"}}");
            let length = body.len();
            write!(
                client,
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{body}"
            )?;
            // What it still sends is read, so that the answer is not lost with it.
            client.set_read_timeout(Some(Duration::from_secs(1)))?;
            let _ = std::io::copy(&mut client, &mut std::io::sink());
            return Ok(());
        }
        Some(Fault::Hangs) => {
            client.set_read_timeout(Some(Duration::from_millis(50)))?;
            loop {
                match client.read(&mut [0; 4096]) {
                    // What else it sends of its call.
                    Ok(1..) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    _ => return Ok(()),
                }
                if faults.lock().unwrap().spoilt.is_empty() {
                    return Ok(());
                }
            }
        }
        Some(Fault::Late) => return late(client, &head, to, faults),
        Some(Fault::Unheard) | None => {}
    }
    let mut engine = ask(to, &head)?;
    let (mut from, mut into) = (client.try_clone()?, engine.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut into);
        // Whoever asked has gone.
        let _ = into.shutdown(std::net::Shutdown::Both);
    });
    if fault.is_some() {
        // It has begun to answer: it is done.
        let _ = engine.read(&mut [0])?;
    } else {
        std::io::copy(&mut engine, &mut client)?;
    }
    client.shutdown(std::net::Shutdown::Both)
}

/// Hands on the head of a call.
fn ask(to: &PathBuf, head: &str) -> std::io::Result<UnixStream> {
    let mut engine = UnixStream::connect(to)?;
    let lines = head.split("\r\n").filter(|line| !line.to_lowercase().starts_with("connection:"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    engine.write_all(head.trim_end().as_bytes())?;
    engine.write_all(b"\r\nConnection: close\r\n\r\n")?;
    Ok(engine)
}

/// Keeps a call until the fault is over, as an engine does that has much to do, and hands it on then.
fn late(mut client: UnixStream, head: &str, to: &PathBuf, faults: &Mutex<Faults>) -> std::io::Result<()> {
    let length = head.to_lowercase().split_once("content-length:").map_or(0, |(_, behind)| {
        behind.split("\r\n").next().unwrap_or_default().trim().parse().expect("a length")
    });
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    while !faults.lock().unwrap().spoilt.is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut engine = ask(to, head)?;
    engine.write_all(&body)?;
    let mut answer = Vec::new();
    engine.read_to_end(&mut answer)?;
    faults.lock().unwrap().came_late += 1;
    client.write_all(&answer)
}
