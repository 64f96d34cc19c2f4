//! What is started, and as what; what is refused, and how that is said.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::Secret;
use model::failure::Code;
use model::recipe::{File, Preparation, Within};
use throome_provision::{Data, Progress, Provisioner, State};

use crate::house::{HERE, House, lives, pid, script, shell, until};

#[tokio::test]
async fn what_runs_just_so_is_left_alone_and_what_is_otherwise_is_replaced() {
    let house = House::new();
    house.processes.ready().await.unwrap();
    let mut work = script("web", "echo begun; exec sleep 1000");
    assert_eq!(house.found(&work).await, None);
    let first = house.start(&work).await;
    assert_eq!((first.host.as_str(), first.port), ("127.0.0.1", work.port));
    assert_eq!(house.start(&work).await, first);
    let found = house.found(&work).await.unwrap();
    assert_eq!(
        (found.state, found.gateway.as_str(), found.operation.as_str()),
        (State::Running, "gateway-1", "op-1")
    );
    assert_eq!((found.port, found.at), (Some(work.port), Some(("127.0.0.1".to_owned(), work.port))));
    work.env = vec![("COLOUR".into(), "red".into())];
    let second = house.start(&work).await;
    assert_ne!(second.id, first.id);
    assert!(!lives(pid(&first)) && lives(pid(&second)));
    work.recipe.files = vec![File { name: "conf".into(), text: Secret::new("s3cret") }];
    let third = house.start(&work).await;
    assert!(!lives(pid(&second)) && lives(pid(&third)));
    house.processes.stop(&work.name).await.unwrap();
    house.processes.stop(&work.name).await.unwrap();
    assert!(!lives(pid(&third)));
    assert_eq!(house.state(&work).await, State::Stopped);
    house.processes.remove(&work.name, Data::Remove).await.unwrap();
    house.processes.remove(&work.name, Data::Remove).await.unwrap();
    assert_eq!(house.found(&work).await, None);
    assert!(house.processes.list().await.unwrap().is_empty());
    assert!(!house.dir.path().join("site").exists());
}

