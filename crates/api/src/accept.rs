//! What a client accepts: the header `Accept`, as far as a choice is to be made by it.

use axum::http::{HeaderMap, header};

/// The kinds that a client says it takes. Nothing said is anything.
pub(crate) struct Accept(Vec<Range>);

/// `text/plain; version=0.0.4; q=0.5`
struct Range {
    /// In lower case: `text/plain`, `text/*`, `*/*`.
    kind: String,
    version: Option<String>,
    quality: f32,
}

impl Accept {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges =
            values.flat_map(|value| value.split(',')).map(str::trim).filter(|range| !range.is_empty());
        Accept(ranges.map(Range::read).collect())
    }

    /// How much this kind in this version is wished for, from 0 to 1, where it is named; the most of what is said of it.
    pub(crate) fn named(&self, kind: &str, version: &str) -> Option<f32> {
        self.most(|range| range.kind == kind && range.version.as_deref().is_none_or(|own| own == version))
    }

    /// The same, also where only all kinds like it, or all kinds, are named.
    pub(crate) fn quality(&self, kind: &str, version: &str) -> Option<f32> {
        let family = kind.split_once('/').map(|(family, _)| format!("{family}/*"));
        self.named(kind, version)
            .or_else(|| self.most(|range| Some(&range.kind) == family.as_ref()))
            .or_else(|| self.most(|range| range.kind == "*/*"))
    }

    fn most(&self, is_meant: impl Fn(&Range) -> bool) -> Option<f32> {
        self.0.iter().filter(|range| is_meant(range)).map(|range| range.quality).reduce(f32::max)
    }
}

impl Range {
    fn read(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut range = Range { kind, version: None, quality: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => range.version = Some(value.to_owned()),
                "q" => {
                    range.quality =
                        value.parse().ok().filter(|q: &f32| q.is_finite()).map_or(1.0, |q| q.clamp(0.0, 1.0))
                }
                _ => {}
            }
        }
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_special_range_says_how_much_a_kind_is_wished_for() {
        let accept = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, text.parse().unwrap());
            Accept::of(&headers)
        };
        for (text, named, quality) in [
            ("", None, None),
            ("*/*", None, Some(1.0)),
            ("*/*;q=0.1, text/*; q=0.2", None, Some(0.2)),
            ("text/*, text/plain;q=0", Some(0.0), Some(0.0)),
            ("TEXT/plain ; Version=\"1\" ; q=0.3, text/plain;version=2", Some(0.3), Some(0.3)),
            ("text/plain;q=0.3, text/plain;version=1;q=0.4", Some(0.4), Some(0.4)),
            ("text/plain;q=nan, text/html", Some(1.0), Some(1.0)),
        ] {
            let accept = accept(text);
            let found = (accept.named("text/plain", "1"), accept.quality("text/plain", "1"));
            assert_eq!(found, (named, quality), "{text}");
        }
    }
}
