//! What every client of librdkafka is made with, and what it says of itself between calls.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::secret::MASK;
use model::{Failure, Secret, ServiceSpec};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::options::Options;
use crate::tls::{self, Tls, Trust};

/// Who the gateway is, as brokers log and limit it.
const CLIENT_ID: &str = "throome";

/// How long what was heard last explains what fails now.
const FRESH: Duration = Duration::from_secs(30);

/// Where the brokers are and how they are spoken to.
#[derive(Clone)]
pub(super) struct Settings {
    brokers: String,
    user: Option<(String, Secret, Box<str>)>,
    tls: Option<Tls>,
}

impl Settings {
    /// Reads the files of `tls` once, so that one that is wrong is named at once.
    pub(super) fn of(service: &ServiceSpec, options: &Options) -> Result<Self, Failure> {
        let addresses = service.all_endpoints().into_iter().map(|own| own.address().to_string());
        let brokers = addresses.collect::<Vec<_>>().join(",");
        let user = match (&service.username, &service.password, &options.mechanism) {
            (Some(name), Some(password), Some(mechanism)) => {
                Some((name.clone(), password.clone(), mechanism.clone()))
            }
            _ => None,
        };
        let tls = tls::of(service)?;
        if let Some(tls) = &tls {
            tls.client()?;
        }
        Ok(Settings { brokers, user, tls })
    }

    /// A configuration to add to.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", CLIENT_ID)
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            // An answer that takes longer comes over a new connection, and so does what was lost with a network: the
            // kernel would wait twice as long as it was away.
            .set("socket.timeout.ms", "3000")
            .set("socket.connection.setup.timeout.ms", "5000")
            // A broker that comes back is found within a second.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "500")
            // A topic that was deleted is missed soon.
            .set("topic.metadata.propagation.max.ms", "3000")
            .set("log.connection.close", "false")
            .set("allow.auto.create.topics", "false")
            .set("enable.metrics.push", "false");
        let protocol = match (&self.user, &self.tls) {
            (None, None) => "plaintext",
            (None, Some(_)) => "ssl",
            (Some(_), None) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some((name, password, mechanism)) = &self.user {
            config
                .set("sasl.mechanism", &**mechanism)
                .set("sasl.username", name)
                .set("sasl.password", password.reveal());
        }
        if let Some(tls) = &self.tls {
            tls.tell(&mut config);
        }
        config.set_log_level(RDKafkaLogLevel::Notice);
        config
    }

    /// What nobody may read.
    fn password(&self) -> Option<&str> {
        self.user.as_ref().map(|(_, password, _)| password.reveal())
    }

    /// What listens to a client with these settings.
    pub(super) fn ear(&self, service: Arc<str>) -> Ear {
        Ear { service, secret: self.password().map(Secret::new), heard: Arc::default() }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

impl Tls {
    fn tell(&self, config: &mut ClientConfig) {
        if let Some(ca) = &self.client.ca {
            config.set("ssl.ca.location", ca.to_string_lossy());
        }
        if let Some(pair) = &self.client.pair {
            config.set("ssl.certificate.location", pair.cert.to_string_lossy());
            config.set("ssl.key.location", pair.key.to_string_lossy());
        }
        match self.client.trust {
            Trust::Full => config.set("ssl.endpoint.identification.algorithm", "https"),
            Trust::Authority => config.set("ssl.endpoint.identification.algorithm", "none"),
            Trust::Anyone => config
                .set("ssl.endpoint.identification.algorithm", "none")
                .set("enable.ssl.certificate.verification", "false"),
        };
    }
}

/// Hears what a client says between calls: why it has no connection, above all. Clones hear together.
#[derive(Clone)]
pub(super) struct Ear {
    service: Arc<str>,
    secret: Option<Secret>,
    heard: Arc<Heard>,
}

/// What was heard since something was answered.
#[derive(Debug, Default)]
struct Heard {
    /// Whether there is something: most who ask find that there is not.
    any: AtomicBool,
    all: Mutex<Troubles>,
}

#[derive(Debug, Default)]
struct Troubles {
    last: Option<Trouble>,
    /// Since when a client has had no broker at all.
    cut_off: Option<Instant>,
}

/// What was heard.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) code: RDKafkaErrorCode,
    pub(super) detail: String,
    at: Instant,
}

impl Ear {
    /// Why there is no connection, if that was said lately.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let trouble = self.troubles()?.last.clone();
        trouble.filter(|trouble| trouble.at.elapsed() < FRESH)
    }

