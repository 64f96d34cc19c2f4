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
    /// It takes reads, and has lost its primary: what it has grows old.
    CutOff,
    /// It believes to take writes, and another has been promoted in its place: what it has is old.
    Replaced,
    /// Another believes so too, with as much right: neither may be written to.
    Contested,
}

impl Lead {
    /// Whether something is wrong with the server's part among the others, though it may answer.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        match self {
            Lead::Unsaid | Lead::Leads | Lead::Follows => false,
            Lead::CutOff | Lead::Replaced | Lead::Contested => true,
        }
    }
}

/// One of a service's servers.
#[derive(Debug, Clone, Copy)]
pub struct Server<'s> {
    /// What it was asked for as.
    pub asked: Role,
    /// What it said of itself, if it said anything.
    pub seen: Option<&'s Seen>,
    /// Whether it is there, as far as probes can say.
    pub up: bool,
}

/// What each server may be asked, in their order.
#[must_use]
pub fn leads(servers: &[Server<'_>]) -> Vec<Lead> {
    // Who asks for a replica asks for servers that have the same data: none of them stands alone.
    let together = servers.iter().any(|server| server.asked == Role::Replica);
    let lead = |(at, server): (usize, &Server<'_>)| match server.seen {
        None => Lead::Unsaid,
        Some(Seen { role: Role::Replica, cut_off, .. }) => {
            if *cut_off {
                Lead::CutOff
            } else {
                Lead::Follows
            }
        }
        Some(Seen { history: None, .. }) => Lead::Leads,
        Some(Seen { history: Some(own), .. }) => {
            let others = servers.iter().enumerate().filter(|(other, _)| *other != at);
            let rivals = others.filter_map(|(_, other)| Some((primary(other.seen)?, other.up)));
            rivals.fold(Lead::Leads, |lead, (other, up)| match rank(own, other, together) {
                Rank::Older => Lead::Replaced,
                // One that was stopped contests nothing, until it is back.
                Rank::Equal if up && lead == Lead::Leads => Lead::Contested,
                Rank::Equal | Rank::Newer | Rank::Apart => lead,
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

fn rank(own: &History, other: &History, together: bool) -> Rank {
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
    match (&own.came_from, &other.came_from) {
        // Promoted from the same history, both.
        (Some(own), Some(other)) if own == other => Rank::Equal,
        _ if own.shared || other.shared => Rank::Equal,
        _ if !together => Rank::Apart,
        // A primary that was started again begins a history of its own, and has forgotten that there was another. Who
        // remembers having been promoted came after it.
        (None, Some(_)) => Rank::Older,
        (Some(_), None) => Rank::Newer,
        _ => Rank::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary(id: &str, number: u64, came_from: Option<&str>, shared: bool) -> Seen {
        let history = History { id: id.into(), number, came_from: came_from.map(Into::into), shared };
        Seen { role: Role::Primary, history: Some(history), lag: None, cut_off: false }
    }

    fn replica() -> Seen {
        Seen { role: Role::Replica, history: None, lag: None, cut_off: false }
    }

    fn check(servers: &[Option<Seen>], expected: &[Lead]) {
        check_as(&[Role::Primary; 8], servers, expected);
    }

    fn check_as(asked: &[Role], servers: &[Option<Seen>], expected: &[Lead]) {
        let servers: Vec<_> = servers
            .iter()
            .zip(asked)
            .map(|(seen, asked)| Server { asked: *asked, seen: seen.as_ref(), up: true })
            .collect();
        assert_eq!(leads(&servers), expected, "{servers:?}");
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

    #[test]
    fn a_primary_that_was_started_again_gives_way_to_the_replica_that_was_promoted() {
        let asked = [Role::Primary, Role::Replica];
        let again = || Some(primary("c", 0, None, false));
        let promoted = Some(primary("b", 0, Some("a"), false));
        check_as(&asked, &[again(), promoted], &[Lead::Replaced, Lead::Leads]);
        // Both were started again: nobody remembers anything.
        check_as(&asked, &[again(), Some(primary("d", 0, None, false))], &[Lead::Contested, Lead::Contested]);
    }

    #[test]
    fn a_replica_without_its_primary_says_so() {
        let alone = Seen { cut_off: true, ..replica() };
        check(&[None, Some(alone)], &[Lead::Unsaid, Lead::CutOff]);
    }

    #[test]
    fn one_that_is_stopped_contests_nothing() {
        let timeline = primary("cluster", 2, None, true);
        let server = |up| Server { asked: Role::Primary, seen: Some(&timeline), up };
        assert_eq!(leads(&[server(true), server(false)])[0], Lead::Leads);
        assert_eq!(leads(&[server(true), server(true)]), [Lead::Contested, Lead::Contested]);
    }
}
