//! Patterns of keys: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before what is meant as it stands.

/// Whether a pattern fits all of a text.
pub(super) fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    // Behind the last star, and what stands there if the star takes as little as it may.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', behind @ ..] = pattern {
            star = Some((behind, text));
            pattern = behind;
        } else if let [byte, rest @ ..] = text {
            if let Some(behind) = one(pattern, *byte) {
                (pattern, text) = (behind, rest);
            } else if let Some((behind, [_, rest @ ..])) = star {
                star = Some((behind, rest));
                (pattern, text) = (behind, rest);
            } else {
                return false;
            }
        } else {
            return pattern.is_empty();
        }
    }
}

/// What is left of a pattern when its first part takes this byte.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', behind @ ..] => Some(behind),
        [b'[', b'^', class @ ..] => {
            class_of(class, byte).and_then(|(fits, behind)| (!fits).then_some(behind))
        }
        [b'[', class @ ..] => class_of(class, byte).and_then(|(fits, behind)| fits.then_some(behind)),
        [b'\\', literal, behind @ ..] | [literal, behind @ ..] => (*literal == byte).then_some(behind),
    }
}

/// Whether a class has this byte, and what stands behind it. A class without an end has nothing.
fn class_of(mut class: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let mut fits = false;
    loop {
        class = match class {
            [] => return None,
            [b']', behind @ ..] => return Some((fits, behind)),
            [b'\\', literal, behind @ ..] => {
                fits |= *literal == byte;
                behind
            }
            [first, b'-', last, behind @ ..] if *last != b']' => {
                fits |= (*first..=*last).contains(&byte);
                behind
            }
            [literal, behind @ ..] => {
                fits |= *literal == byte;
                behind
            }
        };
    }
}
