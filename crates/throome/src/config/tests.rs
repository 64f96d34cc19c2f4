//! Settings from four layers: which one wins, what is refused, and where.

use std::io::Write;

use super::*;

fn args(file: Option<&Path>) -> ServeArgs {
    ServeArgs {
        config: file.map(Path::to_owned),
        port: None,
        proxy_port: None,
        clusters_dir: None,
        data_dir: None,
        log_level: None,
        insecure: false,
        check: false,
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn source(sources: &[Setting], path: &str) -> (String, String) {
    let setting = sources.iter().find(|setting| setting.path == path).unwrap_or_else(|| panic!("{path}"));
    (setting.value.clone(), setting.source.clone())
}

#[test]
fn defaults_alone_are_whole() {
    let (settings, Layers { sources, .. }) = layered(&args(Some(file("{}").path())), &|_| None).unwrap();
    assert_eq!((settings.server.port, settings.proxy.port), (9000, 8080));
    assert_eq!(settings.proxy.limits.idle_timeout.0.as_secs(), 75);
    assert_eq!(settings.data_dir(), PathBuf::from("./clusters/.throome"));
    assert_eq!(source(&sources, "logging.level"), ("info".into(), "default".into()));
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file =
        file("server: { port: 9001, read_timeout: 5s }\nlogging: { level: warn }\nproxy: { port: 8081 }\n");
    let env = |name: &str| match name {
        "THROOME_SERVER_PORT" => Some("9002".to_owned()),
        "THROOME_LOG_LEVEL" => Some("debug".to_owned()),
        "THROOME_PROXY_TRUSTED_PROXIES" => Some("10.0.0.0/8, ::1".to_owned()),
        _ => None,
    };
    let mut args = args(Some(file.path()));
    args.port = Some(9003);
    let (settings, Layers { sources, .. }) = layered(&args, &env).unwrap();
    assert_eq!(settings.server.port, 9003);
    assert_eq!(source(&sources, "server.port").1, "flag --port");
    assert_eq!(source(&sources, "logging.level"), ("debug".into(), "environment THROOME_LOG_LEVEL".into()));
    assert_eq!(settings.proxy.trusted_proxies, ["10.0.0.0/8", "::1"]);
    assert!(source(&sources, "proxy.port").1.starts_with("file "));
    assert_eq!(settings.server.read_timeout.0.as_secs(), 5);
}

#[test]
fn every_fault_of_every_layer_is_told() {
    let file = file("sever: { port: 1 }\nserver: { port: ninety }\nproxy: { tls: { min_version: 1.1 } }\n");
    let env = |name: &str| (name == "THROOME_SERVER_READ_TIMEOUT").then(|| "soon".to_owned());
    let faults = layered(&args(Some(file.path())), &env).err().unwrap();
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let words = words.join("\n");
    for part in [":1:1: sever: ", "server", ":2:17: server.port", "proxy.tls", "THROOME_SERVER_READ_TIMEOUT"]
    {
        assert!(words.contains(part), "`{part}` is not in\n{words}");
    }
}

#[test]
fn what_cannot_be_enforced_is_refused() {
    for (text, part) in [
        ("server: { host: 0.0.0.0 }\nauth: { mode: off }\n", "auth.mode"),
        ("server: { host: example.com }\n", "server.host"),
        ("server: { port: 8080 }\n", "server.port"),
        ("proxy: { trusted_proxies: [ here ] }\n", "proxy.trusted_proxies[0]"),
        ("gateway: { enable_ai: true }\n", "gateway.enable_ai"),
        ("monitoring: { collection_interval: 5 }\n", "monitoring.collection_interval"),
        ("monitoring: { metrics_path: metrics }\n", "monitoring.metrics_path"),
        ("proxy: { tls: { acme: { names: [], terms_agreed: true } } }\n", "proxy.tls.acme.names"),
        (
            "proxy: { tls: { acme: { names: ['*.a.example'], terms_agreed: true } } }\n",
            "proxy.tls.acme.names",
        ),
        (
            "proxy: { tls: { acme: { names: [a.example], terms_agreed: false } } }\n",
            "proxy.tls.acme.terms_agreed",
        ),
        (
            "proxy: { tls: { acme: { names: [a.example], terms_agreed: true }, client_auth: { mode: required, ca: c } } }\n",
            "proxy.tls.client_auth.mode",
        ),
        ("server: { tls: { acme: { names: [a.example], terms_agreed: true } } }\n", "server.tls.acme"),
        ("proxy: { tls: {} }\n", "proxy.tls.certificates"),
        ("proxy: { tls: { certificates: [] } }\n", "proxy.tls.certificates"),
        ("server: { tls: { min_version: \"1.3\" } }\n", "server.tls.certificates"),
        (
            "proxy: { tls: { certificates: [{ cert: a, key: b }], client_auth: { mode: required } } }\n",
            "proxy.tls.client_auth.ca",
        ),
        (
            "proxy: { tls: { certificates: [{ cert: a, key: b }], client_auth: { ca: c } } }\n",
            "proxy.tls.client_auth.mode",
        ),
        ("proxy: { listeners: [{ name: a, port: 8080 }] }\n", "proxy.listeners[0].port"),
        ("proxy: { listeners: [{ name: a, port: 1 }, { name: a, port: 2 }] }\n", "proxy.listeners[1].name"),
        ("proxy: { listeners: [{ name: a, port: 1, host: here }] }\n", "proxy.listeners[0].host"),
        ("proxy: { listeners: [{ name: a, port: 1, tls: {} }] }\n", "proxy.listeners[0].tls.certificates"),
        ("data: { port: 9001, tls: {} }\n", "data.tls.certificates"),
        ("data: { tls: { certificates: [{ cert: a, key: b }] } }\n", "data.tls"),
        ("store: { url: \"mysql://u:p@h/x\" }\n", "store.url"),
        ("store: { url: \"sqlite:elsewhere.db\" }\n", "store.url"),
        ("store: { pool: { max: 5 } }\n", "store.pool.max"),
        ("provision: { docker: { host: /var/run/docker.sock } }\n", "provision.docker.host"),
        ("provision: { docker: { host: \"unix://docker.sock\" } }\n", "provision.docker.host"),
        ("provision: { docker: { host: \"tcp://\" } }\n", "provision.docker.host"),
        ("provision: { prefer: podman }\n", "provision.prefer"),
        ("provision: { ready_timeout: 10ms }\n", "provision.ready_timeout"),
    ] {
        let file = file(text);
        let faults = layered(&args(Some(file.path())), &|_| None).err().unwrap_or_else(|| panic!("{text}"));
        assert!(faults.iter().any(|fault| fault.path == part), "{text}: {faults:?}");
        let file = file.path().display().to_string();
        for fault in faults {
            assert!(fault.file.as_ref() == Some(&file) && fault.line.is_some(), "{text}: {fault}");
        }
    }
}

/// Problems in their words, without the name of the file.
fn told(args: &ServeArgs, env: Env<'_>) -> Vec<String> {
    let faults = layered(args, env).err().unwrap();
    let name = args.config.as_deref().unwrap().display().to_string();
    faults.iter().map(|fault| fault.to_string().replace(&name, "F")).collect()
}

#[test]
fn what_is_refused_is_told_where_it_was_said() {
    let text = "proxy:\n  port: 9000\n  proxy_protocol: v2\n  listeners:\n    - { name: main, port: 81 }\n    \
                - name: mail\n      port: 82\n      protocol: tcp\n      cluster: a\n";
    let file = file(text);
    let mut args = args(Some(file.path()));
    assert_eq!(
        told(&args, &|_| None),
        [
            "F:3:19: proxy.proxy_protocol: believes what proxies say of their clients, and `proxy.trusted_proxies` names \
             none; name the proxies in front, such as `[10.0.0.0/8]`",
            "F:5:15: proxy.listeners[0].name: `main` is what the listener of `proxy.port` is called",
            "F:6:7: proxy.listeners[1].service: is required with `protocol: tcp`: it says where bytes are carried",
            "F:2:9: proxy.port: two doors would listen on port 9000: `server.port` is the same",
        ]
    );
    // Where another layer said it, that is what is told.
    let env = |name: &str| (name == "THROOME_PROXY_TRUSTED_PROXIES").then(|| "::1,here".to_owned());
    args.proxy_port = Some(82);
    let told = told(&args, &env).join("\n");
    for words in [
        "environment THROOME_PROXY_TRUSTED_PROXIES[1]: `here` is not",
        "F:7:13: proxy.listeners[1].port: two doors would listen on port 82: `proxy.port` is the same",
    ] {
        assert!(told.contains(words), "{words:?} is not in\n{told}");
    }
    args.proxy_port = Some(9000);
    assert!(self::told(&args, &env).join("\n").contains("flag --proxy-port: two doors"));
}

#[test]
fn certificates_are_missed_where_they_are_named() {
    let file = file("proxy:\n  tls:\n    certificates:\n      - { cert_file: /nope.pem, key: /nope.key }\n");
    let (settings, layers) = layered(&args(Some(file.path())), &|_| None).unwrap();
    let found = check_certificates(&settings, &layers.said);
    let places: Vec<_> = found.iter().map(|found| (&*found.path, found.line, found.column)).collect();
    assert_eq!(
        places,
        [
            ("proxy.tls.certificates[0].cert", Some(4), Some(22)),
            ("proxy.tls.certificates[0].key", Some(4), Some(38)),
        ]
    );
    assert_eq!(check_file(file.path()).unwrap(), found);
}

#[test]
fn where_the_store_is_is_shown_without_its_password() {
    let file =
        file("store: { url: \"postgres://u:${SECRET}@db/x?sslmode=require\", pool: { max: 4, idle: 1 } }\n");
    let env = |name: &str| (name == "SECRET").then(|| "canary".to_owned());
    let (settings, Layers { sources, .. }) = layered(&args(Some(file.path())), &env).unwrap();
    assert_eq!(source(&sources, "store.url").0, "postgres://u:***@db:5432/x?sslmode=require");
    assert_eq!((settings.store.pool.max, settings.store.pool.idle), (Some(4), Some(1)));
    assert!(!format!("{settings:?}").contains("canary"));
    let of_env = |name: &str| (name == "THROOME_STORE_URL").then(|| "postgres://u:canary@db/x".to_owned());
    let (_, Layers { sources, .. }) = layered(&args(None), &of_env).unwrap();
    assert!(!source(&sources, "store.url").0.contains("canary"), "{:?}", source(&sources, "store.url"));
    let faulty = |name: &str| (name == "THROOME_STORE_URL").then(|| "postgres://u:canary@db:x/y".to_owned());
    let faults = layered(&args(None), &faulty).err().unwrap();
    assert!(faults.iter().all(|fault| !fault.to_string().contains("canary")), "{faults:?}");
}

#[test]
fn the_samples_of_the_seeds_load() {
    let file = file(
        "server:\n  host: \"0.0.0.0\"\n  port: 9000\n\ngateway:\n  clusters_dir: \"./clusters\"\n  enable_ai: false\n\n\
         monitoring:\n  enabled: true\n  metrics_path: \"/metrics\"\n  collection_interval: 10  # seconds\n\n\
         logging:\n  level: \"info\"\n",
    );
    layered(&args(Some(file.path())), &|_| None).unwrap();
}

#[test]
fn services_are_run_by_an_engine_or_by_this_machine() {
    let (settings, _) = layered(&args(Some(file("{}").path())), &|_| None).unwrap();
    let provision = settings.provision;
    assert!(provision.docker.enabled && provision.process.enabled);
    assert_eq!((provision.prefer.as_str(), provision.ready_timeout.0.as_secs()), ("docker", 60));
    assert_eq!((provision.docker.host, provision.process.user), (None, None));
    assert_eq!(provision.process.on_stop, crate::settings::OnStop::Stop);
    let file = file(
        "provision:\n  docker: { enabled: false, host: \"unix:///run/podman.sock\" }\n  \
         process: { user: nobody, on_stop: leave }\n  prefer: process\n",
    );
    let env = |name: &str| (name == "THROOME_PROVISION_READY_TIMEOUT").then(|| "5m".to_owned());
    let provision = layered(&args(Some(file.path())), &env).unwrap().0.provision;
    assert_eq!((provision.docker.enabled, provision.prefer.as_str()), (false, "process"));
    assert_eq!(provision.docker.host.as_deref(), Some("unix:///run/podman.sock"));
    assert_eq!(provision.process.user.as_deref(), Some("nobody"));
    assert_eq!(
        (provision.process.on_stop, provision.ready_timeout.0.as_secs()),
        (crate::settings::OnStop::Leave, 300)
    );
}

#[test]
fn what_kubernetes_says_of_a_service_is_no_setting() {
    let env = |name: &str| (name == "THROOME_PORT").then(|| "tcp://10.0.0.1:9000".to_owned());
    let (settings, _) = layered(&args(Some(file("{}").path())), &env).unwrap();
    assert_eq!(settings.server.port, 9000);
}

#[test]
fn names_that_only_look_like_settings_are_found() {
    let names = ["THROOME_PORT", "THROOME_PORT_9000_TCP", "THROOME_TOKEN", "PATH", "THROOME_SEVER_PORT"];
    assert_eq!(
        unknown(names.map(str::to_owned).into_iter()),
        ["THROOME_PORT_9000_TCP", "THROOME_SEVER_PORT"]
    );
}
