//! Programs that stand beside one that runs, and data as archives.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use model::failure::Code;
use model::recipe::Run;
use throome_provision::{Input, Output, Provisioner, State, Work};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::house::{House, lives, pid, script, shell, until};

/// Runs a script beside it, and gives what it writes.
async fn beside(house: &House, work: &Work, run: &Run, input: &[u8]) -> Result<Vec<u8>, model::Failure> {
    let mut out = Vec::new();
    let output: Output<'_> = Box::pin(&mut out);
    house.processes.beside(work, run, Some(Box::pin(input)), Some(output)).await?;
    Ok(out)
}

#[tokio::test]
async fn a_program_stands_beside_with_the_user_the_place_and_the_surroundings_of_the_other() {
    let house = House::new();
    let mut work = script("db", "echo hers > mine; exec sleep 1000");
    work.recipe.run.env = vec![("COLOUR".into(), "red".into())];
    work.env = vec![("TASTE".into(), "sweet".into())];
    let run = shell("cat; echo \"$COLOUR $TASTE $1\"; cat mine; id -u; echo aside >&2");
    let run = Run { args: run.args.into_iter().chain(["sh".into(), "a b".into()]).collect(), ..run };
    let rests = beside(&house, &work, &run, b"").await.unwrap_err();
    assert_eq!(rests.code(), Code::Conflict, "{rests:?}");
    let started = house.start(&work).await;
    let mine = house.place(&work).join("data/mine");
    until("it has begun", async || fs::read_to_string(&mine).is_ok_and(|text| text == "hers\n")).await;
    let uid = fs::metadata(&mine).unwrap().uid();
    let said = beside(&house, &work, &run, b"given\n").await.unwrap();
    assert_eq!(String::from_utf8(said).unwrap(), format!("given\nred sweet a b\nhers\n{uid}\n"));
    assert!(lives(pid(&started)));
    house.processes.stop(&work.name).await.unwrap();
    let rests = beside(&house, &work, &run, b"").await.unwrap_err();
    assert_eq!(rests.code(), Code::Conflict, "{rests:?}");
}

#[tokio::test]
async fn one_that_fails_tells_its_last_words_and_its_code() {
    let house = House::new();
    let work = script("db", "exec sleep 1000");
    house.start(&work).await;
    let run = shell("cat >&2; n=0; while [ $n -lt 30 ]; do echo line $n >&2; n=$((n + 1)); done; exit 7");
    let failure = beside(&house, &work, &run, b"first\n").await.unwrap_err();
    assert_eq!(failure.code(), Code::ProvisionFailed);
    let detail = failure.detail();
    assert!(detail.starts_with("`sh`, run beside `db`, has ended with 7:\nline 10\n"), "{detail}");
    assert!(detail.ends_with("\nline 29"), "{detail}");
    let absent = Run { program: "no-such-program".into(), ..Run::default() };
    let failure = beside(&house, &work, &absent, b"").await.unwrap_err();
    assert!(failure.detail().contains("no-such-program"), "{failure:?}");
    // It need not read all that it is given, and what it leaves running does not hold it up.
    let endless: Input<'_> = Box::pin(tokio::io::repeat(b'x'));
    let run = shell("head -c 10 > /dev/null");
    house.processes.beside(&work, &run, Some(endless), None).await.unwrap();
    let killed = shell("kill -9 $$");
    let failure = house.processes.beside(&work, &killed, None, None).await.unwrap_err();
    assert!(failure.detail().contains("has ended with 137"), "{failure:?}");
}

#[tokio::test]
async fn much_goes_through_both_ways_at_once() {
    let house = House::new();
    let work = script("db", "exec sleep 1000");
    house.start(&work).await;
    let (mut to, from) = tokio::io::duplex(1 << 16);
    let (to_us, mut back) = tokio::io::duplex(1 << 16);
    let (size, cat) = (64 << 20, shell("cat"));
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
    let through = house.processes.beside(&work, &cat, Some(Box::pin(from)), Some(Box::pin(to_us)));
    let (through, (), all) = tokio::join!(through, writes, reads);
    through.unwrap();
    assert_eq!(all, size);
    // Nobody takes what it writes any more.
    let (to_us, back) = tokio::io::duplex(1 << 16);
    drop(back);
    let run = shell("cat /dev/zero");
    let failure = house.processes.beside(&work, &run, None, Some(Box::pin(to_us))).await.unwrap_err();
    assert!(failure.detail().contains("cannot be written"), "{failure:?}");
}

