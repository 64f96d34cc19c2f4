//! What goes wrong with Kafka, as failures: whose fault it is, and whether anything may have happened.

use model::{Code, Failure};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as E};

use super::client::Ear;
use super::contact::is_unreachable;

/// The failure of a call that looks or changes. `what` is what was asked, as a sentence goes on with it.
pub(super) fn of(error: &KafkaError, ear: &Ear, what: &str) -> Failure {
    match error {
        KafkaError::AdminOp(code) => of_code(*code, ear, what),
        KafkaError::Canceled => closed(),
        KafkaError::ClientCreation(reason) | KafkaError::AdminOpCreation(reason) => {
            Failure::client(Code::InvalidConfig, format!("The client of Kafka cannot be made: {reason}"))
        }
        KafkaError::ClientConfig(_, reason, key, _) => {
            Failure::client(Code::InvalidConfig, format!("The client of Kafka refuses `{key}`: {reason}"))
        }
        other => match other.rdkafka_error_code() {
            Some(code) => of_code(code, ear, what),
            None => Failure::service(Code::BadGateway, format!("Kafka could not {what}: {other}")),
        },
    }
}

/// The same of a code alone.
pub(super) fn of_code(code: E, ear: &Ear, what: &str) -> Failure {
    let says = || format!("Kafka could not {what}: {}.", words(code));
    let failure = match code {
        E::UnknownTopicOrPartition | E::UnknownTopic | E::UnknownPartition | E::UnknownTopicId => {
            Failure::client(Code::NotFound, "There is no such topic.")
        }
        E::GroupIdNotFound | E::UnknownGroup => Failure::client(Code::NotFound, "There is no such group."),
        E::TopicAlreadyExists => {
            Failure::client(Code::AlreadyExists, "There is a topic of that name already.")
        }
        E::InvalidTopic | E::InvalidGroupId | E::InvalidPartitions | E::InvalidReplicationFactor => {
            Failure::client(Code::InvalidRequest, says())
        }
        E::NonEmptyGroup | E::GroupSubscribedToTopic | E::InconsistentGroupProtocol => {
            Failure::client(Code::Conflict, says())
        }
        // Others of the group commit or join at this moment.
        E::UnknownMemberId | E::IllegalGeneration | E::RebalanceInProgress | E::UnstableOffsetCommit => {
            Failure::client(Code::Conflict, says())
        }
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed => Failure::client(Code::PermissionDenied, says()),
        E::PolicyViolation | E::InvalidConfig | E::TopicDeletionDisabled | E::InvalidRequest => {
            Failure::client(Code::CommandFailed, says())
        }
        E::UnsupportedVersion | E::UnsupportedFeature => Failure::client(Code::UnsupportedCommand, says()),
        E::MessageSizeTooLarge | E::MessageBatchTooLarge | E::InvalidMessageSize => {
            Failure::client(Code::TooLarge, "The message is larger than the broker takes.")
                .with_hint("Raise `message.max.bytes` of the broker, or `max.message.bytes` of the topic.")
        }
        E::NotImplemented | E::BadCompression | E::UnsupportedCompressionType => {
            let detail = "The next message is compressed in a way that this gateway cannot read.";
            Failure::client(Code::UnsupportedCommand, detail).with_hint(
                "It reads gzip, snappy, lz4 and zstd: set `compression.type` of the topic to one of these.",
            )
        }
        E::InvalidRecord | E::InvalidTimestamp => Failure::client(Code::CommandFailed, says()),
        E::ThrottlingQuotaExceeded => Failure::service(Code::Busy, says()).with_retryable(true),
        E::BrokerNotAvailable => {
            let detail =
                format!("Kafka could not {what}: its cluster has no broker that takes part in it now.");
            Failure::service(Code::BadGateway, detail).with_retryable(true)
        }
        _ => broken(code, ear, what),
    };
    failure.with_native("kafka", native(code))
}

/// What counts against the brokers. When nobody could be asked, what was heard last says why.
fn broken(code: E, ear: &Ear, what: &str) -> Failure {
    let trouble = ear.trouble();
    match trouble {
        Some(trouble) if is_unreachable(code) => {
            let failure =
                Failure::service(Code::BadGateway, format!("Kafka could not {what}: {}.", trouble.detail));
            let hint = match trouble.code {
                E::Authentication | E::SaslAuthenticationFailed => {
                    "Compare `username`, `password` and `sasl.mechanism` of the service with the broker's."
                }
                E::SSL => "Compare `tls` of the service with the broker's listener.",
                E::Resolve => "The broker's name cannot be resolved on this machine.",
                _ => return failure,
            };
            failure.with_hint(hint)
        }
        None if matches!(code, E::OperationTimedOut | E::TimedOutQueue | E::RequestTimedOut) => {
            Failure::service(Code::Timeout, format!("Kafka did not {what} in time."))
        }
        _ => Failure::service(Code::BadGateway, format!("Kafka could not {what}: {}.", words(code))),
    }
}

