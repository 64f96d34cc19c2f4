//! The word that was meant: the nearest of those that are known.

/// The nearest of `known` to a word that is not among them: by a slip or two of the keyboard, or the only one that
/// begins with it.
#[must_use]
pub fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let fold = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let folded = fold(word);
    let known: Vec<&'w str> = known.into_iter().collect();
    // Two slips in a short word leave too little of it.
    let most = if word.chars().count() > 4 { 2 } else { 1 };
    let slips = |candidate: &str| if fold(candidate) == folded { 0 } else { distance(word, candidate) };
    let near = known.iter().map(|candidate| (slips(candidate), *candidate));
    let near = near.filter(|(slips, candidate)| *slips <= most && *slips < candidate.chars().count());
    near.min_by_key(|(slips, _)| *slips).map(|(_, candidate)| candidate).or_else(|| {
        let mut begun =
            known.iter().filter(|candidate| folded.len() > 2 && fold(candidate).starts_with(&folded));
        begun.next().filter(|_| begun.next().is_none()).copied()
    })
}

/// `a`, `b` and `c`, each between backticks.
pub(crate) fn listed<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips() {
        let known = [
            "host",
            "port",
            "timeout_ms",
            "id",
            "round_robin",
            "endpoints",
            "username",
            "max_age",
            "max_size",
        ];
        for (word, meant) in [
            ("hosst", Some("host")),
            ("prot", Some("port")),
            ("timeoutMs", Some("timeout_ms")),
            ("Round-Robin", Some("round_robin")),
            ("endpoint", Some("endpoints")),
            ("user", Some("username")),
            ("pool", None),
            ("max", None),
            ("us", None),
            ("xy", None),
            ("", None),
            ("database", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, slips) in
            [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("kitten", "sitting", 3), ("é", "e", 1)]
        {
            assert_eq!(distance(a, b), slips, "{a} {b}");
        }
    }
}
