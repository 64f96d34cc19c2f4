//! Sections and tables as Markdown. It knows nothing of what the figures mean.

use std::fmt::Write;

/// One chapter of the report.
#[derive(Debug, Clone, Default)]
pub struct Section {
    pub title: String,
    /// What was done, with the settings that matter, in whole sentences.
    pub about: String,
    pub tables: Vec<Table>,
}

/// One table with what must be known to read it.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub caption: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// Below the table, one line each: what made it void, what disturbed it.
    pub notes: Vec<String>,
}

impl Table {
    /// A table without rows yet.
    #[must_use]
    pub fn new(caption: &str, head: &[&str]) -> Self {
        Self {
            caption: caption.to_owned(),
            head: head.iter().map(|&name| name.to_owned()).collect(),
            ..Self::default()
        }
    }
}

/// The whole page: a heading, an introduction, the sections in order.
#[must_use]
pub fn page(title: &str, introduction: &str, sections: &[Section]) -> String {
    let mut text = format!("# {title}\n\n{introduction}\n");
    for section in sections {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}", markdown(section));
    }
    text
}

/// A page that was written before, with the sections of a new one in place of its own of the same title. Those that it
/// had not come before its last, which says what ran where.
#[must_use]
pub fn renewed(old: &str, new: &str) -> String {
    let (_, new_sections) = sections_of(new);
    let (introduction, mut sections) = sections_of(old);
    for (title, text) in new_sections {
        match sections.iter_mut().find(|(own, _)| *own == title) {
            Some(section) => section.1 = text,
            None => sections.insert(sections.len().saturating_sub(1), (title, text)),
        }
    }
    let texts = sections.iter().map(|(_, text)| text.trim_end());
    let parts: Vec<&str> = std::iter::once(introduction.trim_end()).chain(texts).collect();
    parts.join("\n\n") + "\n"
}

/// What comes before the first section, and the sections by title.
fn sections_of(page: &str) -> (&str, Vec<(&str, &str)>) {
    const MARK: &str = "\n## ";
    let starts: Vec<usize> = page.match_indices(MARK).map(|(at, _)| at + 1).collect();
    let ends = starts.iter().skip(1).copied().chain([page.len()]);
    let section = |(start, end): (usize, usize)| {
        let text = &page[start..end];
        (text.lines().next().unwrap_or_default(), text)
    };
    let first = starts.first().copied().unwrap_or(page.len());
    (&page[..first], starts.iter().copied().zip(ends).map(section).collect())
}

/// One section, with a heading of the second level.
#[must_use]
pub fn markdown(section: &Section) -> String {
    let mut text = format!("## {}\n\n{}\n", section.title, section.about);
    for table in &section.tables {
        if !table.caption.is_empty() {
            text.push_str(&format!("\n### {}\n", table.caption));
        }
        text.push('\n');
        push_row(&mut text, &table.head);
        // The first column holds names, all others figures.
        let rules = (0..table.head.len()).map(|column| if column == 0 { "---" } else { "---:" }.to_owned());
        push_row(&mut text, &rules.collect::<Vec<_>>());
        for row in &table.rows {
            push_row(&mut text, row);
        }
        if !table.notes.is_empty() {
            text.push('\n');
        }
        for note in &table.notes {
            text.push_str(&format!("- {note}\n"));
        }
    }
    text
}

fn push_row(text: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    text.push_str(&format!("| {} |\n", cells.join(" | ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_take_the_place_of_the_same_parts() {
        let of = |title: &str, about: &str| Section {
            title: title.to_owned(),
            about: about.to_owned(),
            ..Section::default()
        };
        let old = page("B", "First.", &[of("Cache", "old"), of("SQL", "kept"), of("What ran where", "old")]);
        let new =
            page("B", "Not taken.", &[of("Publish", "new"), of("Cache", "new"), of("What ran where", "new")]);
        assert_eq!(
            renewed(&old, &new),
            page(
                "B",
                "First.",
                &[of("Cache", "new"), of("SQL", "kept"), of("Publish", "new"), of("What ran where", "new")]
            )
        );
    }

    #[test]
    fn a_section_is_a_heading_a_text_and_tables_with_notes() {
        let mut table = Table::new("200 B", &["program", "CPU"]);
        table.rows.push(vec!["a|b".to_owned(), "1.0".to_owned()]);
        table.notes.push("a|b: 3 errors".to_owned());
        let section =
            Section { title: "HTTP".to_owned(), about: "One worker.".to_owned(), tables: vec![table] };
        assert_eq!(
            page("Benchmarks", "Ratios.", &[section]),
            "# Benchmarks\n\nRatios.\n\n## HTTP\n\nOne worker.\n\n### 200 B\n\n| program | CPU |\n| --- | ---: |\n\
             | a\\|b | 1.0 |\n\n- a|b: 3 errors\n"
        );
    }
}
