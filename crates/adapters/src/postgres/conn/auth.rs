//! Proves who we are, in the way that the server asks for: SCRAM, with the channel bound where there is one, MD5, or
//! a password in clear where nobody else can read it.

use std::io;

use bytes::BytesMut;
use model::{Code, Failure};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::frontend;

use super::super::options::Login;
use super::Trouble;
use super::binding;
use super::frames::broken;

/// Rounds of hashing that a server may ask for: a hundred times what is usual. More is an attack on our time.
const ROUNDS: u32 = 500_000;

/// The way through authentication.
pub(super) struct Proof<'l> {
    login: &'l Login,
    /// The server's certificate, where the connection is encrypted.
    certificate: Option<&'l [u8]>,
    encrypted: bool,
    stage: Stage,
}

enum Stage {
    Begun,
    /// Boxed, since it goes to another thread and back.
    Scram(Box<ScramSha256>),
    /// The server must still prove that it knows the password, too.
    ServerProven,
    Done,
}

impl<'l> Proof<'l> {
    pub(super) fn new(login: &'l Login, certificate: Option<&'l [u8]>, encrypted: bool) -> Self {
        Proof { login, certificate, encrypted, stage: Stage::Begun }
    }

    /// Whether the server said that we are who we say.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// The message that answers this one, if it wants an answer.
    pub(super) async fn answer(&mut self, body: Vec<u8>) -> Result<Option<BytesMut>, Trouble> {
        let (kind, data) = body.split_first_chunk::<4>().ok_or_else(|| broken("it asked for nothing"))?;
        let mut out = BytesMut::new();
        match (u32::from_be_bytes(*kind), std::mem::replace(&mut self.stage, Stage::Begun)) {
            // After SCRAM has begun, the server must end it: else it could do without knowing the password.
            (0, Stage::Begun | Stage::ServerProven) => {
                self.stage = Stage::Done;
                return Ok(None);
            }
            (3, Stage::Begun) => {
                if !self.encrypted {
                    return Err(Trouble::Ours(wrong(
                        "The server wants the password in clear over a connection that is not encrypted, \
                         and does not get it: set `sslmode` to `require` or more.",
                    )));
                }
                frontend::password_message(self.password()?.as_bytes(), &mut out)?;
            }
            (5, Stage::Begun) => {
                let salt = data.try_into().map_err(|_| broken("its salt is none"))?;
                let hash = md5_hash(self.login.user.as_bytes(), self.password()?.as_bytes(), salt);
                frontend::password_message(hash.as_bytes(), &mut out)?;
            }
            (10, Stage::Begun) => self.begin_scram(data, &mut out)?,
            (11, Stage::Scram(scram)) => {
                bounded(data)?;
                let scram = updated(scram, data.to_vec()).await?;
                frontend::sasl_response(scram.message(), &mut out)?;
                self.stage = Stage::Scram(scram);
            }
            (12, Stage::Scram(mut scram)) => {
                scram.finish(data).map_err(|_| broken("it did not prove that it knows the password"))?;
                self.stage = Stage::ServerProven;
                return Ok(None);
            }
            (7..=9 | 2 | 6, Stage::Begun) => {
                return Err(Trouble::Ours(wrong(
                    "The server asks for a way of authentication that is not built: Kerberos, GSSAPI or SSPI.",
                )));
            }
            _ => return Err(broken("it asks for a proof that does not fit the one before").into()),
        }
        Ok(Some(out))
    }

    fn begin_scram(&mut self, offered: &[u8], out: &mut BytesMut) -> Result<(), Trouble> {
        let offers = |name: &str| offered.split(|byte| *byte == 0).any(|own| own == name.as_bytes());
        let bound = self.certificate.and_then(binding::of).filter(|_| offers(SCRAM_SHA_256_PLUS));
        let (mechanism, binding) = match bound {
            Some(hash) => (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash)),
            None if !offers(SCRAM_SHA_256) => {
                return Err(Trouble::Ours(wrong("The server offers no way of SCRAM that is known.")));
            }
            // Over TLS, a server that does not offer the binding is told that we could: nobody took it away then.
            None if self.encrypted && !offers(SCRAM_SHA_256_PLUS) => {
                (SCRAM_SHA_256, ChannelBinding::unrequested())
            }
            None => (SCRAM_SHA_256, ChannelBinding::unsupported()),
        };
        let scram = Box::new(ScramSha256::new(self.password()?.as_bytes(), binding));
        frontend::sasl_initial_response(mechanism, scram.message(), out)?;
        self.stage = Stage::Scram(scram);
        Ok(())
    }

    fn password(&self) -> Result<&'l str, Trouble> {
        let password = self.login.password.as_ref().map(model::Secret::reveal);
        password.ok_or_else(|| {
            let detail = format!(
                "The server wants a password of user `{}`, and the service has none.",
                self.login.user
            );
            Trouble::Ours(wrong(detail).with_hint("Set `password` of the service."))
        })
    }
}

/// The next step, on a thread that may take its time: thousands of rounds of hashing.
async fn updated(mut scram: Box<ScramSha256>, data: Vec<u8>) -> io::Result<Box<ScramSha256>> {
    let step = tokio::task::spawn_blocking(move || scram.update(&data).map(|()| scram));
    step.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn bounded(challenge: &[u8]) -> io::Result<()> {
    let rounds = challenge.split(|byte| *byte == b',').find_map(|part| part.strip_prefix(b"i="));
    let rounds = rounds.and_then(|rounds| str::from_utf8(rounds).ok()?.parse::<u32>().ok());
    match rounds {
        Some(rounds) if rounds <= ROUNDS => Ok(()),
        _ => Err(broken("it asks for more rounds of hashing than is reasonable")),
    }
}

fn wrong(detail: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::service(Code::BadGateway, detail).with_retryable(true)
}
