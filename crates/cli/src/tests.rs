//! Whole command lines against a gateway of recorded bodies.

mod backups;
mod data;
mod declares;
mod errors;
mod gateway;
mod help;
mod import;
mod operations;
mod orphans;
mod outputs;
mod prompts;
mod services;
mod tokens;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::terminal::{People, Terminal};
use crate::{Host, Ready, Report, ServeArgs, Setting};

/// How a command line ended, and what it wrote where.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: ExitCode,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    #[track_caller]
    pub(super) fn ended(self, code: u8) -> Ran {
        assert_eq!(self.code, ExitCode::from(code), "{self:?}");
        self
    }
}

/// Runs it as the binary would, the gateway aside: with nobody at the terminal and nothing to read.
pub(super) fn ran(line: &[&str]) -> Ran {
    ran_by(line, "", People::default())
}

/// The same with this input, and these streams ending at a person.
pub(super) fn ran_by(line: &[&str], input: &str, people: People) -> Ran {
    ran_in(line, input, people, |_| None)
}

/// The same in this environment.
pub(super) fn ran_in(line: &[&str], input: &str, people: People, env: fn(&str) -> Option<String>) -> Ran {
    let (mut input, mut out, mut err) = (input.as_bytes(), Vec::new(), Vec::new());
    let mut terminal = Terminal::new(&mut input, &mut out, &mut err, people, env);
    let line: Vec<OsString> = line.iter().map(OsString::from).collect();
    let code = match crate::prepare(line, &HOST, &mut terminal) {
        Err(code) => code,
        Ok(Ready::Serve(args)) => (HOST.serve)(args),
        Ok(Ready::Dev(args)) => (HOST.dev)(args),
        Ok(Ready::Client(cli)) => crate::carry_out(*cli, &HOST, terminal),
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code, out: text(out), err: text(err) }
}

/// A binary whose gateway ends at once, with a code that tells what it was given.
const HOST: Host = Host { serve, dev, validate, config, version: "1.2.3" };

fn serve(args: ServeArgs) -> ExitCode {
    ExitCode::from(if args.port == Some(9001) { 101 } else { 100 })
}

fn dev(_: ServeArgs) -> ExitCode {
    ExitCode::from(110)
}

fn validate(path: &Path) -> Result<Report, Vec<model::Problem>> {
    if path.ends_with("good.yaml") {
        return Ok(Report {
            what: "cluster file".to_owned(),
            summary: "cluster shop: 2 services".to_owned(),
        });
    }
    let problem = |message: &str, line| model::Problem {
        path: "services.cache.port".to_owned(),
        message: message.to_owned(),
        file: Some("bad.yaml".to_owned()),
        line: Some(line),
        column: Some(5),
        suggestion: Some("write 1 to 65535".to_owned()),
        not_built: false,
    };
    Err(vec![problem("`no` is no port", 3), problem("stands twice", 9)])
}

fn config(args: &ServeArgs) -> Result<Vec<Setting>, Vec<model::Problem>> {
    let port = args.port.map_or(("9000", "default"), |_| ("9001", "flag --port"));
    let setting = |path: &str, value: &str, source: &str| Setting {
        path: path.to_owned(),
        value: value.to_owned(),
        source: source.to_owned(),
    };
    Ok(vec![setting("server.port", port.0, port.1), setting("store.url", "***", "env THROOME_STORE_URL")])
}
