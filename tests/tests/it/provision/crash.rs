//! kill -9 of the gateway at any moment of making a cluster: at the next start it is whole, or gone.

use std::time::{Duration, Instant};

use engines::docker;
use serde_json::json;
use throome_e2e::gateway::request;
use throome_e2e::process::wait_for;
use throome_e2e::turn;

use super::between::{Between, Fault, Spoilt};
use super::{By, House, LONG, gone};

#[test]
fn by_processes_each_is_whole_or_gone() {
    each_is_whole_or_gone(By::Processes, 60);
}

#[test]
fn by_containers_each_is_whole_or_gone() {
    each_is_whole_or_gone(By::Containers, 40);
}

/// An engine with much to do makes what it was asked for when the next gateway has put everything in order.
#[test]
fn what_the_engine_makes_behind_a_crash_is_taken_away() {
    let engine = docker();
    let between = Between::of(&engine);
    let mut house = House::with(Some(engine), By::Containers, Some(&between.host()), "3m", &["env"]);
    for (round, path) in ["/networks/create", "/volumes/create", "/containers/create"].iter().enumerate() {
        let name = format!("late{round}");
        let body = house.body(&name, &json!({ "cache": { "type": "redis" } })).to_string();
        let (mut control, to) = (house.control(), house.gateway().control);
        between.spoil(&[Spoilt::once("POST", path, Fault::Late)]);
        let asking = std::thread::spawn(move || {
            control.send(request(to, "POST", "/api/v1/clusters", Some(&body)));
            control.try_reply("POST").ok().map(|answer| answer.status)
        });
        wait_for("the engine is asked", LONG, || (between.met() == 1).then_some(()));
        house.again(true);
        assert_eq!(asking.join().unwrap(), None, "{path}: it was answered");
        house.put_in_order(&name);
        gone(&house, &name);
        between.over();
        wait_for("the engine has made it", LONG, || (between.came_late() == 1).then_some(()));
        gone(&house, &name);
    }
}

fn each_is_whole_or_gone(by: By, rounds: u64) {
    let _turn = turn::alone();
    let mut house = House::new(by);
    // How long one takes that nobody disturbs: on this machine, and while others use it. The first also waits for what is
    // there from then on.
    let undisturbed = ["first", "second"].map(|name| {
        let began = Instant::now();
        house.create(name, &json!({ "cache": { "type": "redis" } }));
        let takes = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        house.delete(name, false);
        takes
    });
    let takes = undisturbed[0].min(undisturbed[1]).max(50);
    let (mut whole, mut lost) = (0, 0);
    for round in 0..rounds {
        let name = format!("c{round}");
        let body = house.body(&name, &json!({ "cache": { "type": "redis" } })).to_string();
        let (mut control, to) = (house.control(), house.gateway().control);
        let asking = std::thread::spawn(move || {
            control.send(request(to, "POST", "/api/v1/clusters", Some(&body)));
            control.try_reply("POST").ok().map(|answer| answer.status)
        });
        // Another moment of the work each time.
        std::thread::sleep(Duration::from_millis(round * 7919 % (takes * 3 / 2)));
        house.again(true);
        let answered = asking.join().unwrap().is_some_and(|status| status == 201);
        house.put_in_order(&name);
        if house.file(&name).is_empty() {
            assert!(!answered, "round {round}: it was answered");
            gone(&house, &name);
            lost += 1;
        } else {
            house.healthy(&name);
            house.set(&name, "a", "1");
            assert_eq!(house.get(&name, "a"), "1", "round {round}");
            house.delete(&name, false);
            gone(&house, &name);
            whole += 1;
        }
    }
    eprintln!("{whole} of {rounds} were whole, {lost} gone");
    assert!(whole >= 3 && lost >= 3, "{whole} whole and {lost} gone: the kills met too little");
}
