//! One server, as the gateway runs it. Who may enter which database is said when its data are made, by the image itself
//! in a container and by what is run once in a process.

use model::ServiceSpec;
use model::recipe::{Dump, Preparation, Recipe, Run, Runs, Signal, Site, Within};

use crate::recipe::{beside, file, pairs, password, path, script, stop, words};

/// Where the server listens in a container.
const PORT: u16 = 5432;
const IMAGE: &str = "postgres:17-alpine";
const DATA: &str = "/var/lib/postgresql/data";
const PASSWORD: &str = "password";
const MAKE_DATABASE: &str = "database.sql";

pub(super) const RUNS: Runs = Runs {
    // Not the server's own port, at which a server of the machine may well be.
    port: 5433,
    username: Some("postgres"),
    database: Some("postgres"),
    password: true,
    kept: &["username", "password", "database"],
};

pub(super) fn recipe(service: &ServiceSpec, site: &Site) -> Option<Recipe> {
    let password = file(PASSWORD, password(service)?.to_owned());
    let (user, database) = (service.username.as_deref()?, service.database.as_deref()?);
    let recipe = Recipe {
        image: IMAGE.to_owned(),
        prepare: Vec::new(),
        run: Run { program: "postgres".to_owned(), ..Run::default() },
        files: vec![password],
        data: DATA.to_owned(),
        port: PORT,
        network_port: PORT,
        // By SIGTERM it would wait for its clients to leave.
        stop: stop(Signal::Int, 60),
        dump: dump(service, user, database, site),
    };
    Some(match &site.within {
        Within::Container { .. } => in_a_container(recipe, user, database, site),
        Within::Process { data } => as_a_process(recipe, service, user, database, site, data),
    })
}

/// By the server's own programs, over its port and with the password, as any client.
fn dump(service: &ServiceSpec, user: &str, database: &str, site: &Site) -> Dump {
    let port = match &site.within {
        Within::Container { .. } => PORT,
        Within::Process { .. } => site.port,
    };
    let (password, host, port) = (path(site, PASSWORD), beside(service, site), port.to_string());
    let run = |text: &str| script(text, [&password, &host, &port, user, database]);
    Dump::Serving {
        format: "dump",
        save: run(include_str!("dump/save.sh")),
        load: run(include_str!("dump/load.sh")),
    }
}

fn in_a_container(mut recipe: Recipe, user: &str, database: &str, site: &Site) -> Recipe {
    recipe.run.env = pairs([
        ("POSTGRES_USER", user),
        ("POSTGRES_PASSWORD_FILE", &path(site, PASSWORD)),
        ("POSTGRES_DB", database),
        // Newer images have another one.
        ("PGDATA", DATA),
    ]);
    recipe
}

fn as_a_process(
    mut recipe: Recipe,
    service: &ServiceSpec,
    user: &str,
    database: &str,
    site: &Site,
    data: &str,
) -> Recipe {
    let port = site.port.to_string();
    // Without a locale of the system's it cannot be told from a fault by some systems.
    let env = pairs([("LC_ALL", "C.UTF-8")]);
    let mut args = words(["-D", data, "-U", user]);
    args.push(format!("--pwfile={}", path(site, PASSWORD)));
    args.extend(words([
        "--auth-host=scram-sha-256",
        "--auth-local=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]));
    recipe.prepare.push(Preparation {
        what: "make the server's data".to_owned(),
        run: Run { program: "initdb".to_owned(), args, env: env.clone() },
        input: None,
    });
    if database != "postgres" {
        // The server alone, without a port, does what it reads.
        let args = words(["--single", "-D", data, "-c", "exit_on_error=true", "postgres"]);
        recipe.prepare.push(Preparation {
            what: format!("make the database `{database}`"),
            run: Run { program: "postgres".to_owned(), args, env: env.clone() },
            input: Some(MAKE_DATABASE.to_owned()),
        });
        let statement = format!("CREATE DATABASE \"{}\"\n", database.replace('"', "\"\""));
        recipe.files.push(file(MAKE_DATABASE, statement));
    }
    recipe.run.args = words(["-D", data, "-p", &port, "-h", &service.bind().to_string()]);
    // No socket in the file system: clients come by the port, with the password.
    recipe.run.args.extend(words(["-k", ""]));
    recipe.run.env = env;
    data.clone_into(&mut recipe.data);
    (recipe.port, recipe.network_port) = (site.port, site.port);
    recipe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recipe::tests::{container, process, shown, spec};

    const IN_A_CONTAINER: &str = "\
image postgres:17-alpine
run postgres
env POSTGRES_USER=me
env POSTGRES_PASSWORD_FILE=/throome/password
env POSTGRES_DB=shop
env PGDATA=/var/lib/postgresql/data
data /var/lib/postgresql/data
ports 5432 5432
stop Int 60s
dump dump
save /throome/password 127.0.0.1 5432 me shop
load /throome/password 127.0.0.1 5432 me shop
--- password
canary";

    const AS_A_PROCESS: &str = "\
image postgres:17-alpine
once make the server's data
run initdb -D /p/shop/db/data -U me --pwfile=/p/shop/db/config/password --auth-host=scram-sha-256 --auth-local=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
env LC_ALL=C.UTF-8
once make the database `a\"b`
run postgres --single -D /p/shop/db/data -c exit_on_error=true postgres
env LC_ALL=C.UTF-8
input database.sql
run postgres -D /p/shop/db/data -p 7001 -h 127.0.0.1 -k 
env LC_ALL=C.UTF-8
data /p/shop/db/data
ports 7001 7001
stop Int 60s
dump dump
save /p/shop/db/config/password 127.0.0.1 7001 me a\"b
load /p/shop/db/config/password 127.0.0.1 7001 me a\"b
--- password
canary--- database.sql
CREATE DATABASE \"a\"\"b\"
";

    #[test]
    fn the_whole_of_it() {
        let service = |database: &str| {
            spec(json!({ "type": "postgres", "username": "me", "password": "canary", "database": database }))
        };
        assert_eq!(shown(&recipe(&service("shop"), &container()).unwrap()), IN_A_CONTAINER);
        assert_eq!(shown(&recipe(&service("a\"b"), &process()).unwrap()), AS_A_PROCESS);
        let own = recipe(&service("postgres"), &process()).unwrap();
        assert_eq!((own.prepare.len(), own.files.len()), (1, 1), "that one is there anyway");
    }
}
