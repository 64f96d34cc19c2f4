//! The path of a route as written: `/exact`, `/with/:name` or `/with/{name}`, `/prefix/*`. Where it is kept is the trie's
//! business.

use model::route::parameter;

/// The deepest path a route may have. Walking and dropping a trie recurses that deep.
const DEEPEST: usize = 128;

/// What is wrong with a path, if anything, as the end of a sentence.
pub(super) fn fault(path: &str) -> Option<String> {
    let Some(rest) = path.strip_prefix('/') else {
        return Some(format!("path `{path}` does not begin with `/`"));
    };
    if rest.split('/').count() > DEEPEST {
        return Some(format!("its path has more than {DEEPEST} segments"));
    }
    let mut names = Vec::new();
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.contains('*')
            && parameter(segment).is_none()
            && (segment != "*" || segments.peek().is_some())
        {
            return Some(format!("`*` in path `{path}` is not the whole last segment"));
        }
        let Some(name) = parameter(segment) else { continue };
        if name.is_empty() || names.contains(&name) {
            return Some(format!("path `{path}` needs another name for each parameter"));
        }
        names.push(name);
    }
    None
}

/// The segments of a path that begins with `/`. `/` has one, which is empty, as has what follows a trailing slash.
pub(super) fn segments(path: &str) -> std::str::Split<'_, char> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// Whether it matches one path only.
pub(super) fn is_exact(path: &str) -> bool {
    !segments(path).any(|segment| segment == "*" || parameter(segment).is_some())
}

/// First segment and what follows its slash, if there is one.
pub(super) fn split(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once('/') {
        Some((segment, next)) => (segment, Some(next)),
        None => (rest, None),
    }
}

/// What `*` of this pattern stands for in a path that it matches.
pub(super) fn tail<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let before = pattern.strip_suffix("/*")?;
    let mut rest = path.strip_prefix('/');
    // As many segments as slashes stand before it, whatever they are.
    for _ in before.bytes().filter(|byte| *byte == b'/') {
        rest = rest.and_then(|rest| split(rest).1);
    }
    Some(rest.unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told() {
        for good in ["/", "/a", "/a/", "/:x", "/a/:x/b", "/*", "/a/:x/*", "/a:b", "/{x}/*"] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in ["", "a", "/a/*/b", "/a*", "/*a", "/:", "/:x/:x", "/:x/{x}", "/{}", &"/a".repeat(129)] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_tail_is_what_follows_the_prefix() {
        for (pattern, path, expected) in [
            ("/a/*", "/a", Some("")),
            ("/a/*", "/a/", Some("")),
            ("/a/*", "/a/b/c/", Some("b/c/")),
            ("/*", "/", Some("")),
            ("/*", "/x", Some("x")),
            ("/{a}/b/*", "/1/b/2", Some("2")),
            ("/a", "/a", None),
        ] {
            assert_eq!(tail(pattern, path), expected, "{pattern} {path}");
        }
    }
}
