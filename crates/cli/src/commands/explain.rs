//! `explain`: which route, which policies, which endpoint and why, for a request that is not sent.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{plain, text};
use crate::session::{Session, items};
use crate::table::{Cell, Column, column};

#[derive(clap::Args, Debug)]
pub(crate) struct Explain {
    /// GET, POST, …
    method: String,
    /// http://host/path?query, or a path alone for any host
    #[arg(value_name = "URL")]
    target: String,
    /// A header that a route may look at, `name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
}

const CANDIDATES: &[Column] = &[
    column("ENDPOINT", Cell::At("/endpoint")),
    column("CHOSEN", Cell::Of(|candidate| if candidate["chosen"] == true { "yes" } else { "no" }.to_owned())),
    column("REASON", Cell::At("/reason")),
];

pub(crate) async fn run(args: Explain, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let (host, path) = target(&args.target)?;
    let headers = headers(&args.headers)?;
    let call = session.client()?.explain(&args.method.to_ascii_uppercase(), host, path, &headers);
    let body = session.send(call).await?;
    let matched = !body["route"].is_null();
    session.show(&body, &text(&body, "/route/id"), |session| page(session, &body, matched))?;
    Ok(if matched { Exit::Done } else { Exit::NotFound })
}

fn page(session: &Session<'_>, body: &Value, matched: bool) -> String {
    if !matched {
        return session.facts(&[("Route", "none".to_owned()), ("Reason", text(body, "/reason"))]);
    }
    let mut page = session.facts(&[
        ("Route", format!("{} ({})", text(body, "/route/id"), text(body, "/route/path"))),
        ("Service", text(body, "/service")),
        ("Endpoint", text(body, "/endpoint")),
        ("Policies", items(body, "policies").iter().map(plain).collect::<Vec<_>>().join("; ")),
    ]);
    let candidates = items(body, "candidates");
    if !candidates.is_empty() {
        page.push('\n');
        page.push_str(&session.table(&candidates, CANDIDATES));
    }
    page
}

/// Host and path with its query; the host is empty when a path stands alone.
fn target(url: &str) -> Result<(&str, &str), Fault> {
    if url.starts_with('/') {
        return Ok(("", url));
    }
    let Some((_, rest)) = url.split_once("://") else {
        return Err(Fault::usage(format!("`{url}` is neither a URL nor a path"))
            .fix("write http://host/path, or /path for any host"));
    };
    let rest = rest.split('#').next().unwrap_or(rest);
    match rest.find(['/', '?']) {
        Some(end) if rest[end..].starts_with('/') => Ok(rest.split_at(end)),
        Some(end) => Err(Fault::usage("the URL has a query and no path").fix(format!(
            "write {}/{}",
            &url[..url.len() - rest.len() + end],
            &rest[end..]
        ))),
        None => Ok((rest, "/")),
    }
}

fn headers(lines: &[String]) -> Result<BTreeMap<String, String>, Fault> {
    let pair = |line: &String| match line.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(Fault::usage("a header is not `name: value`").fix("write -H 'x-user: 7'")),
    };
    lines.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn targets_are_taken_apart() {
        for (url, parts) in [
            ("/a?b=1", Some(("", "/a?b=1"))),
            ("http://shop.local/a", Some(("shop.local", "/a"))),
            ("https://shop.local:8080", Some(("shop.local:8080", "/"))),
            ("http://shop.local/a?b=c#d", Some(("shop.local", "/a?b=c"))),
            ("shop.local/a", None),
            ("http://shop.local?b=1", None),
        ] {
            assert_eq!(target(url).ok(), parts, "{url}");
        }
    }
}