/// What became of a message that is not known to have arrived.
pub(super) fn of_message(code: E, ear: &Ear) -> Failure {
    let failure = match code {
        E::MessageTimedOut | E::OperationTimedOut | E::RequestTimedOut => {
            let why = ear.trouble().map(|trouble| format!(" ({})", trouble.detail)).unwrap_or_default();
            Failure::service(Code::Timeout, format!("Kafka did not take the message in time{why}.{PERHAPS}"))
        }
        E::PurgeQueue => closed(),
        E::QueueFull => Failure::gateway(
            Code::Overloaded,
            "Too many messages wait to be published: Kafka is slower than its clients.",
        )
        .with_retryable(true),
        _ if is_definite(code) => return of_code(code, ear, "take the message"),
        _ => {
            let detail = format!("Kafka may not have taken the message: {}.{PERHAPS}", words(code));
            Failure::service(Code::BadGateway, detail)
        }
    };
    failure.with_native("kafka", native(code))
}

const PERHAPS: &str = " It may have been published all the same.";

/// Whether a message that failed like that is certainly not in its topic.
pub(super) fn is_definite(code: E) -> bool {
    matches!(
        code,
        E::PurgeQueue
            | E::QueueFull
            | E::UnknownTopicOrPartition
            | E::UnknownTopic
            | E::UnknownPartition
            | E::MessageSizeTooLarge
            | E::MessageBatchTooLarge
            | E::InvalidMessageSize
            | E::InvalidRecord
            | E::InvalidTimestamp
            | E::InvalidTopic
            | E::PolicyViolation
            | E::NotEnoughReplicas
            | E::TopicAuthorizationFailed
            | E::ClusterAuthorizationFailed
            | E::UnsupportedVersion
            | E::ThrottlingQuotaExceeded
    )
}

/// A topic that is not there.
pub(super) fn no_topic(name: &str) -> Failure {
    Failure::client(Code::NotFound, format!("There is no topic `{name}`."))
        .with_native("kafka", native(E::UnknownTopicOrPartition))
}

/// A topic whose partitions cannot all be asked for where they end.
pub(super) fn no_leader(name: &str) -> Failure {
    Failure::service(
        Code::BadGateway,
        format!("A partition of the topic `{name}` has no leader that answers."),
    )
    .with_native("kafka", native(E::LeaderNotAvailable))
    .with_retryable(true)
}

/// A group that is not there.
pub(super) fn no_group(topic: &str, group: &str) -> Failure {
    Failure::client(Code::NotFound, format!("There is no group `{group}` of the topic `{topic}`."))
}

/// The answer when the service is being closed, or was.
pub(super) fn closed() -> Failure {
    Failure::gateway(Code::Draining, "The connection to Kafka is closed.")
}

/// What librdkafka says of a code, without who says it.
fn words(code: E) -> String {
    let text = code.to_string();
    let words = text.split_once('(').map_or(text.as_str(), |(_, words)| words.trim_end_matches(')'));
    words.trim_start_matches("Broker: ").trim_start_matches("Local: ").to_owned()
}

/// The name of a code, as the protocol's table has it; what librdkafka found out by itself begins with `_`, as there.
pub(super) fn native(code: E) -> String {
    let name = match code {
        E::MessageSizeTooLarge => "MESSAGE_TOO_LARGE",
        E::MessageBatchTooLarge => "RECORD_LIST_TOO_LARGE",
        E::InvalidTopic => "INVALID_TOPIC_EXCEPTION",
        E::NotLeaderForPartition => "NOT_LEADER_OR_FOLLOWER",
        E::BrokerTransportFailure => "_TRANSPORT",
        E::MessageTimedOut => "_MSG_TIMED_OUT",
        E::OperationTimedOut => "_TIMED_OUT",
        _ => "",
    };
    if !name.is_empty() {
        return name.to_owned();
    }
    let mut out = if (code as i32) < 0 { "_".to_owned() } else { String::new() };
    let mut before = 'A';
    for (at, letter) in format!("{code:?}").chars().enumerate() {
        if at > 0 && letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
        before = letter;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_protocol() {
        for (code, name) in [
            (E::UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION"),
            (E::NotEnoughReplicasAfterAppend, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"),
            (E::TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED"),
            (E::MessageSizeTooLarge, "MESSAGE_TOO_LARGE"),
            (E::SaslAuthenticationFailed, "SASL_AUTHENTICATION_FAILED"),
            (E::BrokerTransportFailure, "_TRANSPORT"),
            (E::AllBrokersDown, "_ALL_BROKERS_DOWN"),
            (E::SSL, "_SSL"),
        ] {
            assert_eq!(native(code), name);
        }
    }

    #[test]
    fn what_is_not_known_says_so() {
        let unknown = [E::MessageTimedOut, E::PurgeInflight, E::NotEnoughReplicasAfterAppend, E::Fatal];
        assert!(unknown.into_iter().all(|code| !is_definite(code)));
        assert_eq!(words(E::UnknownTopicOrPartition), "Unknown topic or partition");
        assert_eq!(words(E::MessageTimedOut), "Message timed out");
    }
}
