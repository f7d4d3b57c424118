//! The loop that feeds the controllers and does what they want.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api::kinds::Kind;
use api::status::Status;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::action::Action;
use super::cache::{Cache, Work, daemon_owner, deployment_owner, kinds, set_owner};
use super::nodes::Heard;
use super::perform::perform;
use super::{Times, daemonset, deployment, endpoints, garbage, job, namespace, nodes, ranges, replicaset, revisions};
use crate::objects::{Objects, ROOT, prefix};
use crate::store::Watch;
use crate::tunnel::Pulse;

/// So many objects are looked at in one round.
const ROUND: usize = 64;
/// So many actions are under way at once.
const ABREAST: usize = 256;

struct Loop {
    objects: Objects,
    times: Times,
    pulse: Pulse,
    cache: Cache,
    watches: Vec<(&'static Kind, Option<Watch>)>,
    later: BTreeMap<Instant, Vec<Work>>,
    failures: BTreeMap<Work, u32>,
    /// Why something that was to be made was refused.
    refusals: BTreeMap<Work, String>,
}

/// Runs all controllers until it is dropped; nodes are listened to as long.
pub async fn run(objects: Objects, times: Times, pulse: Pulse) {
    let _listening = pulse.listen();
    let mut this = Loop {
        objects,
        times,
        pulse,
        cache: Cache::default(),
        watches: kinds().map(|k| (k, None)).collect(),
        later: BTreeMap::new(),
        failures: BTreeMap::new(),
        refusals: BTreeMap::new(),
    };
    loop {
        this.read();
        if this.cache.dirty.is_empty() {
            this.wait().await;
            continue;
        }
        let work: Vec<Work> = std::iter::from_fn(|| this.cache.dirty.pop_first()).take(ROUND).collect();
        let planned: Vec<(Work, Vec<Action>)> = work.into_iter().map(|w| (w.clone(), this.next(&w))).collect();
        this.perform(planned).await;
    }
}

impl Loop {
    /// Takes in all that has happened until now, our own writes too.
    fn read(&mut self) {
        for (kind, watch) in &mut self.watches {
            loop {
                let Some(reader) = watch else {
                    *watch = begin(&self.objects, kind, &mut self.cache);
                    break;
                };
                match reader.ready() {
                    Ok(events) if events.is_empty() => break,
                    Ok(events) => events.iter().for_each(|e| self.cache.take(kind, e.before.as_deref(), e.after.as_deref())),
                    Err(_) => *watch = None,
                }
            }
        }
        self.cache.dirty.extend(self.pulse.take_returned().into_iter().map(Work::Node));
        let now = Instant::now();
        while let Some(entry) = self.later.first_entry().filter(|e| *e.key() <= now) {
            self.cache.dirty.extend(entry.remove());
        }
    }

    /// Waits until something happens, or something is due.
    async fn wait(&mut self) {
        let due = self.later.keys().next().map_or(Duration::from_secs(60), |at| at.saturating_duration_since(Instant::now()));
        let cache = &mut self.cache;
        let mut waiting: FuturesUnordered<_> = self
            .watches
            .iter_mut()
            .filter_map(|(kind, watch)| watch.as_mut().map(|w| async move { (*kind, w.next().await) }))
            .collect();
        let happened = tokio::select! {
            happened = tokio::time::timeout(due, waiting.next()) => happened,
            () = self.pulse.returned() => return,
        };
        if let Ok(Some((kind, Ok(events)))) = happened {
            events.iter().for_each(|e| cache.take(kind, e.before.as_deref(), e.after.as_deref()));
        }
    }

