//! The client: where the gateway is, who we are to it, and how patient we are. What is asked of it lives
//! with each resource.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use serde_json::Value;

use crate::address::Address;
use crate::call::{Call, Outgoing, Patience};
use crate::connection::Pool;
use crate::error::Error;
use crate::retry::Budget;
use crate::secured::Security;

/// Where a gateway listens when nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:9000";
/// The same one, should it speak TLS: addresses are seldom in certificates.
const DEFAULT_SECURED: &str = "https://localhost:9000";

/// A gateway. Cheap to clone; clones share their connections, unless they are secured differently.
///
/// ```no_run
/// # async fn example() -> Result<(), throome_sdk::Error> {
/// let client = throome_sdk::Client::from_env()?;
/// for cluster in client.clusters().list().all().await? {
///     println!("{} {}", cluster.id, cluster.status);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) budget: Arc<Budget>,
}

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) address: Address,
    /// The same gateway, should it be found to speak TLS where its URL was not said.
    pub(crate) secured: Option<Address>,
    pub(crate) security: Security,
    pub(crate) token: Token,
    pub(crate) cluster: Option<String>,
    pub(crate) retries: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) observer: Option<Observer>,
}

type Observer = Arc<dyn Fn(&Attempt<'_>) + Send + Sync>;

/// What goes into `Authorization`.
#[derive(Clone)]
pub(crate) enum Token {
    Absent,
    Header(HeaderValue),
    /// It holds characters that no header may hold; every call says so.
    Unsendable,
}

/// One try that has ended, as told to the function given to [`Client::with_observer`]. It holds no secret:
/// neither headers nor query nor bodies.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// HTTP method.
    pub method: &'a Method,
    /// Path without its query.
    pub path: &'a str,
    /// 1 for the first.
    pub number: u32,
    /// From its beginning to its last byte or its failure.
    pub duration: Duration,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// `X-Request-Id` of the answer.
    pub request_id: Option<&'a str>,
    /// What went wrong, if something did.
    pub error: Option<&'a Error>,
}

impl Client {
    /// A client of the gateway at this URL, such as `http://127.0.0.1:9000` or `https://gateway.example`. Nothing is
    /// sent yet.
    ///
    /// # Errors
    /// The URL is not an `http://` or `https://` one, or holds credentials or a query.
    pub fn new(url: &str) -> Result<Client, Error> {
        let settings = Settings {
            address: Address::parse(url)?,
            secured: None,
            security: Security::default(),
            token: Token::Absent,
            cluster: None,
            retries: 2,
            timeout: None,
            observer: None,
        };
        Ok(Client { settings: Arc::new(settings), pool: Arc::default(), budget: Arc::default() })
    }

    /// A client of the gateway on this machine, where it listens when nobody says otherwise: in the clear, or by TLS if
    /// that is what it speaks; by TLS alone [with an authority](Client::with_ca) or a [certificate](Client::with_client_cert).
    /// Then its certificate must be for `localhost`.
    #[must_use]
    pub fn local() -> Client {
        let of = |url| Client::new(url).expect("our own URLs can be read");
        let (mut client, secured) = (of(DEFAULT_URL), of(DEFAULT_SECURED));
        Arc::make_mut(&mut client.settings).secured = Some(secured.settings.address.clone());
        client
    }

    /// A client as the environment says: `THROOME_URL` (or as [`Client::local`]), `THROOME_TOKEN`, `THROOME_CLUSTER`;
    /// for TLS `THROOME_CA`, `THROOME_CLIENT_CERT` and `THROOME_CLIENT_KEY`, which name PEM files.
    ///
    /// # Errors
    /// As [`Client::new`]; or there is a certificate of the client without its key, or a key without one.
    pub fn from_env() -> Result<Client, Error> {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut client = match read("THROOME_URL") {
            Some(url) => Client::new(&url)?,
            None => Client::local(),
        };
        if let Some(ca) = read("THROOME_CA") {
            client = client.with_ca(ca);
        }
        match (read("THROOME_CLIENT_CERT"), read("THROOME_CLIENT_KEY")) {
            (Some(cert), Some(key)) => client = client.with_client_cert(cert, key),
            (None, None) => {}
            _ => {
                return Err(Error::usage(
                    "there is a certificate of the client without its key, or a key without one",
                    "Set THROOME_CLIENT_CERT and THROOME_CLIENT_KEY, or neither.",
                ));
            }
        }
        if let Some(token) = read("THROOME_TOKEN") {
            client = client.with_token(&token);
        }
        if let Some(cluster) = read("THROOME_CLUSTER") {
            client = client.with_cluster(&cluster);
        }
        Ok(client)
    }

    /// Sends this token with every request.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Client {
        let token = match HeaderValue::try_from(format!("Bearer {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                Token::Header(value)
            }
            Err(_) => Token::Unsendable,
        };
        Arc::make_mut(&mut self.settings).token = token;
        self
    }

    /// Trusts the authorities in this PEM file, in place of those of this machine. It is read with the first
    /// connection by TLS.
    #[must_use]
    pub fn with_ca(mut self, file: impl Into<PathBuf>) -> Client {
        let settings = Arc::make_mut(&mut self.settings);
        let pair = settings.security.pair.take();
        settings.security = Security::of(Some(file.into()), pair);
        // Connections that others have made are greeted by other rules.
        self.pool = Arc::default();
        self
    }

    /// Shows this certificate to a gateway that asks who its clients are. Both are PEM files, which are read with the
    /// first connection by TLS.
    #[must_use]
    pub fn with_client_cert(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Client {
        let settings = Arc::make_mut(&mut self.settings);
        let ca = settings.security.ca.take();
        settings.security = Security::of(ca, Some((cert.into(), key.into())));
        // Connections that others have made say that somebody else is there.
        self.pool = Arc::default();
        self
    }

    /// The cluster that [`Client::default_cluster`] is a handle on.
    #[must_use]
    pub fn with_cluster(mut self, id: &str) -> Client {
        Arc::make_mut(&mut self.settings).cluster = Some(id.to_owned());
        self
    }

    /// Time for one try, in place of 10 s for data, 30 s for management and 120 s for creating or
    /// replacing a cluster. Making a connection has 3 s of it at most.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Client {
        Arc::make_mut(&mut self.settings).timeout = Some(timeout);
        self
    }

    /// How many further tries a call may have, in place of 2.
    #[must_use]
    pub fn with_retries(mut self, retries: u32) -> Client {
        Arc::make_mut(&mut self.settings).retries = retries;
        self
    }

    /// Calls this function after every try, on the task that made it: for logs and metrics.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(&Attempt<'_>) + Send + Sync + 'static) -> Client {
        Arc::make_mut(&mut self.settings).observer = Some(Arc::new(observer));
        self
    }

    /// The gateway's URL, as it is used.
    #[must_use]
    pub fn url(&self) -> String {
        self.pool.address(&self.settings).to_string()
    }

    /// Any request of the API, for what has no method of its own yet. `path` begins with `/` and is sent
    /// as it is, query included; the answer is its JSON body, `null` when empty. Only GET is tried again.
    pub fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Call<Value> {
        let repeatable = method == Method::GET;
        let mut request = Outgoing::new(method, path.to_owned(), Patience::Management);
        request.repeatable = repeatable;
        self.call(match body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    pub(crate) fn call<T: serde::de::DeserializeOwned>(&self, request: Outgoing) -> Call<T> {
        Call::new(self.clone(), request)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url()).finish_non_exhaustive()
    }
}
