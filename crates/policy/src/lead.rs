//! Who of several servers takes writes: those that say so, but for one that another has replaced, and for those of
//! which nobody can say which is right.

use model::{History, Role, Seen};

/// A server, as far as it matters who is written to.
#[derive(Debug, Clone, Copy)]
pub struct Server<'s> {
    /// What it said of itself, if it ever did.
    pub seen: Option<&'s Seen>,
    /// What was asked for.
    pub asked: Role,
    /// What came of it before.
    pub before: Lead,
    /// Whether it is there, as far as probes can say.
    pub up: bool,
}

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
    Adrift,
    /// It believes to take writes, and another has been promoted in its place: what it has is old.
    Replaced,
    /// Another believes so too, with as much right: neither may be written to.
    Contested,
}

/// What each server may be asked, in their order.
#[must_use]
pub fn leads(servers: &[Server<'_>]) -> Vec<Lead> {
    let one_was_asked_for = servers.iter().any(|server| server.asked == Role::Replica);
    let lead = |(at, server): (usize, &Server<'_>)| match server.seen {
        None => Lead::Unsaid,
        Some(Seen { role: Role::Replica, lag: Some(Seen::LOST), .. }) => Lead::Adrift,
        Some(Seen { role: Role::Replica, .. }) => Lead::Follows,
        Some(Seen { history: None, .. }) => Lead::Leads,
        Some(Seen { history: Some(own), .. }) => {
            let others = servers.iter().enumerate().filter(|(other, _)| *other != at);
            others.filter_map(|(_, other)| Some((other, primary(other.seen)?))).fold(
                Lead::Leads,
                |lead, (other, history)| match rank(own, history) {
                    Rank::Older => Lead::Replaced,
                    // It was restarted, and its engine forgets by that what it went on from.
                    Rank::Apart if one_was_asked_for && server.before == Lead::Replaced => Lead::Replaced,
                    Rank::Apart if !one_was_asked_for || other.before == Lead::Replaced => lead,
                    // One that was stopped is no rival, until it is back.
                    Rank::Equal | Rank::Apart if other.up && lead == Lead::Leads => Lead::Contested,
                    Rank::Equal | Rank::Apart | Rank::Newer => lead,
                },
            )
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
    /// They have nothing to do with each other, as far as one can see, and may.
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

    /// Servers of which each was asked for as a primary.
    fn check(servers: &[Option<Seen>], expected: &[Lead]) {
        check_asked(Role::Primary, servers, &[Lead::Unsaid; 3], expected);
    }

    /// Servers of which all but the first were asked for as this.
    fn check_asked(others: Role, servers: &[Option<Seen>], before: &[Lead], expected: &[Lead]) {
        let mut all = Vec::new();
        for (at, (seen, before)) in servers.iter().zip(before).enumerate() {
            let asked = if at == 0 { Role::Primary } else { others };
            all.push(Server { seen: seen.as_ref(), asked, before: *before, up: true });
        }
        assert_eq!(leads(&all), expected, "{all:?}");
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
    fn one_that_was_replaced_and_restarted_stays_replaced() {
        // Redis forgets by a restart what its history was called.
        let restarted = || Some(primary("z", 0, None, false));
        let promoted = || Some(primary("b", 0, Some("a"), false));
        let pair = [restarted(), promoted()];
        let replaced = [Lead::Replaced, Lead::Leads];
        check_asked(Role::Replica, &pair, &replaced, &replaced);
        // Until it follows.
        check_asked(Role::Replica, &[Some(replica()), promoted()], &replaced, &[Lead::Follows, Lead::Leads]);
        // Whoever did not see the promotion cannot say which of the two is right.
        let contested = [Lead::Contested, Lead::Contested];
        check_asked(Role::Replica, &pair, &[Lead::Leads, Lead::Follows], &contested);
        check_asked(Role::Replica, &pair, &[Lead::Unsaid, Lead::Unsaid], &contested);
        check_asked(Role::Replica, &pair, &contested, &contested);
    }

    #[test]
    fn one_that_is_stopped_contests_nothing() {
        let timeline = Some(primary("cluster", 2, None, true));
        let server =
            |up| Server { seen: timeline.as_ref(), asked: Role::Primary, before: Lead::Contested, up };
        assert_eq!(leads(&[server(true), server(false)])[0], Lead::Leads);
        assert_eq!(leads(&[server(true), server(true)]), [Lead::Contested, Lead::Contested]);
    }

    #[test]
    fn a_replica_without_its_primary_is_adrift() {
        let lost = Seen { lag: Some(Seen::LOST), ..replica() };
        check(&[None, Some(lost)], &[Lead::Unsaid, Lead::Adrift]);
    }
}
