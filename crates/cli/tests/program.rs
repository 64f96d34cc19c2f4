//! The commands as a process: what a shell completes, and what an interrupt leaves. This file is the program
//! and its test in one: told so by the environment, it carries out its command line.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail there")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use throome_cli::{Host, Report, ServeArgs, Setting};

const AS_PROGRAM: &str = "TEST_RUNS_THE_PROGRAM";

fn main() -> ExitCode {
    if std::env::var_os(AS_PROGRAM).is_some() {
        return throome_cli::run(std::env::args_os(), HOST);
    }
    if cfg!(unix) {
        let gateway = Gateway::new();
        let folder = tempfile::tempdir().unwrap();
        install(folder.path());
        bash_completes_names_of_the_running_gateway(&gateway, folder.path());
        bash_completes_from_the_last_answer_without_one(&gateway, folder.path());
        an_interrupted_consumer_acknowledges_what_it_wrote(&gateway, folder.path());
        an_interrupted_statement_gives_its_connection_up(&gateway, folder.path());
    }
    ExitCode::SUCCESS
}

const HOST: Host = Host { serve: no_gateway, dev: no_gateway, validate, config, version: "1.2.3" };

fn no_gateway(_: ServeArgs) -> ExitCode {
    ExitCode::FAILURE
}

fn validate(_: &Path) -> Result<Report, Vec<model::Problem>> {
    Err(Vec::new())
}

fn config(_: &ServeArgs) -> Result<Vec<Setting>, Vec<model::Problem>> {
    Ok(Vec::new())
}

/// Puts the program where a shell finds it.
fn install(folder: &Path) {
    let script = folder.join("throome");
    let program = std::env::current_exe().unwrap();
    std::fs::write(&script, format!("#!/bin/sh\n{AS_PROGRAM}=1 exec '{}' \"$@\"\n", program.display()))
        .unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// What bash offers for the last of these words.
fn offered(gateway: &str, folder: &Path, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, before) = (words.len() - 1, words.len() - 2);
    let script = format!(
        "source <(throome completion bash)\n\
         COMP_WORDS=({}); COMP_CWORD={last}; COMP_TYPE=9\n\
         _clap_complete_throome throome '{}' '{}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words[last],
        words[before]
    );
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let shell = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", &script])
        .env("PATH", path)
        .env("THROOME_URL", gateway)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env_remove("THROOME_CLUSTER")
        .env_remove("THROOME_TOKEN")
        .output()
        .unwrap();
    assert!(shell.stderr.is_empty(), "{}", String::from_utf8_lossy(&shell.stderr));
    let mut offered: Vec<String> =
        String::from_utf8(shell.stdout).unwrap().lines().map(|word| word.trim().to_owned()).collect();
    // Flags may stand where a name may; the names are what we ask about.
    offered.retain(|word| !word.is_empty() && (words[last].starts_with('-') || !word.starts_with('-')));
    offered
}

/// A machine that is busy may be slower than the patience of a completion; the next key asks again.
#[track_caller]
fn offers(gateway: &str, folder: &Path, words: &[&str], expected: &[&str]) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let found = offered(gateway, folder, words);
        if found == expected {
            return;
        }
        assert!(Instant::now() < end, "{words:?}: {found:?} in place of {expected:?}");
    }
}

fn bash_completes_names_of_the_running_gateway(gateway: &Gateway, folder: &Path) {
    for (words, expected) in [
        (&["throome", "cluster", "get", ""][..], &["shop", "stage"][..]),
        (&["throome", "cluster", "get", "sh"], &["shop"]),
        (&["throome", "sql", "--cluster", "st"], &["stage"]),
        (&["throome", "service", "drain", "shop/"], &["shop/db", "shop/events"]),
        (&["throome", "topic", "show", "--cluster", "shop", "or"], &["orders", "orders.dead"]),
        (&["throome", "consume", "orders", "--cluster", "shop", "--group", ""], &["audit", "mailer"]),
        (&["throome", "route", "delete", ""], &["api"]),
        (&["throome", "publish", "--cluster", "shop", "--service", "e"], &["events"]),
        (&["throome", "reset-"], &[]),
        (&["throome", "service", "reset-"], &["reset-breaker"]),
    ] {
        offers(&gateway.url, folder, words, expected);
    }
    assert!(
        offered(&gateway.url, folder, &["throome", "topic", "show", ""]).is_empty(),
        "no cluster is named"
    );
}

