//! A socket that answers as an engine would in a state that no real one can be brought to in a test.

use std::path::Path;

use model::Code;
use throome_provision::Provisioner;
use throome_provision::docker::{Docker, Options};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use crate::world::{GATEWAY, quiet, site_of};

/// Answers each request by the first line whose word its path holds.
fn play(path: &Path, answers: &'static [(&'static str, u16, &'static str)]) -> Docker {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let (mut head, mut length) = (String::new(), 0);
                let mut line = String::new();
                while stream.read_line(&mut line).await.unwrap() > 2 {
                    if let Some(number) = line.to_lowercase().strip_prefix("content-length: ") {
                        length = number.trim().parse().unwrap();
                    }
                    head.push_str(&line);
                    line.clear();
                }
                stream.read_exact(&mut vec![0; length]).await.unwrap();
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let known = answers.iter().find(|(word, ..)| path.contains(word));
                let (_, status, body) = known.unwrap_or(&("", 404, r#"{"message":"No such thing"}"#));
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    Docker::new(Options { host: Some(format!("unix://{}", path.display())), gateway: GATEWAY.to_owned() })
}

#[tokio::test]
async fn a_full_disk_is_told_wherever_it_shows() {
    let work = site_of("full", "web");
    let dir = tempfile::tempdir().unwrap();
    let pulls = play(
        &dir.path().join("pulls"),
        &[(
            "/images/create",
            200,
            r#"{"errorDetail":{"message":"write /var/lib/docker/tmp/x: no space left on device"},"error":"x"}"#,
        )],
    );
    let creates = play(
        &dir.path().join("creates"),
        &[
            ("/images/", 200, r#"{"Id":"sha256:0"}"#),
            ("/info", 200, r#"{"LoggingDriver":"json-file"}"#),
            ("/networks?", 200, r#"[{"Name":"throome-full","Id":"n","Labels":{"throome.cluster":"full"}}]"#),
            (
                "/volumes/create",
                500,
                r#"{"message":"mkdir /var/lib/docker/volumes/x: no space left on device"}"#,
            ),
        ],
    );
    for failure in
        [pulls.fetch(&work, &quiet).await.unwrap_err(), creates.start(&work, &quiet).await.unwrap_err()]
    {
        assert_eq!(failure.code(), Code::ProvisionFailed);
        assert!(failure.detail().contains("no space left on device"), "{failure}");
        assert!(failure.hint().unwrap().contains("docker system df"), "{failure:?}");
        assert!(!failure.retryable());
    }
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old");
    let docker = play(&path, &[("/version", 200, r#"{"Version":"19.03.15","ApiVersion":"1.40"}"#)]);
    let failure = docker.ready().await.unwrap_err();
    assert!(failure.detail().contains("19.03.15") && failure.detail().contains("1.40"), "{failure}");
    assert!(failure.hint().unwrap().contains("20.10"), "{failure:?}");
}

#[tokio::test]
async fn an_engine_without_address_ranges_says_what_frees_some() {
    let dir = tempfile::tempdir().unwrap();
    let docker = play(
        &dir.path().join("crowded"),
        &[
            ("/networks?", 200, "[]"),
            (
                "/networks/create",
                400,
                r#"{"message":"could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"}"#,
            ),
        ],
    );
    let failure = docker.start(&site_of("crowded", "web"), &quiet).await.unwrap_err();
    assert!(failure.hint().unwrap().contains("docker network prune"), "{failure:?}");
}
