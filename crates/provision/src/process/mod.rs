//! Processes of this machine: the same recipe as a local program.
//!
//! There is no supervisor between the gateway and a program. A program has its own process group, and writes what it says
//! into files of its own, so that it lives on as it is when the gateway ends, however that ends; the next gateway finds it by
//! pid and moment of start. A supervisor would be one more process that has to be found again, and the one that must not die.
//! What that costs: how an adopted program has ended is not known, and what it says in between has one time.

mod awaited;
mod beside;
mod child;
mod data;
mod keep;
mod log;
mod place;
mod prepare;
mod programs;
mod read;
mod record;
mod refuse;
mod table;
mod unit;
mod user;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use model::Failure;
use model::recipe::{Run, Site, Within};

use self::place::Place;
use self::programs::Programs;
use self::record::{Made, Prepared, Record};
use self::unit::Unit;
use crate::{
    Ask, Call, Data, Found, Input, Lines, Name, Output, Progress, Provisioner, Putting, Started, Tell, Work,
};

/// How programs are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where each service has a directory of its own: `<data_dir>/processes`.
    pub dir: PathBuf,
    /// The id of this gateway.
    pub gateway: String,
    /// As whom programs are run, where the gateway is root. Where nothing is said: `throome`, else the user of the
    /// program's package, else `nobody`.
    pub user: Option<String>,
}

/// Runs recipes as processes of this machine. They outlive it: dropped, it only looks after them no more.
#[derive(Debug)]
pub struct Processes {
    options: Options,
    units: Mutex<BTreeMap<Name, Arc<Unit>>>,
    /// Whether another program has them now.
    left: AtomicBool,
}

impl Processes {
    /// Runs nothing yet. What an earlier gateway has left running is found when it is asked for.
    #[must_use]
    pub fn new(options: Options) -> Processes {
        // Programs are told these paths, and have another directory than we.
        let dir = std::path::absolute(&options.dir).unwrap_or(options.dir);
        let options = Options { dir, ..options };
        Processes { options, units: Mutex::default(), left: AtomicBool::new(false) }
    }

    /// Looks after nothing any more, and stops nothing: another program takes over.
    pub async fn leave(&self) {
        self.left.store(true, Ordering::Release);
        for unit in self.known() {
            let _gate = unit.gate.lock().await;
            unit.leave().await;
        }
    }

    /// Stops all of them, all at once: the orderly end of a gateway. One that does not end is told in the log.
    pub async fn stop_all(&self) {
        if let Err(failure) = self.load_all() {
            tracing::warn!(%failure, "not all local processes are known");
        }
        let stops = self.known().into_iter().map(|unit| async move {
            let _gate = unit.gate.lock().await;
            if let Err(failure) = unit.stop().await {
                tracing::warn!(%failure, "a local process is not stopped");
            }
        });
        join_all(stops).await;
    }

    async fn run(&self, work: &Work, tell: &Tell<'_>) -> Result<Started, Failure> {
        let (programs, user) = self.asked(work)?;
        let unit = self.unit(&work.name)?;
        let _gate = unit.gate.lock().await;
        self.take(&unit)?;
        let record = Record::of(work, &self.options.gateway, &programs, user);
        if !unit.runs(&record.print) {
            unit.stop().await?;
            free_port(work)?;
            self.furnish(&unit, work, record.user.as_ref()).await?;
            unit.place.write(&work.recipe.files, record.user.as_ref())?;
            prepare::prepare(&unit, work, &self.options.gateway, &programs, record.user.as_ref(), tell)
                .await?;
            unit.start(record)?;
        }
        let id = unit.found().map(|found| found.id).unwrap_or_default();
        Ok(Started { id, host: unit::reached(work.bind).to_string(), port: work.port })
    }

