//! The hosts of one control plane: each renews a Lease `kube-system/apiserver-ADDRESS`, and the leader says by the service `kubernetes` which of
//! them live. Pods find the API there, and nodes learn whom they may ask and to whom they keep connections.
//!
//! A host that ends takes its lease with it. One that has not renewed it for [`LIFE`], by the leader's clock, is taken off.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use api::kinds::lease::LEASE;
use api::meta::MicroTime;
use api::status::Status;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::bootstrap;
use crate::objects::{Context, DeleteOptions, Objects, Part, prefix};

const NAMESPACE: &str = "kube-system";
/// Names of their leases begin so.
const NAME: &str = "apiserver-";
/// The address and port of a host, in its lease.
const ADDRESS: &str = "dev.rctr.address";
/// A host that says nothing for so long is not there.
const LIFE: Duration = Duration::from_secs(6);
/// How often it says something.
const RENEW: Duration = Duration::from_secs(2);

/// This host, as others reach it.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    /// Of this process.
    pub(crate) id: String,
}

impl Host {
    fn name(&self) -> String {
        format!("{NAME}{}", self.address)
    }

    /// Says that it is there, for ever.
    pub(crate) async fn present(self, objects: Objects) {
        loop {
            // what cannot be said now is said with the next one
            drop(timeout(LIFE, self.renew(&objects)).await);
            sleep(RENEW).await;
        }
    }

    async fn renew(&self, objects: &Objects) -> Result<(), Status> {
        let spec =
            json!({"holderIdentity": self.id, "leaseDurationSeconds": LIFE.as_secs(), "renewTime": MicroTime::now().to_string()});
        let notes = json!({ADDRESS: format!("{}:{}", self.address, self.port)});
        let (name, context) = (self.name(), context());
        let renewed = objects.update(&LEASE, NAMESPACE, &name, Part::Main, &context, |old| {
            let mut new = old.clone();
            new["spec"] = spec.clone();
            new["metadata"]["annotations"] = notes.clone();
            Ok(new)
        });
        match renewed.await {
            Err(status) if status.code == 404 => {
                let lease = json!({"metadata": {"name": name, "annotations": notes}, "spec": spec});
                objects.create(&LEASE, NAMESPACE, lease, &context).await.map(drop)
            }
            renewed => renewed.map(drop),
        }
    }

    /// Says that it goes.
    pub(crate) async fn leave(&self, objects: &Objects) {
        let (name, options) = (self.name(), DeleteOptions::default());
        let gone = objects.delete(&LEASE, NAMESPACE, &name, &options);
        // it is missed soon in any case
        drop(timeout(RENEW, gone).await);
    }
}

/// When each host's lease was last renewed, by our own clock.
#[derive(Debug, Default)]
struct Heard(BTreeMap<String, (u64, Instant)>);

impl Heard {
    /// Takes in the leases as they are now, by name and revision; answers how long each has been silent.
    fn silent<'a>(&mut self, leases: impl Iterator<Item = (&'a str, u64)>, now: Instant) -> BTreeMap<String, Duration> {
        let mut new = BTreeMap::new();
        for (name, revision) in leases {
            let since = self.0.get(name).filter(|(seen, _)| *seen == revision).map_or(now, |(_, since)| *since);
            new.insert(name.to_owned(), (revision, since));
        }
        self.0 = new;
        self.0.iter().map(|(name, (_, since))| (name.clone(), now.saturating_duration_since(*since))).collect()
    }
}

/// Keeps the service `kubernetes` true, while this host leads. It has one port: hosts that listen elsewhere are not in it.
pub(crate) async fn list(objects: Objects, port: u16) {
    let (mut heard, mut said) = (Heard::default(), None);
    let leases = format!("{}{NAME}", prefix(&LEASE, NAMESPACE));
    loop {
        let store = objects.store();
        let Ok(mut changes) = store.watch(&leases, store.revision()) else { continue };
        let entries = store.list(&leases, None).map(|snapshot| snapshot.entries).unwrap_or_default();
        let name = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
        let names: Vec<(String, u64)> = entries.iter().map(|entry| (name(&entry.key), entry.revision)).collect();
        let silent = heard.silent(names.iter().map(|(name, revision)| (name.as_str(), *revision)), Instant::now());
        let mut live = BTreeSet::new();
        for entry in &entries {
            let name = name(&entry.key);
            if silent.get(&name).is_none_or(|silent| *silent < LIFE) {
                live.extend(address(&entry.object(), port));
            } else {
                // should it be there after all, it makes a new one
                drop(objects.delete(&LEASE, NAMESPACE, &name, &DeleteOptions::default()).await);
            }
        }
        let live: Vec<Ipv4Addr> = live.into_iter().collect();
        if !live.is_empty() && said.as_ref() != Some(&live) && bootstrap::reachable(&objects, &live, port).await.is_ok() {
            said = Some(live);
        }
        let due = silent.values().map(|silent| LIFE.saturating_sub(*silent)).min().unwrap_or(LIFE);
        drop(timeout(due.max(Duration::from_millis(100)), changes.next()).await);
    }
}

/// The address in a host's lease, if its port is this one.
fn address(lease: &Value, port: u16) -> Option<Ipv4Addr> {
    let text = lease["metadata"]["annotations"][ADDRESS].as_str()?;
    let (address, own) = text.rsplit_once(':')?;
    address.parse().ok().filter(|_| own.parse() == Ok(port))
}

fn context() -> Context {
    Context { manager: "noded".into(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_the_last_change() {
        let (mut heard, begin) = (Heard::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut silent = |leases: &[(&str, u64)], seconds| heard.silent(leases.iter().copied(), at(seconds));
        assert_eq!(silent(&[("a", 1), ("b", 1)], 0)["a"], Duration::ZERO);
        let later = silent(&[("a", 2), ("b", 1)], 4);
        assert_eq!((later["a"], later["b"]), (Duration::ZERO, Duration::from_secs(4)));
        assert_eq!(silent(&[("a", 2)], 7).len(), 1);
        assert_eq!(silent(&[("b", 1)], 9)["b"], Duration::ZERO, "it is another one");
    }

    #[test]
    fn only_hosts_with_the_same_port_are_listed() {
        let lease = |text: &str| json!({"metadata": {"annotations": {ADDRESS: text}}});
        assert_eq!(address(&lease("10.0.0.1:6443"), 6443), Some([10, 0, 0, 1].into()));
        assert_eq!(
            (address(&lease("10.0.0.1:6444"), 6443), address(&lease("x"), 6443), address(&json!({}), 1)),
            (None, None, None)
        );
    }
}
