//! What the server says when something fails: the fields of its error messages.

use std::fmt;

/// An error of the server, with all that it says of it.
#[derive(Debug, Clone, Default)]
pub(in crate::postgres) struct ServerError {
    fields: Vec<(u8, String)>,
}

/// The fields by the names that clients of the engine know them by, but for those that are told by themselves.
const NAMES: &[(u8, &str)] = &[
    (b'M', "message"),
    (b'V', "severity"),
    (b'C', "code"),
    (b'D', "detail"),
    (b'H', "hint"),
    (b'P', "position"),
    (b'p', "internalPosition"),
    (b'q', "internalQuery"),
    (b'W', "where"),
    (b's', "schema"),
    (b't', "table"),
    (b'c', "column"),
    (b'd', "dataType"),
    (b'n', "constraint"),
    (b'F', "file"),
    (b'L', "line"),
    (b'R', "routine"),
];

impl ServerError {
    /// Reads the body of an `ErrorResponse`. What is no text is told as far as it is.
    pub(in crate::postgres) fn read(body: &[u8]) -> Self {
        let fields = body.split(|byte| *byte == 0).filter_map(|field| {
            let (letter, text) = field.split_first()?;
            Some((*letter, String::from_utf8_lossy(text).into_owned()))
        });
        ServerError { fields: fields.collect() }
    }

    fn field(&self, letter: u8) -> Option<&str> {
        self.fields.iter().find(|(own, _)| *own == letter).map(|(_, text)| text.as_str())
    }

    /// Its SQLSTATE; that of an internal error where it says none.
    pub(in crate::postgres) fn code(&self) -> &str {
        self.field(b'C').unwrap_or("XX000")
    }

    /// What happened, in its own words.
    pub(in crate::postgres) fn message(&self) -> &str {
        self.field(b'M').unwrap_or("it does not say why")
    }

    /// Where in the statement it is, in characters from 1 on.
    pub(in crate::postgres) fn position(&self) -> Option<u32> {
        self.field(b'P')?.parse().ok()
    }

    /// The place in the server's own code that it comes from.
    pub(in crate::postgres) fn routine(&self) -> Option<&str> {
        self.field(b'R')
    }

    /// What it advises.
    pub(in crate::postgres) fn hint(&self) -> Option<&str> {
        self.field(b'H')
    }

    /// Whether it ends the connection with it.
    pub(in crate::postgres) fn is_fatal(&self) -> bool {
        let severity = self.field(b'V').or_else(|| self.field(b'S'));
        severity.is_some_and(|severity| severity == "FATAL" || severity == "PANIC")
    }

    /// All of it, by the engine's names.
    pub(in crate::postgres) fn words(&self) -> Vec<(&'static str, String)> {
        // Servers before 9.6 have the severity in the language of the server only.
        let severity = |letter| if letter == b'V' { self.field(b'S') } else { None };
        let word = |(letter, name): &(u8, &'static str)| {
            let text = self.field(*letter).or_else(|| severity(*letter))?;
            Some((*name, text.to_owned()))
        };
        NAMES.iter().filter_map(word).collect()
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message(), self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_names_that_clients_know() {
        let error = ServerError::read(
            b"SFEHLER\0VERROR\0C23505\0Mduplicate key\0DKey (a)=(1)\0tbooks\0nbooks_pkey\0\0",
        );
        assert_eq!((error.code(), error.message(), error.is_fatal()), ("23505", "duplicate key", false));
        let words = error.words();
        let word = |name| words.iter().find(|(own, _)| *own == name).map(|(_, text)| text.as_str());
        assert_eq!(word("severity"), Some("ERROR"));
        assert_eq!(word("detail"), Some("Key (a)=(1)"));
        assert_eq!((word("table"), word("constraint")), (Some("books"), Some("books_pkey")));
        assert_eq!(word("hint"), None);
    }

    #[test]
    fn what_is_cut_or_empty_is_an_error_all_the_same() {
        for body in [&b""[..], b"\0", b"C", b"Mhalf of", b"\xff\xfe\0C57P01\0SFATAL"] {
            let error = ServerError::read(body);
            assert_eq!(error.code().len() % 5, 0, "{error}");
            assert!(!error.message().is_empty());
        }
        assert!(ServerError::read(b"SFATAL\0C57P01\0\0").is_fatal());
    }
}
