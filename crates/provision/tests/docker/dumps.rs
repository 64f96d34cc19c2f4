//! Programs that stand beside that of a container, and the data of one that stands still as archives.

use std::time::Duration;

use engines::own_docker;
use model::failure::Code;
use model::recipe::Run;
use throome_provision::{Data, Input, Output, Provisioner, State, Work};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{GATEWAY, World, gateway, get, quiet, site_of, until};

fn shell(text: &str) -> Run {
    Run { program: "sh".into(), args: vec!["-c".into(), text.into()], env: Vec::new() }
}

/// Runs a script beside it, and gives what it writes.
async fn beside(world: &World, work: &Work, run: &Run, input: &[u8]) -> Result<Vec<u8>, model::Failure> {
    let mut out = Vec::new();
    let output: Output<'_> = Box::pin(&mut out);
    world.docker.beside(work, run, Some(Box::pin(input)), Some(output)).await?;
    Ok(out)
}

#[tokio::test]
async fn a_program_stands_beside_and_tells_how_it_has_ended() {
    let world = World::shared();
    let mut work = world.site("db");
    work.env = vec![("COLOUR".into(), "red".into())];
    let mut run = shell("cat; cat /throome/word; echo \" $COLOUR $TASTE $1\"; id -u; echo aside >&2");
    run.args.extend(["sh".to_owned(), "a b".to_owned()]);
    run.env = vec![("TASTE".into(), "sweet".into())];
    let rests = beside(&world, &work, &run, b"").await.unwrap_err();
    assert_eq!(rests.code(), Code::Conflict, "{rests:?}");
    world.docker.start(&work, &quiet).await.unwrap();
    let said = beside(&world, &work, &run, b"given\n").await.unwrap();
    assert_eq!(String::from_utf8(said).unwrap(), "given\ncanary red sweet a b\n0\n");
    let run = shell("cat >&2; n=0; while [ $n -lt 30 ]; do echo line $n >&2; n=$((n + 1)); done; exit 7");
    let failure = beside(&world, &work, &run, b"first\n").await.unwrap_err();
    assert_eq!(failure.code(), Code::ProvisionFailed);
    let detail = failure.detail();
    assert!(detail.starts_with("`sh`, run beside `db`, has ended with 7:\nline 10\n"), "{detail}");
    assert!(detail.ends_with("\nline 29"), "{detail}");
    let absent = Run { program: "no-such-program".into(), ..Run::default() };
    let failure = beside(&world, &work, &absent, b"").await.unwrap_err();
    assert!(failure.detail().contains("no-such-program"), "{failure:?}");
    // It need not read all that it is given.
    let endless: Input<'_> = Box::pin(tokio::io::repeat(b'x'));
    world.docker.beside(&work, &shell("head -c 10 > /dev/null"), Some(endless), None).await.unwrap();
    world.docker.stop(&work.name).await.unwrap();
    let rests = beside(&world, &work, &run, b"").await.unwrap_err();
    assert_eq!(rests.code(), Code::Conflict, "{rests:?}");
}

#[tokio::test]
async fn much_goes_through_both_ways_at_once() {
    let world = World::shared();
    let work = world.site("db");
    world.docker.start(&work, &quiet).await.unwrap();
    let (mut to, from) = tokio::io::duplex(1 << 16);
    let (to_us, mut back) = tokio::io::duplex(1 << 16);
    let (size, cat) = (48 << 20, shell("cat"));
    let writes = async {
        for chunk in 0..size / (1 << 16) {
            to.write_all(&vec![chunk as u8; 1 << 16]).await.unwrap();
        }
        drop(to);
    };
    let reads = async {
        let (mut chunk, mut all) = (vec![0; 1 << 16], 0);
        while back.read_exact(&mut chunk).await.is_ok() {
            assert!(chunk.iter().all(|byte| *byte == (all >> 16) as u8), "at {all}");
            all += chunk.len();
        }
        all
    };
    let through = world.docker.beside(&work, &cat, Some(Box::pin(from)), Some(Box::pin(to_us)));
    let (through, (), all) = tokio::join!(through, writes, reads);
    through.unwrap();
    assert_eq!(all, size);
}