#[tokio::test]
async fn one_that_nobody_waits_for_is_asked_to_end_with_all_that_it_has_started() {
    let house = House::new();
    let work = script("db", "exec sleep 1000");
    house.start(&work).await;
    let run = shell("trap 'echo over > over; exit' TERM; sleep 1000 & echo $! > child; wait");
    let data = house.place(&work).join("data");
    let begun = async || fs::read_to_string(data.join("child")).is_ok_and(|text| text.ends_with('\n'));
    tokio::select! {
        ended = house.processes.beside(&work, &run, None, None) => panic!("{ended:?}"),
        () = until("it is under way", begun) => {}
    }
    let child: u32 = fs::read_to_string(data.join("child")).unwrap().trim().parse().unwrap();
    until("both have ended", async || !lives(child) && data.join("over").exists()).await;
    assert_eq!(house.state(&work).await, State::Running);
}

async fn taken(house: &House, work: &Work) -> Vec<u8> {
    let mut out = Vec::new();
    house.processes.take_data(work, Box::pin(&mut out)).await.unwrap();
    out
}

#[tokio::test]
async fn data_are_taken_and_put_in_the_place_of_others() {
    let house = House::new();
    let work = script(
        "db",
        "[ -e here ] || { mkdir -m 750 -p deep/er; echo one > deep/er/file; echo 1 > here; }\nexec sleep 1000",
    );
    let nothing = house.processes.take_data(&work, Box::pin(tokio::io::sink())).await.unwrap_err();
    assert_eq!(nothing.code(), Code::NotFound, "{nothing:?}");
    house.start(&work).await;
    let data = house.place(&work).join("data");
    until("it has begun", async || fs::read_to_string(data.join("here")).is_ok_and(|text| text == "1\n"))
        .await;
    let runs = house.processes.take_data(&work, Box::pin(tokio::io::sink())).await.unwrap_err();
    assert_eq!(runs.code(), Code::Conflict, "{runs:?}");
    house.processes.stop(&work.name).await.unwrap();
    let archive = taken(&house, &work).await;
    let owner = fs::metadata(data.join("here")).unwrap().uid();
    fs::write(data.join("later"), "2").unwrap();
    fs::write(data.join("deep/er/file"), "two").unwrap();
    for (make, words) in [("ln -s /etc out", "the link `out` leads out"), ("mkfifo out", "`out` is neither")]
    {
        let made = std::process::Command::new("sh").args(["-c", make]).current_dir(&data).status().unwrap();
        assert!(made.success());
        let out = house.processes.take_data(&work, Box::pin(tokio::io::sink())).await.unwrap_err();
        assert!(out.detail().contains(words), "{out:?}");
        fs::remove_file(data.join("out")).unwrap();
    }
    // One that is cut off changes nothing.
    for length in [0, 100, 600, archive.len() / 2, archive.len() - 1024] {
        let cut = house.processes.put_data(&work, Box::pin(&archive[..length])).await.unwrap_err();
        assert_eq!(cut.code(), Code::InvalidRequest, "{cut:?}");
        assert!(data.join("later").exists() && !house.place(&work).join("data.new").exists());
    }
    house.processes.put_data(&work, Box::pin(&*archive)).await.unwrap();
    assert!(!data.join("later").exists() && !house.place(&work).join("data.new").exists());
    assert_eq!(fs::read_to_string(data.join("deep/er/file")).unwrap(), "one\n");
    for (path, mode) in [("", 0o700), ("deep/er", 0o750), ("here", 0o644)] {
        let seen = fs::metadata(data.join(path)).unwrap();
        let wanted = if path == "here" { seen.permissions().mode() & 0o777 } else { mode };
        assert_eq!((seen.uid(), seen.permissions().mode() & 0o777), (owner, wanted), "{path}");
    }
    house.start(&work).await;
    let runs = house.processes.put_data(&work, Box::pin(&*archive)).await.unwrap_err();
    assert_eq!(runs.code(), Code::Conflict, "{runs:?}");
    // Into one that was never there, which then runs on them.
    let other = script("other", "cat deep/er/file; exec sleep 1000");
    house.processes.put_data(&other, Box::pin(&*archive)).await.unwrap();
    assert_eq!(house.found(&other).await.map(|found| found.has_data), Some(true));
    house.start(&other).await;
    house.says(&other, "one").await;
}

#[tokio::test]
async fn an_archive_that_nobody_brings_to_its_end_changes_nothing() {
    let house = House::new();
    let work = script("db", "echo 1 > here; exec sleep 1000");
    house.start(&work).await;
    let data = house.place(&work).join("data");
    until("it has begun", async || data.join("here").exists()).await;
    house.processes.stop(&work.name).await.unwrap();
    let archive = taken(&house, &work).await;
    let (mut to, from) = tokio::io::duplex(1 << 20);
    to.write_all(&archive[..archive.len() - 1024]).await.unwrap();
    let put = house.processes.put_data(&work, Box::pin(from));
    assert!(tokio::time::timeout(Duration::from_millis(300), put).await.is_err());
    fs::write(data.join("later"), "2").unwrap();
    // Whoever comes next waits until that is cleaned up.
    house.start(&work).await;
    assert!(data.join("later").exists() && !house.place(&work).join("data.new").exists());
}
