//! The cluster's file: a head of comments that says where it comes from and what is not in it, then the document.

use std::fmt::Write;

use serde_json::Value;

use super::words;

/// The text, to be written or printed.
pub(super) fn draw(file: &str, document: &Value, notes: &[String]) -> String {
    let mut text = format!("# Made from {} by `throome import`.\n", words::one_line(file));
    if !notes.is_empty() {
        text.push_str("#\n# What is left out, or otherwise than there:\n");
    }
    for note in notes {
        let _ = writeln!(text, "#   - {note}");
    }
    text.push('\n');
    text.push_str(&model::yaml::emit(&model::expand::escape(document)));
    text
}
