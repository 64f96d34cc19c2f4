//! A certificate that an authority issues by itself (ACME, RFC 8555), and renews: it asks at the door, by TLS, whether
//! the names are ours (RFC 8737). What it issues is written into the files that the door is secured with, which are
//! watched like all others.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow, bail};
use clusters::Events;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, LetsEncrypt, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use serde::{Deserialize, Serialize};
use wire::tls::{Answer, Challenges, Pair};

use crate::certificates::happening;
use crate::settings;

/// How often it is looked whether the certificate is due.
const LOOK: Duration = Duration::from_secs(3600);
/// After a refusal this long is waited, then twice as long each time. Authorities count refusals.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const MOST_WAIT: Duration = Duration::from_secs(6 * 3600);
/// What an authority takes to look at all names and to issue.
const ISSUED_WITHIN: Duration = Duration::from_secs(300);
/// What lies between the two files of a certificate.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// One certificate of one authority.
pub(crate) struct Acme {
    asked: Asked,
    contact: Option<String>,
    ca: Option<PathBuf>,
    dir: PathBuf,
    challenges: Challenges,
}

/// What a certificate was issued for; something else needs another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    directory: String,
    names: Vec<String>,
}

impl Acme {
    /// Makes what the door needs to open, in this directory: until something is issued, a certificate that nobody trusts.
    pub(crate) fn prepare(said: &settings::Acme, dir: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&dir).with_context(|| format!("cannot use {}", dir.display()))?;
        let directory = said.directory.clone().unwrap_or_else(|| LetsEncrypt::Production.url().to_owned());
        let acme = Acme {
            asked: Asked { directory, names: said.names.clone() },
            contact: said.contact.as_ref().map(|contact| format!("mailto:{contact}")),
            ca: said.ca.clone(),
            dir,
            challenges: Challenges::default(),
        };
        if !acme.is_whole() {
            let key = KeyPair::generate()?;
            let own = CertificateParams::new(acme.asked.names.clone())?.self_signed(&key)?;
            acme.write(&own.pem(), &key.serialize_pem())?;
            acme.forget()?;
        }
        Ok(acme)
    }

    /// Whether certificate and key are there, and fit together. Of those that do not, another process may have written one,
    /// and be about to write the other.
    fn is_whole(&self) -> bool {
        let until = Instant::now() + WRITTEN_WITHIN;
        while !self.pair().fits() {
            if !self.pair().cert.is_file() || Instant::now() > until {
                return false;
            }
            std::thread::sleep(WRITTEN_WITHIN / 20);
        }
        true
    }

    /// The files that the door is secured with.
    pub(crate) fn pair(&self) -> Pair {
        Pair { cert: self.dir.join("certificate.pem"), key: self.dir.join("certificate.key") }
    }

    /// What the authority is answered at the door.
    pub(crate) fn challenges(&self) -> Challenges {
        self.challenges.clone()
    }

    /// Has the certificate issued when it is due, for ever.
    pub(crate) async fn keep(self, events: Events) {
        let mut refused = FIRST_WAIT;
        loop {
            if !self.is_due() {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let names = self.asked.names.join(", ");
            let issued = tokio::time::timeout(ISSUED_WITHIN, Box::pin(self.issue())).await;
            match issued.unwrap_or_else(|_| Err(anyhow!("it took more than {} s", ISSUED_WITHIN.as_secs()))) {
                Ok(()) => {
                    refused = FIRST_WAIT;
                    events.tell(happening(
                        "certificate.issued",
                        "acme",
                        format!("A certificate for {names} was issued."),
                    ));
                }
                Err(error) => {
                    let message = format!(
                        "No certificate for {names} was issued, which is tried again in {} s: {error:#}",
                        refused.as_secs()
                    );
                    tracing::warn!(names, "no certificate was issued");
                    events.tell(happening("certificate.not_issued", "acme", message));
                    tokio::time::sleep(refused).await;
                    refused = (refused * 2).min(MOST_WAIT);
                }
            }
        }
    }

    /// Whether what is there was issued for something else, or has less than a third of its time left.
    fn is_due(&self) -> bool {
        let issued = fs::read(self.file("issued.json")).ok();
        let issued = issued.and_then(|text| serde_json::from_slice::<Asked>(&text).ok());
        if issued.as_ref() != Some(&self.asked) {
            return true;
        }
        if !self.pair().fits() {
            return true;
        }
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        self.pair().validity().is_none_or(|(begin, end)| {
            let left = end - i64::try_from(now).unwrap_or(i64::MAX);
            left < (end - begin) / 3
        })
    }

    async fn issue(&self) -> anyhow::Result<()> {
        let account = self.account().await.context("the account")?;
        let names: Vec<_> = self.asked.names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await.context("the order")?;
        let answers = self.answer(&mut order).await?;
        let status = order.poll_ready(&RetryPolicy::default()).await;
        drop(answers);
        match status.context("the proof")? {
            OrderStatus::Ready => {}
            other => bail!("the authority is not convinced: the order is {other:?}"),
        }
        let key = order.finalize().await.context("the request for the certificate")?;
        let chain = order.poll_certificate(&RetryPolicy::default()).await.context("the certificate")?;
        self.write(&chain, &key)?;
        self.save("issued.json", &serde_json::to_vec(&self.asked)?)?;
        Ok(())
    }

    /// The account with this authority, which is made when there is none.
    async fn account(&self) -> anyhow::Result<Account> {
        let builder = || match &self.ca {
            Some(ca) => {
                Account::builder_with_root(ca).with_context(|| format!("cannot use {}", ca.display()))
            }
            None => Ok(Account::builder()?),
        };
        if let Ok(text) = fs::read(self.file("account.json"))
            && let Ok(Kept { directory, credentials }) = serde_json::from_slice::<Kept>(&text)
            && directory == self.asked.directory
        {
            return Ok(builder()?.from_credentials(credentials).await?);
        }
        let contact: Vec<&str> = self.contact.as_deref().into_iter().collect();
        let wanted =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let directory = self.asked.directory.clone();
        let (account, credentials) = builder()?.create(&wanted, directory.clone(), None).await?;
        self.save("account.json", &serde_json::to_vec(&Kept { directory, credentials })?)?;
        Ok(account)
    }

    /// Answers at the door for each name that the authority still doubts, and tells it so. The answers stand while
    /// what is returned lives.
    async fn answer(&self, order: &mut instant_acme::Order) -> anyhow::Result<Vec<Answer>> {
        let mut answers = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.context("the proof")?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => bail!("the proof of a name is {other:?}"),
            }
            let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
            let mut challenge = challenge.context("the authority takes no proof by TLS (tls-alpn-01)")?;
            let name = challenge.identifier().to_string();
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new([name.clone()])?;
            let digest = challenge.key_authorization().digest();
            params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
            let certificate = params.self_signed(&key)?.der().clone();
            answers.push(self.challenges.answer(&name, certificate, key.into())?);
            challenge.set_ready().await.context("the proof")?;
        }
        Ok(answers)
    }

    /// Certificate and key, which fit together again when both are there.
    fn write(&self, chain: &str, key: &str) -> anyhow::Result<()> {
        self.save("certificate.key", key.as_bytes())?;
        self.save("certificate.pem", chain.as_bytes())
    }

    /// What is there was issued for nothing.
    fn forget(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.file("issued.json")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Puts a file in its place as a whole, for our eyes only.
    fn save(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let (beside, place) = (self.file(&format!("{name}.new")), self.file(name));
        let put = || {
            let mut file =
                fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &place)
        };
        put().with_context(|| format!("cannot write {}", place.display()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// An account as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    directory: String,
    credentials: AccountCredentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_certificate_does_not_keep_the_door_shut() {
        let dir = tempfile::tempdir().unwrap();
        let said = settings::Acme {
            names: vec!["a.example".to_owned()],
            terms_agreed: true,
            contact: None,
            directory: None,
            ca: None,
        };
        let prepare = || Acme::prepare(&said, dir.path().join("acme")).unwrap();
        let acme = prepare();
        acme.save("issued.json", &serde_json::to_vec(&acme.asked).unwrap()).unwrap();
        assert!(!acme.is_due() && acme.pair().fits());
        let key = fs::read(acme.pair().key).unwrap();
        assert_eq!(fs::read(prepare().pair().key).unwrap(), key, "what fits stays");
        // Two processes wrote at once, or one was killed between the two files.
        acme.save("certificate.key", KeyPair::generate().unwrap().serialize_pem().as_bytes()).unwrap();
        assert!(acme.is_due());
        assert!(prepare().pair().fits() && acme.is_due());
    }
}
