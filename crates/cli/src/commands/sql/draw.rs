//! Rows for people: columns in line, numbers to the right, no value told apart from every text, and nothing
//! that could command the terminal.

use sdk::SqlColumn;
use serde_json::{Map, Value};

use crate::output::{Tone, visible};
use crate::table::columns_taken;

/// What stands for no value.
const NULL: &str = "(null)";

/// Rows whose widths are known by the first ones; further ones are drawn as they come.
pub(super) struct Table {
    columns: Vec<Drawn>,
    color: bool,
}

struct Drawn {
    name: String,
    head: String,
    width: usize,
    to_the_right: bool,
}

impl Table {
    /// A table of these columns, as wide as these rows need.
    pub(super) fn new(columns: &[SqlColumn], first: &[Map<String, Value>], color: bool) -> Table {
        let drawn = |column: &SqlColumn| {
            let head = visible(&column.name);
            let values = || first.iter().filter_map(|row| row.get(&column.name));
            let widest = values().map(|value| columns_taken(&cell(value))).max().unwrap_or(0);
            let numbers = values().all(|value| value.is_null() || is_number(value, &column.kind));
            let some = values().any(|value| !value.is_null());
            Drawn {
                name: column.name.clone(),
                width: widest.max(columns_taken(&head)),
                head,
                to_the_right: numbers && some,
            }
        };
        Table { columns: columns.iter().map(drawn).collect(), color }
    }

    /// The names, and a line below them.
    pub(super) fn head(&self) -> String {
        let heads = self.columns.iter().map(|column| (column.head.clone(), Tone::Plain));
        let rules = self.columns.iter().map(|column| "-".repeat(column.width)).collect::<Vec<_>>();
        format!("{}{}\n", self.line(heads), rules.join("  "))
    }

    pub(super) fn row(&self, row: &Map<String, Value>) -> String {
        self.line(self.columns.iter().map(|column| {
            let value = row.get(&column.name).unwrap_or(&Value::Null);
            (cell(value), if value.is_null() { Tone::Faint } else { Tone::Plain })
        }))
    }

    fn line(&self, cells: impl Iterator<Item = (String, Tone)>) -> String {
        let mut line = String::new();
        for (index, (text, tone)) in cells.enumerate() {
            let column = &self.columns[index];
            let blanks = " ".repeat(column.width.saturating_sub(columns_taken(&text)));
            let text = tone.paint(&text, self.color);
            let last = index + 1 == self.columns.len();
            match (column.to_the_right, last) {
                (true, _) => line.extend([blanks.as_str(), &text]),
                (false, true) => line.push_str(&text),
                (false, false) => line.extend([text.as_str(), &blanks]),
            }
            if !last {
                line.push_str("  ");
            }
        }
        line.push('\n');
        line
    }
}

/// One row over several lines: a name and its value on each.
pub(super) fn expanded(number: u64, columns: &[SqlColumn], row: &Map<String, Value>, color: bool) -> String {
    let heads: Vec<String> = columns.iter().map(|column| visible(&column.name)).collect();
    let width = heads.iter().map(|head| columns_taken(head)).max().unwrap_or(0);
    let mut drawn = format!("-- row {number} --\n");
    for (column, head) in columns.iter().zip(&heads) {
        let value = row.get(&column.name).unwrap_or(&Value::Null);
        let tone = if value.is_null() { Tone::Faint } else { Tone::Plain };
        let blanks = " ".repeat(width - columns_taken(head));
        drawn.extend([head.as_str(), &blanks, "  ", &tone.paint(&cell(value), color), "\n"]);
    }
    drawn
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => NULL.to_owned(),
        Value::String(text) => visible(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => visible(&value.to_string()),
    }
}

/// Numbers that JSON cannot hold exactly come as text, which the column's type tells.
fn is_number(value: &Value, kind: &str) -> bool {
    const NUMERIC: [&str; 7] = ["int", "num", "dec", "real", "double", "float", "serial"];
    match value {
        Value::Number(_) => true,
        Value::String(text) => {
            let kind = kind.to_ascii_lowercase();
            NUMERIC.iter().any(|word| kind.contains(word)) && text.parse::<f64>().is_ok()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn columns(named: &[(&str, &str)]) -> Vec<SqlColumn> {
        let list: Vec<Value> =
            named.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        serde_json::from_value(json!(list)).unwrap()
    }

    fn rows(rows: Value) -> Vec<Map<String, Value>> {
        serde_json::from_value(rows).unwrap()
    }

    #[test]
    fn columns_line_up_by_what_they_hold() {
        let columns = columns(&[
            ("id", "integer"),
            ("name", "text"),
            ("price", "numeric"),
            ("code", "text"),
            ("n", ""),
        ]);
        let rows = rows(json!([
            { "id": 1, "name": "商店", "price": "12.50", "code": "07", "n": null },
            { "id": 200, "name": "e\u{301}clair", "price": null, "code": "", "n": null },
            { "id": 3, "name": "a\nb\u{1b}[2J\u{202e}c\t", "price": "7", "code": "(null)", "n": [1, "x"] },
        ]));
        let table = Table::new(&columns, &rows, false);
        let drawn: String = rows.iter().map(|row| table.row(row)).collect();
        assert_eq!(
            format!("{}{drawn}", table.head()),
            " id  name                     price  code    n
---  ----------------------  ------  ------  -------
  1  商店                     12.50  07      (null)
200  e\u{301}clair                  (null)          (null)
  3  a\\nb\\x1b[2J\\u{202e}c\\t       7  (null)  [1,\"x\"]
"
        );
    }

    #[test]
    fn no_value_is_faint_and_later_rows_may_be_wider() {
        let columns = columns(&[("a", "text"), ("b", "text")]);
        let first = rows(json!([{ "a": null, "b": "x" }]));
        let table = Table::new(&columns, &first, true);
        assert_eq!(table.row(&first[0]), "\u{1b}[2m(null)\u{1b}[0m  x\n");
        let later = rows(json!([{ "a": "much wider", "b": "y" }]));
        assert_eq!(table.row(&later[0]), "much wider  y\n");
        assert_eq!(expanded(2, &columns, &first[0], false), "-- row 2 --\na  (null)\nb  x\n");
    }
}
