//! Who has which slots: what the nodes of a cluster tell.

use std::sync::Arc;

use redis::{Value, cmd};

use super::super::failure::Refusal;
use super::super::server::{On, Server};
use super::super::slots::{self, Range};
use super::super::space::Space;

/// Who has which slots, in order.
#[derive(Debug, Default)]
pub(super) struct Map(pub(super) Vec<(Range, Arc<Server>)>);

impl Map {
    pub(super) fn find(&self, slot: u16) -> Option<&Arc<Server>> {
        let behind = self.0.partition_point(|(range, _)| range.first <= slot);
        let (range, server) = self.0.get(behind.checked_sub(1)?)?;
        (slot <= range.last).then_some(server)
    }

    /// The nodes by their first slots, each once.
    pub(super) fn nodes(&self) -> Vec<(u16, &Arc<Server>)> {
        let mut nodes: Vec<(u16, &Arc<Server>)> = Vec::new();
        for (range, server) in &self.0 {
            if !nodes.iter().any(|(_, known)| Arc::ptr_eq(known, server)) {
                nodes.push((range.first, server));
            }
        }
        nodes
    }
}

/// Which slots a node says that the nodes have.
pub(super) async fn slots_of(node: &Server) -> Result<Vec<Range>, Refusal> {
    let answer = node.ask(On::Plain, cmd("CLUSTER").arg("SLOTS"), &mut Space::default()).await;
    match answer.map_err(|failure| Refusal::of(&failure))? {
        Value::ServerError(refusal) if refusal.code() == "ERR" => {
            Err(Refusal::nobody(format!("{}: is no node of a cluster", node.address())))
        }
        Value::ServerError(refusal) => Err(Refusal::unwelcome(node.address(), &refusal)),
        answer => slots::ranges(&answer, node.address())
            .ok_or_else(|| Refusal::nobody(format!("{}: tells no slots", node.address()))),
    }
}
