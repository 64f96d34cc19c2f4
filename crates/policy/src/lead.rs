//! Who of several servers takes writes: those that say so, but for one that another has replaced, and for those of
//! which nobody can say which is right.

use model::{History, Role, Seen};

/// What a server may be asked, by what all of them say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// It says nothing: what was asked for holds.
    Unsaid,
    /// It takes writes.
    Leads,
    /// It takes reads.
    Follows,
    /// It believes to take writes, and another has been promoted in its place: what it has is old.
    Replaced,
    /// Another believes so too, with as much right: neither may be written to.
    Contested,
}

/// What each server may be asked, in their order.
#[must_use]
pub fn leads(servers: &[Option<&Seen>]) -> Vec<Lead> {
    let lead = |(at, seen): (usize, &Option<&Seen>)| match seen {
        None => Lead::Unsaid,
        Some(Seen { role: Role::Replica, .. }) => Lead::Follows,
        Some(Seen { history: None, .. }) => Lead::Leads,
        Some(Seen { history: Some(own), .. }) => {
            let others = servers.iter().enumerate().filter(|(other, _)| *other != at);
            others.filter_map(|(_, other)| primary(*other)).fold(Lead::Leads, |lead, other| {
                match rank(own, other) {
                    Rank::Older => Lead::Replaced,
                    Rank::Equal if lead == Lead::Leads => Lead::Contested,
                    Rank::Equal | Rank::Newer | Rank::Apart => lead,
                }
            })
        }
    };
    servers.iter().enumerate().map(lead).collect()
}

fn primary(seen: Option<&Seen>) -> Option<&History> {
    seen.filter(|seen| seen.role == Role::Primary)?.history.as_ref()
}

enum Rank {
    Older,
    Newer,
    Equal,
    /// They have nothing to do with each other, and may.
    Apart,
}

fn rank(own: &History, other: &History) -> Rank {
    if own.id == other.id {
        return match own.number.cmp(&other.number) {
            std::cmp::Ordering::Less => Rank::Older,
            std::cmp::Ordering::Equal => Rank::Equal,
            std::cmp::Ordering::Greater => Rank::Newer,
        };
    }
    if other.came_from.as_ref() == Some(&own.id) {
        return Rank::Older;
    }
    if own.came_from.as_ref() == Some(&other.id) {
        return Rank::Newer;
    }
    let same_root = own.came_from.is_some() && own.came_from == other.came_from;
    if own.shared || other.shared || same_root { Rank::Equal } else { Rank::Apart }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary(id: &str, number: u64, came_from: Option<&str>, shared: bool) -> Seen {
        let history = History { id: id.into(), number, came_from: came_from.map(Into::into), shared };
        Seen { role: Role::Primary, history: Some(history), lag: None }
    }

    fn replica() -> Seen {
        Seen { role: Role::Replica, history: None, lag: None }
    }

    fn check(servers: &[Option<Seen>], expected: &[Lead]) {
        let seen: Vec<_> = servers.iter().map(Option::as_ref).collect();
        assert_eq!(leads(&seen), expected, "{servers:?}");
    }

    #[test]
    fn who_says_nothing_is_what_was_asked_for() {
        check(&[None, Some(replica())], &[Lead::Unsaid, Lead::Follows]);
        check(&[None, Some(primary("a", 1, None, true))], &[Lead::Unsaid, Lead::Leads]);
    }

    #[test]
    fn the_later_of_two_primaries_leads() {
        let timeline = |number| Some(primary("cluster", number, None, true));
        check(&[timeline(1), timeline(2)], &[Lead::Replaced, Lead::Leads]);
        check(&[timeline(3), timeline(2), Some(replica())], &[Lead::Leads, Lead::Replaced, Lead::Follows]);
        let (old, new) = (primary("a", 0, None, false), primary("b", 0, Some("a"), false));
        check(&[Some(old.clone()), Some(new.clone())], &[Lead::Replaced, Lead::Leads]);
        check(&[Some(new), Some(old)], &[Lead::Leads, Lead::Replaced]);
    }

    #[test]
    fn nobody_leads_where_nobody_can_say_who() {
        let timeline = |number| Some(primary("cluster", number, None, true));
        check(&[timeline(2), timeline(2), timeline(1)], &[Lead::Contested, Lead::Contested, Lead::Replaced]);
        let other = Some(primary("another", 9, None, true));
        check(&[timeline(2), other], &[Lead::Contested, Lead::Contested]);
        let promoted = |id| Some(primary(id, 0, Some("a"), false));
        check(&[promoted("b"), promoted("c")], &[Lead::Contested, Lead::Contested]);
    }

    #[test]
    fn those_that_may_stand_alone_do() {
        let alone = |id| Some(primary(id, 0, None, false));
        check(&[alone("a"), alone("b")], &[Lead::Leads, Lead::Leads]);
    }
}
