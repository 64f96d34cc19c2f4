//! What a token says of itself: its name, its role, and the one service that it may be for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of the token that a gateway makes for itself. Its being there is how the gateway knows that it
/// has made one, so no other token may have it.
pub(crate) const ADMIN: &str = "admin";

/// What the holder of a token may do; each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenRole {
    /// Looks.
    Viewer,
    /// Looks, and works the running services.
    Operator,
    /// Everything.
    Admin,
}

impl TokenRole {
    /// All of them, from the least.
    pub const ALL: [TokenRole; 3] = [TokenRole::Viewer, TokenRole::Operator, TokenRole::Admin];

    /// The word for it in the store and for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            TokenRole::Viewer => "viewer",
            TokenRole::Operator => "operator",
            TokenRole::Admin => "admin",
        }
    }

    /// The role of that word.
    #[must_use]
    pub fn of_name(name: &str) -> Option<TokenRole> {
        TokenRole::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The one service that a token is for, written `ID/NAME`: its holder may use the data of that service and
/// nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScope {
    /// The id of its cluster.
    pub cluster: Arc<str>,
    /// Its name there.
    pub service: Arc<str>,
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.service)
    }
}

/// Whether there is such a service is for others to say.
impl FromStr for TokenScope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((cluster, service))
                if !cluster.is_empty() && !service.is_empty() && !service.contains('/') =>
            {
                Ok(TokenScope { cluster: cluster.into(), service: service.into() })
            }
            _ => Err("must be written ID/NAME, the id of a cluster and the name of one of its services"),
        }
    }
}

/// The name of a token, for people: lists, the history and the log show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenName(Arc<str>);

impl TokenName {
    /// In characters.
    const LONGEST: usize = 64;

    pub(crate) fn admin() -> TokenName {
        TokenName(ADMIN.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == ADMIN {
            return Err("is the name of the token that the gateway makes for itself; choose another");
        }
        let length = text.chars().count();
        if !(1..=TokenName::LONGEST).contains(&length) || text.trim() != text {
            return Err("must be 1 to 64 characters long, without blanks around them");
        }
        if text.chars().any(hides) {
            return Err("must have only characters that can be seen");
        }
        if text.starts_with(super::PREFIX) {
            // Whoever sends the token in place of its name would find it in every list.
            return Err("must not begin like a token");
        }
        Ok(TokenName(text.into()))
    }
}

/// Characters that command a terminal, that cannot be seen, or that turn the direction of what follows.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_can_be_seen() {
        let longest = "é".repeat(64);
        for good in ["ci", "Ada's laptop", "administrator", "商店", "x/y", &longest] {
            assert_eq!(good.parse::<TokenName>().unwrap().as_str(), good);
        }
        let too_long = "x".repeat(65);
        for bad in
            ["", " ", " ci", "ci\n", "a\tb", "a\u{1b}[31m", "a\u{202e}b", "admin", "thr_abc", &too_long]
        {
            assert!(bad.parse::<TokenName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_scope_is_a_cluster_and_a_service() {
        let scope: TokenScope = "shop/cache".parse().unwrap();
        assert_eq!(
            (&*scope.cluster, &*scope.service, scope.to_string().as_str()),
            ("shop", "cache", "shop/cache")
        );
        for bad in ["", "shop", "/", "shop/", "/cache", "a/b/c"] {
            assert!(bad.parse::<TokenScope>().is_err(), "{bad}");
        }
    }

    #[test]
    fn roles_have_words() {
        for role in TokenRole::ALL {
            assert_eq!(TokenRole::of_name(role.name()), Some(role));
        }
        assert_eq!(TokenRole::of_name("Admin"), None);
        assert!(TokenRole::Viewer < TokenRole::Operator && TokenRole::Operator < TokenRole::Admin);
    }
}
