//! By containers: the call to the engine that belongs to the step is refused, cut, done and not heard of, or never answered.

use std::time::{Duration, Instant};

use engines::docker;
use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::process::wait_for;

use super::super::between::Fault::{Cut, Hangs, Refused, Unheard};
use super::super::between::{Between, Spoilt};
use super::super::{By, House, LONG, gone};
use super::{Blocked, act, as_before, came_to_nothing, document, failed_at, next_try, once_idle, put, runs};

/// What is done to calls, at which step that is told, and with what words.
struct Case {
    what: &'static str,
    step: &'static str,
    spoilt: &'static [Spoilt],
    says: &'static str,
}

const fn case(what: &'static str, step: &'static str, spoilt: &'static [Spoilt], says: &'static str) -> Case {
    Case { what, step, spoilt, says }
}

const FULL: super::super::between::Fault = Refused(500, "mkdir /var/lib/docker/x: no space left on device");
const NO_IMAGE: Spoilt = Spoilt::always("GET", "/images/", Refused(404, "No such image"));
/// More than one: the gateway also looks around by itself.
const LOOKS: Spoilt = Spoilt { times: Some(6), ..Spoilt::once("GET", "/containers/throome-", Cut) };
/// The same: what a file asks for is looked at once more when it is new.
const IMAGES: Spoilt = Spoilt { times: Some(3), ..Spoilt::once("GET", "/images/", Cut) };
const GONE: Spoilt = Spoilt::always("", "", Cut);

const MAKING: &[Case] = &[
    case("the image is looked for in vain", "fetch", &[IMAGES], "broke"),
    case(
        "the pull is refused",
        "fetch",
        &[
            NO_IMAGE,
            Spoilt::once("POST", "/images/create", Refused(404, "pull access denied for redis, denied")),
        ],
        "pull access denied",
    ),
    case(
        "the disk is full at the pull",
        "fetch",
        &[NO_IMAGE, Spoilt::once("POST", "/images/create", FULL)],
        "no space left",
    ),
    case(
        "the disk is full at the network",
        "start",
        &[Spoilt::once("POST", "/networks/create", FULL)],
        "network",
    ),
    case(
        "the network is made unheard",
        "start",
        &[Spoilt::once("POST", "/networks/create", Unheard)],
        "network",
    ),
    case(
        "the disk is full at the volume",
        "start",
        &[Spoilt::once("POST", "/volumes/create", FULL)],
        "volume",
    ),
    case(
        "the volume is made unheard",
        "start",
        &[Spoilt::once("POST", "/volumes/create", Unheard)],
        "volume",
    ),
    case(
        "the disk is full at the container",
        "start",
        &[Spoilt::once("POST", "/containers/create", FULL)],
        "create the container",
    ),
    case(
        "the container is made unheard",
        "start",
        &[Spoilt::once("POST", "/containers/create", Unheard)],
        "create the container",
    ),
    case("its files are cut off", "start", &[Spoilt::once("PUT", "/archive", Cut)], "put files"),
    case("its start is refused", "start", &[Spoilt::once("POST", "/start", FULL)], "start the container"),
    case("its start is unheard", "start", &[Spoilt::once("POST", "/start", Unheard)], "start the container"),
    case("nobody can say whether it runs", "ready", &[LOOKS.behind("POST", "/start")], "broke"),
    case("the engine goes when it has started", "ready", &[GONE.behind("POST", "/start")], "broke"),
    case(
        "the engine goes when its volume is made",
        "start",
        &[GONE.behind("POST", "/volumes/create")],
        "broke",
    ),
];

fn house() -> (House, Between) {
    let engine = docker();
    let between = Between::of(&engine);
    let house = House::with(Some(engine), By::Containers, Some(&between.host()), "60s", &["env"]);
    (house, between)
}

/// Costs some 60 s: of 16 cases each makes a container, and then another one to show that it can.
#[test]
fn a_creation_comes_to_nothing_and_the_next_succeeds() {
    let (house, between) = house();
    let body = house.body("made", &json!({ "cache": { "type": "redis" } }));
    for Case { what, step, spoilt, says } in MAKING {
        between.spoil(spoilt);
        let answer = once_idle(&house, "POST", "/api/v1/clusters", Some(&body));
        failed_at(&house, "made", what, &answer, step, says);
        assert!(between.over() > 0, "{what}: nothing was spoilt");
        came_to_nothing(&house, "made", what);
        next_try(&house, "made", &body, what);
    }
    let blocked = Blocked::file_of(&house, "made");
    let answer = once_idle(&house, "POST", "/api/v1/clusters", Some(&body));
    failed_at(&house, "made", "its file cannot be written", &answer, "save", "config.yaml");
    drop(blocked);
    came_to_nothing(&house, "made", "its file cannot be written");
    next_try(&house, "made", &body, "its file cannot be written");
}