    /// Asks the controller.
    fn next(&self, work: &Work) -> Vec<Action> {
        let (cache, now) = (&self.cache, jiff::Timestamp::now());
        let id = |namespace: &String, name: &String| (namespace.clone(), name.clone());
        match work {
            Work::ReplicaSet(namespace, name) => cache.sets.get(&id(namespace, name)).map_or_else(Vec::new, |set| {
                let (pods, mut actions) = cache.claimed_pods(&set_owner(set));
                actions.extend(replicaset::next(set, &pods, self.refusals.get(work).map(String::as_str), now));
                actions
            }),
            Work::Deployment(namespace, name) => cache.deployments.get(&id(namespace, name)).map_or_else(Vec::new, |deployment| {
                let (sets, mut actions) = cache.claimed_sets(&deployment_owner(deployment));
                let is_old = |s: &&api::kinds::replicaset::ReplicaSet| !deployment::is_newest(deployment, s);
                let old = sets
                    .iter()
                    .filter(is_old)
                    .map(|s| cache.pods_of(&s.metadata.uid).iter().filter(|p| !p.is_done()).count())
                    .sum();
                actions.extend(deployment::next(deployment, &sets, old, now));
                actions
            }),
            Work::DaemonSet(namespace, name) => cache.daemons.get(&id(namespace, name)).map_or_else(Vec::new, |set| {
                let nodes: Vec<_> = cache.nodes.values().collect();
                let (pods, mut actions) = cache.claimed_pods(&daemon_owner(set));
                actions.extend(daemonset::next(set, &nodes, &pods, now));
                if set.metadata.deletion_timestamp.is_none() {
                    let former = cache.revisions_of(&set.metadata.uid);
                    actions.extend(revisions::next(set, &daemonset::template_hash(set), &former, &pods));
                }
                actions
            }),
            Work::Job(namespace, name) => cache
                .jobs
                .get(&id(namespace, name))
                .map_or_else(Vec::new, |job| job::next(job, &cache.pods_of(&job.metadata.uid), now)),
            Work::Service(namespace, name) => cache.services.get(&id(namespace, name)).map_or_else(Vec::new, |service| {
                let first = (namespace.clone(), String::new());
                let pods: Vec<_> =
                    cache.pods.range(first.clone()..).take_while(|((n, _), _)| n == namespace).map(|(_, p)| p).collect();
                let slices = cache.slices.range(first..).take_while(|((n, _), _)| n == namespace).map(|(_, s)| s);
                let own: Vec<_> = slices.filter(|s| s.metadata.labels.get("kubernetes.io/service-name") == Some(name)).collect();
                endpoints::next(service, &pods, &own, cache.endpoints.get(&id(namespace, name)))
            }),
            Work::Namespace(name) => cache.namespaces.get(name).map_or_else(Vec::new, |space| {
                let known: Vec<_> = cache.inside.get(name).into_iter().flatten().filter_map(|uid| cache.known.get(uid)).collect();
                let has = |kind: &str, name: &str| known.iter().any(|k| k.kind.kind == kind && k.meta.name == name);
                let root = (!has("ConfigMap", ROOT)).then(|| self.objects.root()).flatten();
                let has_account = has("ServiceAccount", "default");
                let contents: Vec<namespace::Content> = known
                    .iter()
                    .map(|k| (k.kind, k.meta.name.clone(), k.meta.uid.clone(), k.meta.deletion_timestamp.is_some()))
                    .collect();
                namespace::next(space, has_account, root, &contents)
            }),
            Work::Node(name) => cache.nodes.get(name).map_or_else(Vec::new, |node| {
                let pods: Vec<_> = cache.pods.values().filter(|p| p.spec.node_name == *name).collect();
                nodes::next(node, &pods, self.heard(name), &self.times, now)
            }),
            Work::Ranges => {
                let (cluster, prefix) = self.objects.pod_range();
                ranges::next(cache.nodes.values(), cluster, prefix)
            }
            Work::Garbage(uid) => cache.known.get(uid).map_or_else(Vec::new, |object| {
                let dependents: Vec<_> =
                    cache.dependents.get(uid).into_iter().flatten().filter_map(|d| cache.known.get(d)).collect();
                garbage::next(object, |uid| cache.known.get(uid), &dependents, |uid| cache.dependents.contains_key(uid))
            }),
        }
    }

    fn heard(&self, node: &str) -> Heard {
        // by what it has written, or by its heart
        let silent = |name: &String| {
            let last = self.cache.heard.get(name).copied().max(self.pulse.last(name));
            last.map_or(Duration::ZERO, |at| at.elapsed())
        };
        let all = self.cache.nodes.len();
        let lost = self.cache.nodes.keys().filter(|n| silent(n) >= self.times.node_silence).count();
        Heard { silent: silent(&node.to_string()), brake: lost * 2 > all }
    }

    async fn perform(&mut self, planned: Vec<(Work, Vec<Action>)>) {
        let objects = &self.objects;
        let mut doing = Vec::new();
        for (work, actions) in planned {
            let mut has_failed = false;
            for action in actions {
                match action {
                    Action::After(wait) => self.later.entry(Instant::now() + wait).or_default().push(work.clone()),
                    action => {
                        has_failed = true;
                        doing.push((work.clone(), action));
                    }
                }
            }
            if !has_failed {
                self.failures.remove(&work);
                self.refusals.remove(&work);
            }
        }
        let outcomes: Vec<(Work, bool, Result<(), Status>)> = futures_util::stream::iter(doing)
            .map(|(work, action)| async move {
                let makes = matches!(action, Action::Create(..));
                (work, makes, perform(objects, action).await)
            })
            .buffer_unordered(ABREAST)
            .collect()
            .await;
        for (work, makes, outcome) in outcomes {
            match outcome {
                Ok(()) => {
                    self.failures.remove(&work);
                    if makes {
                        self.refusals.remove(&work);
                    }
                }
                Err(status) => {
                    if makes {
                        self.refusals.insert(work.clone(), status.message);
                    }
                    let tries = self.failures.entry(work.clone()).or_insert(0);
                    *tries += 1;
                    let wait = Duration::from_millis(50u64 << (*tries).min(10));
                    self.later.entry(Instant::now() + wait.min(Duration::from_secs(30))).or_default().push(work);
                }
            }
        }
    }
}

/// Reads a kind from its beginning.
fn begin(objects: &Objects, kind: &'static Kind, cache: &mut Cache) -> Option<Watch> {
    let prefix = prefix(kind, "");
    let snapshot = objects.store().list(&prefix, None).ok()?;
    for entry in &snapshot.entries {
        cache.take(kind, None, Some(entry));
    }
    objects.store().watch(&prefix, snapshot.revision).ok()
}
