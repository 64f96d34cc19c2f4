//! What both provisioners do for a program that stands beside: it is fed and drained at once, and its last words are kept.

use std::collections::VecDeque;
use std::future::Future;
use std::io;

use model::{Code, Failure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Input, Name, Output};

/// How many of its last lines are told, and how much of each.
const LAST: usize = 20;
const LONGEST: usize = 2048;

/// What is read at once.
const CHUNK: usize = 64 << 10;

/// What a program has said last.
#[derive(Debug, Default)]
pub(crate) struct Words {
    lines: VecDeque<String>,
    begun: Vec<u8>,
}

impl Words {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                _ if self.begun.len() < LONGEST => self.begun.push(*byte),
                _ => {}
            }
        }
    }

    /// All that there is from here.
    pub(crate) async fn drain(
        &mut self,
        name: &Name,
        mut from: impl AsyncRead + Unpin,
    ) -> Result<(), Failure> {
        let mut chunk = vec![0; CHUNK >> 4];
        loop {
            match from.read(&mut chunk).await {
                Ok(0) => return Ok(()),
                Ok(read) => self.take(&chunk[..read]),
                Err(error) => return Err(broken(name, "read from the program", error)),
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.begun)).trim_end().to_owned();
        if line.is_empty() {
            return;
        }
        if self.lines.len() == LAST {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// What became of it.
    pub(crate) fn judge(mut self, name: &Name, program: &str, code: Option<i64>) -> Result<(), Failure> {
        if code == Some(0) {
            return Ok(());
        }
        self.end_line();
        let how = code.map_or_else(|| "has ended".to_owned(), |code| format!("has ended with {code}"));
        let said: Vec<String> = self.lines.into();
        let end = if said.is_empty() { "." } else { ":\n" };
        let detail = format!("`{program}`, run beside `{}`, {how}{end}{}", name.service, said.join("\n"));
        Err(Failure::gateway(Code::ProvisionFailed, detail).with_service(name.service.clone()))
    }
}

/// Brings the input to the program. That it does not read all of it is as well: what it thinks of that, it says at its end.
pub(crate) async fn feed(
    name: &Name,
    input: Option<Input<'_>>,
    into: Option<impl AsyncWrite + Unpin>,
) -> Result<(), Failure> {
    let (Some(mut input), Some(mut into)) = (input, into) else { return Ok(()) };
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = input.read(&mut chunk).await.map_err(|error| broken(name, "read", error))?;
        if read == 0 || into.write_all(&chunk[..read]).await.is_err() {
            break;
        }
    }
    // It may be gone already.
    let _ = into.shutdown().await;
    Ok(())
}

/// Waits for the end of what is drained, and feeds until then.
pub(crate) async fn fed_until<T>(
    feeding: impl Future<Output = Result<(), Failure>>,
    drained: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut drained = std::pin::pin!(drained);
    tokio::select! {
        drained = &mut drained => return drained,
        fed = feeding => fed?,
    }
    drained.await
}

/// Where the standard output of a program goes; nowhere, where nobody wants it.
pub(crate) struct Sink<'a> {
    name: &'a Name,
    output: Option<Output<'a>>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(name: &'a Name, output: Option<Output<'a>>) -> Self {
        Sink { name, output }
    }

    pub(crate) async fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(output) = &mut self.output else { return Ok(()) };
        output.write_all(bytes).await.map_err(|error| broken(self.name, "written", error))
    }

    /// All that there is from here.
    pub(crate) async fn drain(&mut self, mut from: impl AsyncRead + Unpin) -> Result<(), Failure> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match from.read(&mut chunk).await {
                Ok(0) => return Ok(()),
                Ok(read) => self.take(&chunk[..read]).await?,
                Err(error) => return Err(broken(self.name, "read from the program", error)),
            }
        }
    }

    /// Nothing more comes.
    pub(crate) async fn end(&mut self) -> Result<(), Failure> {
        let Some(output) = &mut self.output else { return Ok(()) };
        output.flush().await.map_err(|error| broken(self.name, "written", error))
    }
}

/// The bytes do not come or go. `how` is what cannot be done with them.
pub(crate) fn broken(name: &Name, how: &str, error: io::Error) -> Failure {
    let detail = format!("A dump of `{}` cannot be {how}: {error}.", name.service);
    Failure::gateway(Code::ProvisionFailed, detail).with_service(name.service.clone()).with_cause(error)
}

/// What needs it to run, and it does not.
pub(crate) fn rests(name: &Name) -> Failure {
    let detail = format!("`{}` does not run, and this is done while it runs.", name.service);
    Failure::client(Code::Conflict, detail).with_hint("Start it first.").with_service(name.service.clone())
}

/// What needs it to stand still, and it runs.
pub(crate) fn runs(name: &Name) -> Failure {
    let detail = format!("`{}` runs, and this is done while it does not.", name.service);
    Failure::client(Code::Conflict, detail).with_hint("Stop it first.").with_service(name.service.clone())
}

/// There is nothing that could be taken.
pub(crate) fn no_data(name: &Name) -> Failure {
    Failure::client(Code::NotFound, format!("There are no data of `{}` here.", name.service))
        .with_service(name.service.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(said: &[u8], code: Option<i64>) -> Result<(), Failure> {
        let mut words = Words::default();
        words.take(said);
        words.judge(&Name { cluster: "shop".into(), service: "db".into() }, "sh", code)
    }

    #[test]
    fn the_last_words_are_told_and_never_too_many() {
        assert!(judged(b"a warning\n", Some(0)).is_ok());
        let told = judged(b"one\n\ntwo", Some(3)).unwrap_err();
        assert_eq!(told.detail(), "`sh`, run beside `db`, has ended with 3:\none\ntwo");
        assert_eq!(judged(b"", None).unwrap_err().detail(), "`sh`, run beside `db`, has ended.");
        let many: String = (0..1000).map(|line| format!("{line} {}\n", "x".repeat(10_000))).collect();
        let told = judged(many.as_bytes(), Some(1)).unwrap_err();
        assert_eq!(told.detail().lines().count(), 1 + LAST);
        assert!(told.detail().contains("\n999 x") && told.detail().len() < LAST * (LONGEST + 10));
    }
}
