//! One server, as the gateway runs it: everything is in a file that is written for each start, its password too.

use std::fmt::Write;

use model::ServiceSpec;
use model::recipe::{Dump, Recipe, Run, Runs, Signal, Site, Within};

use super::options;
use crate::recipe::{beside, file, password, path, script, stop, words};

/// Where the server listens in a container.
const PORT: u16 = 6379;
const IMAGE: &str = "redis:7-alpine";
const CONFIG: &str = "redis.conf";
const PASSWORD: &str = "password";
/// What the server is told that reads a dump.
const SECOND: &str = "second.conf";
/// How many databases there are unless one beyond is asked for.
const DATABASES: u32 = 16;

pub(super) const RUNS: Runs = Runs { port: PORT, username: None, database: None, password: true, kept: &[] };

pub(super) fn recipe(service: &ServiceSpec, site: &Site) -> Option<Recipe> {
    let password = password(service)?;
    let databases = options::of(service).ok()?.login.database.saturating_add(1).max(DATABASES);
    let (bind, port, data) = match &site.within {
        Within::Container { .. } => ("0.0.0.0".to_owned(), PORT, "/data".to_owned()),
        Within::Process { data } => (service.bind().to_string(), site.port, data.clone()),
    };
    let mut text = format!(
        "# Written by the gateway for each start.\n\
         bind {bind}\n\
         port {port}\n\
         # There is a password, so that it may answer whom it listens to.\n\
         protected-mode no\n\
         daemonize no\n\
         dir {}\n\
         appendonly yes\n\
         # Whoever asks for a copy, as a dump does, gets it at once.\n\
         repl-diskless-sync-delay 0\n\
         databases {databases}\n",
        quoted(&data)
    );
    // Writing into a string cannot fail.
    let user = service.username.as_deref().filter(|name| !matches!(*name, "" | "default"));
    let _ = match user {
        None => writeln!(text, "requirepass {}", quoted(password)),
        Some(name) => writeln!(
            text,
            "user default off\nuser {} on {} ~* &* +@all",
            quoted(name),
            quoted(&format!(">{password}"))
        ),
    };
    // It listens for this machine alone, keeps nothing, and holds as many databases as the one that is to have its data.
    let second = format!(
        "bind 127.0.0.1\nrequirepass {}\ndatabases {databases}\nsave \"\"\nappendonly no\n\
         repl-diskless-sync-delay 0\ndaemonize no\nunixsocket socket\nunixsocketperm 700\npidfile pid\n",
        quoted(password)
    );
    let (file_of_it, host, at) = (path(site, PASSWORD), beside(service, site), port.to_string());
    let (user, told) = (user.unwrap_or_default(), path(site, SECOND));
    let dump = Dump::Serving {
        format: "rdb",
        save: script(include_str!("dump/save.sh"), [&file_of_it, &host, &at, user]),
        load: script(include_str!("dump/load.sh"), [&file_of_it, &host, &at, user, &data, &told]),
    };
    Some(Recipe {
        image: IMAGE.to_owned(),
        prepare: Vec::new(),
        run: Run { program: "redis-server".to_owned(), args: words([&path(site, CONFIG)]), env: Vec::new() },
        files: vec![file(CONFIG, text), file(PASSWORD, password.to_owned()), file(SECOND, second)],
        data,
        port,
        network_port: port,
        stop: stop(Signal::Term, 30),
        dump,
    })
}

/// A word of the server's file, whatever is in it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            // Writing into a string cannot fail.
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recipe::tests::{container, process, shown, spec};

    const IN_A_CONTAINER: &str = "\
image redis:7-alpine
run redis-server /throome/redis.conf
data /data
ports 6379 6379
stop Term 30s
dump rdb
save /throome/password 127.0.0.1 6379 
load /throome/password 127.0.0.1 6379  /data /throome/second.conf
--- redis.conf
# Written by the gateway for each start.
bind 0.0.0.0
port 6379
# There is a password, so that it may answer whom it listens to.
protected-mode no
daemonize no
dir \"/data\"
appendonly yes
# Whoever asks for a copy, as a dump does, gets it at once.
repl-diskless-sync-delay 0
databases 16
requirepass \"canary\"
--- password
canary--- second.conf
bind 127.0.0.1
requirepass \"canary\"
databases 16
save \"\"
appendonly no
repl-diskless-sync-delay 0
daemonize no
unixsocket socket
unixsocketperm 700
pidfile pid
";

    const AS_A_PROCESS: &str = "\
image redis:7-alpine
run redis-server /p/shop/db/config/redis.conf
data /p/shop/db/data
ports 7001 7001
stop Term 30s
dump rdb
save /p/shop/db/config/password 127.0.0.1 7001 app
load /p/shop/db/config/password 127.0.0.1 7001 app /p/shop/db/data /p/shop/db/config/second.conf
--- redis.conf
# Written by the gateway for each start.
bind 127.0.0.1
port 7001
# There is a password, so that it may answer whom it listens to.
protected-mode no
daemonize no
dir \"/p/shop/db/data\"
appendonly yes
# Whoever asks for a copy, as a dump does, gets it at once.
repl-diskless-sync-delay 0
databases 21
user default off
user \"app\" on \">a\\\"b\\\\c d\\xc3\\xa4\" ~* &* +@all
--- password
a\"b\\c dä--- second.conf
bind 127.0.0.1
requirepass \"a\\\"b\\\\c d\\xc3\\xa4\"
databases 21
save \"\"
appendonly no
repl-diskless-sync-delay 0
daemonize no
unixsocket socket
unixsocketperm 700
pidfile pid
";

    #[test]
    fn the_whole_of_it() {
        let service = spec(json!({ "type": "redis", "password": "canary" }));
        assert_eq!(shown(&recipe(&service, &container()).unwrap()), IN_A_CONTAINER);
        let service =
            spec(json!({ "type": "redis", "username": "app", "password": "a\"b\\c dä", "database": "20" }));
        assert_eq!(shown(&recipe(&service, &process()).unwrap()), AS_A_PROCESS);
    }

    #[test]
    fn a_process_listens_where_it_is_told_to() {
        let service = spec(json!({ "type": "redis", "password": "p", "run": { "bind": "0.0.0.0" } }));
        let text = shown(&recipe(&service, &process()).unwrap());
        assert!(text.contains("bind 0.0.0.0\n"), "{text}");
        assert!(text.contains("password 127.0.0.1 7001 \n"), "where this machine reaches it: {text}");
        let service = spec(json!({ "type": "redis", "password": "p", "run": { "bind": "127.0.0.9" } }));
        let text = shown(&recipe(&service, &process()).unwrap());
        assert!(text.contains("password 127.0.0.9 7001 \n"), "{text}");
    }
}
