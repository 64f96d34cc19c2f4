//! Containers on a real engine: every call, and what happens when something is in the way, is changed by others, breaks
//! off or goes away. An engine that cannot be made to show a fault is played by `docker/fake.rs`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

#[path = "docker/dumps.rs"]
mod dumps;
#[path = "docker/fake.rs"]
mod fake;
#[path = "docker/inside.rs"]
mod inside;
#[path = "docker/life.rs"]
mod life;
#[path = "docker/logs.rs"]
mod logs;
#[path = "docker/names.rs"]
mod names;
#[path = "docker/outages.rs"]
mod outages;
#[path = "docker/ports.rs"]
mod ports;
#[path = "docker/pulls.rs"]
mod pulls;
#[path = "docker/restarts.rs"]
mod restarts;
#[path = "docker/world.rs"]
mod world;
