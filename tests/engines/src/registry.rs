//! A registry of images on loopback, `test/registry/registry.py`, from which an engine pulls for real. It can be slow,
//! refuse, and break off.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::docker::Image;
use crate::script::Script;

/// What a registry serves, and what is to go wrong.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// The images that it has, under their names.
    pub images: Vec<Image>,
    /// More images: a name with a tag, and the layers of so many random bytes that are laid over [`Image::Tiny`]. No other
    /// registry has any layer of these, which matters for faults: an engine fetches a layer once for all who wait for it.
    pub layered: Vec<(String, Vec<u64>)>,
    /// So many bytes a second, of all layers together.
    pub rate: Option<u64>,
    /// 401 to every request.
    pub refuse: bool,
    /// Each layer breaks off after so many bytes.
    pub break_at: Option<u64>,
    /// Only so many times, after which layers are whole; always, where nothing is said.
    pub breaks: Option<u32>,
}

/// A registry that runs. It ends with this handle, and with the process.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    port: u16,
}

/// Starts one. An engine on the same machine speaks with it without TLS.
///
/// # Panics
/// When it does not start; it says why on standard error.
#[must_use]
#[track_caller]
pub fn registry(options: &RegistryOptions) -> Registry {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/registry/registry.py");
    let mut command = Command::new("python3");
    command.args(["-B", script]).args(words(options)).args(files(options));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("python3 does not start: {error}"));
    let mut line = String::new();
    let out = child.stdout.take().unwrap_or_else(|| unreachable!("it is piped"));
    let read = BufReader::new(out).read_line(&mut line);
    let port = read.ok().and_then(|_| line.trim_end().parse().ok());
    let port = port.unwrap_or_else(|| panic!("test/registry/registry.py said no port: {line:?}"));
    Registry { child, port }
}

impl Registry {
    /// What stands before the names of its images: `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How an engine calls an image of it: `127.0.0.1:PORT/redis:7-alpine`.
    #[must_use]
    pub fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn words(options: &RegistryOptions) -> Vec<String> {
    let mut words = Vec::new();
    let numbers = [
        ("--rate", options.rate),
        ("--break-at", options.break_at),
        ("--breaks", options.breaks.map(u64::from)),
    ];
    for (word, number) in numbers {
        words.extend(number.map(|number| format!("{word}={number}")));
    }
    words.extend(options.refuse.then(|| "--refuse".to_owned()));
    for (name, layers) in &options.layered {
        let layers: String = layers.iter().map(|bytes| format!("+{bytes}")).collect();
        words.push(format!("--add={name}={}{layers}", Image::Tiny.name()));
    }
    words
}

/// What `docker save` wrote of the images.
#[track_caller]
fn files(options: &RegistryOptions) -> Vec<String> {
    let mut asked = vec!["tars", Image::Tiny.word()];
    asked.extend(options.images.iter().map(|image| image.word()));
    let said = Script::shared().run_docker(&asked);
    said.lines().map(str::to_owned).collect()
}