#[tokio::test]
async fn a_program_has_its_own_place_and_little_of_the_gateways_environment() {
    let house = House::new();
    let mut work = script("web", "env; id -u; pwd; cat ../config/conf; echo >&2 end; exec sleep 1000");
    work.recipe.run.env = vec![("COLOUR".into(), "red".into()), ("SHAPE".into(), "round".into())];
    work.env = vec![("COLOUR".into(), "blue".into())];
    work.recipe.files = vec![File { name: "conf".into(), text: Secret::new("from the file\n") }];
    house.start(&work).await;
    house.says(&work, "end").await;
    let lines = house.lines(&work).await;
    let has = |line: &str| lines.iter().any(|said| said == line);
    assert!(has("COLOUR=blue") && has("SHAPE=round") && has("from the file"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "{lines:?}");
    assert!(!has("0"), "it runs as root: {lines:?}");
    let Within::Process { data } = house.processes.site(&work.name, 1).within else { panic!("no process") };
    assert!(has(&data), "{lines:?}");
    let seen = std::fs::metadata(&data).unwrap();
    assert_eq!(seen.mode() & 0o777, 0o700);
    if rustix::process::geteuid().is_root() {
        assert_ne!(seen.uid(), 0);
    }
    house.processes.stop(&work.name).await.unwrap();
}

#[tokio::test]
async fn data_are_kept_for_a_service_of_the_same_name() {
    let house = House::new();
    let work = script("web", "echo more >> rows; wc -l < rows; exec sleep 1000");
    house.start(&work).await;
    house.says(&work, "1").await;
    house.processes.remove(&work.name, Data::Keep).await.unwrap();
    let found = house.found(&work).await.unwrap();
    assert_eq!((&found.state, found.id.as_str(), found.has_data), (&State::Absent, "", true));
    assert_eq!((found.gateway.as_str(), found.operation.as_str(), found.port), ("gateway-1", "op-1", None));
    assert_eq!(house.processes.list().await.unwrap(), [found]);
    house.start(&work).await;
    house.says(&work, "2").await;
    house.processes.remove(&work.name, Data::Remove).await.unwrap();
    house.start(&work).await;
    house.says(&work, "1").await;
    house.processes.stop(&work.name).await.unwrap();
}

#[tokio::test]
async fn who_has_the_port_is_named_with_one_that_is_free() {
    let house = House::new();
    let work = script("web", "exec sleep 1000");
    let taken = TcpListener::bind((HERE, work.port)).unwrap();
    let failure = house.processes.start(&work, &|_| {}).await.unwrap_err();
    assert_eq!(failure.code(), Code::Conflict);
    let own = format!("(pid {})", std::process::id());
    assert!(
        failure.detail().contains(&own) && failure.detail().contains(&work.port.to_string()),
        "{failure}"
    );
    assert!(failure.hint().unwrap().contains("is free"), "{failure}");
    assert_eq!(house.found(&work).await, None, "nothing was begun");
    drop(taken);
    house.start(&work).await;
    house.processes.stop(&work.name).await.unwrap();
}

#[tokio::test]
async fn what_a_process_cannot_have_is_refused() {
    let house = House::new();
    let work = || script("web", "exec sleep 1000");
    let limited = throome_provision::Work { memory: Some(1 << 20), ..work() };
    let slow = throome_provision::Work { cpus: Some(0.5), ..work() };
    let image = throome_provision::Work { image: Some("redis:8".into()), ..work() };
    for (work, key) in [(limited, "memory"), (slow, "cpus"), (image, "image")] {
        let fetched = house.processes.fetch(&work, &|_| {}).await.unwrap_err();
        let started = house.processes.start(&work, &|_| {}).await.unwrap_err();
        for failure in [fetched, started] {
            assert_eq!(failure.code(), Code::InvalidConfig);
            assert!(
                failure.detail().contains(key) && failure.hint().unwrap().contains("docker"),
                "{failure}"
            );
        }
    }
    let mut missing = work();
    missing.recipe.run.program = "no-such-server".into();
    let failure = house.processes.fetch(&missing, &|_| {}).await.unwrap_err();
    assert_eq!(failure.code(), Code::ProvisionFailed);
    assert!(failure.detail().contains("`no-such-server`"), "{failure}");
    let (told, tell) = listener();
    house.processes.fetch(&work(), &tell).await.unwrap();
    let told = told.lock().unwrap();
    assert!(matches!(told.as_slice(), [Progress::Says(text)] if text.starts_with("sh is /")), "{told:?}");
}

#[tokio::test]
async fn preparations_are_made_once_and_a_failed_one_leaves_nothing_but_its_words() {
    let house = House::new();
    let mut work = script("db", "cat made; exec sleep 1000");
    let preparation =
        |text: &str| Preparation { what: "make the rows".into(), run: shell(text), input: None };
    work.recipe.prepare = vec![preparation("echo half > made; echo there is no room >&2; exit 3")];
    let failure = house.processes.start(&work, &|_| {}).await.unwrap_err();
    assert_eq!(failure.code(), Code::ProvisionFailed);
    let detail = failure.detail();
    assert!(
        ["make the rows", "with 3", "there is no room"].iter().all(|words| detail.contains(words)),
        "{detail}"
    );
    assert!(!house.found(&work).await.unwrap().has_data);
    let (told, tell) = listener();
    let more = Preparation { input: Some("more".into()), ..preparation("cat >> made") };
    work.recipe.prepare = vec![preparation("echo whole > made"), more];
    work.recipe.files = vec![File { name: "more".into(), text: Secret::new("and more\n") }];
    house.processes.start(&work, &tell).await.unwrap();
    assert_eq!(told.lock().unwrap().len(), 2);
    house.says(&work, "and more").await;
    house.processes.stop(&work.name).await.unwrap();
    work.recipe.prepare = vec![preparation("echo again > made")];
    house.start(&work).await;
    house.processes.stop(&work.name).await.unwrap();
    assert!(!house.lines(&work).await.iter().any(|line| line == "again"));
    // A crash in the middle of one: what there is are halves.
    let made = house.place(&work).join("made.json");
    let text = std::fs::read_to_string(&made).unwrap();
    std::fs::write(&made, text.replace("done", "begun")).unwrap();
    house.start(&work).await;
    house.says(&work, "again").await;
    house.processes.stop(&work.name).await.unwrap();
}

#[tokio::test]
async fn a_preparation_that_nobody_waits_for_ends() {
    let house = House::new();
    let mut work = script("db", "exec sleep 1000");
    let run = shell("echo half > made; sh -c 'echo $$ > pid; exec sleep 1000'");
    work.recipe.prepare = vec![Preparation { what: "make the rows".into(), run, input: None }];
    let file = house.place(&work).join("data/pid");
    let begun = || async { std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) };
    tokio::select! {
        started = house.processes.start(&work, &|_| {}) => panic!("{started:?}"),
        () = until("it is under way", begun) => {}
    }
    let pid: u32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    until("it has ended", || async { !lives(pid) }).await;
    tokio::time::timeout(Duration::from_secs(5), house.processes.remove(&work.name, Data::Remove))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(house.found(&work).await, None);
}

/// What is told, and who tells it.
fn listener() -> (Arc<Mutex<Vec<Progress>>>, impl Fn(Progress) + Send + Sync) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    (told, move |progress| heard.lock().unwrap().push(progress))
}
