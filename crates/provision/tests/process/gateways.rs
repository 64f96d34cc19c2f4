//! Programs outlive gateways: another one finds them as they are, and only them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::failure::Code;
use model::recipe::Preparation;
use throome_provision::{Data, Provisioner, State};

use crate::house::{House, gateway, kill, lives, pid, script, shell, start_of, until};

/// Where the gateway runs that another test kills.
const DIR: &str = "THROOME_TEST_GATEWAY_DIR";
const BUSY_DIR: &str = "THROOME_TEST_BUSY_GATEWAY_DIR";

const TICKS: &str = "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.1; done";

#[tokio::test]
async fn a_gateway_that_is_gone_lets_its_programs_live() {
    let mut house = House::new();
    let mut work = script("web", TICKS);
    work.port = 1;
    // The next test starts this one as a gateway of its own, and kills it.
    let killed = std::env::var_os(DIR);
    if let Some(dir) = &killed {
        house.processes = gateway(dir.as_ref());
    }
    let process = pid(&house.start(&work).await);
    if killed.is_some() {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    house.another_gateway();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(lives(process));
    house.processes.remove(&work.name, Data::Remove).await.unwrap();
    assert!(!lives(process));
}

#[tokio::test]
async fn a_program_and_its_log_go_on_when_the_gateway_is_killed() {
    let mut house = House::new();
    let mut work = script("web", TICKS);
    work.port = 1;
    let first = another("gateways::a_gateway_that_is_gone_lets_its_programs_live", DIR, &house);
    let log = house.place(&work).join("log/current.log");
    until("it ticks", async || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("tick 5"))).await;
    drop(first);
    let record = house.record(&work);
    let process = record["process"]["pid"].as_u64().unwrap() as u32;
    assert!(lives(process));
    tokio::time::sleep(Duration::from_millis(500)).await;
    house.another_gateway();
    let found = house.processes.list().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id.clone(), &found[0].state), (process.to_string(), &State::Running));
    assert_eq!(pid(&house.start(&work).await), process, "it runs just so");
    house.says(&work, "tick 20").await;
    let lines = house.lines(&work).await;
    let expected: Vec<_> = (1..=lines.len()).map(|number| format!("tick {number}")).collect();
    assert_eq!(lines, expected, "a line is missing, or is there twice");
    // It is nobody's child by now: how it has ended is not told, but that it has is seen.
    kill(process);
    until("its end is seen", async || house.state(&work).await == State::Restarting { code: None, count: 0 })
        .await;
    until("it runs again", async || house.state(&work).await == State::Running).await;
    house.processes.stop(&work.name).await.unwrap();
}

#[tokio::test]
async fn what_was_started_in_the_moment_of_a_crash_is_found_by_its_output() {
    let mut house = House::new();
    let work = script("web", "echo begun; exec sleep 1000");
    let process = pid(&house.start(&work).await);
    let mut record = house.record(&work);
    record["process"] = serde_json::Value::Null;
    house.another_gateway();
    house.write_record(&work, &record);
    assert_eq!(house.found(&work).await.unwrap().id, process.to_string());
    assert_eq!(pid(&house.start(&work).await), process);
    house.processes.remove(&work.name, Data::Remove).await.unwrap();
    assert!(!lives(process));
}

#[tokio::test]
async fn a_process_that_has_only_the_number_is_left_alone() {
    let mut house = House::new();
    let work = script("web", "exec sleep 1000");
    let first = pid(&house.start(&work).await);
    let other = Other::run(Command::new("sleep").arg("1000"));
    let number = other.child.id();
    kill(first);
    house.processes.leave().await;
    let mut record = house.record(&work);
    record["process"]["pid"] = number.into();
    // The clock of these moments goes by hundredths of a second, and both may be of the same one.
    record["process"]["start"] = (start_of(number).unwrap() - 1).into();
    house.another_gateway();
    house.write_record(&work, &record);
    let found = house.found(&work).await.unwrap();
    assert_eq!(found.state, State::Stopped);
    let second = pid(&house.start(&work).await);
    assert_ne!(second, number);
    house.processes.stop(&work.name).await.unwrap();
    assert!(lives(number));
    drop(other);
    // The right number and moment, of another start of the machine.
    let third = pid(&house.start(&work).await);
    let mut record = house.record(&work);
    record["boot"] = "another".into();
    house.another_gateway();
    house.write_record(&work, &record);
    assert_eq!(house.state(&work).await, State::Stopped);
    assert!(lives(third));
    kill(third);
}