    /// Since when no broker could be reached, unless one has answered since.
    pub(super) fn cut_off(&self) -> Option<Instant> {
        self.troubles()?.cut_off
    }

    /// Something was answered: what was heard before explains nothing any more.
    pub(super) fn well(&self) {
        if let Some(mut troubles) = self.troubles() {
            *troubles = Troubles::default();
            self.heard.any.store(false, Ordering::Release);
        }
    }

    /// A message was given up: perhaps nobody is there who would have taken it.
    pub(super) fn gave_up(&self) {
        self.note(|troubles| {
            troubles.cut_off.get_or_insert_with(Instant::now);
        });
    }

    /// What was heard; `None` where that is nothing.
    fn troubles(&self) -> Option<MutexGuard<'_, Troubles>> {
        let any = self.heard.any.load(Ordering::Acquire);
        any.then(|| self.heard.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, trouble: impl FnOnce(&mut Troubles)) {
        let mut troubles = self.heard.all.lock().unwrap_or_else(PoisonError::into_inner);
        trouble(&mut troubles);
        self.heard.any.store(true, Ordering::Release);
    }

    pub(super) fn service(&self) -> &Arc<str> {
        &self.service
    }

    /// librdkafka says no passwords; this is for the day on which it does.
    fn clean(&self, text: &str) -> String {
        match &self.secret {
            Some(secret) if !secret.reveal().is_empty() => text.replace(secret.reveal(), MASK),
            _ => text.to_owned(),
        }
    }

    fn hear(&self, code: RDKafkaErrorCode, reason: &str) {
        use RDKafkaErrorCode as E;
        if code == E::AllBrokersDown {
            return self.gave_up();
        }
        let tells = matches!(
            code,
            E::BrokerTransportFailure | E::Resolve | E::SSL | E::Authentication | E::SaslAuthenticationFailed
        );
        if !tells {
            return;
        }
        // What librdkafka adds in brackets is how long it took.
        let detail = reason.split(" (after ").next().unwrap_or(reason);
        let trouble = Trouble { code, detail: self.clean(detail), at: Instant::now() };
        self.note(|Troubles { last, .. }| {
            // A broker that hangs up after it refused the password says less than the refusal did.
            let keeps = last.as_ref().is_some_and(|old| {
                old.code != E::BrokerTransportFailure
                    && code == E::BrokerTransportFailure
                    && old.at.elapsed() < Duration::from_secs(5)
            });
            if !keeps {
                *last = Some(trouble);
            }
        });
    }
}

impl ConsumerContext for Ear {}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let (service, message) = (&self.service, self.clean(message));
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(%service, facility, message, "kafka client");
            }
            // That a broker is away is said by the health of the service, once and not with every try.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning if !matches!(facility, "FAIL" | "ERROR") => {
                tracing::warn!(%service, facility, message, "kafka client");
            }
            _ => tracing::debug!(%service, facility, message, "kafka client"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        tracing::debug!(service = %self.service, ?code, reason = self.clean(reason), "kafka client");
        self.hear(code, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ear(secret: Option<&str>) -> Ear {
        Ear { service: "c/s".into(), secret: secret.map(Secret::new), heard: Arc::default() }
    }

    #[test]
    fn the_reason_is_kept_and_a_refusal_outlives_the_end_of_its_connection() {
        let ear = ear(Some("canary"));
        ear.hear(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        assert!(ear.trouble().is_none(), "that says nothing of why");
        assert!(ear.cut_off().is_some());
        let refused = "h:9092/bootstrap: Authentication failed for canary (after 3ms in state AUTH_REQ)";
        ear.hear(RDKafkaErrorCode::Authentication, refused);
        ear.hear(RDKafkaErrorCode::BrokerTransportFailure, "h:9092: Disconnected");
        let trouble = ear.trouble().unwrap();
        assert_eq!(trouble.detail, "h:9092/bootstrap: Authentication failed for ***");
        ear.well();
        assert!(ear.trouble().is_none() && ear.cut_off().is_none());
    }

    #[test]
    fn a_configuration_says_how_brokers_are_spoken_to() {
        let mut settings = Settings { brokers: "a:1,[::1]:2".into(), user: None, tls: None };
        assert_eq!(settings.config().get("security.protocol"), Some("plaintext"));
        settings.user = Some(("me".into(), Secret::new("canary"), "PLAIN".into()));
        let mut tls = Tls::default();
        tls.client.trust = Trust::Anyone;
        settings.tls = Some(tls);
        let config = settings.config();
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("enable.ssl.certificate.verification"), Some("false"));
        assert!(!format!("{settings:?} {config:?}").contains("canary"));
    }
}
