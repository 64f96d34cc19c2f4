//! The predecessor's names for four commands of `cluster`, and the flag that all of its commands took.

use std::path::PathBuf;

use clap::Args;

use crate::commands::cluster::{Create, Delete, create, delete, get, list};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::session::Session;

/// What the four have in common.
#[derive(Args, Debug)]
pub(crate) struct Legacy {
    /// Where the predecessor kept its files
    #[arg(long, hide = true)]
    pub(crate) clusters_dir: Option<PathBuf>,
}

/// `create-cluster`
#[derive(Args, Debug)]
pub(crate) struct LegacyCreate {
    /// Its name
    #[arg(long)]
    name: String,
    #[command(flatten)]
    pub(crate) legacy: Legacy,
}

/// `get-cluster`
#[derive(Args, Debug)]
pub(crate) struct LegacyOne {
    /// Its id
    id: String,
    #[command(flatten)]
    pub(crate) legacy: Legacy,
}

/// `delete-cluster`
#[derive(Args, Debug)]
pub(crate) struct LegacyDelete {
    #[command(flatten)]
    delete: Delete,
    #[command(flatten)]
    pub(crate) legacy: Legacy,
}

impl Legacy {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Fault> {
        list(session).await
    }
}

impl LegacyCreate {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Fault> {
        create(session, Create { name: Some(self.name), id: None, file: None }).await
    }
}

impl LegacyOne {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Fault> {
        get(session, &self.id).await
    }
}

impl LegacyDelete {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<Exit, Fault> {
        delete(session, &self.delete).await
    }
}
