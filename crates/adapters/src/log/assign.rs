//! Which consumer of a group reads which partition: spread evenly, and moved as little as that allows. Pure.

use std::collections::HashMap;

/// The owner of each partition. `owners` is who has it now, `members` who is there, in the order in which they
/// joined; with more members than partitions those who came last wait with none.
pub(super) fn assign(owners: &[Option<u64>], members: &[u64]) -> Vec<Option<u64>> {
    if members.is_empty() {
        return vec![None; owners.len()];
    }
    let mut quota = quotas(owners, members);
    let mut assigned: Vec<Option<u64>> =
        owners.iter().map(|owner| owner.filter(|own| draw(&mut quota, *own))).collect();
    let mut waiting = members.iter().copied().cycle();
    for slot in assigned.iter_mut().filter(|slot| slot.is_none()) {
        // The quotas add up to the partitions, so that somebody has room for this one.
        *slot = waiting.by_ref().take(members.len()).find(|member| draw(&mut quota, *member));
    }
    assigned
}

/// How many each may have. What does not go into equal parts is given to those who hold the most already.
fn quotas(owners: &[Option<u64>], members: &[u64]) -> HashMap<u64, usize> {
    let held = |member: u64| owners.iter().filter(|owner| **owner == Some(member)).count();
    let mut by_held: Vec<(usize, u64)> = members.iter().map(|member| (held(*member), *member)).collect();
    by_held.sort_by_key(|(held, _)| std::cmp::Reverse(*held));
    let (each, over) = (owners.len() / members.len(), owners.len() % members.len());
    by_held.iter().enumerate().map(|(at, (_, member))| (*member, each + usize::from(at < over))).collect()
}

/// Whether this member has room for one more, which is then used.
fn draw(quota: &mut HashMap<u64, usize>, member: u64) -> bool {
    match quota.get_mut(&member) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(owners: &[u64], members: &[u64], expected: &[u64]) {
        let owners: Vec<_> = owners.iter().map(|owner| (*owner > 0).then_some(*owner)).collect();
        let assigned: Vec<_> = assign(&owners, members).iter().map(|owner| owner.unwrap_or(0)).collect();
        assert_eq!(assigned, expected, "{owners:?} among {members:?}");
    }

    #[test]
    fn partitions_are_spread_and_stay_where_they_are() {
        check(&[0, 0, 0], &[], &[0, 0, 0]);
        check(&[0, 0, 0], &[1], &[1, 1, 1]);
        check(&[1, 1, 1, 1], &[1, 2], &[1, 1, 2, 2]);
        check(&[1, 1, 2, 2], &[1, 2, 3], &[1, 1, 2, 3]);
        check(&[1, 2, 3], &[1, 3], &[1, 1, 3]);
        // More members than partitions: the last waits, and takes over.
        check(&[1, 2], &[1, 2, 3], &[1, 2]);
        check(&[1, 2], &[2, 3], &[3, 2]);
        check(&[7, 7], &[1], &[1, 1]);
    }

    proptest! {
        #[test]
        fn assignments_are_balanced_and_moves_are_few(
            owners in prop::collection::vec(prop::option::of(1u64..6), 0..40),
            members in prop::collection::btree_set(1u64..12, 1..10),
        ) {
            let members: Vec<u64> = members.into_iter().collect();
            let assigned = assign(&owners, &members);
            let counts: Vec<usize> =
                members.iter().map(|member| assigned.iter().filter(|own| **own == Some(*member)).count()).collect();
            prop_assert_eq!(counts.iter().sum::<usize>(), owners.len());
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}", counts);
            // Nobody gives one away and gets another.
            for (at, owner) in owners.iter().enumerate() {
                let Some(before) = owner.filter(|own| members.contains(own)) else { continue };
                if assigned[at] != Some(before) {
                    let gained = assigned.iter().zip(&owners).any(|(new, old)| *new == Some(before) && *old != *new);
                    prop_assert!(!gained, "{} lost {} and gained another", before, at);
                }
            }
            prop_assert_eq!(&assign(&assigned, &members), &assigned);
        }
    }
}
