//! Tables: columns as wide as they need, two spaces between, nothing after the last.

use serde_json::Value;

use crate::output::{Tone, age, clean, text};

/// One column of a list, and how its cell is made of an item.
pub(crate) struct Column {
    head: &'static str,
    cell: Cell,
    wide_only: bool,
}

/// Where a cell comes from: a JSON pointer into the item, or a function of it.
pub(crate) enum Cell {
    At(&'static str),
    /// The word for a state at this pointer, which is painted.
    State(&'static str),
    /// The time at this pointer, as its age.
    Age(&'static str),
    Of(fn(&Value) -> String),
}

/// A column of every table.
pub(crate) const fn column(head: &'static str, cell: Cell) -> Column {
    Column { head, cell, wide_only: false }
}

/// A column of `-o wide`.
pub(crate) const fn wide(head: &'static str, cell: Cell) -> Column {
    Column { head, cell, wide_only: true }
}

/// How much of a table is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) wide: bool,
    pub(crate) headers: bool,
    pub(crate) color: bool,
}

/// A table of these items, each line with its end.
pub(crate) fn draw(items: &[Value], columns: &[Column], style: Style) -> String {
    let columns: Vec<&Column> = columns.iter().filter(|column| style.wide || !column.wide_only).collect();
    let mut rows: Vec<Vec<String>> = Vec::with_capacity(items.len() + 1);
    if style.headers {
        rows.push(columns.iter().map(|column| column.head.to_owned()).collect());
    }
    let cell = |item: &Value, column: &Column| match column.cell {
        Cell::At(pointer) | Cell::State(pointer) => text(item, pointer),
        Cell::Age(pointer) => age(&text(item, pointer)),
        Cell::Of(make) => make(item),
    };
    // One row is one line, whatever the gateway put into a cell.
    let one_line = |text: String| clean(&text).replace('\n', " ");
    rows.extend(items.iter().map(|item| columns.iter().map(|column| one_line(cell(item, column))).collect()));

    let width = |index: usize| rows.iter().map(|row| columns_taken(&row[index])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut drawn = String::new();
    for (number, row) in rows.iter().enumerate() {
        let header = style.headers && number == 0;
        for (index, text) in row.iter().enumerate() {
            let state = !header && matches!(columns[index].cell, Cell::State(_));
            let tone = if state { Tone::of(text) } else { Tone::Plain };
            drawn.push_str(&tone.paint(text, style.color));
            if index + 1 < row.len() {
                drawn.extend(std::iter::repeat_n(' ', widths[index] + 2 - columns_taken(text)));
            }
        }
        drawn.push('\n');
    }
    drawn
}

/// Columns of a terminal: two for the wide characters of East Asian scripts and for pictures, none for marks
/// that stand on the character before.
pub(crate) fn columns_taken(text: &str) -> usize {
    let none = |c: char| matches!(u32::from(c), 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x64b..=0x65f | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f | 0xe0100..=0xe01ef);
    let wide = |c: char| matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0x1f300..=0x1faff | 0x20000..=0x3ffff);
    let taken = |c: char| match c {
        c if none(c) => 0,
        c if wide(c) => 2,
        _ => 1,
    };
    text.chars().map(taken).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[
        column("ID", Cell::At("/id")),
        column("STATE", Cell::State("/state")),
        wide("MORE", Cell::At("/more")),
    ];

    #[test]
    fn columns_line_up() {
        let items =
            [json!({ "id": "商店", "state": "open", "more": 1 }), json!({ "id": "b\nc", "state": "closed" })];
        let style = Style { wide: false, headers: true, color: false };
        assert_eq!(draw(&items, COLUMNS, style), "ID    STATE\n商店  open\nb c   closed\n");
        let style = Style { wide: true, headers: false, color: true };
        assert_eq!(draw(&items, COLUMNS, style), "商店  \u{1b}[31mopen\u{1b}[0m    1\nb c   closed  -\n");
    }
}
