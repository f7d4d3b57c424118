//! From one set of rules to another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::{Back, Endpoint, Front, RuleSet};

/// What must be done to the maps. Elements that become others are in both lists: removed first, then added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) gone: Vec<Front>,
    pub(super) new: Vec<(Front, Back)>,
    pub(super) gone_places: Vec<(Front, u32)>,
    pub(super) new_places: Vec<(Front, u32, Endpoint)>,
    pub(super) gone_addresses: Vec<Ipv4Addr>,
    pub(super) new_addresses: Vec<Ipv4Addr>,
    /// Fronts that lead somewhere else, or lead no more to where they led.
    pub(super) lost: BTreeSet<Front>,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.elements() == 0
    }

    pub(super) fn elements(&self) -> usize {
        let fronts = self.gone.len() + self.new.len();
        fronts + self.gone_places.len() + self.new_places.len() + self.gone_addresses.len() + self.new_addresses.len()
    }
}

impl RuleSet {
    /// The same, with endpoints in the places that they had: the order of endpoints means nothing, and what has not moved need not be written.
    #[must_use]
    pub fn settled(mut self, before: &RuleSet) -> RuleSet {
        for (front, back) in &mut self.fronts {
            if let (Back::To(wanted, _), Some(Back::To(had, _))) = (back, before.fronts.get(front)) {
                *wanted = settled(wanted, had);
            }
        }
        self
    }
}

fn settled(wanted: &[Endpoint], had: &[Endpoint]) -> Vec<Endpoint> {
    let keeps: BTreeMap<Endpoint, usize> = had.iter().take(wanted.len()).enumerate().map(|(at, one)| (*one, at)).collect();
    let mut places = vec![None; wanted.len()];
    let mut others = Vec::new();
    for one in wanted {
        match keeps.get(one) {
            Some(at) => places[*at] = Some(*one),
            None => others.push(*one),
        }
    }
    let mut others = others.into_iter();
    places.into_iter().filter_map(|place| place.or_else(|| others.next())).collect()
}

/// What leads from `old` to `new`.
pub(super) fn between(old: &RuleSet, new: &RuleSet) -> Change {
    let mut change = Change::default();
    let none = Back::Refuse;
    for (front, was) in &old.fronts {
        let is = new.fronts.get(front);
        if is.is_none() {
            change.gone.push(*front);
        }
        places(&mut change, *front, was, is.unwrap_or(&none));
    }
    for (front, is) in &new.fronts {
        match old.fronts.get(front) {
            None => {
                change.new.push((*front, is.clone()));
                places(&mut change, *front, &none, is);
                // Packets may have found their own way before.
                change.lost.insert(*front);
            }
            Some(was) if !same_way(was, is) => {
                change.gone.push(*front);
                change.new.push((*front, is.clone()));
            }
            Some(_) => {}
        }
    }
    change.gone_addresses = old.addresses.difference(&new.addresses).copied().collect();
    change.new_addresses = new.addresses.difference(&old.addresses).copied().collect();
    change
}

/// The front's own element stays as it is.
fn same_way(was: &Back, is: &Back) -> bool {
    match (was, is) {
        (Back::To(was, had), Back::To(is, has)) => was.len() == is.len() && had == has,
        _ => was == is,
    }
}

fn places(change: &mut Change, front: Front, was: &Back, is: &Back) {
    let (was, is) = (was.endpoints(), is.endpoints());
    for at in 0..was.len().max(is.len()) {
        let (old, new) = (was.get(at), is.get(at));
        if old == new {
            continue;
        }
        let place = u32::try_from(at).unwrap_or(u32::MAX);
        if old.is_some() {
            change.gone_places.push((front, place));
        }
        change.new_places.extend(new.map(|to| (front, place, *to)));
    }
    if was.iter().any(|one| !is.contains(one)) || was.is_empty() && !is.is_empty() {
        change.lost.insert(front);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Protocol;

    const FRONT: Front = Front::Cluster(Ipv4Addr::new(10, 96, 0, 7), Protocol::Tcp, 80);

    fn to(last: &[u8]) -> Back {
        Back::To(last.iter().map(|last| (Ipv4Addr::new(10, 1, 0, *last), 8080)).collect(), None)
    }

    fn set(back: Back) -> RuleSet {
        RuleSet { fronts: [(FRONT, back)].into(), addresses: [Ipv4Addr::new(10, 96, 0, 7)].into() }
    }

    #[test]
    fn endpoints_keep_their_places() {
        let places = |wanted: &[u8], had: &[u8]| set(to(wanted)).settled(&set(to(had)));
        assert_eq!(places(&[1, 2, 3], &[3, 2, 1]), set(to(&[3, 2, 1])));
        assert_eq!(places(&[1, 3, 4], &[1, 2, 3, 4]), set(to(&[1, 4, 3])), "the last one fills the gap");
        assert_eq!(places(&[1, 2, 9], &[2, 1]), set(to(&[2, 1, 9])));
        assert_eq!(places(&[5], &[1, 2, 3]), set(to(&[5])));
    }

    #[test]
    fn one_endpoint_is_a_few_elements() {
        let many: Vec<u8> = (1..=100).collect();
        let had = set(to(&many));
        let less: Vec<u8> = many.iter().copied().filter(|last| *last != 50).collect();
        let change = between(&had, &set(to(&less)).settled(&had));
        // the front leads to another number of endpoints; the last place goes, and its endpoint gets the free one
        assert_eq!((change.gone.as_slice(), change.new.len()), ([FRONT].as_slice(), 1));
        assert_eq!(change.gone_places, [(FRONT, 49), (FRONT, 99)]);
        assert_eq!(change.new_places, [(FRONT, 49, (Ipv4Addr::new(10, 1, 0, 100), 8080))]);
        let other: Vec<u8> = many.iter().map(|last| if *last == 50 { 200 } else { *last }).collect();
        let change = between(&had, &set(to(&other)).settled(&had));
        assert_eq!((change.elements(), change.gone.len(), change.lost.contains(&FRONT)), (2, 0, true));
    }

    #[test]
    fn fronts_come_and_go() {
        let (none, some) = (RuleSet::default(), set(to(&[1])));
        assert!(between(&some, &some).is_empty());
        let made = between(&none, &some);
        assert_eq!((made.new.len(), made.new_places.len(), made.new_addresses.len(), made.elements()), (1, 1, 1, 3));
        let gone = between(&some, &none);
        assert_eq!((gone.gone.len(), gone.gone_places.len(), gone.gone_addresses.len(), gone.elements()), (1, 1, 1, 3));
        let refused = between(&some, &set(Back::Refuse));
        assert_eq!((refused.gone.len(), refused.new.len(), refused.gone_places.len()), (1, 1, 1));
        assert!(refused.lost.contains(&FRONT));
        let stays = set(Back::To(vec![(Ipv4Addr::new(10, 1, 0, 1), 8080)], Some(60)));
        assert_eq!(between(&some, &stays).elements(), 2, "only the way changes");
    }
}
