//! What every command of the API needs: a client, a terminal, and how to show what came.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sdk::{Call, Client, Paged};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::Global;
use crate::fault::Fault;
use crate::output::{Format, Tone, clean};
use crate::table::{self, Column, Style};
use crate::terminal::Terminal;

pub(crate) struct Session<'a> {
    pub(crate) terminal: Terminal<'a>,
    pub(crate) global: Global,
    /// What `--debug` has to tell and has not told yet.
    trace: Arc<Mutex<Vec<String>>>,
    client: OnceCell<Client>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(global: Global, terminal: Terminal<'a>) -> Session<'a> {
        Session { terminal, global, trace: Arc::default(), client: OnceCell::new() }
    }

    /// A client of the gateway that flags and environment name, or of the one on this machine.
    pub(crate) fn client(&self) -> Result<Client, Fault> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = self.new_client()?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    fn new_client(&self) -> Result<Client, Fault> {
        let mut client = match self.global.url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => Client::new(url).map_err(Fault::from)?,
            None => Client::local(),
        };
        let named = |file: &Option<PathBuf>| file.clone().filter(|file| !file.as_os_str().is_empty());
        if let Some(ca) = named(&self.global.ca) {
            client = client.with_ca(ca);
        }
        match (named(&self.global.client_cert), named(&self.global.client_key)) {
            (Some(cert), Some(key)) => client = client.with_client_cert(cert, key),
            (None, None) => {}
            _ => {
                return Err(Fault::usage("a certificate to show and its private key belong together")
                    .fix("give --client-cert and --client-key, or neither"));
            }
        }
        if let Some(token) = self.global.token.as_deref().filter(|token| !token.is_empty()) {
            client = client.with_token(token);
        }
        if self.global.debug {
            let trace = Arc::clone(&self.trace);
            client = client.with_observer(move |attempt| {
                let status =
                    attempt.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                let mut line = format!(
                    "debug: {} {} try {}: {status} in {:.1} ms",
                    attempt.method,
                    attempt.path,
                    attempt.number,
                    attempt.duration.as_secs_f64() * 1000.0
                );
                if let Some(id) = attempt.request_id {
                    line.push_str(", request ");
                    line.push_str(id);
                }
                trace.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            });
        }
        Ok(client)
    }

    /// Where the gateway is, as far as is known by now.
    pub(crate) fn url(&self) -> String {
        self.client.get().map_or_else(|| sdk::DEFAULT_URL.to_owned(), Client::url)
    }

    /// The cluster that a command works in.
    pub(crate) fn cluster(&self) -> Result<String, Fault> {
        self.named_cluster().map(str::to_owned).ok_or_else(|| {
            Fault::usage("no cluster is named")
                .fix("name one with --cluster or THROOME_CLUSTER; `throome cluster list` shows them")
        })
    }

    pub(crate) fn named_cluster(&self) -> Option<&str> {
        self.global.cluster.as_deref().filter(|cluster| !cluster.is_empty())
    }

    /// Makes a call; its body as it came.
    pub(crate) async fn send<T>(&mut self, call: Call<T>) -> Result<Value, Fault> {
        Ok(self.try_send(call).await?)
    }

    /// The same, for callers to whom some failures are answers.
    pub(crate) async fn try_send<T>(&mut self, call: Call<T>) -> Result<Value, sdk::Error> {
        let result = call.value().await;
        self.tell_trace();
        result
    }

    /// Every page of a list as one body.
    pub(crate) async fn gather<T: DeserializeOwned>(
        &mut self,
        mut list: Paged<T>,
        plural: &str,
    ) -> Result<Value, Fault> {
        let mut whole = Value::Null;
        loop {
            let page = list.next_page().await;
            self.tell_trace();
            let Some(mut page) = page? else { break };
            if whole.is_null() {
                whole = page;
            } else if let (Some(all), Value::Array(more)) =
                (whole[plural].as_array_mut(), page[plural].take())
            {
                all.extend(more);
                whole["count"] = whole[plural].as_array().map_or(0, Vec::len).into();
                whole["next_cursor"] = Value::Null;
            }
        }
        Ok(whole)
    }

    /// What `--debug` saw so far.
    pub(crate) fn tell_trace(&mut self) {
        let lines = std::mem::take(&mut *self.trace.lock().unwrap_or_else(PoisonError::into_inner));
        for line in lines {
            self.say(&line);
        }
    }

    /// A sentence for people.
    pub(crate) fn say(&mut self, sentence: &str) {
        self.talk(&format!("{}\n", clean(sentence)));
    }

    /// Text for people as it is, unless they want none.
    pub(crate) fn talk(&mut self, text: &str) {
        if !self.global.quiet {
            self.terminal.talk(text);
        }
    }

    /// A list: a table of its items, or the body.
    pub(crate) fn list(
        &mut self,
        body: &Value,
        items: &[Value],
        columns: &[Column],
        name: fn(&Value) -> String,
    ) -> Result<(), Fault> {
        let drawn = match self.global.output {
            Format::Table | Format::Wide if items.is_empty() => String::new(),
            Format::Table | Format::Wide | Format::Csv | Format::Raw => self.table(items, columns),
            Format::Name => items.iter().map(|item| format!("{}\n", clean(&name(item)))).collect(),
            Format::Json | Format::Yaml => return self.body(body),
        };
        self.terminal.data(drawn.as_bytes())
    }

    /// One thing: a page for people, or the body.
    pub(crate) fn show(
        &mut self,
        body: &Value,
        name: &str,
        page: impl FnOnce(&Self) -> String,
    ) -> Result<(), Fault> {
        let drawn = match self.global.output {
            Format::Table | Format::Wide | Format::Csv | Format::Raw => page(self),
            Format::Name => format!("{}\n", clean(name)),
            Format::Json | Format::Yaml => return self.body(body),
        };
        self.terminal.data(drawn.as_bytes())
    }

    /// A change that was made: a sentence for people; data only for whoever asked for a format.
    pub(crate) fn changed(&mut self, sentence: &str, body: &Value, name: &str) -> Result<(), Fault> {
        self.say(sentence);
        self.show(body, name, |_| String::new())
    }

    /// Whether whole bodies are what is asked for.
    pub(crate) fn shows_bodies(&self) -> bool {
        matches!(self.global.output, Format::Json | Format::Yaml)
    }

    /// A table as the flags have it.
    pub(crate) fn table(&self, items: &[Value], columns: &[Column]) -> String {
        let style = Style {
            wide: self.global.output == Format::Wide,
            headers: !self.global.no_headers,
            color: self.color(),
        };
        table::draw(items, columns, style)
    }

    /// Lines of `name:  value`, values in line; a value that is a word for a state is painted.
    pub(crate) fn facts(&self, facts: &[(&str, String)]) -> String {
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
        let line = |(name, value): &(&str, String)| {
            let value = Tone::of(value).paint(&clean(value), self.color());
            format!("{:<width$}  {value}\n", format!("{name}:"))
        };
        facts.iter().map(line).collect()
    }

    pub(crate) fn color(&self) -> bool {
        self.terminal.color_of_data(self.global.color)
    }

    fn body(&mut self, body: &Value) -> Result<(), Fault> {
        let text = match self.global.output {
            Format::Yaml => model::yaml::emit(body),
            Format::Json | Format::Table | Format::Wide | Format::Name | Format::Csv | Format::Raw => {
                format!("{body:#}\n")
            }
        };
        self.terminal.data(text.as_bytes())
    }
}

/// The list in this field of a body.
pub(crate) fn items(body: &Value, plural: &str) -> Vec<Value> {
    body[plural].as_array().cloned().unwrap_or_default()
}
