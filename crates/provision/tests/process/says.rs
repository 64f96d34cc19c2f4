//! What programs say: back to any time, and on as it comes.

use std::time::Duration;

use futures_util::StreamExt;
use model::failure::Code;
use throome_provision::{Ask, Provisioner, Source};

use crate::house::{House, all, script, until};

#[tokio::test]
async fn lines_have_time_and_source_and_are_found_by_both_ends() {
    let house = House::new();
    let work = script("web", "echo one; echo two >&2; sleep 1; echo three; exec sleep 1000");
    let before = jiff::Timestamp::now() - Duration::from_secs(1);
    house.start(&work).await;
    house.says(&work, "three").await;
    let ask = async |ask: Ask| all(house.processes.logs(&work.name, &ask).await.unwrap()).await;
    let lines = ask(Ask::default()).await;
    let said: Vec<_> = lines.iter().map(|line| (line.source, line.text.as_str())).collect();
    assert_eq!(said, [(Source::Out, "one"), (Source::Err, "two"), (Source::Out, "three")]);
    assert!(lines.iter().all(|line| line.time >= before && line.time <= jiff::Timestamp::now()), "{lines:?}");
    assert_eq!(ask(Ask { tail: Some(1), ..Ask::default() }).await, lines[2..]);
    assert_eq!(ask(Ask { tail: Some(0), ..Ask::default() }).await, []);
    assert_eq!(ask(Ask { since: Some(lines[2].time), ..Ask::default() }).await, lines[2..]);
    // What was said is there when the program is not, and goes with the service.
    house.processes.stop(&work.name).await.unwrap();
    assert_eq!(ask(Ask { follow: true, ..Ask::default() }).await, lines);
    house.processes.remove(&work.name, throome_provision::Data::Remove).await.unwrap();
    let failure = house.processes.logs(&work.name, &Ask::default()).await.err().unwrap();
    assert_eq!(failure.code(), Code::NotFound);
}

#[tokio::test]
async fn who_follows_hears_each_line_until_the_program_is_stopped() {
    let house = House::new();
    let work =
        script("web", "trap 'echo bye; exit 0' TERM; n=0; while :; do n=$((n+1)); echo $n; sleep 0.02; done");
    house.start(&work).await;
    house.says(&work, "3").await;
    let ask = Ask { follow: true, ..Ask::default() };
    let mut lines = house.processes.logs(&work.name, &ask).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 40 {
        heard.push(lines.next().await.unwrap().unwrap().text);
    }
    house.processes.stop(&work.name).await.unwrap();
    heard.extend(all(lines).await.into_iter().map(|line| line.text));
    assert_eq!(heard.pop().unwrap(), "bye");
    let expected: Vec<_> = (1..=heard.len()).map(|number| number.to_string()).collect();
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn what_is_too_much_to_keep_goes_the_oldest_first() {
    let house = House::new();
    // About 50 MB with their times, of which 32 are kept.
    let work = script(
        "web",
        "seq -f '%.0f a line that is as long as lines of programs are' 1 600000; echo end; exec sleep 1000",
    );
    house.start(&work).await;
    let log = house.place(&work).join("log");
    let ended =
        async || std::fs::read_to_string(log.join("current.log")).is_ok_and(|text| text.ends_with(" end\n"));
    until("it has said all", ended).await;
    let lines = house.lines(&work).await;
    assert_eq!(lines.last().unwrap(), "end");
    let first: usize = lines[0].split(' ').next().unwrap().parse().unwrap();
    assert!(first > 1, "nothing has gone");
    assert_eq!(lines.len(), 600_001 - (first - 1), "some are missing in between");
    let sizes: Vec<_> =
        (1..=4).map(|age| std::fs::metadata(log.join(format!("current.log.{age}"))).ok()).collect();
    assert!(sizes[..3].iter().flatten().all(|seen| seen.len() < 9 << 20), "{sizes:?}");
    assert!(sizes[2].is_some() && sizes[3].is_none(), "{sizes:?}");
    house.processes.stop(&work.name).await.unwrap();
}
