//! What a document may say, as a table: every key once, with its shape, meaning and default.
//!
//! One table checks files and bodies, draws the dashboard's forms (`GET /api/v1/kinds`) and makes the
//! JSON Schema for editors. Drivers bring the tables of their own keys.

/// One key of a mapping.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// One sentence for people.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// The default, as it would be written.
    pub default: Option<&'static str>,
    /// Set for a key of a later stage: what it waits for. Refused unless its value is the default.
    pub later: Option<&'static str>,
    /// Other spellings that are read (camel case of a predecessor, a seed's older name).
    pub aliases: &'static [&'static str],
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Any text (a number is taken as its text).
    Text,
    /// A text that no view shows.
    Secret,
    /// `true` or `false`.
    Bool,
    /// A whole number between these, both included.
    Integer(i64, i64),
    /// A number between these, both included.
    Number(f64, f64),
    /// A length of time: `10s`, `500ms`, or a bare number of seconds.
    Span,
    /// The same, of at least so many milliseconds.
    SpanFrom(u64),
    /// RFC 3339.
    Timestamp,
    /// The name or address of a machine, without a port.
    Host,
    /// The same, or `*.` and a name for all hosts below it.
    RouteHost,
    /// A cluster's id.
    ClusterId,
    /// A service's name: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit.
    Name,
    /// An absolute path of a route: `/exact`, `/with/:name`, `/prefix/*`.
    RoutePath,
    /// One of these words; each may be of a later stage.
    Choice(&'static [Word]),
    /// A list of this.
    List(&'static Shape),
    /// A mapping with free keys to values of this shape.
    MapOf(&'static Shape),
    /// A mapping with these keys.
    Fields(&'static [Field]),
    /// The first of these that fits.
    AnyOf(&'static [Shape]),
    /// A service: the common keys and those of the driver that `type` names.
    Service,
    /// Anything.
    Any,
}

/// One word of a [`Shape::Choice`].
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// The word.
    pub text: &'static str,
    /// Set for a word of a later stage: what it waits for.
    pub later: Option<&'static str>,
}

/// A word that works.
#[must_use]
pub const fn word(text: &'static str) -> Word {
    Word { text, later: None }
}

/// A word that is known and not built yet.
#[must_use]
pub const fn later_word(text: &'static str, waits_for: &'static str) -> Word {
    Word { text, later: Some(waits_for) }
}

/// An optional key.
#[must_use]
pub const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, doc, required: false, default: None, later: None, aliases: &[] }
}

impl Field {
    /// It must be there.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What holds when it is left out, as it would be written.
    #[must_use]
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    /// It is known and not built yet; `waits_for` completes "waits for …".
    #[must_use]
    pub const fn later(mut self, waits_for: &'static str) -> Self {
        self.later = Some(waits_for);
        self
    }

    /// Other spellings that are read.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}
