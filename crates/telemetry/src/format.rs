//! The two texts in which series are told: OpenMetrics, and the older one that every reader of Prometheus knows.

use std::fmt::Write;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
}

impl Format {
    /// Its content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// A text of OpenMetrics in this format.
    pub(crate) fn tell(self, text: String) -> String {
        match self {
            Format::OpenMetrics => text,
            Format::Prometheus => older(&text),
        }
    }
}

/// Samples are written alike in both. In the older one a counter is described by the name that its samples have, there are
/// no units, and the end is not told.
fn older(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(said) = line.strip_prefix("# ") else {
            let _ = writeln!(out, "{line}");
            continue;
        };
        let mut words = said.splitn(3, ' ');
        let (word, name, rest) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let of_counter = format!("# TYPE {name} counter");
        let is_counter = line == of_counter || lines.peek().is_some_and(|next| *next == of_counter);
        let suffix = if is_counter { "_total" } else { "" };
        if matches!(word, "HELP" | "TYPE") {
            let _ = writeln!(out, "# {word} {name}{suffix} {rest}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_text_names_counters_as_their_samples_and_has_no_end() {
        let text = "# HELP a Of a.\n# TYPE a counter\na_total{x=\"# y\"} 1\na_total{x=\"z\"} 2\n\
                    # HELP b_seconds Of b.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\n\
                    b_seconds_sum 0.5\nb_seconds_count 1\nb_seconds_bucket{le=\"+Inf\"} 1\n\
                    # HELP c_total Of c.\n# TYPE c_total gauge\nc_total 3\n# EOF\n";
        let expected = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"# y\"} 1\na_total{x=\"z\"} 2\n\
                        # HELP b_seconds Of b.\n# TYPE b_seconds histogram\n\
                        b_seconds_sum 0.5\nb_seconds_count 1\nb_seconds_bucket{le=\"+Inf\"} 1\n\
                        # HELP c_total Of c.\n# TYPE c_total gauge\nc_total 3\n";
        assert_eq!(Format::Prometheus.tell(text.to_owned()), expected);
        assert_eq!(Format::OpenMetrics.tell(text.to_owned()), text);
    }
}
