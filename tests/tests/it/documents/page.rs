//! A document as its reader works through it: each example as an item, and nothing passed over without a reason.

use std::fmt;

/// All that a document has one do, from its top.
pub(super) struct Page {
    pub(super) items: Vec<Place>,
}

/// An example and where it stands.
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) what: Item,
}

/// An example.
pub(super) enum Item {
    /// A line for the shell.
    Line(String),
    /// A request written as HTTP.
    Request { method: String, path: String, body: Option<String> },
    /// What the request before it answers.
    Answer(String),
    /// A whole gateway file.
    GatewayFile(String),
    /// A whole cluster file.
    ClusterFile(String),
    /// A cluster file that shows only what to add to a service.
    PartOfService(String),
    /// An address that is said to answer.
    Url(String),
    /// A series that is said to be there.
    Metric(String),
    /// A command of the command line.
    Verb(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Line(line) => write!(f, "{line}"),
            Item::Request { method, path, .. } => write!(f, "{method} {path}"),
            Item::Answer(_) => write!(f, "its answer"),
            Item::GatewayFile(_) => write!(f, "a gateway file"),
            Item::ClusterFile(_) => write!(f, "a cluster file"),
            Item::PartOfService(_) => write!(f, "a part of a service"),
            Item::Url(url) => write!(f, "{url}"),
            Item::Metric(name) => write!(f, "{name}"),
            Item::Verb(verb) => write!(f, "the command {verb}"),
        }
    }
}

impl Page {
    /// Reads a document.
    ///
    /// # Panics
    /// At a block of which nobody knows what becomes.
    pub(super) fn read(text: &str, left_out: &[(&str, &str)], unread: &[(&str, &str)]) -> Page {
        let mut items = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            let place = |what| Place { line: at + 1, what };
            let Some(language) = line.trim_start().strip_prefix("```") else {
                items.extend(in_prose(line).map(place));
                continue;
            };
            let block: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
            match language {
                "bash" if is_http(&block) => items.push(place(request(&block))),
                "bash" => {
                    let typed = commands(&block).into_iter();
                    let typed =
                        typed.filter(|line| !left_out.iter().any(|(begin, _)| line.starts_with(begin)));
                    items.extend(typed.map(|line| place(Item::Line(line))));
                }
                "json" => items.push(place(Item::Answer(block.join("\n")))),
                "yaml" => items.push(place(file(&(block.join("\n") + "\n")))),
                other => assert!(
                    unread.iter().any(|(language, _)| *language == other),
                    "line {}: nobody knows what becomes of this block of `{other}`",
                    at + 1
                ),
            }
        }
        Page { items }
    }

    /// The gateway file that the document shows, which its readers have when they start with it.
    pub(super) fn gateway_file(&self) -> Option<&str> {
        self.items.iter().find_map(|place| match &place.what {
            Item::GatewayFile(text) => Some(text.as_str()),
            _ => None,
        })
    }
}

/// What a list says that there is: addresses, series, commands.
fn in_prose(line: &str) -> Option<Item> {
    // The base of all calls is no address to ask.
    if let Some((_, url)) =
        line.split_once("**: http://localhost:9000").filter(|(_, path)| *path != "/api/v1")
    {
        return Some(Item::Url(format!("http://localhost:9000{url}")));
    }
    let (name, behind) = line.strip_prefix("- `")?.split_once('`')?;
    if name.starts_with("throome_") {
        return Some(Item::Metric(name.to_owned()));
    }
    // What is planned has no shape yet; document 000 has it.
    if let Some((method, path)) = name.split_once(' ').filter(|_| !behind.contains("(planned)")) {
        let is_method = ["GET", "DELETE"].contains(&method);
        return is_method.then(|| Item::Request {
            method: method.to_owned(),
            path: path.to_owned(),
            body: None,
        });
    }
    let is_verb = name.ends_with("-cluster") || name.ends_with("-clusters") || name == "validate-config";
    is_verb.then(|| Item::Verb(name.to_owned()))
}

fn is_http(block: &[&str]) -> bool {
    ["GET /", "POST /", "PUT /", "DELETE /"].iter().any(|begin| block[0].starts_with(begin))
}

fn request(block: &[&str]) -> Item {
    let (method, path) = block[0].split_once(' ').unwrap();
    let empty = block.iter().position(|line| line.is_empty());
    let body = empty.map(|at| block[at..].join("\n"));
    Item::Request { method: method.to_owned(), path: path.to_owned(), body }
}

/// The lines of a block for the shell: without comments, and one that goes on behind a `\` is one.
fn commands(block: &[&str]) -> Vec<String> {
    let joined = block.join("\n").replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn file(text: &str) -> Item {
    if !text.contains("services:") {
        Item::GatewayFile(text.to_owned())
    } else if text.contains("type:") {
        Item::ClusterFile(text.to_owned())
    } else {
        Item::PartOfService(text.to_owned())
    }
}
