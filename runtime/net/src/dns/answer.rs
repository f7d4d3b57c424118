//! What becomes of a message from a container, or from a pod.

use super::message::{self, ANY, CNAME, Code, IN, PTR, Query, Record, Refusal};
use super::{Config, KEEP, Names, Said, zone};

/// What to do about a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Say this.
    Answer(Vec<u8>),
    /// Ask somebody else.
    Forward(Query),
    /// Ask somebody else for the name that this one stands for.
    Alias(Alias),
    /// Nothing.
    Ignore,
}

/// A name that stands for another one, which others know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alias {
    /// What the client sent.
    asked: (Vec<u8>, Query),
    target: Vec<u8>,
    /// What to ask others.
    pub(super) message: Vec<u8>,
    pub(super) query: Query,
}

impl Alias {
    /// What to tell the client when `reply` is what others say.
    pub(super) fn answer(&self, reply: &[u8], limit: usize) -> Vec<u8> {
        let (code, found) = message::of_alias(reply, &self.query);
        let alias = Record::new(CNAME, self.target.clone()).kept(KEEP);
        let records: Vec<Record> = [alias].into_iter().chain(found.into_iter().map(|record| record.about(&self.target))).collect();
        message::answer(&self.asked.0, &self.asked.1, code, &records, limit)
    }
}

/// Decides. `limit` is that of the transport: none for TCP. `turn` says whose address comes first where several have a name.
pub(super) fn outcome(config: &Config, names: Option<&dyn Names>, message: &[u8], stream: bool, turn: usize) -> Outcome {
    let query = match message::query(message) {
        Ok(query) => query,
        Err(Refusal::Silent) => return Outcome::Ignore,
        Err(Refusal::Say(code)) => return Outcome::Answer(message::refuse(message, code)),
    };
    let limit = if stream { usize::from(u16::MAX) } else { query.limit() };
    let say = |code, records: &[Record]| Outcome::Answer(message::answer(message, &query, code, records, limit));
    let known = names.filter(|_| query.class == IN || query.class == ANY);
    if let Some(outcome) = known.and_then(|names| of_names(config, names, message, &query, limit, turn)) {
        return outcome;
    }
    match records(config, &query, turn) {
        Some(records) => say(Code::Fine, &records),
        None if config.forward => Outcome::Forward(query),
        // Nobody knows more than we do: an internal network is the whole world.
        None => say(Code::NoName, &[]),
    }
}

/// What others than networks know; `None` when they do not know the name.
fn of_names(config: &Config, names: &dyn Names, message: &[u8], query: &Query, limit: usize, turn: usize) -> Option<Outcome> {
    /// Names that stand for names that stand for names.
    const DEPTH: usize = 8;
    let say = |code, records: &[Record]| {
        let none = records.iter().all(|record| record.kind == CNAME && query.kind != CNAME);
        let authority = none.then(|| Record::authority(names.zone(), KEEP)).flatten();
        Some(Outcome::Answer(message::full_answer(message, query, code, (records, authority.as_slice()), limit)))
    };
    let (mut name, mut aliases) = (query.name.clone(), Vec::<Record>::new());
    for _ in 0..DEPTH {
        let owner = aliases.last().map(|alias| alias.data.clone());
        match names.say(&name, query.kind) {
            Some(Said::Records(mut records)) => {
                if !records.is_empty() {
                    let turn = turn % records.len();
                    records.rotate_left(turn);
                }
                let records = records.into_iter().map(|record| Record { owner: owner.clone(), ..record.kept(KEEP) });
                aliases.extend(records);
                return say(Code::Fine, &aliases);
            }
            Some(Said::NoName) => return say(Code::NoName, &aliases),
            Some(Said::Alias(target)) => {
                let alias = Record::name(CNAME, &target)?.kept(KEEP);
                aliases.push(Record { owner, ..alias });
                name = target.to_ascii_lowercase();
            }
            None if aliases.is_empty() => return None,
            None if query.kind == CNAME || !config.forward => return say(Code::Fine, &aliases),
            None => {
                let (sent, read) = message::instead(message, query, &name)?;
                let target = aliases.pop()?.data;
                return Some(Outcome::Alias(Alias {
                    asked: (message.to_vec(), query.clone()),
                    target,
                    message: sent,
                    query: read,
                }));
            }
        }
        if query.kind == CNAME {
            return say(Code::Fine, &aliases);
        }
    }
    say(Code::Failed, &[])
}