    /// Whether this can be run as a process at all: with what, and by whom.
    fn asked(&self, work: &Work) -> Result<(Programs, Option<user::User>), Failure> {
        let refused = |key: &str, why: &str| Err(refuse::only_containers(&work.name, key, why));
        if work.memory.is_some() {
            return refused("run.memory", "what it takes cannot be limited");
        }
        if work.cpus.is_some() {
            return refused("run.cpus", "what it takes cannot be limited");
        }
        if work.image.is_some() {
            return refused("run.image", "the program that is installed is run");
        }
        let programs = Programs::of(&work.recipe)?;
        let user = user::choose(self.options.user.as_deref(), &work.recipe.run.program)?;
        Ok((programs, user))
    }

    /// Makes its directories. Those of much data take a while where they change hands.
    async fn furnish(&self, unit: &Arc<Unit>, work: &Work, user: Option<&user::User>) -> Result<(), Failure> {
        place::ready(&self.options.dir)?;
        let (place, user) = (unit.place.clone(), user.cloned());
        let made = tokio::task::spawn_blocking(move || place.make(user.as_ref())).await;
        made.unwrap_or_else(|error| Err(refuse::disk("make", &unit.place.data(), error.into())))
            .map_err(|failure| failure.with_service(work.name.service.clone()))
    }

    async fn take_away(&self, name: &Name, data: Data) -> Result<(), Failure> {
        let Some(unit) = self.existing(name)? else { return Ok(()) };
        let _gate = unit.gate.lock().await;
        self.take(&unit)?;
        unit.stop().await?;
        let place = unit.place.clone();
        let removed = tokio::task::spawn_blocking(move || match data {
            Data::Keep => place.remove_but_data(),
            Data::Remove => place.remove(),
        });
        removed
            .await
            .unwrap_or_else(|error| Err(refuse::disk("remove", &unit.place.data(), error.into())))?;
        // It stays among the known ones, for whoever waits for it at its gate.
        unit.forget();
        Ok(())
    }

    /// The unit of this name, whether there is anything of it or not.
    fn unit(&self, name: &Name) -> Result<Arc<Unit>, Failure> {
        self.ours()?;
        let mut units = self.units();
        if let Some(unit) = units.get(name) {
            return Ok(unit.clone());
        }
        let unit = Unit::load(name.clone(), Place::of(&self.options.dir, name))?;
        units.insert(name.clone(), unit.clone());
        Ok(unit)
    }

    /// The unit of this name, if there is anything of it.
    fn existing(&self, name: &Name) -> Result<Option<Arc<Unit>>, Failure> {
        self.ours()?;
        if Place::of(&self.options.dir, name).exists() { self.unit(name).map(Some) } else { Ok(None) }
    }

    fn load_all(&self) -> Result<(), Failure> {
        let dirs = |dir: PathBuf| {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries
                .filter(|entry| entry.path().is_dir())
                .filter_map(|entry| entry.file_name().into_string().ok())
        };
        for cluster in dirs(self.options.dir.clone()) {
            let path = self.options.dir.join(&cluster);
            // What a crash has left of one that was just made, or taken away; it fails where there is anything.
            let _ = fs::remove_dir(&path);
            for service in dirs(path) {
                let unit = self.unit(&Name { cluster: cluster.as_str().into(), service: service.into() })?;
                // Directories alone are what a crash has left; unless somebody is making them.
                if let Ok(_gate) = unit.gate.try_lock()
                    && unit.found().is_none()
                {
                    unit.place.remove()?;
                }
            }
        }
        Ok(())
    }

    /// Before it is changed, at its gate: it may have been given away while that was waited for, or taken over just now.
    fn take(&self, unit: &Arc<Unit>) -> Result<(), Failure> {
        self.ours()?;
        unit.look_again()
    }

    fn ours(&self) -> Result<(), Failure> {
        if self.left.load(Ordering::Acquire) { Err(refuse::left()) } else { Ok(()) }
    }

    fn known(&self) -> Vec<Arc<Unit>> {
        self.units().values().cloned().collect()
    }

    fn units(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Unit>>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program that cannot listen says so in its own way, and only after it was started: here it is said by whom.
fn free_port(work: &Work) -> Result<(), Failure> {
    match TcpListener::bind((work.bind, work.port)) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let holder = crate::holder(work.port);
            Err(refuse::port_taken(&work.name, work.bind, work.port, holder.as_ref()))
        }
        // What else is wrong with it may be so for us only.
        _ => Ok(()),
    }
}

