//! Ways to prove who one is, and what is said when that fails.

use std::time::Duration;

use engines::{Engines, secrets};
use model::{Code, Secret, ServiceSpec};
use serde_json::json;

use super::{PATIENCE, connected, message, publish, service, topic};

fn with_user(port: u16, user: (&str, &str), mechanism: &str) -> ServiceSpec {
    let mut service = service(port);
    (service.username, service.password) = (Some(user.0.to_owned()), Some(Secret::new(user.1)));
    service.options.insert("sasl".to_owned(), json!({ "mechanism": mechanism }));
    service
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_proven_by_each_mechanism_and_over_tls() {
    let broker = Engines::shared().kafka();
    let ca = broker.tls().ca;
    for (user, mechanism) in [
        (secrets::KAFKA_PLAIN, "PLAIN"),
        (secrets::KAFKA_SCRAM, "SCRAM-SHA-256"),
        (secrets::KAFKA_SCRAM, "SCRAM-SHA-512"),
    ] {
        let plain = with_user(broker.sasl_port(), user, mechanism);
        let mut secured = with_user(broker.sasl_tls_port(), user, mechanism);
        secured.options.insert("tls".to_owned(), json!({ "ca": ca }));
        for service in [plain, secured] {
            let adapter = connected(&service);
            adapter.probe(PATIENCE).await.unwrap_or_else(|failure| panic!("{mechanism}: {failure}"));
            let topic = topic(&adapter, "secure", 1).await;
            publish(&adapter, &topic, &[message(None, "x")]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_shows_its_certificate() {
    let tls = Engines::shared().kafka().tls();
    let mut service = service(tls.port);
    let said = json!({ "ca": tls.ca, "cert": tls.client_cert, "key": tls.client_key });
    service.options.insert("tls".to_owned(), said);
    connected(&service).probe(PATIENCE).await.expect("it is let in");
    service.options.insert("tls".to_owned(), json!({ "ca": tls.ca }));
    connected(&service).probe(Duration::from_secs(3)).await.expect_err("it must show one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_says_why_and_no_password() {
    let broker = Engines::shared().kafka();
    let wrong = with_user(broker.sasl_port(), ("plain", "canary-secret"), "PLAIN");
    let mut strange = with_user(broker.sasl_tls_port(), secrets::KAFKA_PLAIN, "PLAIN");
    strange.options.insert("tls".to_owned(), json!({}));
    strange.options.insert("tls".to_owned(), json!({ "enabled": true }));
    let closed = service(1);
    for (service, word) in [(wrong, "uthentication"), (strange, "certificate"), (closed, "refused")] {
        let adapter = connected(&service);
        let failure = adapter.probe(Duration::from_secs(3)).await.expect_err("it is not well");
        assert_eq!(failure.code(), Code::BadGateway, "{failure}");
        let text = format!("{failure} {failure:?}");
        assert!(failure.detail().contains(word) && !text.contains("canary"), "{text}");
        let queue = adapter.queue().expect("it keeps messages");
        let failure = queue.publish("t", &[message(None, "x")], None).await.expect_err("nobody takes it");
        assert!(failure.retryable(), "nothing has left: {failure}");
    }
}
