//! SQL in the shape that Neon's client speaks over HTTP: one statement, or several in one transaction. An engine that has
//! results in its own terms answers; `db/query` and its siblings are for all others.

// What is asked.
mod request;
// Who asks: a token may stand in the connection string.
mod password;
// What is done.
mod operation;
// What is answered.
mod refusal;
mod reply;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Request, Response};
use model::Failure;
use model::kind::Ability;

use crate::body::read;
use crate::data::ask::Target;
use crate::query::Query;
use operation::Native;
pub(crate) use password::{CONNECTION_STRING, password};
pub(crate) use request::NeonBody;
use request::{Asked, Form};

/// Runs SQL, for Neon's client
///
/// The body is `{"query": "SELECT $1", "params": [1]}`, or `{"queries": […]}` for several in one transaction, all of
/// them or none. Values are JSON as that client knows it, or the server's text with `Neon-Raw-Text-Output: true`. A
/// statement that the server refuses is 400 with the server's words: `message`, `code` as its SQLSTATE, `detail`,
/// `hint`, `position`, `constraint` and so on; any other failure is a problem document. The token is sent as
/// `Authorization: Bearer TOKEN`, or as the password of the connection string.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/sql", operation_id = "neonSql", tag = "db",
    params(("id" = String, Path, description = "The cluster."), ("name" = String, Path, description = "The service."),
        ("Neon-Connection-String" = Option<String>, Header, description = "`postgresql://USER:TOKEN@HOST/DATABASE`. \
            The token counts where there is no `Authorization`; the rest is not looked at."),
        ("Neon-Raw-Text-Output" = Option<bool>, Header, description = "Values as the server's text."),
        ("Neon-Array-Mode" = Option<bool>, Header, description = "Rows as lists."),
        ("Neon-Batch-Isolation-Level" = Option<String>, Header, description = "Of several: `ReadUncommitted`, \
            `ReadCommitted`, `RepeatableRead` or `Serializable`."),
        ("Neon-Batch-Read-Only" = Option<bool>, Header, description = "Of several: they only look."),
        ("Neon-Batch-Deferrable" = Option<bool>, Header, description = "Of several that are serializable and only \
            look: they wait until nothing can disturb them.")),
    request_body(content = ref("#/components/schemas/NeonSql")),
    responses((status = 200, description = "What the statement gave; of several, what each gave in `results`.",
        body = reply::NeonAnswer)))]
pub(crate) async fn sql(
    target: &Target<'_>,
    query: Query<'_>,
    request: &Request<Bytes>,
) -> Result<Response<Bytes>, Failure> {
    query.done()?;
    let form = Form::asked(request.headers())?;
    let asked = read::<NeonBody<'_>>(request.body())?.checked(&form)?;
    let several = asked.several;
    match run(target, asked, &form).await {
        Ok(results) => Ok(reply::written(&results, several)),
        Err(failure) => refusal::told(failure, several, target.id),
    }
}

async fn run(target: &Target<'_>, asked: Asked, form: &Form) -> Result<Vec<Vec<u8>>, Failure> {
    if asked.statements.is_empty() {
        // All of none is done once it is known that they might be.
        return target.service(Ability::Sql).map(|_| Vec::new());
    }
    target.ask(&Native { asked, options: form.options, raw: form.raw }).await
}
