//! The examples that every help begins with.

use clap::Command;

use crate::exit;

const TEMPLATE: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// Examples by command, the words of its path joined by spaces; the program itself is the empty path.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "",
        "  throome dev                                  a gateway with a cluster to try things on
  throome --config throome.yaml                a gateway as the file says
  throome apply shop.yaml                      create or change a cluster
  throome status                               what is running, and what is wrong
  throome explain GET http://shop.local/api    where a request would go, and why",
    ),
    (
        "serve",
        "  throome serve --config throome.yaml\n  throome serve --port 9001 --clusters-dir ./clusters\n  throome serve --check",
    ),
    ("dev", "  throome dev\n  throome dev --port 9001"),
    (
        "validate",
        "  throome validate throome.yaml clusters/*/config.yaml\n  throome validate shop.yaml -o json",
    ),
    ("plan", "  throome plan shop.yaml\n  throome plan shop.yaml --exit-code && echo nothing to do"),
    (
        "apply",
        "  throome apply shop.yaml\n  throome apply routes.yaml --cluster shop\n  generate | throome apply -",
    ),
    (
        "import",
        "  throome import compose.yaml\n  throome import compose.yaml --output clusters\n  throome import docker-compose.yml --name shop --profile debug",
    ),
    ("kinds", "  throome kinds\n  throome kinds sqlite"),
    (
        "cluster",
        "  throome cluster list\n  throome cluster create --name Shop -f shop.yaml\n  throome cluster get shop -o yaml",
    ),
    ("cluster list", "  throome cluster list\n  throome cluster list -o name"),
    ("cluster get", "  throome cluster get shop\n  throome cluster get shop -o yaml > shop.yaml"),
    (
        "cluster create",
        "  throome cluster create --name Shop\n  throome cluster create -f shop.yaml\n  generate | throome cluster create --name Shop -f -",
    ),
    ("cluster edit", "  throome cluster edit shop\n  EDITOR='code --wait' throome cluster edit shop"),
    ("cluster delete", "  throome cluster delete shop\n  throome cluster delete shop --yes --keep-data"),
    (
        "service",
        "  throome service list\n  throome service get shop/db\n  throome service drain shop/web\n  throome service logs shop/db -f",
    ),
    ("service list", "  throome service list\n  throome service list --cluster shop -o wide"),
    ("service get", "  throome service get shop/db\n  throome service get db --cluster shop -o json"),
    (
        "service drain",
        "  throome service drain shop/web\n  throome service drain shop/web --reason 'a new version'",
    ),
    ("service undrain", "  throome service undrain shop/web"),
    ("service reset-breaker", "  throome service reset-breaker shop/db"),
    (
        "service restart",
        "  throome service restart shop/db\n  throome service restart shop/db --reason 'a new disk' --no-wait",
    ),
    ("service stop", "  throome service stop shop/db"),
    ("service start", "  throome service start shop/db"),
    (
        "service logs",
        "  throome service logs shop/db --tail 20\n  throome service logs shop/db -f\n  throome service logs shop/db --since 10m -t > db.log",
    ),
    (
        "route",
        "  throome route list\n  throome route create --cluster shop --path '/api/*' --service web\n  throome route delete api",
    ),
    ("route list", "  throome route list\n  throome route list --cluster shop -o wide"),
    ("route get", "  throome route get api\n  throome route get api -o yaml"),
    (
        "route create",
        "  throome route create --cluster shop --path '/api/*' --service web --method GET\n  throome route create -f route.yaml",
    ),
    ("route edit", "  throome route edit api"),
    ("route delete", "  throome route delete api\n  throome route delete api --yes"),
    (
        "operation",
        "  throome operation list\n  throome operation watch 00064a1b2c3d4e-5f60\n  throome operation cancel 00064a1b2c3d4e-5f60",
    ),
    (
        "operation list",
        "  throome operation list\n  throome operation list --status running --cluster shop -o wide",
    ),
    (
        "operation get",
        "  throome operation get 00064a1b2c3d4e-5f60\n  throome operation get 00064a1b2c3d4e-5f60 -o json",
    ),
    ("operation watch", "  throome operation watch 00064a1b2c3d4e-5f60"),
    ("operation cancel", "  throome operation cancel 00064a1b2c3d4e-5f60"),
    (
        "backup",
        "  throome backup create shop/db\n  throome backup list shop/db\n  throome backup restore shop/db 00064a1b2c3d4e-5f60",
    ),
    ("backup list", "  throome backup list shop/db\n  throome backup list shop/db -o wide"),
    ("backup get", "  throome backup get shop/db 00064a1b2c3d4e-5f60"),
    (
        "backup create",
        "  throome backup create shop/db --reason 'before the new version'\n  throome backup create shop/db --no-wait -o name",
    ),
    (
        "backup download",
        "  throome backup download shop/db 00064a1b2c3d4e-5f60\n  throome backup download shop/db 00064a1b2c3d4e-5f60 - > db.dump",
    ),
    (
        "backup upload",
        "  throome backup upload shop/db db.dump\n  throome backup upload shop/db db.dump --id monday",
    ),
    (
        "backup restore",
        "  throome backup restore shop/db 00064a1b2c3d4e-5f60\n  throome backup restore trial/db 00064a1b2c3d4e-5f60 --from shop/db --yes",
    ),
    (
        "backup delete",
        "  throome backup delete shop/db 00064a1b2c3d4e-5f60\n  throome backup delete shop/db 00064a1b2c3d4e-5f60 --yes",
    ),
    ("orphan", "  throome orphan list\n  throome orphan delete docker/shop/db"),
    ("orphan list", "  throome orphan list\n  throome orphan list -o wide"),
    (
        "orphan delete",
        "  throome orphan delete docker/shop/db\n  throome orphan delete docker/shop/db --yes --keep-data",
    ),
    (
        "token",
        "  throome token create --service shop/cache --expires 30d\n  throome token list\n  throome token revoke 3",
    ),
    (
        "token create",
        "  throome token create --service shop/cache --expires 30d\n  throome token create --name ci --role operator -o json",
    ),
    ("token list", "  throome token list\n  throome token list --cluster shop -o wide"),
    ("token revoke", "  throome token revoke 3\n  throome token revoke 3 4"),
    (
        "cache",
        "  throome cache set greeting hello --ttl 60s --cluster shop\n  throome cache get greeting --cluster shop\n  throome cache keys 'user:*' --cluster shop",
    ),
    (
        "cache get",
        "  throome cache get greeting --cluster shop\n  throome cache get photo --cluster shop > photo.jpg",
    ),
    (
        "cache set",
        "  throome cache set greeting hello --ttl 60s --cluster shop\n  throome cache set photo - --cluster shop < photo.jpg",
    ),
    ("cache del", "  throome cache del greeting photo --cluster shop"),
    (
        "cache incr",
        "  throome cache incr visits --cluster shop\n  throome cache incr stock --by -3 --cluster shop",
    ),
    ("cache expire", "  throome cache expire greeting 5m --cluster shop"),
    ("cache ttl", "  throome cache ttl greeting --cluster shop"),
    (
        "cache keys",
        "  throome cache keys --cluster shop\n  throome cache keys 'user:*' --limit 20 --cluster shop",
    ),
    (
        "sql",
        "  throome sql --cluster shop\n  throome sql -c 'SELECT * FROM orders WHERE id = $1' --arg 7 --cluster shop\n  throome sql seed.sql --single-transaction --cluster shop\n  throome sql -c 'SELECT * FROM orders' -o csv --cluster shop > orders.csv",
    ),
    (
        "topic",
        "  throome topic create orders --partitions 3 --cluster shop\n  throome topic list --cluster shop\n  throome topic show orders --cluster shop",
    ),
    ("topic list", "  throome topic list --cluster shop\n  throome topic list --cluster shop -o wide"),
    ("topic show", "  throome topic show orders --cluster shop"),
    (
        "topic create",
        "  throome topic create orders --cluster shop\n  throome topic create orders --partitions 3 --retention 7d --cluster shop",
    ),
    (
        "topic delete",
        "  throome topic delete orders --cluster shop\n  throome topic delete orders --yes --cluster shop",
    ),
    (
        "publish",
        "  throome publish orders hello --key 7 --cluster shop\n  throome publish photos --file photo.jpg --header type=image/jpeg --cluster shop\n  tail -f app.log | throome publish logs --lines --cluster shop",
    ),
    (
        "consume",
        "  throome consume orders --group mailer --cluster shop\n  throome consume orders -g try -n 1 --ack none --cluster shop\n  throome consume orders -g mailer --wait 5s -o json --cluster shop | jq .value",
    ),
    (
        "group",
        "  throome group list --cluster shop\n  throome group lag orders mailer --cluster shop\n  throome group reset orders mailer --to earliest --cluster shop",
    ),
    ("group list", "  throome group list --cluster shop\n  throome group list orders --cluster shop"),
    ("group lag", "  throome group lag orders mailer --cluster shop"),
    (
        "group reset",
        "  throome group reset orders mailer --to earliest --cluster shop\n  throome group reset orders mailer --to 500 --cluster shop",
    ),
    (
        "group delete",
        "  throome group delete orders mailer --cluster shop\n  throome group delete orders mailer --yes --cluster shop",
    ),
    ("tap", "  throome tap\n  throome tap --service shop/db\n  throome tap --requests --errors -o json"),
    (
        "activity",
        "  throome activity --since 10m\n  throome activity --errors --cluster shop --service db\n  throome activity --request-id 7f3a -o json",
    ),
    ("events", "  throome events --since 2h\n  throome events --kind breaker.opened --cluster shop"),
    ("status", "  throome status\n  throome status -o wide\n  throome status --check && deploy"),
    ("health", "  throome health\n  throome health --url http://gateway:9000"),
    (
        "explain",
        "  throome explain GET http://shop.local/api/orders\n  throome explain POST /api/orders -H 'x-user: 7'",
    ),
    ("config", "  throome config\n  throome config --config throome.yaml -o json"),
    (
        "completion",
        "  throome completion bash > /etc/bash_completion.d/throome\n  throome completion zsh > ~/.zfunc/_throome\n  throome completion fish > ~/.config/fish/completions/throome.fish",
    ),
    ("version", "  throome version -o json"),
];

