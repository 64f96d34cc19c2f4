//! Commands of a service's own, over an engine that is made up: it says back what it was asked.

use adapters::key_value::{KeyValue, Page, SetOptions, Ttl, Value};

use super::*;

/// Echoes each command, refuses `FAIL`, and loses an answer after `LOSE`.
struct Echo;

/// An adapter with it.
struct Fake(Echo);

fn words(line: &str) -> Vec<Bytes> {
    line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
}

fn lines(lines: &[&str]) -> Vec<Vec<Bytes>> {
    lines.iter().map(|line| words(line)).collect()
}

fn echoed(words: &[Bytes]) -> Reply {
    match &*words[0] {
        b"FAIL" => Reply::Error("WRONGTYPE it is another".into()),
        _ => Reply::List(words.iter().cloned().map(Reply::Bytes).collect()),
    }
}

impl Commands for Echo {
    fn sort(&self, words: &[Bytes]) -> Result<Sort, Failure> {
        let sort = |name, reads, key, waits| {
            let walks = name == "SCAN";
            Ok(Sort { name, reads, walks, key, waits: Duration::from_secs(waits) })
        };
        match &*words[0] {
            b"GET" => sort("GET", true, Some(1), 0),
            b"SCAN" => sort("SCAN", true, None, 0),
            b"SET" => sort("SET", false, Some(1), 0),
            b"FAIL" => sort("FAIL", false, None, 0),
            b"LOSE" => sort("LOSE", true, None, 0),
            b"BLPOP" => sort("BLPOP", false, Some(1), 200),
            b"CONFIG" => {
                Err(Failure::client(Code::PermissionDenied, "`CONFIG` is not allowed.").with_hint("Ask."))
            }
            _ => Err(Failure::client(Code::UnsupportedCommand, "ERR unknown command")),
        }
    }

    fn run<'a>(&'a self, words: &'a [Bytes], _deadline: Instant) -> Call<'a, Reply> {
        Box::pin(async { Ok(echoed(words)) })
    }

    fn run_all<'a>(
        &'a self,
        commands: &'a [Vec<Bytes>],
        _deadline: Instant,
    ) -> Call<'a, Vec<Result<Reply, Failure>>> {
        let kept = commands.iter().filter(|words| &*words[0] != b"LOSE");
        Box::pin(async { Ok(kept.map(|words| Ok(echoed(words))).collect()) })
    }

    fn run_together<'a>(
        &'a self,
        commands: &'a [Vec<Bytes>],
        deadline: Instant,
    ) -> Call<'a, Vec<Result<Reply, Failure>>> {
        self.run_all(commands, deadline)
    }
}

impl KeyValue for Echo {
    fn get<'a>(&'a self, _key: &'a [u8]) -> Call<'a, Option<Value>> {
        unreachable!("commands are asked")
    }
    fn set<'a>(&'a self, _key: &'a [u8], _value: Value, _options: SetOptions) -> Call<'a, bool> {
        unreachable!("commands are asked")
    }
    fn delete<'a>(&'a self, _key: &'a [u8]) -> Call<'a, bool> {
        unreachable!("commands are asked")
    }
    fn incr<'a>(&'a self, _key: &'a [u8], _by: i64) -> Call<'a, i64> {
        unreachable!("commands are asked")
    }
    fn expire<'a>(&'a self, _key: &'a [u8], _ttl: Option<Duration>) -> Call<'a, bool> {
        unreachable!("commands are asked")
    }
    fn ttl<'a>(&'a self, _key: &'a [u8]) -> Call<'a, Ttl> {
        unreachable!("commands are asked")
    }
    fn scan<'a>(
        &'a self,
        _pattern: Option<&'a [u8]>,
        _cursor: Option<&'a [u8]>,
        _limit: usize,
    ) -> Call<'a, Page> {
        unreachable!("commands are asked")
    }
    fn commands(&self) -> Option<&dyn Commands> {
        Some(self)
    }
}

impl Adapter for Fake {
    fn probe(&self, _timeout: Duration) -> Call<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn key_value(&self) -> Option<&dyn KeyValue> {
        Some(&self.0)
    }
}

async fn asked<O: Operation>(operation: &O) -> Result<O::Answer, Failure> {
    operation.run(&Fake(Echo), Instant::now()).expect("it has commands").await
}

fn list(line: &str) -> Reply {
    Reply::List(words(line).into_iter().map(Reply::Bytes).collect())
}

