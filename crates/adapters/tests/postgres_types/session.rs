//! The two who are asked: the adapter, and psql.

use std::sync::Arc;
use std::time::Duration;

use engines::{Server, secrets};
use model::{EndpointSpec, Failure, Role, Secret, ServiceSpec};
use serde_json::value::RawValue;
use throome_adapters::sql::{
    Argument, Chunk, Piece, QueryOptions, Rest, RowShape, Rows, Statement, TransactionOptions,
};
use throome_adapters::{Adapter, Home, driver};
use tokio::time::Instant;

/// Ample, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The adapter, connected as the superuser, who may see every type.
pub(crate) struct Session(Arc<dyn Adapter>);

impl Session {
    pub(crate) fn new(server: &Server) -> Session {
        let endpoint = EndpointSpec {
            host: server.host().to_owned(),
            port: server.port,
            weight: 1,
            role: Role::Primary,
        };
        let home = Home { cluster: "types".into(), service: "db".into(), dir: std::env::temp_dir() };
        let mut service = ServiceSpec::of_kind("postgres");
        let (user, password) = secrets::POSTGRES;
        service.username = Some(user.to_owned());
        service.password = Some(Secret::new(password));
        service.database = Some(secrets::POSTGRES_DATABASE.to_owned());
        let driver = driver("postgres").expect("the kind is in the list");
        Session(driver.connect(&endpoint, &service, &home).expect("the options are right"))
    }

    /// The types and values of one row, as JSON.
    pub(crate) async fn row(
        &self,
        query: &str,
        args: &[Argument],
    ) -> Result<(Vec<String>, Vec<String>), Failure> {
        let statement = Statement { query: query.into(), args: args.into() };
        let options = QueryOptions { shape: RowShape::Arrays, ..QueryOptions::default() };
        let sql = self.0.sql().expect("it runs SQL");
        let rows = sql.query(&statement, &options, Instant::now() + PATIENCE).await?;
        let kinds = rows.columns.iter().map(|column| column.kind.clone()).collect();
        Ok((kinds, values(rows).await?))
    }

    /// The values of one row in a session of this time zone.
    pub(crate) async fn row_in_zone(&self, zone: &str, query: &str) -> Vec<String> {
        let sql = self.0.sql().expect("it runs SQL");
        let until = Instant::now() + PATIENCE;
        let mut transaction = sql.begin(TransactionOptions::default(), until).await.expect("it begins");
        let zone = Statement { query: format!("SET LOCAL TimeZone = '{zone}'").into(), args: [].into() };
        transaction.execute(&zone, until).await.expect("the zone is known");
        let statement = Statement { query: query.into(), args: [].into() };
        let options = QueryOptions { shape: RowShape::Arrays, ..QueryOptions::default() };
        let rows = transaction.query(&statement, &options, until).await.expect("it is a query");
        let values = values(rows).await.expect("the rows are read");
        transaction.rollback().await.expect("it ends");
        values
    }
}

async fn values(rows: Rows) -> Result<Vec<String>, Failure> {
    let mut all = Chunk::default();
    all.append(rows.first);
    if let Rest::Stream(mut pieces) = rows.rest {
        while let Some(piece) = pieces.recv().await {
            if let Piece::Rows(more) = piece? {
                all.append(more);
            }
        }
    }
    let json = String::from_utf8(all.json).expect("JSON is UTF-8");
    let row: Vec<Box<RawValue>> =
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("the row is no JSON: {error}: {json}"));
    Ok(row.iter().map(|value| value.get().to_owned()).collect())
}

/// The server's own text of each value, as psql prints it; in between it is hexadecimal, so that lines stay lines.
pub(crate) fn said_by_psql(server: &Server, expressions: &[String]) -> Vec<Option<String>> {
    let column = |value: &String| format!("encode(convert_to(format('%s', {value}), 'UTF8'), 'hex')");
    let nulls = expressions.iter().map(|value| format!("format('%L', {value}) = 'NULL'"));
    let columns: Vec<String> = expressions.iter().map(column).chain(nulls).collect();
    let line = server.psql(&format!("SET TimeZone = 'UTC'; SELECT {}", columns.join(", ")));
    let cells: Vec<&str> = line.split('|').collect();
    assert_eq!(cells.len(), 2 * expressions.len(), "{line}");
    let (texts, nulls) = cells.split_at(expressions.len());
    let text = |(hex, null): (&&str, &&str)| (*null != "t").then(|| unhex(hex));
    texts.iter().zip(nulls).map(text).collect()
}

fn unhex(hex: &str) -> String {
    let bytes = hex.as_bytes().chunks(2).map(|pair| {
        let digits = str::from_utf8(pair).expect("digits are ASCII");
        u8::from_str_radix(digits, 16).unwrap_or_else(|error| panic!("{digits}: {error}"))
    });
    String::from_utf8(bytes.collect()).expect("the server speaks UTF-8")
}
