//! TLS on the real binary: an authority of our own, and peers of other people's (curl, OpenSSL, nginx).

mod acme;
mod changes;
mod commands;
mod data;
mod door;
mod isolation;
mod replaced;
mod services;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;
use throome_e2e::reply::{Parsed, Reply, parse};

/// An authority, and a directory for what it issues.
pub(super) struct Authority {
    pub(super) dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        let key = KeyPair::generate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { dir, issuer: Issuer::new(params, key) }
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub(super) fn ca(&self) -> String {
        self.path("ca.pem").display().to_string()
    }

    /// Writes `FILE.pem` and `FILE.key`, for these names; the subject is the file's name.
    pub(super) fn issue(&self, file: &str, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, Path::new(file).file_name().unwrap().to_str().unwrap());
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), cert.pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// As an element of `certificates`.
    pub(super) fn pair(&self, file: &str) -> String {
        let dir = self.dir.path().display();
        format!("{{ cert: {dir}/{file}.pem, key: {dir}/{file}.key }}")
    }

    /// curl to a name, which is at this address.
    pub(super) fn curl(&self, name: &str, to: SocketAddr, args: &[&str]) -> Curl {
        let port = to.port();
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "10", "--cacert", &self.ca()])
            .args(["--resolve", &format!("{name}:{port}:127.0.0.1")])
            .args(args)
            .arg(format!("https://{name}:{port}/echo"))
            .output()
            .unwrap();
        Curl {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The subject of what a client of this name is shown, by OpenSSL.
    pub(super) fn shown(&self, name: &str, to: SocketAddr) -> String {
        let said = Command::new("openssl")
            .args(["s_client", "-connect", &to.to_string(), "-servername", name, "-CAfile", &self.ca()])
            .args(["-verify_return_error", "-no_ign_eof"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let subject = said.lines().find_map(|line| line.strip_prefix("subject="));
        subject.unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    /// A connection that is kept.
    pub(super) fn connect(&self, name: &str, to: SocketAddr) -> Secure {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tcp = TcpStream::connect(to).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        Secure { stream: StreamOwned::new(session, tcp), inbox: Vec::new() }
    }
}

pub(super) struct Curl {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Curl {
    /// What the service saw, or why there is nothing.
    #[track_caller]
    pub(super) fn echo(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// A connection by TLS that is kept for many requests.
pub(super) struct Secure {
    stream: StreamOwned<ClientConnection, TcpStream>,
    inbox: Vec<u8>,
}

impl Secure {
    /// Sends a request and takes its answer.
    pub(super) fn ask(&mut self, request: &str) -> Result<Reply, String> {
        self.stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        loop {
            match parse(&self.inbox, false, false) {
                Parsed::Whole(reply, used) => {
                    self.inbox.drain(..used);
                    return Ok(reply);
                }
                Parsed::Bad(what) => return Err(what),
                Parsed::Partial { .. } => {}
            }
            let mut part = [0; 16 * 1024];
            match self.stream.read(&mut part) {
                Ok(0) => return Err("closed".to_owned()),
                Ok(n) => self.inbox.extend_from_slice(&part[..n]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Sends bytes, and waits until these have come.
    pub(super) fn talk(&mut self, bytes: &[u8], until: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|error| error.to_string())?;
        loop {
            if let Some(at) = self.inbox.windows(until.len()).position(|window| window == until) {
                self.inbox.drain(..at + until.len());
                return Ok(());
            }
            let mut part = [0; 4096];
            match self.stream.read(&mut part) {
                Ok(0) => return Err("closed".to_owned()),
                Ok(n) => self.inbox.extend_from_slice(&part[..n]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// What the service saw of a field, each time it was there, in either spelling.
pub(super) fn seen(echo: &serde_json::Value, name: &str) -> Vec<String> {
    let fields = echo["fields"].as_array().unwrap().iter();
    let is = |found: &str| found.replace('_', "-").eq_ignore_ascii_case(name);
    fields
        .filter(|field| is(field[0].as_str().unwrap()))
        .map(|field| field[1].as_str().unwrap().to_owned())
        .collect()
}
