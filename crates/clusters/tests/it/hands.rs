//! Hands that do nothing but tell what they were told, and remember what they would have made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::recipe::{Run, Site, Within};
use model::{Code, Failure};
use provision::{
    Ask, Call, Data, Found, Input, Lines, Name, Output, Provisioner, Putting, Started, State, Tell, Work,
};
use store::Store;
use throome_clusters::{Clusters, Listeners, Options, Provisioning};
use tokio::sync::Semaphore;

/// They do one thing at a time, as far as they are let.
pub(crate) struct Hands {
    word: &'static str,
    told: Mutex<Vec<&'static str>>,
    things: Mutex<BTreeMap<Name, Found>>,
    /// A permit for each stop that may end.
    pub(crate) stops: Semaphore,
    /// Where nobody listens.
    pub(crate) port: u16,
    /// Why they start nothing, if they do not.
    pub(crate) cannot_start: Mutex<Option<&'static str>>,
    /// Whether they can be asked what there is.
    pub(crate) is_there: Mutex<bool>,
}

pub(crate) fn name(cluster: &str, service: &str) -> Name {
    Name { cluster: cluster.into(), service: service.into() }
}

impl Hands {
    pub(crate) fn new(word: &'static str) -> Arc<Hands> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Arc::new(Hands {
            word,
            told: Mutex::default(),
            things: Mutex::default(),
            stops: Semaphore::new(0),
            port,
            cannot_start: Mutex::default(),
            is_there: Mutex::new(true),
        })
    }

    /// A world whose services these run.
    pub(crate) async fn world(dir: &Path, hands: &[Arc<Hands>]) -> Clusters {
        let provisioners = hands.iter().map(|one| Arc::clone(one) as Arc<dyn Provisioner>).collect();
        let options = Options {
            dir: dir.to_owned(),
            store: Store::open(&dir.join(".throome")).unwrap(),
            data_dir: dir.join(".throome"),
            listeners: Listeners::default(),
            provisioning: Provisioning {
                provisioners,
                ready_timeout: Duration::from_secs(60),
                gateway: "own".to_owned(),
            },
        };
        Clusters::open(options).await.unwrap_or_else(|error| panic!("{error}: {error:?}"))
    }

    /// There is this, made by that gateway.
    pub(crate) fn have(&self, name: Name, gateway: &str, state: State) {
        let id = if state == State::Absent { String::new() } else { "1".to_owned() };
        let found = Found {
            name: name.clone(),
            gateway: gateway.to_owned(),
            operation: String::new(),
            id,
            state,
            has_data: true,
            port: Some(self.port),
            at: None,
        };
        self.things.lock().unwrap().insert(name, found);
    }

    pub(crate) fn state(&self, name: &Name) -> Option<State> {
        self.things.lock().unwrap().get(name).map(|found| found.state.clone())
    }

    /// All that they were told.
    pub(crate) fn told(&self) -> Vec<&'static str> {
        self.told.lock().unwrap().clone()
    }

    pub(crate) fn times(&self, word: &str) -> usize {
        self.told().iter().filter(|told| **told == word).count()
    }

    /// Waits until they were told this so often.
    pub(crate) async fn heard(&self, word: &str, times: usize) {
        tokio::time::timeout(Duration::from_secs(20), async {
            while self.times(word) < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("never told to {word}"));
    }

    fn tell(&self, word: &'static str) {
        self.told.lock().unwrap().push(word);
    }

    fn look(&self) -> Result<BTreeMap<Name, Found>, Failure> {
        if *self.is_there.lock().unwrap() {
            return Ok(self.things.lock().unwrap().clone());
        }
        Err(Failure::gateway(Code::ProvisionFailed, "They are away."))
    }
}

impl Provisioner for Hands {
    fn word(&self) -> &'static str {
        self.word
    }

    fn ready(&self) -> Call<'_, ()> {
        Box::pin(async { self.look().map(drop) })
    }

    fn site(&self, _: &Name, port: u16) -> Site {
        let within = Within::Process { data: "/nowhere".to_owned() };
        Site { within, config: "/nowhere".to_owned(), port, host: "localhost".to_owned() }
    }

    fn fetch<'a>(&'a self, _: &'a Work, _: &'a Tell<'a>) -> Call<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn start<'a>(&'a self, work: &'a Work, _: &'a Tell<'a>) -> Call<'a, Started> {
        Box::pin(async {
            self.tell("start");
            if let Some(why) = *self.cannot_start.lock().unwrap() {
                return Err(Failure::gateway(Code::ProvisionFailed, why));
            }
            self.have(work.name.clone(), "own", State::Running);
            Ok(Started { id: "1".to_owned(), host: "127.0.0.1".to_owned(), port: self.port })
        })
    }

    fn stop<'a>(&'a self, name: &'a Name) -> Call<'a, ()> {
        Box::pin(async {
            self.tell("stop");
            self.stops.acquire().await.unwrap().forget();
            self.have(name.clone(), "own", State::Stopped);
            Ok(())
        })
    }

    fn remove<'a>(&'a self, name: &'a Name, data: Data) -> Call<'a, ()> {
        Box::pin(async move {
            self.tell("remove");
            let mut things = self.things.lock().unwrap();
            match (data, things.get_mut(name)) {
                (Data::Keep, Some(found)) => (found.id, found.state) = (String::new(), State::Absent),
                _ => drop(things.remove(name)),
            }
            Ok(())
        })
    }

    fn find<'a>(&'a self, name: &'a Name) -> Call<'a, Option<Found>> {
        Box::pin(async move { Ok(self.look()?.remove(name)) })
    }

    fn list(&self) -> Call<'_, Vec<Found>> {
        Box::pin(async { Ok(self.look()?.into_values().collect()) })
    }

    fn logs<'a>(&'a self, _: &'a Name, _: &'a Ask) -> Call<'a, Lines> {
        Box::pin(async { Ok(Box::pin(futures_util::stream::empty()) as Lines) })
    }

    fn beside<'a>(
        &'a self,
        _: &'a Work,
        _: &'a Run,
        _: Option<Input<'a>>,
        _: Option<Output<'a>>,
    ) -> Call<'a, ()> {
        Box::pin(async { Err(holds_nothing()) })
    }

    fn take_data<'a>(&'a self, _: &'a Work, _: Output<'a>) -> Call<'a, ()> {
        Box::pin(async { Err(holds_nothing()) })
    }

    fn put_data<'a>(&'a self, _: &'a Work, _: Input<'a>) -> Putting<'a> {
        Box::pin(async { Err(holds_nothing().into()) })
    }
}

fn holds_nothing() -> Failure {
    Failure::gateway(Code::Internal, "What these hands run holds nothing.")
}
