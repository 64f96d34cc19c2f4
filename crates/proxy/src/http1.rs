//! The life of a client's HTTP/1 connection: one request after the other, until one side has enough.

use std::time::Duration;

use clusters::RequestId;
use model::{Code, Failure};
use wire::http1::{Known, server};
use wire::{Error, Line};

use crate::client::Client;
use crate::door::Door;
use crate::respond;
use crate::server::{Next, serve_one};

/// How long a client that is turned away is listened to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves a client until its connection is over, or another protocol was agreed on.
pub(crate) async fn serve(client: &mut Client, door: &Door) {
    loop {
        if next_request(client, door).await.is_err() {
            return;
        }
        match serve_one(client, door).await {
            _ if client.agreed.is_some() => return,
            // While the door closes, whoever was not told so in this answer is told in the next.
            Next::Request => {}
            // An answer whose end is that of the connection was made to end by a reset; elsewhere one would take
            // away what the client has not read yet.
            Next::Cut if resets(client) => return,
            Next::Farewell | Next::Cut => return linger(client).await,
        }
    }
}

fn resets(client: &mut Client) -> bool {
    client.line.http1().is_some_and(|conn| conn.socket.resets_on_close())
}

pub(crate) async fn linger(client: &mut Client) {
    let Client { line, alarm, .. } = client;
    if let Line::Http1(conn) = line {
        server::linger(conn, alarm, PATIENCE).await;
    }
}

/// Waits for a request and takes its head. A head that is wrong is answered here, and the connection over.
async fn next_request(client: &mut Client, door: &Door) -> Result<(), ()> {
    let limits = &door.options().limits;
    client.await_word(limits.idle_timeout).await.map_err(drop)?;
    let Client { line, alarm, request, .. } = &mut *client;
    let Line::Http1(conn) = line else { return Err(()) };
    let taken = server::read_head(conn, request, limits.head, alarm, limits.head_timeout).await;
    let begun = taken.and_then(|()| client.begin(limits.body));
    match begun {
        Ok(()) => Ok(()),
        Err(Error::Closed | Error::Truncated | Error::Io(_)) => Err(()),
        Err(error) => {
            client.reusable = false;
            let id = RequestId::take_or_make(client.request.fields.all(Known::RequestId).next());
            respond::refuse(client, door, &id, &of_head(&error, door)).await;
            linger(client).await;
            Err(())
        }
    }
}

/// What is wrong with a head, for whoever sent it.
pub(crate) fn of_head(error: &Error, door: &Door) -> Failure {
    match error {
        Error::HeadTooLarge => {
            Failure::client(Code::HeadersTooLarge, "The head of the request is too large.")
                .with_hint("`proxy.limits.head` and `proxy.limits.headers` set how large it may be.")
        }
        Error::BodyTooLarge => respond::body_too_large(door.options().body_setting),
        Error::TimedOut => {
            Failure::client(Code::RequestTimeout, "The head of the request did not arrive in time.")
        }
        other => Failure::client(Code::InvalidRequest, format!("The request is not valid HTTP: {other}.")),
    }
}
