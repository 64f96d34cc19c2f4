//! How the server lets one in: passwords, encryption as libpq names it, certificates.

use model::{Code, Failure, Origin};

use super::*;

/// Whether the connection is encrypted, as the server sees it.
const ENCRYPTED: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

async fn encrypted(service: &ServiceSpec, host: &str, port: u16) -> Result<Value, Failure> {
    let adapter = connected_to(service, host, port);
    Ok(rows(&adapter, ENCRYPTED).await?[0][0].clone())
}

#[tokio::test]
async fn encryption_is_as_the_mode_says() {
    let server = Engines::shared().postgres();
    let ca = server.tls().ca;
    let ca = || json!({"ca": ca});
    let mode = |mode: &str| ("sslmode", json!(mode));
    for (options, expected) in [
        (vec![], true),
        (vec![mode("disable")], false),
        (vec![mode("allow")], false),
        (vec![mode("prefer")], true),
        (vec![mode("require")], true),
        (vec![mode("verify-ca"), ("tls", ca())], true),
        (vec![mode("verify-full"), ("tls", ca())], true),
        (vec![("tls", ca())], true),
        (vec![("tls", json!({"verify": false}))], true),
        (vec![("tls", json!({"enabled": false}))], false),
    ] {
        let told = encrypted(&service(&options), "localhost", server.port).await;
        assert_eq!(told.unwrap(), json!(expected), "{options:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused() {
    let server = Engines::shared().postgres();
    let ca = server.tls().ca;
    // The machine's own authorities have not signed it, and another name is not its own.
    for options in [
        vec![("sslmode", json!("verify-full"))],
        vec![("sslmode", json!("verify-ca"))],
        vec![("tls", json!({"enabled": true}))],
        vec![("tls", json!({"ca": ca, "sni": "elsewhere.example"}))],
    ] {
        let failure = encrypted(&service(&options), "localhost", server.port).await.unwrap_err();
        assert_eq!(
            (failure.code(), failure.origin()),
            (Code::BadGateway, Origin::Service),
            "{options:?}: {failure}"
        );
        assert!(failure.retryable() && failure.detail().contains("certificate"), "{failure}");
    }
    let named = [("sslmode", json!("verify-ca")), ("tls", json!({"ca": ca, "sni": "elsewhere.example"}))];
    let told = encrypted(&service(&named), "localhost", server.port).await;
    assert_eq!(told.unwrap(), json!(true), "the authority is asked for, and not the name");
}

#[tokio::test]
async fn who_shows_a_certificate_needs_no_password() {
    let server = Engines::shared().postgres();
    let tls = server.tls();
    let pair = json!({"ca": tls.ca, "cert": tls.client_cert, "key": tls.client_key});
    let mut certified = service(&[("tls", pair)]);
    certified.username = Some(secrets::POSTGRES_CERTIFIED.to_owned());
    certified.password = None;
    assert_eq!(encrypted(&certified, "localhost", server.port).await.unwrap(), json!(true));
    let mut bare = certified.clone();
    bare.options.insert("tls".to_owned(), json!({"ca": tls.ca}));
    let failure = encrypted(&bare, "localhost", server.port).await.unwrap_err();
    assert_eq!(failure.code(), Code::BadGateway, "{failure}");
    // Without encryption the server turns this user away, and `allow` tries the other way.
    let mut allowed = certified.clone();
    allowed.options.insert("sslmode".to_owned(), json!("allow"));
    assert_eq!(encrypted(&allowed, "localhost", server.port).await.unwrap(), json!(true));
}

#[tokio::test]
async fn a_refusal_names_the_place_and_no_secret() {
    let server = Engines::shared().postgres();
    let mut wrong = service(&[]);
    wrong.password = Some(Secret::new("not-the-password"));
    let mut nowhere = service(&[]);
    nowhere.database = Some("nowhere".to_owned());
    let mut without = service(&[]);
    without.password = None;
    for (service, native, word) in [
        (wrong, Some("28P01"), "password"),
        (nowhere, Some("3D000"), "database"),
        (without, None, "password"),
    ] {
        let adapter = connected(&service, server.port);
        let probe = adapter.probe(Duration::from_secs(5)).await.unwrap_err();
        for failure in [probe, executed(&adapter, "SELECT 1").await.unwrap_err()] {
            assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, Origin::Service), "{failure}");
            assert_eq!(failure.native().map(|(_, code)| code), native, "{failure}");
            assert!(failure.retryable(), "nothing has left: {failure}");
            assert!(failure.hint().is_some_and(|hint| hint.contains(word)), "{failure} {:?}", failure.hint());
            let told = format!("{failure:?}");
            assert!(
                !told.contains("not-the-password") && !told.contains(secrets::POSTGRES_OWNER.1),
                "{told}"
            );
        }
    }
}

/// By MD5, and in clear over a connection that is encrypted; without encryption the password stays here.
#[tokio::test]
async fn older_ways_of_proof_work_where_they_are_safe() {
    let engines = Engines::own();
    let server = engines.postgres();
    tell(&server, "SET password_encryption = 'md5'; CREATE ROLE older LOGIN PASSWORD 'older-secret'");
    let data = server.psql("SHOW data_directory");
    let rules = format!("{data}/pg_hba.conf");
    let before = std::fs::read_to_string(&rules).unwrap();
    let mut older = service(&[]);
    older.username = Some("older".to_owned());
    older.password = Some(Secret::new("older-secret"));
    for (way, clear) in [("md5", true), ("password", false)] {
        std::fs::write(&rules, format!("host all older 127.0.0.1/32 {way}\n{before}")).unwrap();
        tell(&server, "SELECT pg_reload_conf()");
        until("the rules hold", || server.psql("SELECT auth_method FROM pg_hba_file_rules LIMIT 1") == way)
            .await;
        older.options.insert("sslmode".to_owned(), json!("require"));
        assert_eq!(encrypted(&older, "localhost", server.port).await.unwrap(), json!(true), "{way}");
        older.options.insert("sslmode".to_owned(), json!("disable"));
        let told = encrypted(&older, "localhost", server.port).await;
        assert_eq!(told.is_ok(), clear, "{way}: {told:?}");
    }
    // A server that cannot encrypt is taken as it is by those who only prefer it.
    tell(&server, "ALTER SYSTEM SET ssl = off");
    tell(&server, "SELECT pg_reload_conf()");
    until("it stops encrypting", || server.psql("SHOW ssl") == "off").await;
    std::fs::write(&rules, before.replace("hostssl", "host")).unwrap();
    for (mode, expected) in
        [("prefer", Some(false)), ("allow", Some(false)), ("require", None), ("verify-ca", None)]
    {
        let ca = server.tls().ca;
        let told = encrypted(
            &service(&[("sslmode", json!(mode)), ("tls", json!({"ca": ca}))]),
            "localhost",
            server.port,
        )
        .await;
        assert_eq!(told.as_ref().ok(), expected.map(Value::from).as_ref(), "{mode}: {told:?}");
        if let Err(failure) = told {
            assert!(failure.detail().contains("does not encrypt"), "{failure}");
        }
    }
}
