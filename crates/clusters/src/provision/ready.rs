//! Whether what was started answers: asked by the adapter's own probe, over the way that requests will take.

use std::time::{Duration, Instant};

use adapters::Home;
use futures_util::StreamExt;
use model::{Code, EndpointSpec, Failure, Role};
use provision::{Ask, State};

use super::{At, Job, at};
use crate::{Clusters, build};

/// How long one question may take.
const PROBE: Duration = Duration::from_secs(2);
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(150);
/// A program that has ended so often will not begin to answer.
const MOST_ENDS: u64 = 3;
/// How many of its last lines are shown when it does not.
const LAST: usize = 20;

/// Waits until it answers.
pub(super) async fn wait(job: &Job, at: &At, home: &Home, patience: Duration) -> Result<(), Failure> {
    let endpoint = EndpointSpec { host: at.0.clone(), port: at.1, weight: 1, role: Role::Primary };
    let adapter = job.driver.connect(&endpoint, &job.spec, home)?;
    let until = Instant::now() + patience;
    let outcome = loop {
        let left = until.saturating_duration_since(Instant::now());
        let probed = adapter.probe(PROBE.min(left.max(PAUSE))).await;
        // Asked after an answer too: somebody else may answer at the port of one that could not take it.
        if let Some(ended) = has_ended(job).await? {
            break Err(format!("{ended} before it answered"));
        }
        let why = match probed {
            Ok(()) => break Ok(()),
            Err(failure) => failure.detail().to_owned(),
        };
        if left.is_zero() {
            break Err(format!("it did not answer within {} s ({why})", patience.as_secs()));
        }
        tokio::time::sleep(PAUSE).await;
    };
    // What was opened to ask is not what requests will use.
    let _ = adapter.close().await;
    outcome.map_err(|why| {
        let name = job.name();
        Failure::gateway(
            Code::ProvisionFailed,
            format!("`{}/{}` was started, but {why}.", name.cluster, name.service),
        )
    })
}

impl Clusters {
    /// Starts one, and has the world reach it where it is; says where that is.
    pub(super) async fn start_there(&self, job: &Job) -> Result<String, Failure> {
        let at = at(job.provisioner.start(&job.work, &|_| {}).await?);
        let said = format!("at {}:{}", at.0, at.1);
        let id = job.name().cluster.parse().map_err(|why: String| Failure::gateway(Code::Internal, why))?;
        self.go_to(&id, job, at).await?;
        Ok(said)
    }

    /// Waits until one that was started answers, where the world reaches it.
    pub(super) async fn until_ready(&self, job: &Job) -> Result<(), Failure> {
        let (hands, name) = (&self.0.hands, job.name());
        let at = hands.at(&name.cluster, &name.service);
        let at = at.unwrap_or_else(|| (job.spec.host.clone().unwrap_or_default(), job.work.port));
        let home = build::home(&self.0.data_dir, &name.cluster, &name.service);
        wait(job, &at, &home, hands.ready_timeout).await
    }
}

/// How it has ended, when nothing more is to be expected.
async fn has_ended(job: &Job) -> Result<Option<String>, Failure> {
    let found = job.provisioner.find(job.name()).await?;
    let with = |code: Option<i64>| code.map(|code| format!(" with code {code}")).unwrap_or_default();
    Ok(match found.map(|found| found.state) {
        Some(State::Running) => None,
        Some(State::Restarting { count, .. }) if count < MOST_ENDS => None,
        Some(State::Restarting { code, count }) => {
            Some(format!("its program has ended {count} times, last{}", with(code)))
        }
        Some(State::Ended { code }) => Some(format!("its program has ended{}", with(code))),
        Some(State::Stopped | State::Absent) | None => {
            Some("it was stopped or taken away by somebody else".to_owned())
        }
    })
}

/// The last that it has said, for whoever wants to know why it does not answer.
pub(super) async fn last_lines(job: &Job) -> Vec<String> {
    let ask = Ask { tail: Some(LAST), ..Ask::default() };
    let Ok(lines) = job.provisioner.logs(job.name(), &ask).await else { return Vec::new() };
    lines.filter_map(|line| async { line.ok().map(|line| job.work.masked(line.text)) }).collect().await
}
