//! A Docker Engine: where it answers, what its command line prints, and the ways in which it can be broken. What its
//! images are is left to `scripts/docker/contents.sh`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use crate::script::Script;

/// An engine that runs, or did.
#[derive(Debug, Clone)]
pub struct Docker {
    script: Arc<Script>,
    host: String,
}

/// An image that recipes name, or tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// A shell and small programs: `throome-test/tiny`.
    Tiny,
    /// `redis:7-alpine` and, the same, `redis:7.0-alpine`.
    Redis,
    /// `postgres:17-alpine`, in which is Debian's `PostgreSQL`.
    Postgres,
    /// `apache/kafka:3.9.1`.
    Kafka,
}

impl Image {
    /// All of them.
    pub const ALL: [Image; 4] = [Image::Tiny, Image::Redis, Image::Postgres, Image::Kafka];

    /// Its name, with a tag.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Image::Tiny => "throome-test/tiny:latest",
            Image::Redis => "redis:7-alpine",
            Image::Postgres => "postgres:17-alpine",
            Image::Kafka => "apache/kafka:3.9.1",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Image::Tiny => "tiny",
            Image::Redis => "redis",
            Image::Postgres => "postgres",
            Image::Kafka => "kafka",
        }
    }
}

/// The engine that all tests share, with all images: the machine's where one answers. It runs on when the test ends;
/// whoever makes something on it gives it a name of its own, and takes it away.
///
/// # Panics
/// When it does not start, with what the script says of it.
#[must_use]
#[track_caller]
pub fn docker() -> Docker {
    start(Script::shared(), &Image::ALL)
}

/// An engine of one's own beside that, which one may break, with the two small images; [`Docker::have`] adds the others.
/// It ends, with all that it holds, with the last of these handles, and with the process.
///
/// # Panics
/// When it does not start, with what the script says of it.
#[must_use]
#[track_caller]
pub fn own_docker() -> Docker {
    start(Script::own(), &[Image::Tiny, Image::Redis])
}

#[track_caller]
fn start(script: Script, images: &[Image]) -> Docker {
    let docker = Docker { script: Arc::new(script), host: String::new() };
    let said = docker.have(images);
    let host = said.lines().find_map(|line| line.strip_prefix("DOCKER_HOST="));
    let host =
        host.unwrap_or_else(|| panic!("scripts/docker.sh start said no DOCKER_HOST: {said}")).to_owned();
    Docker { host, ..docker }
}

impl Docker {
    /// Where it answers, as `DOCKER_HOST` has it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Sees to it that it has these images. Gives what the script prints.
    #[track_caller]
    pub fn have(&self, images: &[Image]) -> String {
        let mut words = vec!["start"];
        words.extend(images.iter().map(|image| image.word()));
        self.script.run_docker(&words)
    }

    /// What Docker's command line prints on this engine.
    ///
    /// # Panics
    /// When it fails, with what it says.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> String {
        match self.try_cli(words) {
            Ok(said) => said,
            Err(said) => panic!("docker {}: {said}", words.join(" ")),
        }
    }

    /// The same, or what it says when it fails.
    ///
    /// # Errors
    /// When its status is not 0.
    #[track_caller]
    pub fn try_cli(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host]).args(words).env_remove("DOCKER_CONTEXT");
        let output = command.output().unwrap_or_else(|error| panic!("docker does not start: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Ends it as by a crash. Its containers run on until it is back, and are restarted then.
    #[track_caller]
    pub fn kill(&self) {
        self.change("kill");
    }

    /// Stops all its processes where they stand (SIGSTOP): connections are taken, and nobody answers.
    #[track_caller]
    pub fn freeze(&self) {
        self.change("pause");
    }

    /// Lets it go on after [`Docker::freeze`].
    #[track_caller]
    pub fn thaw(&self) {
        self.change("resume");
    }

    /// Ends it in order, as a machine does that goes down. Images, containers and volumes stay.
    #[track_caller]
    pub fn stop(&self) {
        self.change("end");
    }

    /// Starts it again on the same socket and files, and waits until it answers; one that runs is stopped first.
    #[track_caller]
    pub fn restart(&self) {
        self.change("restart");
    }

    /// Where its files are, where it is one of one's own.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.script.directory().join("docker")
    }

    #[track_caller]
    fn change(&self, verb: &str) {
        assert!(
            !self.script.is_shared(),
            "the engine is shared with other tests, and not to be broken: take one by own_docker()"
        );
        self.script.run_docker(&[verb]);
    }
}
