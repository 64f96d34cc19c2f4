//! Values keep their worth on the way in and out.

use serde_json::{Value, json};

use super::{Argument, Subject, arrays, bytes, text};

pub(super) async fn run(subject: &Subject) {
    what_goes_in_comes_out(subject).await;
    numbers_keep_their_digits(subject).await;
    texts_keep_their_characters(subject).await;
    decimals_are_text(subject).await;
    columns_have_names_and_types(subject).await;
    no_value_is_spliced_into_the_text(subject).await;
}

async fn what_goes_in_comes_out(subject: &Subject) {
    let columns =
        format!("id INTEGER, b BOOLEAN, n BIGINT, f DOUBLE PRECISION, t TEXT, d {}", subject.dialect.bytes);
    let table = subject.create("values", &columns).await;
    let insert = format!("INSERT INTO {table} (id, b, n, f, t, d) VALUES ($1, $2, $3, $4, $5, $6)");
    let filled = [
        Argument::Integer(1),
        Argument::Bool(true),
        Argument::Integer(-7),
        Argument::Number("0.25".into()),
        text("a"),
        bytes(&[0, 255, 16]),
    ];
    assert_eq!(subject.execute(&insert, &filled).await, 1);
    let empty: Vec<_> = [Argument::Integer(2)].into_iter().chain(vec![Argument::Null; 5]).collect();
    assert_eq!(subject.execute(&insert, &empty).await, 1);
    let edges = [
        Argument::Integer(3),
        Argument::Bool(false),
        Argument::Integer(0),
        Argument::Number("-0.5".into()),
        text(""),
        bytes(&[]),
    ];
    assert_eq!(subject.execute(&insert, &edges).await, 1);
    let rows = subject.rows(&format!("SELECT id, b, n, f, t, d FROM {table} ORDER BY id"), &[]).await;
    let expected = [
        json!([1, true, -7, 0.25, "a", "AP8Q"]),
        json!([2, null, null, null, null, null]),
        json!([3, false, 0, -0.5, "", ""]),
    ];
    assert_eq!(rows, expected);
    let found = subject.cell(&format!("SELECT id FROM {table} WHERE d = $1"), &[bytes(&[0, 255, 16])]).await;
    assert_eq!(found, json!(1), "bytes are compared as bytes");
    let found = subject.rows(&format!("SELECT id FROM {table} WHERE b = $1"), &[Argument::Bool(false)]).await;
    assert_eq!(found, [json!([3])], "a boolean is compared as one");
    subject.drop(&table).await;
}

async fn numbers_keep_their_digits(subject: &Subject) {
    let table = subject.create("numbers", "id INTEGER, n BIGINT").await;
    let edge = 1_i64 << 53;
    for (id, n) in [edge, -edge, edge + 1, -edge - 1, i64::MAX, i64::MIN].into_iter().enumerate() {
        let args = [Argument::Integer(id as i64), Argument::Integer(n)];
        subject.execute(&format!("INSERT INTO {table} (id, n) VALUES ($1, $2)"), &args).await;
        let told = subject.cell(&format!("SELECT n FROM {table} WHERE id = $1"), &args[..1]).await;
        let expected = if n.abs_diff(0) <= edge.abs_diff(0) { json!(n) } else { json!(n.to_string()) };
        assert_eq!(told, expected, "a number beyond 2^53 is text, since many readers would round it");
    }
    subject.drop(&table).await;
}

async fn texts_keep_their_characters(subject: &Subject) {
    let table = subject.create("texts", "id INTEGER, t TEXT").await;
    let odd =
        ["ä ß 日本 \u{1f980}", "quote ' and \" and \\", "line\nbreak\ttab\u{1}", "$1 ? ; --", "  spaces  "];
    for (id, odd) in odd.into_iter().enumerate() {
        let args = [Argument::Integer(id as i64), text(odd)];
        subject.execute(&format!("INSERT INTO {table} (id, t) VALUES ($1, $2)"), &args).await;
        let told = subject.cell(&format!("SELECT t FROM {table} WHERE t = $1"), &args[1..]).await;
        assert_eq!(told, json!(odd));
    }
    subject.drop(&table).await;
}

async fn decimals_are_text(subject: &Subject) {
    let table = subject.create("decimals", "id INTEGER, n NUMERIC(20, 4)").await;
    // No more digits than every engine keeps exactly.
    for (id, n) in ["12345.6789", "-0.0001", "99999999999.1234"].into_iter().enumerate() {
        let insert = format!("INSERT INTO {table} (id, n) VALUES ($1, CAST($2 AS NUMERIC(20, 4)))");
        let args = [Argument::Integer(id as i64), text(n)];
        subject.execute(&insert, &args).await;
        let told = subject.cell(&format!("SELECT n FROM {table} WHERE id = $1"), &args[..1]).await;
        assert_eq!(told, json!(n), "a decimal is text, since many readers would round it");
    }
    subject.drop(&table).await;
}

async fn columns_have_names_and_types(subject: &Subject) {
    let table = subject.create("columns", "id INTEGER, name TEXT").await;
    let select = format!("SELECT id, name, id AS id, name AS \"odd \"\"name\" FROM {table}");
    let empty = subject.query(&select, &[], &arrays()).await;
    let names: Vec<&str> = empty.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(
        names,
        ["id", "name", "id_2", "odd \"name"],
        "repeated names are told apart, also without rows"
    );
    assert!(empty.rows.is_empty() && !empty.truncated);
    assert!(
        empty.columns.iter().all(|column| !column.kind.is_empty()),
        "each says its type: {:?}",
        empty.columns
    );
    let insert = format!("INSERT INTO {table} (id, name) VALUES ($1, $2)");
    subject.execute(&insert, &[Argument::Integer(1), text("a")]).await;
    let objects = subject.query(&select, &[], &super::QueryOptions::default()).await;
    assert_eq!(objects.rows, [json!({"id": 1, "name": "a", "id_2": 1, "odd \"name": "a"})]);
    subject.drop(&table).await;
}

async fn no_value_is_spliced_into_the_text(subject: &Subject) {
    let table = subject.create("splices", "t TEXT").await;
    let attack = format!("x'); DROP TABLE {table}; --");
    subject.execute(&format!("INSERT INTO {table} (t) VALUES ($1)"), &[text(&attack)]).await;
    let told = subject.cell(&format!("SELECT t FROM {table}"), &[]).await;
    assert_eq!(told, Value::from(attack));
    subject.drop(&table).await;
}