fn bash_completes_from_the_last_answer_without_one(gateway: &Gateway, folder: &Path) {
    gateway.answering(false);
    let began = Instant::now();
    offers(&gateway.url, folder, &["throome", "cluster", "get", ""], &["shop", "stage"]);
    assert!(offered(&gateway.url, folder, &["throome", "cluster", "get", "x"]).is_empty());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    gateway.answering(true);
    #[cfg(unix)]
    for kept in std::fs::read_dir(folder.join("cache/throome")).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(kept.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// Starts the program, waits for this in its output, and interrupts it; its code, output and talk.
fn interrupted(
    gateway: &Gateway,
    folder: &Path,
    line: &[&str],
    ready: impl Fn(&str) -> bool,
) -> (i32, String, String) {
    let mut child = Command::new(folder.join("throome"))
        .args(["--url", &gateway.url])
        .args(line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut told = String::new();
    while !ready(&told) {
        if told.is_empty() && line[0] == "sql" {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        assert!(out.read_line(&mut told).unwrap() > 0, "{told}");
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    out.read_to_string(&mut told).unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.wait().unwrap().code().unwrap_or(-1), told, err)
}

fn an_interrupted_consumer_acknowledges_what_it_wrote(gateway: &Gateway, folder: &Path) {
    let line = ["consume", "orders", "-g", "mailer", "--cluster", "shop"];
    let (code, out, err) = interrupted(gateway, folder, &line, |told| told.lines().count() == 2);
    assert_eq!((code, out.as_str()), (130, "one\ntwo\n"), "{err}");
    assert!(err.ends_with("2 messages\n"), "{err}");
    let acks: Vec<String> = gateway.seen().into_iter().filter(|seen| seen.contains("/queue/ack")).collect();
    let acked = acks.join(" ");
    assert!(acked.contains("\"a0\"") && acked.contains("\"a1\""), "{acked}");
}

fn an_interrupted_statement_gives_its_connection_up(gateway: &Gateway, folder: &Path) {
    let asked = |_: &str| gateway.seen().iter().any(|seen| seen.contains("/db/query"));
    let line = ["sql", "-c", "SELECT slow", "--single-transaction", "--cluster", "shop"];
    let (code, out, err) = interrupted(gateway, folder, &line, asked);
    assert_eq!((code, out.as_str()), (130, ""), "{err}");
    assert!(err.contains("interrupted"), "{err}");
    let end = Instant::now() + Duration::from_secs(10);
    while !gateway.seen().iter().any(|seen| seen == "left /db/query") {
        assert!(Instant::now() < end, "{:?}", gateway.seen());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(
        gateway.seen().iter().any(|seen| seen.contains("/transactions/T/rollback")),
        "{:?}",
        gateway.seen()
    );
}

/// A gateway that knows a few names, streams two messages, and never ends a query.
struct Gateway {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    answering: Arc<Mutex<bool>>,
}

impl Gateway {
    fn new() -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, answering) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(true)));
        let (log, open) = (Arc::clone(&seen), Arc::clone(&answering));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, open) = (Arc::clone(&log), Arc::clone(&open));
                std::thread::spawn(move || serve(stream.unwrap(), &log, &open));
            }
        });
        Gateway { url, seen, answering }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn answering(&self, yes: bool) {
        *self.answering.lock().unwrap() = yes;
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<String>>, open: &Mutex<bool>) {
    let mut reader = BufReader::new(stream);
    while let Some((line, body)) = read(&mut reader) {
        log.lock().unwrap().push(format!("{line} {body}"));
        if !*open.lock().unwrap() {
            return;
        }
        let stream = reader.get_mut();
        if line.contains("/queue/consume") {
            let messages: String = ["one", "two"]
                .iter()
                .enumerate()
                .map(|(at, value)| {
                    format!("{{\"event\":\"message\",\"topic\":\"orders\",\"partition\":0,\"offset\":{at},\"value\":\"{value}\",\"delivery\":1,\"ack\":\"a{at}\",\"resume\":\"r{at}\"}}\n")
                })
                .collect();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n{messages}")
                .unwrap();
            // Until the client goes.
            let _ = reader.read(&mut [0]);
            return;
        }
        if line.contains("/db/query") {
            let _ = reader.read(&mut [0]);
            log.lock().unwrap().push("left /db/query".to_owned());
            return;
        }
        let answer = answer(&line);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
    }
}

fn answer(line: &str) -> &'static str {
    let path = line.split(' ').nth(1).unwrap_or_default();
    match path.split('?').next().unwrap_or_default() {
        "/api/v1/clusters" => {
            r#"{"clusters":[{"id":"shop","name":"Shop","status":"HEALTHY","services":[{"name":"db","type":"x","status":"HEALTHY"},{"name":"events","type":"y","status":"HEALTHY"}]},
                {"id":"stage","name":"Stage","status":"HEALTHY","services":[]}],"next_cursor":null}"#
        }
        "/api/v1/clusters/shop/health" => {
            r#"{"cluster_id":"shop","status":"HEALTHY","services":{"db":{"name":"db","type":"x","status":"HEALTHY"},"events":{"name":"events","type":"y","status":"HEALTHY"}}}"#
        }
        "/api/v1/routes" => {
            r#"{"routes":[{"id":"api","cluster":"shop","service":"web","path":"/"}],"next_cursor":null}"#
        }
        "/api/v1/clusters/shop/queue/topics" => {
            r#"{"topics":[{"topic":"orders"},{"topic":"orders.dead"},{"topic":"payments"}],"next_cursor":null}"#
        }
        "/api/v1/clusters/shop/queue/groups" => {
            r#"{"groups":[{"topic":"orders","group":"mailer"},{"topic":"orders","group":"audit"},{"topic":"payments","group":"mailer"}],"next_cursor":null}"#
        }
        "/api/v1/clusters/shop/db/transactions" => r#"{"tx":"T"}"#,
        path if path.ends_with("/queue/ack") => r#"{"acknowledged":2}"#,
        _ => "{}",
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        first.get_or_insert_with(|| line.trim_end_matches(" HTTP/1.1").to_owned());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first?, String::from_utf8(body).unwrap()))
}