/// An engine that never answers: whoever cancels does not wait for it longer than it takes to go.
#[test]
fn a_creation_that_hangs_is_cancelled() {
    let (house, between) = house();
    let body = house.body("hangs", &json!({ "cache": { "type": "redis" } }));
    for path in ["/volumes/create", "/containers/create", "/start"] {
        between.spoil(&[Spoilt::once("POST", path, Hangs)]);
        let post = request(house.gateway().control, "POST", "/api/v1/clusters", Some(&body.to_string()));
        let post = post.replacen("\r\n", "\r\nPrefer: respond-async\r\n", 1);
        let begun = house.control().ask(post).expect(202).json();
        wait_for("it hangs", LONG, || (between.met() > 0).then_some(()));
        let operation = format!("/api/v1/operations/{}", begun["id"].as_str().unwrap());
        drop(house.call("DELETE", &operation, None).expect(202));
        between.over();
        let ended = wait_for("it has ended", LONG, || {
            let shown = house.gateway().show(&operation);
            (shown["status"] != "running").then_some(shown)
        });
        assert_eq!(ended["status"], "canceled", "{path}: {ended:#}");
        came_to_nothing(&house, "hangs", path);
        next_try(&house, "hangs", &body, path);
    }
}

/// What is done to a service that is there already.
const CHANGING: &[Case] = &[
    case(
        "what runs cannot be stopped",
        "start",
        &[Spoilt::once("POST", "/stop", FULL)],
        "stop the container",
    ),
    case(
        "what ran is stopped unheard",
        "start",
        &[Spoilt::once("POST", "/stop", Unheard)],
        "stop the container",
    ),
    case(
        "what ran is removed unheard",
        "start",
        &[Spoilt::once("DELETE", "/containers/", Unheard)],
        "remove the container",
    ),
    case(
        "the new one cannot be made",
        "start",
        &[Spoilt::once("POST", "/containers/create", FULL)],
        "create the container",
    ),
    case(
        "the new one does not start",
        "start",
        &[Spoilt::once("POST", "/start", FULL)],
        "start the container",
    ),
    case("nobody can say whether the new one runs", "ready", &[LOOKS.behind("POST", "/start")], "broke"),
    case(
        "the engine goes when the old one is removed",
        "start",
        &[GONE.behind("DELETE", "/containers/")],
        "broke",
    ),
    case("the engine goes when the new one has started", "ready", &[GONE.behind("POST", "/start")], "broke"),
];

/// Costs some 30 s: 9 cases.
#[test]
fn a_change_of_a_service_leads_back_to_what_it_was() {
    let (house, between) = house();
    house.create("change", &json!({ "cache": { "type": "redis" } }));
    house.set("change", "a", "1");
    let file = house.file("change");
    let mut changed = document(&house, "change");
    changed["services"]["cache"]["run"] = json!({ "env": { "TZ": "Europe/Berlin" } });
    let is_old = |what: &str| {
        let container = format!("throome-{}-cache", house.id("change"));
        let words = ["inspect", "--format", "{{.State.Running}} {{.Config.Env}}", &container];
        let engine = house.engine.as_ref().unwrap();
        wait_for(&format!("{what}: what runs is the old one"), LONG, || {
            let said = engine.try_cli(&words).unwrap_or_default();
            (said.starts_with("true") && !said.contains("Berlin")).then_some(())
        });
    };
    for Case { what, step, spoilt, says } in CHANGING {
        between.spoil(spoilt);
        let answer = put(&house, "change", &changed);
        failed_at(&house, "change", what, &answer, step, says);
        assert!(between.over() > 0, "{what}: nothing was spoilt");
        is_old(what);
        as_before(&house, "change", &file, what);
    }
    let blocked = Blocked::file_of(&house, "change");
    let answer = put(&house, "change", &changed);
    failed_at(&house, "change", "its file cannot be written", &answer, "save", "config.yaml");
    drop(blocked);
    is_old("its file cannot be written");
    as_before(&house, "change", &file, "its file cannot be written");
    drop(put(&house, "change", &changed).expect(200));
    runs(&house, "change", "without a fault");
    assert!(house.file("change").contains("Berlin"));
}