#[tokio::test]
async fn who_has_left_touches_nothing_any_more() {
    let mut house = House::new();
    let work = script("web", "echo begun $$; exec sleep 1000");
    let process = pid(&house.start(&work).await);
    house.processes.leave().await;
    for result in [
        house.processes.start(&work, &|_| {}).await.map(|_| ()),
        house.processes.stop(&work.name).await,
        house.processes.remove(&work.name, Data::Remove).await,
        house.processes.list().await.map(|_| ()),
    ] {
        assert_eq!(result.unwrap_err().code(), Code::Draining);
    }
    kill(process);
    tokio::time::sleep(Duration::from_millis(500)).await;
    house.another_gateway();
    assert_eq!(house.state(&work).await, State::Stopped, "the one that has left has started it again");
}

#[tokio::test]
async fn who_takes_over_sees_what_was_done_since_it_looked_first() {
    let mut house = House::new();
    let next = gateway(house.dir.path());
    let work = script("web", "exec sleep 1000");
    assert_eq!(next.list().await.unwrap(), []);
    assert_eq!(next.find(&work.name).await.unwrap(), None);
    let first = house.start(&work).await;
    house.processes.leave().await;
    assert_eq!(next.start(&work, &|_| {}).await.unwrap(), first);
    next.leave().await;
    house.another_gateway();
    house.processes.remove(&work.name, Data::Remove).await.unwrap();
    assert!(!lives(pid(&first)));
}

#[tokio::test]
async fn services_of_the_same_name_live_side_by_side() {
    let house = House::new();
    let one = script("web", "echo of site; exec sleep 1000");
    let mut other = script("web", "echo of shop; exec sleep 1000");
    other.name.cluster = "shop".into();
    house.start(&one).await;
    house.start(&other).await;
    house.says(&one, "of site").await;
    house.says(&other, "of shop").await;
    house.processes.remove(&one.name, Data::Remove).await.unwrap();
    assert_eq!(house.state(&other).await, State::Running);
    house.processes.remove(&other.name, Data::Remove).await.unwrap();
}

#[tokio::test]
async fn a_gateway_makes_and_takes_away() {
    let mut house = House::new();
    // The next test starts this one too.
    let killed = std::env::var_os(BUSY_DIR);
    if let Some(dir) = &killed {
        house.processes = gateway(dir.as_ref());
    }
    let mut round = 0;
    while killed.is_some() || round < 4 {
        let mut work = script(&format!("web-{}", round % 3), "sleep 1000 & sleep 1000");
        let run = shell("echo half > rows; sleep 0.02; echo whole > rows");
        work.recipe.prepare = vec![Preparation { what: "make the rows".into(), run, input: None }];
        house.start(&work).await;
        if round % 2 == 1 {
            house.processes.stop(&work.name).await.unwrap();
        }
        house.processes.remove(&work.name, Data::Remove).await.unwrap();
        assert_eq!(house.found(&work).await, None);
        round += 1;
    }
}

#[tokio::test]
async fn whenever_a_gateway_is_killed_nothing_is_lost_sight_of() {
    let mut house = House::new();
    for round in 0..20_u64 {
        let busy = another("gateways::a_gateway_makes_and_takes_away", BUSY_DIR, &house);
        until("it has begun", async || std::fs::read_dir(house.dir.path()).unwrap().count() > 0).await;
        tokio::time::sleep(Duration::from_millis(round * 37 % 160)).await;
        drop(busy);
        house.another_gateway();
        for found in house.processes.list().await.unwrap() {
            house.processes.remove(&found.name, Data::Remove).await.unwrap();
        }
        assert_eq!(house.processes.list().await.unwrap(), []);
        let left: Vec<_> =
            std::fs::read_dir(house.dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(
            left.is_empty() && at_work_in(house.dir.path()).is_empty(),
            "{round}: {left:?} {:?}",
            at_work_in(house.dir.path())
        );
    }
}

/// Another program, which is killed in the end.
struct Other {
    child: Child,
    /// Where it makes what it does not come to take away.
    _scratch: tempfile::TempDir,
}

impl Other {
    fn run(command: &mut Command) -> Other {
        let scratch = tempfile::TempDir::new().unwrap();
        let command = command.env("TMPDIR", scratch.path()).stdout(Stdio::null()).stderr(Stdio::null());
        Other { child: command.spawn().unwrap(), _scratch: scratch }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gateway of its own, which is one of these tests, in the directory of this one.
fn another(test: &str, variable: &str, house: &House) -> Other {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env(variable, house.dir.path());
    Other::run(&mut command)
}

/// Whose work there goes on.
fn at_work_in(dir: &Path) -> Vec<PathBuf> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let places = pids.flat_map(|pid| ["cwd", "fd/1"].map(|link| pid.path().join(link)));
    places.filter(|link| std::fs::read_link(link).is_ok_and(|path| path.starts_with(dir))).collect()
}
