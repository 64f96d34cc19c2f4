//! kill -9 of the gateway at any moment of making a cluster: at the next start it is whole, or gone.

use std::time::{Duration, Instant};

use serde_json::json;
use throome_e2e::gateway::request;
use throome_e2e::process::wait_for;
use throome_e2e::turn;

use super::{By, House, LONG, gone};

#[test]
fn by_processes_each_is_whole_or_gone() {
    each_is_whole_or_gone(By::Processes, 60);
}

#[test]
fn by_containers_each_is_whole_or_gone() {
    each_is_whole_or_gone(By::Containers, 40);
}

fn each_is_whole_or_gone(by: By, rounds: u64) {
    let _turn = turn::alone();
    let mut house = House::new(by);
    // How long one takes that nobody disturbs: on this machine, and while others use it.
    let began = Instant::now();
    house.create("whole", &json!({ "cache": { "type": "redis" } }));
    let takes = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(50);
    house.delete("whole", false);
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
        let operations = format!("/api/v1/operations?cluster={}&status=running", house.id(&name));
        wait_for("what was left is put in order", LONG, || {
            (house.gateway().show(&operations)["count"] == 0).then_some(())
        });
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
