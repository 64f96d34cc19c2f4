//! Who asks, and of which service's data they may. The door keeps it with the request.

use std::sync::Arc;

use model::{Code, Failure};
use store::TokenScope;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody without a token at a door that wants one: sees what anybody may know.
    Stranger,
    /// Somebody at a door that wants no token.
    Trusted,
    /// The holder of a token.
    Holder {
        /// The token's name.
        name: Arc<str>,
        /// The one service whose data it may use; without one, its role says what it may.
        scope: Option<Arc<TokenScope>>,
    },
}

impl Caller {
    /// The name of the token that was brought.
    pub(crate) fn token(&self) -> Option<&Arc<str>> {
        match self {
            Caller::Holder { name, .. } => Some(name),
            Caller::Stranger | Caller::Trusted => None,
        }
    }

    /// The service that the caller means when none is named: the one that the token is for.
    pub(crate) fn own_service(&self) -> Option<&str> {
        match self {
            Caller::Holder { scope: Some(scope), .. } => Some(&scope.service),
            Caller::Holder { scope: None, .. } | Caller::Stranger | Caller::Trusted => None,
        }
    }

    /// Whether the data of this service may be used: the door has looked at the role and at the cluster, and
    /// could not know the service.
    ///
    /// # Errors
    /// `permission_denied` with a token for another service; `unauthenticated` for a stranger, whom a door
    /// lets no further than its health.
    pub(crate) fn may_use(&self, cluster: &str, service: &str) -> Result<(), Failure> {
        match self {
            Caller::Trusted | Caller::Holder { scope: None, .. } => Ok(()),
            Caller::Holder { scope: Some(scope), .. }
                if *scope.cluster == *cluster && *scope.service == *service =>
            {
                Ok(())
            }
            Caller::Holder { name, scope: Some(scope) } => Err(out_of_scope(name, scope)),
            Caller::Stranger => Err(unauthenticated("The data of a service needs a token.")),
        }
    }

    /// A failure that speaks of other services than the one that was meant.
    pub(crate) fn of_other_services(&self, failure: Failure) -> Failure {
        match self {
            Caller::Holder { name, scope: Some(scope) } => out_of_scope(name, scope),
            _ => failure,
        }
    }
}

pub(super) fn unauthenticated(detail: &'static str) -> Failure {
    Failure::client(Code::Unauthenticated, detail).with_hint("Send `Authorization: Bearer TOKEN`.")
}

pub(super) fn out_of_scope(name: &str, scope: &TokenScope) -> Failure {
    let detail =
        format!("The token `{name}` is for the data of the service `{scope}`, and for nothing else.");
    Failure::client(Code::PermissionDenied, detail).with_hint(format!(
        "Ask `/api/v1/clusters/{}/…` for the data of that service, or use a token that is for this.",
        scope.cluster
    ))
}