impl Provisioner for Processes {
    fn word(&self) -> &'static str {
        "process"
    }

    fn ready(&self) -> Call<'_, ()> {
        Box::pin(async {
            if cfg!(target_os = "linux") && table::row(std::process::id()).is_some() {
                return place::ready(&self.options.dir);
            }
            Err(refuse::other_system())
        })
    }

    fn site(&self, name: &Name, port: u16) -> Site {
        let place = Place::of(&self.options.dir, name);
        Site {
            within: Within::Process { data: place.data().display().to_string() },
            config: place.config().display().to_string(),
            port,
            host: "localhost".to_owned(),
        }
    }

    fn fetch<'a>(&'a self, work: &'a Work, tell: &'a Tell<'a>) -> Call<'a, ()> {
        Box::pin(async move {
            let (programs, user) = self.asked(work)?;
            for (name, path) in programs.all() {
                let by = user.as_ref().map(|user| format!(", as {}", user.name)).unwrap_or_default();
                tell(Progress::Says(format!("{name} is {}{by}", path.display())));
            }
            Ok(())
        })
    }

    fn start<'a>(&'a self, work: &'a Work, tell: &'a Tell<'a>) -> Call<'a, Started> {
        Box::pin(self.run(work, tell))
    }

    fn stop<'a>(&'a self, name: &'a Name) -> Call<'a, ()> {
        Box::pin(async move {
            let Some(unit) = self.existing(name)? else { return Ok(()) };
            let _gate = unit.gate.lock().await;
            self.take(&unit)?;
            unit.stop().await
        })
    }

    fn remove<'a>(&'a self, name: &'a Name, data: Data) -> Call<'a, ()> {
        Box::pin(self.take_away(name, data))
    }

    fn find<'a>(&'a self, name: &'a Name) -> Call<'a, Option<Found>> {
        Box::pin(async move { Ok(self.existing(name)?.and_then(|unit| unit.found())) })
    }

    fn list(&self) -> Call<'_, Vec<Found>> {
        Box::pin(async {
            self.ours()?;
            self.load_all()?;
            Ok(self.known().into_iter().filter_map(|unit| unit.found()).collect())
        })
    }

    fn logs<'a>(&'a self, name: &'a Name, ask: &'a Ask) -> Call<'a, Lines> {
        Box::pin(async move {
            let unit = self.existing(name)?.ok_or_else(|| refuse::nothing(name))?;
            read::lines(unit, ask).await
        })
    }

    fn beside<'a>(
        &'a self,
        work: &'a Work,
        run: &'a Run,
        input: Option<Input<'a>>,
        output: Option<Output<'a>>,
    ) -> Call<'a, ()> {
        Box::pin(async move {
            let (programs, _) = self.asked(work)?;
            let unit = self.existing(&work.name)?.ok_or_else(|| crate::beside::rests(&work.name))?;
            beside::run(&unit, work, run, &programs, (input, output)).await
        })
    }

    fn take_data<'a>(&'a self, work: &'a Work, output: Output<'a>) -> Call<'a, ()> {
        Box::pin(async move {
            let unit = self.existing(&work.name)?.ok_or_else(|| crate::beside::no_data(&work.name))?;
            let gate = unit.gate.clone().lock_owned().await;
            self.take(&unit)?;
            data::take(&unit, gate, output).await
        })
    }

    fn put_data<'a>(&'a self, work: &'a Work, input: Input<'a>) -> Putting<'a> {
        Box::pin(async move {
            let (_, user) = self.asked(work)?;
            let unit = self.unit(&work.name)?;
            let gate = unit.gate.clone().lock_owned().await;
            self.take(&unit)?;
            data::at_rest(&unit)?;
            self.furnish(&unit, work, user.as_ref()).await?;
            let made = Made {
                gateway: self.options.gateway.clone(),
                operation: work.operation.clone(),
                prepared: Prepared::Done,
            };
            Ok(data::put(&unit, gate, input, user, made).await?)
        })
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.known().iter().for_each(|unit| unit.let_go());
    }
}
