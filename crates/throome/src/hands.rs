//! Who runs services for this gateway, by its settings; and the name by which it knows its own again.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clusters::Provisioning;
use provision::Provisioner;
use provision::docker::{self, Docker};
use provision::process::{self, Processes};

use crate::settings::{OnStop, Settings};

/// Who runs services.
pub(crate) struct Hands {
    pub(crate) provisioning: Provisioning,
    processes: Option<Arc<Processes>>,
    on_stop: OnStop,
}

impl Hands {
    /// By the settings.
    pub(crate) fn of(settings: &Settings, data_dir: &Path) -> anyhow::Result<Hands> {
        let asked = &settings.provision;
        let gateway = clusters::gateway_id(data_dir)
            .with_context(|| format!("cannot keep what this gateway is called in {}", data_dir.display()))?;
        let docker = asked.docker.enabled.then(|| {
            let host = asked.docker.host.clone();
            Arc::new(Docker::new(docker::Options { host, gateway: gateway.clone() }))
        });
        let processes = asked.process.enabled.then(|| {
            let (dir, user) = (data_dir.join("processes"), asked.process.user.clone());
            Arc::new(Processes::new(process::Options { dir, user, gateway: gateway.clone() }))
        });
        let mut provisioners: Vec<Arc<dyn Provisioner>> = Vec::new();
        provisioners.extend(docker.map(|docker| docker as Arc<dyn Provisioner>));
        provisioners.extend(processes.clone().map(|processes| processes as Arc<dyn Provisioner>));
        provisioners.sort_by_key(|one| one.word() != asked.prefer);
        let ready_timeout = asked.ready_timeout.0;
        let provisioning = Provisioning { provisioners, ready_timeout, gateway };
        Ok(Hands { provisioning, processes, on_stop: asked.process.on_stop })
    }

    /// The gateway ends: local processes end with it, unless they are to stay.
    pub(crate) async fn end(&self) {
        match (&self.processes, self.on_stop) {
            (Some(processes), OnStop::Stop) => processes.stop_all().await,
            (Some(processes), OnStop::Leave) => processes.leave().await,
            (None, _) => {}
        }
    }

    /// Another program runs on in the place of this one.
    pub(crate) async fn leave(&self) {
        if let Some(processes) = &self.processes {
            processes.leave().await;
        }
    }
}
