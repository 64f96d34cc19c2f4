//! Whether all is well: what every node of a cluster says of itself, each within its time.

use std::sync::Arc;
use std::time::Duration;

use model::Failure;
use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::super::failure::{self, Refusal};
use super::super::reply::text;
use super::super::server::{On, Server};
use super::super::slots::SLOTS;
use super::super::space::Space;
use super::map::Map;

/// The nodes that have slots, in their order, and what each said.
pub(super) struct Survey {
    nodes: Vec<(Arc<Server>, Result<(), Failure>)>,
    /// Slots that no node has.
    missing: usize,
}

impl Survey {
    /// Asks all at once.
    pub(super) async fn of(map: &Map, limit: Duration) -> Survey {
        let mut asked = JoinSet::new();
        for (index, (_, node)) in map.nodes().into_iter().enumerate() {
            let node = Arc::clone(node);
            asked.spawn(async move {
                let late = || Refusal::late(node.address(), limit.as_millis()).failure();
                let said = tokio::time::timeout(limit, state(&node)).await;
                let said = said.unwrap_or_else(|_| Err(late()));
                (index, node, said)
            });
        }
        let mut nodes = Vec::new();
        while let Some(told) = asked.join_next().await {
            nodes.extend(told);
        }
        nodes.sort_by_key(|(index, ..)| *index);
        let nodes = nodes.into_iter().map(|(_, node, said)| (node, said)).collect();
        let covered = |(range, _): &(super::Range, _)| usize::from(range.last - range.first) + 1;
        let missing = usize::from(SLOTS).saturating_sub(map.0.iter().map(covered).sum());
        Survey { nodes, missing }
    }

    /// Those that are well.
    pub(super) fn well(&self) -> Vec<&Arc<Server>> {
        self.nodes.iter().filter(|(_, said)| said.is_ok()).map(|(node, _)| node).collect()
    }

    /// What is wrong with some of it, if anything is.
    ///
    /// # Errors
    /// When no node is well.
    pub(super) fn lacks(&self) -> Result<Option<String>, Failure> {
        let mut ill: Vec<String> = Vec::new();
        for (node, said) in &self.nodes {
            let Err(failure) = said else { continue };
            let (address, why) = (node.address().to_string(), failure.detail());
            // Some say themselves who they are.
            let why = why.strip_prefix(&format!("{address}: ")).unwrap_or(why).trim_end_matches('.');
            ill.push(format!("{address}: {why}"));
        }
        if ill.len() == self.nodes.len() {
            return Err(Refusal::nobody(match ill.as_slice() {
                [] => "no node of the cluster answers".to_owned(),
                _ => format!("no node of the cluster is well: {}", ill.join(", ")),
            })
            .failure());
        }
        let mut lacks = Vec::new();
        if !ill.is_empty() {
            let (some, all) = (ill.len(), self.nodes.len());
            lacks.push(format!(
                "{some} of its {all} nodes cannot be asked for their keys ({})",
                ill.join(", ")
            ));
        }
        if self.missing != 0 {
            lacks.push(format!("{} of {SLOTS} slots have no node", self.missing));
        }
        Ok((!lacks.is_empty()).then(|| lacks.join(", and ")))
    }
}

/// What a node says of the whole.
async fn state(node: &Server) -> Result<(), Failure> {
    let answer = node.ask(On::Plain, cmd("CLUSTER").arg("INFO"), &mut Space::default()).await?;
    match &answer {
        Value::ServerError(refusal) => Err(failure::refused(refusal)),
        answer if text(answer).is_some_and(|told| told.contains("cluster_state:ok")) => Ok(()),
        _ => Err(Refusal::nobody("the cluster is down: not all of its slots are served").failure()),
    }
}