/// What the container's networks say; `None` when they do not know the name.
fn records(config: &Config, query: &Query, turn: usize) -> Option<Vec<Record>> {
    if query.class != IN && query.class != ANY {
        return None;
    }
    if query.kind == PTR || query.kind == ANY {
        let name = zone::reversed(&query.name).and_then(|address| zone::name(&config.zones, address));
        if let Some(data) = name.and_then(|name| message::encoded(&name)) {
            return Some(vec![Record::new(PTR, data)]);
        }
    }
    let mut addresses = zone::addresses(&config.zones, &query.name);
    if addresses.is_empty() {
        return None;
    }
    addresses.sort();
    let turn = turn % addresses.len();
    addresses.rotate_left(turn);
    // A name that has no address of that kind is there all the same: another server must not be asked for it.
    Some(addresses.into_iter().map(Record::address).filter(|record| query.kind == ANY || query.kind == record.kind).collect())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::message::{A, AAAA};
    use super::*;
    use crate::dns::Zone;
    use crate::dns::message::tests::ask;
    use crate::lease::{Holder, take};
    use crate::names;
    use crate::network::Network;

    fn network(folder: &std::path::Path, name: &str, subnet: &str) -> (Network, Zone) {
        let network = Network::new("b", subnet.parse().unwrap(), &folder.join(name));
        let zone = Zone { name: name.to_owned(), state: network.state.clone() };
        (network, zone)
    }

    /// The answer's code, and the last byte of each of its records.
    fn told(config: &Config, name: &str, kind: u16, turn: usize) -> (u8, Vec<u8>) {
        match outcome(config, None, &ask(name, kind, None), true, turn) {
            Outcome::Answer(bytes) => {
                let question = message::HEADER + name.len() + 2 + 4;
                let count = usize::from(bytes[7]);
                let size = (bytes.len() - question) / count.max(1);
                (bytes[3] & 15, bytes[question..].chunks(size.max(1)).map(|record| *record.last().unwrap()).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_of_all_networks_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let (front, front_zone) = network(folder.path(), "front", "10.1.0.0/24");
        let (back, back_zone) = network(folder.path(), "Back", "10.2.0.0/24");
        let _kept: Vec<_> = [(&front, "a", "web", 2), (&front, "b", "web", 3), (&back, "c", "db", 9)]
            .into_iter()
            .map(|(network, id, name, last)| {
                let ip = format!(
                    "{}.{last}",
                    if network.bridge == "b" && network.state.ends_with("front") { "10.1.0" } else { "10.2.0" }
                );
                let address: IpAddr = ip.parse().unwrap();
                let IpAddr::V4(v4) = address else { unreachable!() };
                (
                    take(network, Holder { id, name: Some(name) }, Some(v4)).unwrap(),
                    names::claim(network, id, name, &[address]).unwrap(),
                )
            })
            .collect();
        let mut config = Config { zones: vec![front_zone, back_zone], ..Config::default() };
        assert_eq!(told(&config, "web", A, 0), (0, vec![2, 3]));
        assert_eq!(told(&config, "WEB", A, 1), (0, vec![3, 2]), "each in turn");
        assert_eq!(told(&config, "db.back", A, 0), (0, vec![9]));
        assert_eq!(told(&config, "db", AAAA, 0), (0, vec![]), "there, but without such an address");
        assert_eq!(told(&config, "db", 16, 0), (0, vec![]));
        assert_eq!(told(&config, "9.0.2.10.in-addr.arpa", PTR, 0).0, 0);
        for unknown in ["nobody", "web.back", "8.0.2.10.in-addr.arpa", "..", "a/b"] {
            if message::encoded(unknown).is_some() {
                assert_eq!(told(&config, unknown, if unknown.ends_with("arpa") { PTR } else { A }, 0).0, 3, "{unknown}");
            }
        }
        config.forward = true;
        assert!(matches!(outcome(&config, None, &ask("nobody", A, None), false, 0), Outcome::Forward(_)));
        assert!(matches!(outcome(&config, None, &ask("db", AAAA, None), false, 0), Outcome::Answer(_)));
        assert_eq!(outcome(&config, None, &[0; 3], false, 0), Outcome::Ignore);
    }
}