/// What is done to one that comes beside it.
const ADDING: &[Case] = &[
    case("the image is looked for in vain", "fetch", &[IMAGES], "broke"),
    case(
        "the new one cannot be made",
        "start",
        &[Spoilt::once("POST", "/containers/create", FULL)],
        "create the container",
    ),
    case("its start is unheard", "start", &[Spoilt::once("POST", "/start", Unheard)], "start the container"),
    case("nobody can say whether it runs", "ready", &[LOOKS.behind("POST", "/start")], "broke"),
    case("the engine goes when it has started", "ready", &[GONE.behind("POST", "/start")], "broke"),
];

/// What is done while it goes.
const REMOVING: &[Case] = &[
    case(
        "the container is not removed",
        "remove",
        &[Spoilt::once("DELETE", "/containers/", Refused(500, "driver failed"))],
        "The change took place",
    ),
    case(
        "the volume is not removed",
        "remove",
        &[Spoilt::once("DELETE", "/volumes/", Refused(500, "device busy"))],
        "The change took place",
    ),
    case("the engine goes", "remove", &[GONE.behind("DELETE", "/containers/")], "The change took place"),
];

/// Costs some 30 s: 8 cases.
#[test]
fn a_service_that_comes_or_goes_leaves_nothing_half() {
    let (house, between) = house();
    house.create("grow", &json!({ "cache": { "type": "redis" } }));
    house.set("grow", "a", "1");
    let file = house.file("grow");
    let small = document(&house, "grow");
    let mut large = small.clone();
    large["services"]["second"] =
        house.body("x", &json!({ "s": { "type": "redis" } }))["config"]["services"]["s"].clone();
    let no_second = |what: &str| {
        wait_for(&format!("{what}: nothing of the second is left"), LONG, || {
            (!house.left("grow").iter().any(|one| one.contains("second"))).then_some(())
        });
    };
    for Case { what, step, spoilt, says } in ADDING {
        between.spoil(spoilt);
        let answer = put(&house, "grow", &large);
        failed_at(&house, "grow", what, &answer, step, says);
        assert!(between.over() > 0, "{what}: nothing was spoilt");
        no_second(what);
        as_before(&house, "grow", &file, what);
    }
    for Case { what, step, spoilt, says } in REMOVING {
        drop(put(&house, "grow", &large).expect(200));
        between.spoil(spoilt);
        let answer = put(&house, "grow", &small);
        failed_at(&house, "grow", what, &answer, step, says);
        assert!(between.over() > 0, "{what}: nothing was spoilt");
        no_second(what);
        as_before(&house, "grow", &file, what);
    }
}

/// What is done while a service is restarted, stopped and started.
const ACTING: &[(&str, Case)] = &[
    (
        "restart",
        case("it cannot be stopped", "stop", &[Spoilt::once("POST", "/stop", FULL)], "stop the container"),
    ),
    (
        "restart",
        case(
            "it is stopped unheard",
            "stop",
            &[Spoilt::once("POST", "/stop", Unheard)],
            "stop the container",
        ),
    ),
    (
        "restart",
        case("it does not start", "start", &[Spoilt::once("POST", "/start", FULL)], "start the container"),
    ),
    (
        "restart",
        case("it starts unheard", "start", &[Spoilt::once("POST", "/start", Unheard)], "start the container"),
    ),
    (
        "restart",
        case("the engine goes when it was stopped", "start", &[GONE.behind("POST", "/stop")], "broke"),
    ),
    (
        "stop",
        case("it cannot be stopped", "stop", &[Spoilt::once("POST", "/stop", FULL)], "stop the container"),
    ),
    (
        "stop",
        case(
            "it is stopped unheard",
            "stop",
            &[Spoilt::once("POST", "/stop", Unheard)],
            "stop the container",
        ),
    ),
];

/// Costs some 25 s: 8 cases.
#[test]
fn a_restart_that_fails_is_resumed() {
    let (house, between) = house();
    house.create("act", &json!({ "cache": { "type": "redis" } }));
    house.set("act", "a", "1");
    for (verb, Case { what, step, spoilt, says }) in ACTING {
        let what = format!("{verb}: {what}");
        between.spoil(spoilt);
        let answer = act(&house, "act", verb);
        failed_at(&house, "act", &what, &answer, step, says);
        assert!(between.over() > 0, "{what}: nothing was spoilt");
        runs(&house, "act", &what);
        drop(act(&house, "act", "restart").expect(200));
        runs(&house, "act", &what);
    }
    drop(act(&house, "act", "stop").expect(200));
    between.spoil(&[Spoilt::once("POST", "/start", FULL)]);
    let answer = act(&house, "act", "start");
    failed_at(&house, "act", "start: it does not start", &answer, "start", "start the container");
    runs(&house, "act", "start: it does not start");
}