#[tokio::test]
async fn one_that_nobody_waits_for_is_asked_to_end_with_all_that_it_has_started() {
    let world = World::shared();
    let work = world.site("db");
    world.docker.start(&work, &quiet).await.unwrap();
    let run = shell("trap 'echo over > /data/over; exit' TERM; sleep 1000 & echo $! > /data/child; wait");
    let look = async |script: &str| {
        let said = beside(&world, &work, &shell(script), b"").await.unwrap();
        Some(String::from_utf8(said).unwrap().trim().to_owned()).filter(|said| !said.is_empty())
    };
    let child = tokio::select! {
        ended = world.docker.beside(&work, &run, None, None) => panic!("{ended:?}"),
        child = until("it is under way", || look("cat /data/child 2>/dev/null; true")) => child,
    };
    let over = format!("[ -e /data/over ] && [ ! -d /proc/{child} ] && echo yes; true");
    until("both have ended", || look(&over)).await;
    // One that does not end is ended.
    let stubborn = shell("trap '' TERM; echo $$ > /data/child; while :; do sleep 1; done");
    tokio::select! {
        ended = world.docker.beside(&work, &stubborn, None, None) => panic!("{ended:?}"),
        _ = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    let over = "[ ! -d /proc/$(cat /data/child) ] && echo yes; true";
    until("it was killed", || look(over)).await;
}

async fn taken(world: &World, work: &Work) -> Vec<u8> {
    let mut out = Vec::new();
    world.docker.take_data(work, Box::pin(&mut out)).await.unwrap();
    out
}

#[tokio::test]
async fn data_are_taken_and_put_in_the_place_of_others() {
    let world = World::shared();
    let work = world.script("db", "exec httpd -f -p 7000 -h /data");
    let nothing = world.docker.take_data(&work, Box::pin(tokio::io::sink())).await.unwrap_err();
    assert_eq!(nothing.code(), Code::NotFound, "{nothing:?}");
    let started = world.docker.start(&work, &quiet).await.unwrap();
    let make = "mkdir -m 750 -p /data/deep/er && echo one > /data/deep/er/file && echo 1 > /data/here && chown 7:8 /data";
    beside(&world, &work, &shell(make), b"").await.unwrap();
    let runs = world.docker.take_data(&work, Box::pin(tokio::io::sink())).await.unwrap_err();
    assert_eq!(runs.code(), Code::Conflict, "{runs:?}");
    world.docker.stop(&work.name).await.unwrap();
    let archive = taken(&world, &work).await;
    world.docker.start(&work, &quiet).await.unwrap();
    let change = "echo two > /data/deep/er/file; echo 2 > /data/later";
    beside(&world, &work, &shell(change), b"").await.unwrap();
    let runs = world.docker.put_data(&work, Box::pin(&*archive)).await.unwrap_err();
    assert_eq!(runs.code(), Code::Conflict, "{runs:?}");
    world.docker.stop(&work.name).await.unwrap();
    for length in [0, 600, archive.len() - 1024] {
        let cut = world.docker.put_data(&work, Box::pin(&archive[..length])).await.unwrap_err();
        assert_eq!(cut.code(), Code::InvalidRequest, "{cut:?}");
    }
    assert!(String::from_utf8_lossy(&taken(&world, &work).await).contains("later"), "that changed nothing");
    world.docker.put_data(&work, Box::pin(&*archive)).await.unwrap();
    assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().state, State::Stopped);
    world.docker.start(&work, &quiet).await.unwrap();
    assert_eq!(get(&started.host, started.port, "/deep/er/file").as_deref(), Some("one\n"));
    let look = shell("ls /data; stat -c '%a %u:%g' /data/deep/er /data/here");
    let said = String::from_utf8(beside(&world, &work, &look, b"").await.unwrap()).unwrap();
    // Whoever owned it there, here it is the owner of what the image begins with.
    assert_eq!(said, "deep\nhere\n750 0:0\n644 0:0\n");
    // What could not be put anywhere is not taken.
    beside(&world, &work, &shell("ln -s /etc/passwd /data/out"), b"").await.unwrap();
    world.docker.stop(&work.name).await.unwrap();
    let out = world.docker.take_data(&work, Box::pin(tokio::io::sink())).await.unwrap_err();
    assert!(out.detail().contains("the link `out` leads out"), "{out:?}");
    world.docker.put_data(&work, Box::pin(&*archive)).await.unwrap();
    // Of data that are kept without a container.
    world.docker.remove(&work.name, Data::Keep).await.unwrap();
    assert_eq!(taken(&world, &work).await.len(), archive.len());
    let other = world.script("other", "exec httpd -f -p 7000 -h /data");
    world.docker.put_data(&other, Box::pin(&*archive)).await.unwrap();
    let started = world.docker.start(&other, &quiet).await.unwrap();
    assert_eq!(get(&started.host, started.port, "/here").as_deref(), Some("1\n"));
}

#[tokio::test]
async fn data_fit_whoever_runs_the_image() {
    let world = World::shared();
    let mut work = world.site("log");
    work.recipe.image = "apache/kafka:3.9.1".to_owned();
    work.recipe.data = "/var/lib/kafka/data".to_owned();
    work.recipe.run = shell("exec sleep 1000");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(0o600);
    builder.append_data(&mut header, "a/b", &b"abc"[..]).unwrap();
    let archive = builder.into_inner().unwrap();
    world.docker.put_data(&work, Box::pin(&*archive)).await.unwrap();
    world.docker.start(&work, &quiet).await.unwrap();
    let look = shell(
        "id -u; cd /var/lib/kafka/data; stat -c '%u:%g %a' a/b; cat a/b; echo more > a/b; echo more > a/c",
    );
    let said = String::from_utf8(beside(&world, &work, &look, b"").await.unwrap()).unwrap();
    assert_eq!(said, "1000\n1000:1000 600\nabc");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_or_a_container_that_goes_in_the_middle_is_told() {
    // It ends with all that is in it.
    let engine = own_docker();
    let docker = gateway(&engine, GATEWAY);
    let work = site_of("gone", "db");
    let run = shell("echo begun; sleep 1000");
    let interrupted = async |interrupt: &dyn Fn()| {
        docker.start(&work, &quiet).await.unwrap();
        let (to_us, mut said) = tokio::io::duplex(100);
        let begun = async {
            said.read_exact(&mut [0; 6]).await.unwrap();
            tokio::task::block_in_place(interrupt);
        };
        let runs = docker.beside(&work, &run, None, Some(Box::pin(to_us)));
        let (ended, ()) =
            tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(runs, begun) }).await.unwrap();
        ended.unwrap_err()
    };
    let killed = interrupted(&|| drop(engine.cli(&["kill", "throome-gone-db"]))).await;
    assert!(killed.detail().contains("has ended with 137"), "{killed:?}");
    let gone = interrupted(&|| engine.kill()).await;
    assert!(gone.retryable() && gone.code() == Code::ProvisionFailed, "{gone:?}");
    // What cannot be asked is told before anything is read.
    let failure = docker.put_data(&work, Box::pin(&b""[..])).await.unwrap_err();
    assert!(failure.retryable(), "{failure:?}");
}
