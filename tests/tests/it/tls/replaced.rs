//! Certificates that are replaced under load, in each way in which that is done: nobody is dropped.

use std::cell::Cell;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use throome_e2e::fixture::one_service;
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, turn};

use super::Authority;

/// What a link points to is another file from now on, at once.
fn relink(link: &Path, target: &Path) {
    let beside = format!("{}.new", link.display());
    symlink(target, &beside).unwrap();
    std::fs::rename(beside, link).unwrap();
}

fn kinds(gateway: &Gateway) -> Vec<String> {
    let events = gateway.show("/api/v1/events?kind=certificate.");
    let events =
        events["events"].as_array().or_else(|| events["items"].as_array()).cloned().unwrap_or_default();
    events.iter().rev().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

/// Clients that ask without pause, and fail the test when any of their requests does.
struct Crowd {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    asking: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn begin(authority: &Arc<Authority>, to: SocketAddr) -> Crowd {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let one = |at: usize| {
            let (authority, stop, asked) = (Arc::clone(authority), Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut kept = authority.connect("shop.example", to);
                while !stop.load(Relaxed) {
                    // Half of them come anew each time.
                    if at.is_multiple_of(2) {
                        kept = authority.connect("shop.example", to);
                    }
                    let reply = kept.ask("GET /echo HTTP/1.1\r\nHost: shop.example\r\n\r\n");
                    assert_eq!(reply.map(|reply| reply.status), Ok(200));
                    asked.fetch_add(1, Relaxed);
                }
            })
        };
        let asking = (0..6).map(one).collect();
        Crowd { stop, asked, asking }
    }

    /// How many requests were answered, all of them.
    fn end(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.asking.into_iter().for_each(|one| one.join().unwrap());
        self.asked.load(Relaxed)
    }
}

#[test]
fn whoever_is_connected_stays_and_whoever_comes_sees_the_new_one() {
    let _turn = turn::alone();
    let authority = Authority::new();
    // As Kubernetes mounts a secret: `tls.pem` → `..data/tls.pem`, `..data` → a directory.
    for at in ["one", "two"] {
        std::fs::create_dir(authority.path(at)).unwrap();
    }
    authority.issue("one/tls", &["shop.example"]);
    std::fs::rename(authority.path("one"), authority.path("v1")).unwrap();
    symlink("v1", authority.path("..data")).unwrap();
    symlink("..data/tls.pem", authority.path("tls.pem")).unwrap();
    symlink("..data/tls.key", authority.path("tls.key")).unwrap();
    let (gateway, _service) =
        one_service(&format!("proxy: {{ tls: {{ certificates: [ {} ] }} }}\n", authority.pair("tls")));
    let to = gateway.traffic;
    let authority = Arc::new(authority);
    let crowd = Crowd::begin(&authority, to);
    let mut tunnel = authority.connect("shop.example", to);
    let upgrade = "GET /ws HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tunnel.talk(upgrade.as_bytes(), b"\r\n\r\n").unwrap();
    let mut talk = || tunnel.talk(b"\x81\x85\0\0\0\0hello", b"hello").unwrap();
    talk();
    let slowest = Cell::new(Duration::ZERO);
    let now_shown = |name: &str| {
        let began = Instant::now();
        wait_for(name, Duration::from_secs(5), || {
            authority.shown("shop.example", to).starts_with(&format!("CN = {name},")).then_some(())
        });
        slowest.set(slowest.get().max(began.elapsed()));
    };
    now_shown("tls");
    // Kubernetes: the directory is another one at once.
    std::fs::create_dir(authority.path("v2")).unwrap();
    authority.issue("v2/second", &["shop.example"]);
    for end in ["pem", "key"] {
        let place = |name: &str| authority.path(&format!("v2/{name}.{end}"));
        std::fs::rename(place("second"), place("tls")).unwrap();
    }
    relink(&authority.path("..data"), Path::new("v2"));
    now_shown("second");
    talk();
    // certbot: each file is a link to one in an archive.
    authority.issue("third", &["shop.example"]);
    relink(&authority.path("tls.key"), &authority.path("third.key"));
    relink(&authority.path("tls.pem"), &authority.path("third.pem"));
    now_shown("third");
    talk();
    // An editor, or cp: written into the files as they are, one after the other.
    authority.issue("fourth", &["shop.example"]);
    for end in ["pem", "key"] {
        std::fs::copy(authority.path(&format!("fourth.{end}")), authority.path(&format!("third.{end}")))
            .unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    now_shown("fourth");
    talk();
    assert_eq!(kinds(&gateway), ["certificate.replaced"; 3]);
    let slowest = slowest.get();
    println!("the slowest was seen after {slowest:?}; {} requests meanwhile", crowd.asked.load(Relaxed));
    assert!(slowest < Duration::from_millis(700), "{slowest:?}");
    // One that does not fit is refused, and said so.
    authority.issue("fifth", &["shop.example"]);
    std::fs::copy(authority.path("fifth.key"), authority.path("third.key")).unwrap();
    wait_for("the refusal", Duration::from_secs(10), || {
        (kinds(&gateway).last()? == "certificate.refused").then_some(())
    });
    now_shown("fourth");
    talk();
    assert_eq!(gateway.log().matches("changed certificates are refused").count(), 1);
    std::fs::copy(authority.path("fifth.pem"), authority.path("third.pem")).unwrap();
    now_shown("fifth");
    talk();
    assert!(crowd.end() > 100);
}
