//! The shape alone, over an engine that answers what it is told to: what the client says becomes what the engine is
//! asked, and what it gives becomes what the client reads. A real server is asked in `tests/it/neon.rs`.

use std::future::ready;
use std::sync::Mutex;
use std::time::Duration;

use adapters::sql::{
    Argument, BatchResult, Isolation, NativeField, NativeResult, NativeSql, QueryOptions, Rows, Sql,
    Statement, Transaction, TransactionOptions,
};
use adapters::{Adapter, Call};
use clusters::{Access, RequestId};
use http::{HeaderMap, HeaderValue};
use model::{Code, Failure};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::operation::Native;
use super::request::{Asked, Form, NeonBody};
use super::{refusal, reply};
use crate::body::read;
use crate::data::ask::Operation;

/// An engine whose every statement gives the same, and which remembers what it was asked.
struct Fake {
    gives: Vec<NativeResult>,
    native: bool,
    asked: Mutex<Vec<(Statement, TransactionOptions)>>,
}

impl Fake {
    fn new(gives: Vec<NativeResult>) -> Fake {
        Fake { gives, native: true, asked: Mutex::default() }
    }
}

impl Adapter for Fake {
    fn probe(&self, _timeout: Duration) -> Call<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn sql(&self) -> Option<&dyn Sql> {
        Some(self)
    }
}

/// Nobody asks for any of these here.
fn unasked<'a, T: Send + 'a>() -> Call<'a, T> {
    Box::pin(ready(Err(Failure::gateway(Code::Internal, "It was asked by another way."))))
}

impl Sql for Fake {
    fn query<'a>(&'a self, _: &'a Statement, _: &'a QueryOptions, _: Instant) -> Call<'a, Rows> {
        unasked()
    }

    fn execute<'a>(&'a self, _: &'a Statement, _: Instant) -> Call<'a, u64> {
        unasked()
    }

    fn batch<'a>(
        &'a self,
        _: &'a [Statement],
        _: TransactionOptions,
        _: Instant,
    ) -> Call<'a, Vec<BatchResult>> {
        unasked()
    }

    fn begin<'a>(&'a self, _: TransactionOptions, _: Instant) -> Call<'a, Box<dyn Transaction>> {
        unasked()
    }

    fn native(&self) -> Option<&dyn NativeSql> {
        self.native.then_some(self)
    }
}

impl NativeSql for Fake {
    fn run<'a>(
        &'a self,
        statements: &'a [Statement],
        options: TransactionOptions,
        _: Instant,
    ) -> Call<'a, Vec<NativeResult>> {
        let asked = statements.iter().map(|statement| (statement.clone(), options));
        self.asked.lock().unwrap().extend(asked);
        Box::pin(ready(Ok(self.gives.clone())))
    }

    fn tell(&self, type_id: u32, value: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(json!({ type_id.to_string(): value }).to_string().as_bytes());
    }
}

fn field(name: &str, type_id: u32) -> NativeField {
    NativeField { name: name.into(), type_id, table_id: 7, column_id: 1, type_size: 4, type_modifier: -1 }
}

fn selected(fields: Vec<NativeField>, rows: &[&[Option<&str>]]) -> NativeResult {
    let row =
        |row: &&[Option<&str>]| row.iter().map(|cell| cell.map(|cell| cell.to_owned().into())).collect();
    let row_count = Some(rows.len() as u64);
    NativeResult { fields, rows: rows.iter().map(row).collect(), command: "SELECT".into(), row_count }
}

