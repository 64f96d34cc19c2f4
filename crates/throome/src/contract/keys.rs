//! The tables of keys in the guide, made from the tables that check documents.

use std::fmt::Write;

use adapters::DRIVERS;
use model::cluster_fields::{
    AFFINITY, BREAKER, CLUSTER, ENDPOINT, FALLBACK, HEADERS, HEALTH, HEDGE, MIRROR, OUTLIER, RATE_LIMIT,
    REDIRECT, RESPOND, RETRY, ROUTE, ROUTING, RUN, SERVICE, SPLIT,
};
use model::field::{Field, Shape};

use super::{hold, root};
use crate::settings::FIELDS;

const BEGIN: &str = "<!-- keys: made by `cargo xtask generate` -->\n";
const END: &str = "<!-- end of keys -->";

#[test]
fn the_keys_in_the_guide_are_those_that_are_checked_in() {
    let mut cluster = String::new();
    let parts = [
        ("The file", CLUSTER),
        ("A service of any kind", SERVICE),
        ("`run` of a service that the gateway runs", RUN),
        ("An endpoint", ENDPOINT),
        ("`health` of the cluster; a service may say its own", HEALTH),
        ("`outlier` of a service", OUTLIER),
        ("A route", ROUTE),
        ("One of `split`", SPLIT),
        ("`redirect` of a route", REDIRECT),
        ("`respond` of a route or of its `fallback`", RESPOND),
        ("`retry` of a route", RETRY),
        ("`hedge` of `retry`", HEDGE),
        ("`mirror` of a route", MIRROR),
        ("`request_headers` and `response_headers` of a route", HEADERS),
        ("`affinity` of a route", AFFINITY),
        ("`fallback` of a route", FALLBACK),
        ("`rate_limit` of a route", RATE_LIMIT),
        ("`routing`", ROUTING),
        ("`circuit_breaker` of `routing`", BREAKER),
    ];
    for (title, fields) in parts {
        table(&mut cluster, title, fields);
    }
    for driver in DRIVERS {
        let title = format!("A service of kind `{}`, beside the above", driver.name());
        table(&mut cluster, &title, driver.fields());
        for field in driver.fields() {
            if let Shape::Fields(inner) = field.shape {
                table(&mut cluster, &format!("`{}` of kind `{}`", field.name, driver.name()), inner);
            }
        }
    }
    hold_between("docs/guide/cluster-configuration.md", &cluster);

    let mut gateway = String::new();
    let mut shown = Vec::new();
    for field in FIELDS {
        below(&mut gateway, field.name, field, &mut shown);
    }
    let bare: Vec<Field> =
        FIELDS.iter().filter(|field| !matches!(field.shape, Shape::Fields(_))).copied().collect();
    table(&mut gateway, "At the top", &bare);
    hold_between("docs/guide/gateway-configuration.md", &gateway);
}

/// The tables of a key that holds others, and of those below it. What several keys hold is shown once.
fn below(out: &mut String, path: &str, field: &Field, shown: &mut Vec<(*const Field, String)>) {
    let inner: &[Field] = match field.shape {
        Shape::Fields(inner) | Shape::List(&Shape::Fields(inner)) => inner,
        _ => return,
    };
    let title = format!("`{path}`: {}", uncapitalised(field.doc));
    if let Some((_, first)) = shown.iter().find(|(fields, _)| *fields == inner.as_ptr()) {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "### {title}\n\nThe keys are those of `{first}`.\n");
        return;
    }
    shown.push((inner.as_ptr(), path.to_owned()));
    table(out, &title, inner);
    for deeper in inner {
        below(out, &format!("{path}.{}", deeper.name), deeper, shown);
    }
}

/// Compares or writes what stands between the marks of a page.
fn hold_between(path: &str, said: &str) {
    let page = std::fs::read_to_string(root().join(path)).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap_or_else(|| panic!("{path} has no mark `{BEGIN}`"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{path} has no mark `{END}`"));
    hold(path, &format!("{before}{BEGIN}\n{said}{END}{after}"));
}

/// One table: the keys that work, then one line for each thing that others wait for.
fn table(out: &mut String, title: &str, fields: &[Field]) {
    // Writing into a string cannot fail.
    let _ = writeln!(out, "### {title}\n");
    let works = |field: &&Field| field.later.is_none();
    if fields.iter().any(|field| works(&field)) {
        let _ = writeln!(out, "| key | value | default | |\n|---|---|---|---|");
    }
    for field in fields.iter().filter(works) {
        let default = match field.default {
            Some(text) => format!("`{text}`"),
            None if field.required => "required".to_owned(),
            None => String::new(),
        };
        let aliases: Vec<String> = field.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let also =
            if aliases.is_empty() { String::new() } else { format!(" Also read as {}.", aliases.join(", ")) };
        let doc = field.doc.replace('|', "\\|");
        let _ = writeln!(out, "| `{}` | {} | {default} | {doc}{also} |", field.name, value(field.shape));
    }
    let mut waits: Vec<&str> = fields.iter().filter_map(|field| field.later).collect();
    waits.dedup();
    for wait in waits {
        let keys = fields.iter().filter(|field| field.later == Some(wait));
        let keys: Vec<String> = keys.map(|field| format!("`{}`", field.name)).collect();
        let _ = writeln!(out, "\nRefused until there is {wait}, unless at its default: {}.", keys.join(", "));
    }
    out.push('\n');
}

/// What may stand there, in a word or two.
fn value(shape: Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Secret => "secret text".to_owned(),
        Shape::Bool => "`true`, `false`".to_owned(),
        Shape::Integer(least, i64::MAX) => format!("from {least}"),
        Shape::Integer(least, most) => format!("{least} to {most}"),
        Shape::Number(least, most) => format!("{least} to {most}"),
        Shape::Span => "time".to_owned(),
        Shape::SpanFrom(least) => format!("time from {least} ms"),
        Shape::Timestamp => "RFC 3339".to_owned(),
        Shape::Host => "host".to_owned(),
        Shape::RouteHost => "host or `*.host`".to_owned(),
        Shape::ClusterId => "id".to_owned(),
        Shape::Name => "name".to_owned(),
        Shape::RoutePath => "path".to_owned(),
        Shape::Choice(words) => {
            let works = words.iter().filter(|word| word.later.is_none());
            works.map(|word| format!("`{}`", word.text)).collect::<Vec<_>>().join(", ")
        }
        Shape::List(Shape::Fields(_)) => "list".to_owned(),
        Shape::List(inner) => format!("list of {}", value(*inner)),
        Shape::MapOf(Shape::Text) => "names with texts".to_owned(),
        Shape::MapOf(_) => "mapping by name".to_owned(),
        Shape::Fields(_) => "mapping".to_owned(),
        Shape::AnyOf(shapes) => shapes.iter().map(|shape| value(*shape)).collect::<Vec<_>>().join(", "),
        Shape::Service => "service".to_owned(),
        Shape::Any => "any".to_owned(),
    }
}

fn uncapitalised(doc: &str) -> String {
    let plain = doc.trim_end_matches('.');
    let mut letters = plain.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