const DELETING: &[(&str, &[Spoilt])] = &[
    ("the engine is not there", &[Spoilt::once("GET", "/version", Cut)]),
    (
        "the container is not removed",
        &[Spoilt::once("DELETE", "/containers/", Refused(500, "driver failed"))],
    ),
    ("the volume is not removed", &[Spoilt::once("DELETE", "/volumes/", Refused(500, "device busy"))]),
    ("the network is not removed", &[Spoilt::once("DELETE", "/networks/", Refused(500, "it is in use"))]),
    ("the container is removed unheard", &[Spoilt::once("DELETE", "/containers/", Unheard)]),
    ("the engine goes when the container is removed", &[GONE.behind("DELETE", "/containers/")]),
    ("the engine goes before anything is removed", &[GONE.behind("GET", "/version")]),
];

/// Costs some 35 s: 7 cases, of which what fails is tried again after up to 5 s.
#[test]
fn a_deletion_is_seen_through() {
    let (house, between) = house();
    let body = house.body("goes", &json!({ "cache": { "type": "redis" } }));
    let path = format!("/api/v1/clusters/{}", house.id("goes"));
    for (what, spoilt) in DELETING {
        let made = once_idle(&house, "POST", "/api/v1/clusters", Some(&body));
        assert_eq!(made.status, 201, "{what}: {}", made.text());
        assert_eq!(house.get("goes", "a"), Value::Null, "{what}: it has the data of the one before");
        house.set("goes", "a", "1");
        between.spoil(spoilt);
        let answer = house.call("DELETE", &path, None);
        let met = between.over();
        assert!(answer.status >= 500 && met > 0, "{what}: {met} spoilt, {} {}", answer.status, answer.text());
        let shown = house.call("GET", &path, None);
        if shown.status == 200 {
            assert!(answer.text().contains("Nothing was deleted"), "{what}: {}", answer.text());
            runs(&house, "goes", what);
            house.delete("goes", false);
        } else {
            assert!(answer.text().contains("The cluster is deleted, but"), "{what}: {}", answer.text());
        }
        let began = Instant::now();
        wait_for(&format!("{what}: nothing is left"), LONG, || house.left("goes").is_empty().then_some(()));
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: it took {:?}", began.elapsed());
    }
    gone(&house, "goes");
}

/// The gateway is killed while it takes something away, and the engine is away when it starts again: what was to go with its
/// data goes with them. Costs some 35 s: the gateway starts four times, and looks every 5 s.
#[test]
fn what_a_kill_cuts_short_is_seen_through() {
    let (mut house, between) = house();
    let body = house.body("cut", &json!({ "cache": { "type": "redis" } }));
    let second = house.body("x", &json!({ "s": { "type": "redis" } }))["config"]["services"]["s"].clone();
    for (deletes, path) in
        [(false, "/containers/"), (false, "/volumes/"), (true, "/containers/"), (true, "/volumes/")]
    {
        drop(house.call("POST", "/api/v1/clusters", Some(&body)).expect(201));
        house.set("cut", "a", "1");
        let small = document(&house, "cut");
        let mut large = small.clone();
        large["services"]["second"] = second.clone();
        drop(put(&house, "cut", &large).expect(200));
        let file = house.file("cut");
        between.spoil(&[Spoilt::always("DELETE", path, Hangs)]);
        let (to, mut control) = (house.gateway().control, house.control());
        let url = format!("/api/v1/clusters/{}?keep_data=false", house.id("cut"));
        let text = small.to_string();
        let (method, text) = if deletes { ("DELETE", None) } else { ("PUT", Some(&*text)) };
        assert!(control.send(request(to, method, &url, text)));
        wait_for("it is being taken away", LONG, || (between.met() > 0).then_some(()));
        assert_ne!(house.file("cut"), file, "its file has changed before");
        between.spoil(&[GONE]);
        house.again(true);
        std::thread::sleep(Duration::from_secs(2));
        assert!(between.over() > 0, "the engine was asked for");
        let what = format!("{method} {path}");
        if deletes {
            came_to_nothing(&house, "cut", &what);
        } else {
            wait_for(&format!("{what}: nothing of the second is left"), LONG, || {
                (!house.left("cut").iter().any(|one| one.contains("second"))).then_some(())
            });
            runs(&house, "cut", &what);
            drop(once_idle(&house, "DELETE", &url, None).expect(200));
            gone(&house, "cut");
        }
    }
}