fn headers(said: &[(&'static str, &str)]) -> HeaderMap {
    said.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

fn asked(body: &Value, said: &[(&'static str, &str)]) -> Result<(Asked, Form), Failure> {
    let form = Form::asked(&headers(said))?;
    let text = body.to_string();
    let asked = read::<NeonBody<'_>>(text.as_bytes())?.checked(&form)?;
    Ok((asked, form))
}

/// What the client reads.
async fn answer(fake: &Fake, body: &Value, said: &[(&'static str, &str)]) -> Result<Value, Failure> {
    let (asked, form) = asked(body, said)?;
    let several = asked.several;
    let native = Native { asked, options: form.options, raw: form.raw };
    let results = native.run(fake, Instant::now()).expect("it runs SQL").await?;
    Ok(serde_json::from_slice(reply::written(&results, several).body()).unwrap())
}

#[tokio::test]
async fn a_statement_is_told_as_the_client_reads_it() {
    let fields = vec![field("a", 23), field("b\"", 25), field("a", 16)];
    let fake =
        Fake::new(vec![selected(fields, &[&[Some("1"), None, Some("t")], &[None, Some("ü\n"), None]])]);
    let body = json!({ "query": "SELECT", "params": [] });
    let lists = [("neon-array-mode", "true"), ("neon-raw-text-output", "true")];
    let raw = answer(&fake, &body, &lists).await.unwrap();
    assert_eq!(
        (&raw["command"], &raw["rowCount"], &raw["rowAsArray"]),
        (&json!("SELECT"), &json!(2), &json!(true))
    );
    assert_eq!(raw["rows"], json!([["1", null, "t"], [null, "ü\n", null]]));
    let described = json!({ "name": "b\"", "dataTypeID": 25, "tableID": 7, "columnID": 1, "dataTypeSize": 4,
        "dataTypeModifier": -1, "format": "text" });
    assert_eq!(raw["fields"][1], described);

    let told = answer(&fake, &body, &[]).await.unwrap();
    assert_eq!(told["rowAsArray"], json!(false));
    let rows = json!([{ "b\"": null, "a": { "16": "t" } }, { "b\"": { "25": "ü\n" }, "a": null }]);
    assert_eq!(told["rows"], rows, "the last of two columns with one name is told");

    let nothing =
        NativeResult { fields: vec![], rows: vec![], command: "CREATE TABLE".into(), row_count: None };
    let done = answer(&Fake::new(vec![nothing]), &body, &[]).await.unwrap();
    let expected =
        json!({ "fields": [], "command": "CREATE", "rowCount": null, "rowAsArray": false, "rows": [] });
    assert_eq!(done, expected);
}

#[tokio::test]
async fn several_are_one_transaction() {
    let one = selected(vec![field("a", 23)], &[&[Some("1")]]);
    let fake = Fake::new(vec![one.clone(), one]);
    let body = json!({ "queries": [
        { "query": "SELECT $1", "params": ["x"] },
        { "query": "SELECT 2", "arrayMode": true },
    ] });
    let said = [
        ("neon-batch-isolation-level", "RepeatableRead"),
        ("neon-batch-read-only", "true"),
        ("neon-batch-deferrable", "false"),
        ("neon-raw-text-output", "true"),
    ];
    let told = answer(&fake, &body, &said).await.unwrap();
    assert_eq!(told["results"][0]["rows"], json!([{ "a": "1" }]));
    assert_eq!(told["results"][1]["rows"], json!([["1"]]));
    let options =
        TransactionOptions { isolation: Some(Isolation::RepeatableRead), read_only: true, deferrable: false };
    let asked = fake.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().map(|(_, options)| *options).collect::<Vec<_>>(), [options, options]);
    assert_eq!(&*asked[0].0.args, [Argument::Text("x".into())]);
}

/// A result of little is no answer of a gigabyte by what its columns are called.
#[tokio::test]
async fn names_do_not_fill_the_memory() {
    let name = |n: u32| format!("{}{n:03}", "\u{1}".repeat(60));
    let fields: Vec<_> = (0..100).map(|n| field(&name(n), 23)).collect();
    let rows: Vec<Box<[_]>> = (0..1000).map(|_| vec![None; 100].into()).collect();
    let wide = NativeResult { fields, rows, command: "SELECT".into(), row_count: Some(1000) };
    let fake = Fake::new(vec![wide.clone(), wide]);
    let body = json!({ "queries": [{ "query": "a" }, { "query": "a" }] });
    let failure = answer(&fake, &body, &[]).await.unwrap_err();
    assert!(failure.code() == Code::TooLarge && failure.detail().contains("carried out"), "{failure}");
    let told = answer(&fake, &body, &[("neon-array-mode", "true")]).await.unwrap();
    assert_eq!(told["results"][1]["rows"].as_array().unwrap().len(), 1000);
}

#[tokio::test]
async fn parameters_keep_every_digit() {
    let fake = Fake::new(vec![selected(vec![], &[])]);
    let body = r#"{"query": "SELECT", "params": [null, true, 12345678901234567890.10, "a\u00fc", [1, [2]], {"a": 1.10}]}"#;
    let form = Form::asked(&HeaderMap::new()).unwrap();
    let asked = read::<NeonBody<'_>>(body.as_bytes()).unwrap().checked(&form).unwrap();
    let native = Native { asked, options: form.options, raw: true };
    native.run(&fake, Instant::now()).unwrap().await.unwrap();
    let text = |text: &str| Argument::Text(text.into());
    let json = |text: &str| Argument::Json(text.into());
    let expected = [
        Argument::Null,
        Argument::Bool(true),
        text("12345678901234567890.10"),
        text("aü"),
        json("[1, [2]]"),
        json(r#"{"a": 1.10}"#),
    ];
    assert_eq!(&*fake.asked.lock().unwrap()[0].0.args, expected);
}

#[test]
fn what_is_not_understood_is_refused() {
    for (body, said, expected) in [
        (json!({}), &[][..], "query: must be given"),
        (json!({ "query": "a", "queries": [] }), &[], "query: must be given"),
        (json!({ "queries": [], "params": [] }), &[], "query: must be given"),
        (json!({ "query": "a", "param": [] }), &[], "param"),
        (json!({ "queries": [{ "query": "a", "params": ["\u{fffd}"] }], "query": null, "x": 1 }), &[], "x"),
        (json!({ "queries": vec![json!({ "query": "a" }); 1001] }), &[], "at most 1000"),
        (json!({ "query": "a" }), &[("neon-array-mode", "yes")], "`Neon-Array-Mode` is `true` or `false`"),
        (json!({ "query": "a" }), &[("neon-batch-read-only", "true")], "`Neon-Batch-Read-Only` belongs to"),
        (json!({ "queries": [] }), &[("neon-batch-isolation-level", "serializable")], "`ReadUncommitted`"),
    ] {
        let failure = asked(&body, said).err().unwrap_or_else(|| panic!("{body} is taken"));
        assert_eq!(failure.code(), Code::InvalidRequest);
        assert!(failure.detail().contains(expected), "{body}: {}", failure.detail());
    }
    let form = Form::asked(&HeaderMap::new()).unwrap();
    let body = br#"{"queries": [{"query": "a"}, {"query": "b", "params": [1, "\ud800"]}]}"#;
    let failure = read::<NeonBody<'_>>(body).unwrap().checked(&form).err().unwrap();
    assert!(failure.detail().starts_with("queries[1].params[1]"), "{}", failure.detail());
}

#[test]
fn only_what_looks_is_asked_of_a_standby() {
    let access = |said: &[(&'static str, &str)]| {
        let (asked, form) = asked(&json!({ "queries": [{ "query": "SELECT 1" }] }), said).unwrap();
        let native = Native { asked, options: form.options, raw: true };
        (native.access(), native.rerun())
    };
    assert_eq!(access(&[]), (Access::Write, false));
    assert_eq!(access(&[("neon-batch-read-only", "true")]), (Access::Read, true));
    let serializable = [("neon-batch-read-only", "true"), ("neon-batch-isolation-level", "Serializable")];
    assert_eq!(access(&serializable), (Access::Write, true));
}

#[tokio::test]
async fn an_engine_without_such_clients_says_who_is_to_be_asked() {
    let fake = Fake { native: false, ..Fake::new(vec![]) };
    let failure = answer(&fake, &json!({ "query": "SELECT 1" }), &[]).await.unwrap_err();
    assert_eq!(failure.code(), Code::UnsupportedAbility);
    assert!(failure.hint().unwrap().contains("db/query"));
}

#[tokio::test]
async fn text_that_is_none_is_refused() {
    let mut result = selected(vec![field("a", 18)], &[&[Some("x")]]);
    result.rows = vec![vec![Some(bytes::Bytes::from_static(b"\xc8"))].into()];
    let failure = answer(&Fake::new(vec![result]), &json!({ "query": "SELECT 1" }), &[]).await.unwrap_err();
    assert!(
        failure.detail().starts_with("The column `a` has text that is not UTF-8"),
        "{}",
        failure.detail()
    );
}

#[test]
fn a_refusal_has_the_engines_words_and_the_problems() {
    let failure = || {
        let words =
            [("severity", "ERROR"), ("detail", "Key (id)=(1) already exists."), ("constraint", "t_pkey")];
        Failure::client(Code::ConstraintViolation, "statement 2: duplicate key value")
            .with_native("sqlstate", "23505")
            .with_engine_words(words.map(|(name, word)| (name, word.to_owned())).to_vec())
    };
    let told = |several| {
        let response = refusal::told(failure(), several, RequestId::make()).unwrap();
        assert_eq!(response.status(), 400);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "so that no door tells it anew"
        );
        serde_json::from_slice::<Value>(response.body()).unwrap()
    };
    let document = told(true);
    for (name, expected) in [
        ("message", json!("duplicate key value")),
        ("code", json!("23505")),
        ("severity", json!("ERROR")),
        ("detail", json!("Key (id)=(1) already exists.")),
        ("constraint", json!("t_pkey")),
        ("sqlstate", json!("23505")),
        ("error", json!("statement 2: duplicate key value")),
        ("type", json!("https://throome.dev/errors/constraint_violation")),
        ("hint", Value::Null),
        ("retryable", json!(false)),
    ] {
        assert_eq!(document[name], expected, "{name}");
    }
    assert_eq!(told(false)["message"], json!("statement 2: duplicate key value"));
    let own = failure().with_engine_words(vec![("message", "its own sentence".to_owned())]);
    let response = refusal::told(own, true, RequestId::make()).unwrap();
    let document: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!((&document["message"], &document["hint"]), (&json!("its own sentence"), &Value::Null));
    let away = Failure::service(Code::Timeout, "late").with_native("sqlstate", "57014");
    assert_eq!(refusal::told(away, false, RequestId::make()).unwrap_err().code(), Code::Timeout);
    let own = Failure::client(Code::InvalidRequest, "no");
    assert!(refusal::told(own, false, RequestId::make()).is_err());
}
