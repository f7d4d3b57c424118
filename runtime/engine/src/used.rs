//! What a container uses while it runs, for events about those things: its monitor tells them with its start and its end.

use std::collections::BTreeMap;

use monitor::{Actor, Used};

use crate::config::Config;
use crate::network::given_id;
use crate::request::{Access, MountSource, NetworkMode};
use crate::{Driver, NetworkState, Record};

/// Its networks, then its volumes.
pub(crate) fn used(config: &Config, record: &Record, network: Option<&NetworkState>) -> Vec<Used> {
    let mut all = networks(config, record, network);
    for mount in &record.mounts {
        let MountSource::Volume { name, .. } = &mount.source else { continue };
        let propagation = mount.propagation.map(|own| own.to_string()).unwrap_or_default();
        let more = [
            ("destination", mount.target.display().to_string()),
            ("driver", "local".to_owned()),
            ("propagation", propagation),
            ("read/write", (mount.access == Access::Write).to_string()),
        ];
        all.push(Used {
            kind: "volume".to_owned(),
            words: ["mount".to_owned(), "unmount".to_owned()],
            actor: actor(name, record, more),
        });
    }
    all
}

/// Its networks alone.
pub(crate) fn networks(config: &Config, record: &Record, network: Option<&NetworkState>) -> Vec<Used> {
    let used = |id: &str, name: &str, driver: Driver| {
        let id = if id.is_empty() { given_id(config, name) } else { id.to_owned() };
        let more = [("name", name.to_owned()), ("type", driver.word().to_owned())];
        Used { kind: "network".to_owned(), words: ["connect".to_owned(), "disconnect".to_owned()], actor: actor(&id, record, more) }
    };
    match (&record.network, network) {
        (NetworkMode::Host, _) => vec![used("", "host", Driver::Host)],
        (NetworkMode::None, None) => vec![used("", "none", Driver::Null)],
        (_, state) => state.iter().flat_map(|state| &state.networks).map(|end| used(&end.id, &end.network, end.driver)).collect(),
    }
}

fn actor<const N: usize>(id: &str, record: &Record, more: [(&str, String); N]) -> Actor {
    let mut attributes: BTreeMap<String, String> = more.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    attributes.insert("container".to_owned(), record.id.clone());
    Actor { id: id.to_owned(), attributes }
}
