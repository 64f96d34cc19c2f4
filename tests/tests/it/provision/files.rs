//! Services that a file asks for: what it leaves open is written into it, and what it asks for runs.

use std::fs;
use std::time::Duration;

use throome_e2e::process::{free_port, wait_for};

use super::{By, House, LONG, gone};

#[test]
fn what_a_file_asks_for_runs_and_ends_with_it() {
    for by in [By::Containers, By::Processes] {
        let house = House::new(by);
        let id = house.id("file");
        let first = format!(
            "# ours\nservices:\n  cache: # the cache\n    type: redis\n    provision: {}\n    port: {}\n",
            by.word(),
            free_port()
        );
        house.gateway().write_cluster(&id, &first);
        wait_for("the file is settled", LONG, || house.file("file").contains("password:").then_some(()));
        house.healthy("file");
        house.set("file", "a", "1");
        let file = house.file("file");
        assert!(file.starts_with("# ours\nservices:\n  cache: # the cache\n    type: redis\n"), "{file}");
        let second = format!(
            "{file}  other:\n    type: redis\n    provision: {}\n    port: {}\n",
            by.word(),
            free_port()
        );
        house.gateway().write_cluster(&id, &second);
        wait_for("the other is settled", LONG, || {
            (house.file("file").matches("password:").count() == 2).then_some(())
        });
        house.runs("file", "other");
        house.gateway().write_cluster(&id, &file);
        wait_for("the other has ended", Duration::from_secs(60), || {
            let events = house.gateway().show("/api/v1/events?kind=service.removed");
            (events["count"] == 1).then_some(())
        });
        let value = house.get("file", "a");
        assert_eq!(value, "1", "{by:?}: the first is untouched");
        fs::remove_file(house.gateway().cluster_file(&id)).unwrap();
        wait_for("all of it has ended", Duration::from_secs(60), || {
            let events = house.gateway().show("/api/v1/events?kind=service.removed");
            (events["count"] == 2).then_some(())
        });
        // An editor's slip: with the file everything is back, its data too.
        house.gateway().write_cluster(&id, &file);
        house.healthy("file");
        assert_eq!(house.get("file", "a"), "1", "{by:?}");
        house.delete("file", false);
        gone(&house, "file");
    }
}