/// Puts the examples of each command before its usage.
pub(crate) fn lead(command: Command) -> Command {
    at(command, "").after_help(exit::TABLE)
}

fn at(command: Command, path: &str) -> Command {
    let found = EXAMPLES.iter().find(|(of, _)| *of == path).map(|(_, text)| *text);
    let command = command.mut_subcommands(|subcommand| {
        let name = subcommand.get_name();
        let path = if path.is_empty() { name.to_owned() } else { format!("{path} {name}") };
        at(subcommand, &path)
    });
    match found {
        Some(text) => command.help_template(TEMPLATE).before_help(format!("Examples:\n{text}")),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use crate::args::command;

    #[test]
    fn every_example_can_be_parsed_and_every_command_has_one() {
        fn walk(command: &clap::Command, path: &str, seen: &mut Vec<String>) {
            for subcommand in
                command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
            {
                let path = format!("{path} {}", subcommand.get_name()).trim().to_owned();
                walk(subcommand, &path, seen);
                seen.push(path);
            }
        }
        let mut seen = vec![String::new()];
        walk(&command(), "", &mut seen);
        for path in &seen {
            assert!(super::EXAMPLES.iter().any(|(of, _)| of == path), "`{path}` has no example");
        }
        for (path, text) in super::EXAMPLES {
            assert!(seen.iter().any(|known| known == path), "`{path}` is no command");
            for line in text.lines() {
                let start = line.find("throome ").unwrap();
                let line = line[start..].split("    ").next().unwrap();
                let words = line.split([' ']).take_while(|word| !["|", ">", "<", "&&"].contains(word));
                let words: Vec<String> = join_quoted(words).into_iter().collect();
                if let Err(error) = command().try_get_matches_from(&words) {
                    panic!("{words:?}: {error}");
                }
            }
        }
    }

    /// Words as a shell would have them, single quotes only.
    fn join_quoted<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut joined: Vec<String> = Vec::new();
        let mut open = false;
        for word in words {
            let bare = word.replace('\'', "");
            match joined.last_mut() {
                Some(last) if open => {
                    last.push(' ');
                    last.push_str(&bare);
                }
                _ => joined.push(bare),
            }
            open ^= word.matches('\'').count() % 2 == 1;
        }
        joined
    }
}
