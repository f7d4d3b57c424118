//! Containers that cannot be without another one.

use std::collections::BTreeSet;

use crate::request::{NetworkMode, Sharing};
use crate::{Container, Engine, Error, Record, names};

impl Engine {
    /// The ids of all containers that have something of the container `given`, its network, its processes, its memory or its mounts, or
    /// of one that has: in the order in which they can be removed.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`].
    pub fn dependents(&self, given: &str) -> Result<Vec<String>, Error> {
        let id = names::resolve(&self.config, given)?;
        let all = self.containers()?;
        let of = |record: &Record| {
            let mounts = record.volumes_from.iter().filter_map(|from| named(&from.container, record, &all));
            joined(record).chain(mounts).map(str::to_owned).collect::<Vec<_>>()
        };
        let needs: Vec<_> = all.iter().map(|one| (one.record.id.clone(), of(&one.record))).collect();
        Ok(order(&id, &needs))
    }
}

/// Whose namespaces a container has, by id.
fn joined(record: &Record) -> impl Iterator<Item = &str> {
    let shared = [&record.namespaces.ipc, &record.namespaces.pid].into_iter().filter_map(|sharing| match sharing {
        Sharing::Container(other) => Some(other.as_str()),
        _ => None,
    });
    let network = match &record.network {
        NetworkMode::Container(other) => Some(other.as_str()),
        _ => None,
    };
    shared.chain(network)
}

/// The container that `text` meant when `record` was made: one that got the name later is another one.
fn named<'a>(text: &str, record: &Record, all: &'a [Container]) -> Option<&'a str> {
    let older = || all.iter().map(|one| &one.record).filter(|other| other.created < record.created);
    let found = older().find(|other| other.name == text).or_else(|| older().find(|other| other.id.starts_with(text)));
    found.map(|other| other.id.as_str())
}

/// Who needs `id`, those first whom nobody needs any more.
fn order(id: &str, needs: &[(String, Vec<String>)]) -> Vec<String> {
    let (mut seen, mut ordered) = (BTreeSet::new(), Vec::new());
    let mut stack = vec![(id, false)];
    while let Some((one, looked)) = stack.pop() {
        if looked {
            ordered.push(one.to_owned());
        } else if seen.insert(one) {
            // It comes out after all that need it.
            stack.push((one, true));
            let above = needs.iter().filter(|(_, needed)| needed.iter().any(|other| other == one));
            stack.extend(above.map(|(other, _)| (other.as_str(), false)));
        }
    }
    ordered.pop();
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_needed_comes_later() {
        let needs = [("d", "c a"), ("a", ""), ("b", "a"), ("c", "b"), ("e", ""), ("f", "e")]
            .map(|(id, needed)| (id.to_owned(), needed.split_whitespace().map(str::to_owned).collect()));
        let order = order("a", &needs);
        let at = |id: &str| order.iter().position(|other| other == id);
        assert!(order.len() == 3 && at("c") < at("b") && at("d") < at("c"), "{order:?}");
        assert!(super::order("f", &needs).is_empty());
        // A record that somebody wrote by hand.
        let ring = [("a".to_owned(), vec!["b".to_owned()]), ("b".to_owned(), vec!["a".to_owned()])];
        assert_eq!(super::order("a", &ring), ["b"]);
    }
}