#[tokio::test]
async fn a_command_is_what_the_engine_says_it_is() {
    let get = One::of(&Echo, words("GET user:1")).unwrap();
    assert_eq!((get.name(), Operation::access(&get), get.rerun()), ("GET", Access::Read, true));
    assert_eq!((&*get.shape(), get.patience()), ("user:*", Duration::ZERO));
    assert_eq!(asked(&get).await.unwrap(), list("GET user:1"));

    let waits = One::of(&Echo, words("BLPOP jobs 200")).unwrap();
    assert_eq!((Operation::access(&waits), waits.rerun()), (Access::Write, false));
    assert_eq!((&*waits.shape(), waits.patience()), ("*", Duration::from_secs(200)));

    let refused = asked(&One::of(&Echo, words("FAIL")).unwrap()).await.unwrap_err();
    assert_eq!((refused.code(), refused.origin()), (Code::CommandFailed, Origin::Client));
    assert_eq!(
        (refused.detail(), refused.native()),
        ("WRONGTYPE it is another", Some((NATIVE, "WRONGTYPE")))
    );

    let denied = One::of(&Echo, words("CONFIG GET x")).err().unwrap();
    assert_eq!(denied.code(), Code::PermissionDenied);
}

#[test]
fn a_walk_is_asked_of_one_server_and_may_run_again() {
    for (several, wanted) in [(false, Access::Read), (true, Access::Write)] {
        let one = One { several, ..One::of(&Echo, words("SCAN 0")).unwrap() };
        let piped = Piped { several, ..Piped::of(&Echo, lines(&["GET a", "SCAN 0"])) };
        let together = Together { several, ..Together::of(&Echo, lines(&["SCAN 0"])).unwrap() };
        assert_eq!([one.access(), piped.access(), together.access()], [wanted; 3]);
        assert_eq!([one.rerun(), piped.rerun(), together.rerun()], [true; 3]);
        assert!(one.reads());
        let get = One { several, ..One::of(&Echo, words("GET a")).unwrap() };
        assert_eq!(get.access(), Access::Read);
    }
}

#[tokio::test]
async fn each_command_of_a_pipeline_has_its_own_end() {
    let piped = Piped::of(&Echo, lines(&["CONFIG x", "SET a:1 b", "NONE", "FAIL", "GET a:1", "CONFIG y"]));
    assert_eq!((piped.name(), piped.access(), &*piped.shape()), ("PIPELINE", Access::Write, "a:*"));
    let answers = asked(&piped).await.unwrap();
    let ends = piped.ends(answers).unwrap();
    let ends: Vec<_> = ends.into_iter().map(|end| end.map_err(|failure| failure.code())).collect();
    let expected = [
        Err(Code::PermissionDenied),
        Ok(list("SET a:1 b")),
        Err(Code::UnsupportedCommand),
        Ok(Reply::Error("WRONGTYPE it is another".into())),
        Ok(list("GET a:1")),
        Err(Code::PermissionDenied),
    ];
    assert_eq!(ends, expected);
}

#[tokio::test]
async fn a_pipeline_is_what_its_commands_are_together() {
    let reads = Piped::of(&Echo, lines(&["GET a", "GET b", "CONFIG x"]));
    assert_eq!((reads.access(), reads.rerun(), reads.if_late()), (Access::Read, true, ""));
    let waits = Piped::of(&Echo, lines(&["BLPOP a 200", "BLPOP b 200"]));
    assert_eq!((waits.patience(), waits.rerun()), (LONGEST_WAIT, false));
    assert!(waits.if_late().contains("may have been carried out"));
    let nothing = Piped::of(&Echo, lines(&["CONFIG x"]));
    assert!(nothing.is_empty());
    assert_eq!(nothing.ends(Vec::new()).unwrap().len(), 1);
}

#[tokio::test]
async fn a_transaction_is_asked_whole_or_not_at_all() {
    let together = Together::of(&Echo, lines(&["SET a b", "FAIL", "BLPOP a 200"])).unwrap();
    assert_eq!(
        (together.name(), together.access(), together.patience()),
        ("MULTI", Access::Write, Duration::ZERO)
    );
    let ends: Vec<_> = asked(&together).await.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(ends[1], Reply::Error("WRONGTYPE it is another".into()));

    let aborted = Together::of(&Echo, lines(&["SET a b", "CONFIG x"])).err().unwrap();
    assert_eq!((aborted.code(), aborted.hint()), (Code::PermissionDenied, Some("Ask.")));
    assert_eq!(aborted.native(), Some((NATIVE, "EXECABORT")));
    assert!(aborted.detail().starts_with("EXECABORT "), "{aborted}");
}

#[tokio::test]
async fn an_answer_too_few_is_no_answer() {
    let lost = Piped::of(&Echo, lines(&["GET a", "LOSE", "GET b"]));
    let answers = asked(&lost).await.unwrap();
    let failure = lost.ends(answers).unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, Origin::Service));
    let lost = asked(&Together::of(&Echo, lines(&["GET a", "LOSE"])).unwrap()).await.unwrap_err();
    assert_eq!((lost.code(), lost.origin()), (Code::BadGateway, Origin::Service));
}
