//! webdis, which answers HTTP from Redis, and the Redis behind it on the load core.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Launch;
use crate::proc;
use crate::process::{Invocation, Process};
use crate::rig::{CONNECTIONS, Rig};

/// webdis with one worker thread before the given Redis.
pub fn prepare(rig: &Rig, redis: SocketAddr) -> anyhow::Result<Launch> {
    let directory = rig.directory_for("webdis")?;
    let address = rig.free_address()?;
    let file = directory.join("webdis.json");
    let configuration = serde_json::json!({
        "redis_host": redis.ip().to_string(),
        "redis_port": redis.port(),
        "http_host": address.ip().to_string(),
        "http_port": address.port(),
        "threads": 1,
        "pool_size": CONNECTIONS,
        "daemonize": false,
        "database": 0,
        "verbosity": 0,
        "logfile": directory.join("webdis.log").display().to_string(),
    });
    std::fs::write(&file, configuration.to_string())?;
    Ok(Launch {
        name: "webdis".to_owned(),
        invocation: Invocation::new("webdis", [file.display().to_string()]),
        address,
        health: (address, "/PING"),
        log: directory.join("log"),
    })
}

/// A running Redis that keeps nothing on disk; ends when dropped.
#[derive(Debug)]
pub struct Redis {
    pub address: SocketAddr,
    process: Process,
}

impl Redis {
    /// Processor time that it has used so far.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        proc::cpu_time(&[self.process.pid()])
    }
}

/// Starts Redis on the load core and waits until it takes connections.
pub fn start_redis(rig: &Rig) -> anyhow::Result<Redis> {
    let directory = rig.directory_for("redis")?;
    let address = rig.free_address()?;
    let port = address.port().to_string();
    let place = directory.display().to_string();
    let arguments =
        ["--bind", "127.0.0.1", "--port", &port, "--dir", &place, "--save", "", "--appendonly", "no"];
    let invocation = Invocation::new("redis-server", arguments);
    let mut process = Process::start(&invocation, rig.load_core(), &directory.join("log"))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(address).is_err() {
        process.check_alive()?;
        anyhow::ensure!(Instant::now() < deadline, "Redis takes no connections: {}", process.last_words());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(Redis { address, process })
}
