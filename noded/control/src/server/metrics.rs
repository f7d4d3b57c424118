//! What nodes and pods use: each node is asked over its own connection, and nothing is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::kinds::Kind;
use api::kinds::metrics::NODE_METRICS;
use api::kinds::node::{NODE, Node};
use api::kinds::pod::{POD, Pod};
use api::meta::Time;
use api::status::Status;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Limited};
use hyper::Response;
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::read::{Choice, shown};
use super::route::Call;
use super::shape::Shape;
use crate::objects::prefix;
use crate::store::Entry;
use crate::tunnel::Nodes;
use crate::tunnel::usage::{Amount, PATH, Usage};

/// So many nodes are asked at once.
const ABREAST: usize = 64;
/// A node that takes longer is left out: it measures for a second where it has not before.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a node's answer.
const MOST: usize = 4 << 20;

/// Answers get and list.
pub(super) async fn answer(call: &Call<'_>, verb: &str) -> Result<Response<Body>, Status> {
    let shape = Shape::wanted(&call.accept, &call.query)?;
    // objects have the names and labels of what they are about
    let about = if is_node(call.kind) { &NODE } else { &POD };
    let choice = Choice::of(call)?;
    let list = call.server.objects.store().list(&prefix(about, &call.target.namespace), None);
    let list = list.map_err(|e| Status::expired(e.to_string()))?;
    let chosen: Vec<_> = list.entries.into_iter().filter(|e| choice.takes(e)).collect();
    let found = match is_node(call.kind) {
        true => of_nodes(&call.server.nodes, &chosen).await,
        false => of_pods(&call.server.nodes, &chosen).await,
    };
    let entries: Vec<Arc<Entry>> = found.into_iter().map(entry).collect();
    match (verb, entries.first()) {
        ("get", Some(one)) => Ok(answer::json(200, shape.one(call.kind, one))),
        ("get", None) => Err(Status::not_found(call.kind, &call.target.name)),
        _ => Ok(answer::json(200, shown(call, shape, &entries, &json!({})))),
    }
}

fn is_node(kind: &Kind) -> bool {
    std::ptr::eq(kind.table, NODE_METRICS.table)
}

fn entry(object: Value) -> Arc<Entry> {
    let name = object["metadata"]["name"].as_str().unwrap_or("").into();
    Arc::new(Entry { key: name, revision: 0, value: object.to_string().into() })
}

async fn of_nodes(nodes: &Nodes, entries: &[Arc<Entry>]) -> Vec<Value> {
    let all: Vec<Node> = entries.iter().filter_map(|e| serde_json::from_slice(&e.value).ok()).collect();
    let usages = asked(nodes, all.iter().map(|n| n.metadata.name.clone()).collect()).await;
    all.iter().filter_map(|node| Some(of_node(node, usages.get(&node.metadata.name)?))).collect()
}

async fn of_pods(nodes: &Nodes, entries: &[Arc<Entry>]) -> Vec<Value> {
    let all: Vec<Pod> = entries.iter().filter_map(|e| serde_json::from_slice(&e.value).ok()).collect();
    let names = all.iter().filter(|p| !p.is_done()).map(|p| p.spec.node_name.clone()).filter(|name| !name.is_empty());
    let usages = asked(nodes, names.collect()).await;
    all.iter().filter_map(|pod| of_pod(pod, usages.get(&pod.spec.node_name)?)).collect()
}

/// What these nodes say; those that say nothing are not there.
async fn asked(nodes: &Nodes, names: BTreeSet<String>) -> BTreeMap<String, Usage> {
    let asking = names.into_iter().map(|name| async move {
        let usage = tokio::time::timeout(PATIENCE, ask(nodes, &name)).await.ok()??;
        Some((name, usage))
    });
    futures_util::stream::iter(asking).buffer_unordered(ABREAST).filter_map(std::future::ready).collect().await
}

async fn ask(nodes: &Nodes, name: &str) -> Option<Usage> {
    let answer = nodes.link(name).ok()?.get(PATH).await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    let body = Limited::new(answer.into_body(), MOST).collect().await.ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}

fn of_node(node: &Node, usage: &Usage) -> Value {
    let mut object = measured("NodeMetrics", json!({"name": node.metadata.name, "labels": node.metadata.labels}), usage);
    object["usage"] = amount(usage.node);
    object
}

/// Nothing where the node has not measured all of its containers: half of what a pod uses would be a lie.
fn of_pod(pod: &Pod, usage: &Usage) -> Option<Value> {
    let meta = &pod.metadata;
    let own = usage.containers.iter().filter(|c| c.pod == meta.uid);
    let used: BTreeMap<&str, Amount> = own.map(|c| (c.name.as_str(), c.used)).collect();
    let running = pod.status.container_statuses.iter().filter(|c| c.state.as_ref().is_some_and(|s| s.running.is_some()));
    if used.is_empty() || running.into_iter().any(|c| !used.contains_key(c.name.as_str())) {
        return None;
    }
    let about = json!({"name": meta.name, "namespace": meta.namespace, "labels": meta.labels});
    let mut object = measured("PodMetrics", about, usage);
    object["containers"] = used.into_iter().map(|(name, used)| json!({"name": name, "usage": amount(used)})).collect();
    Some(object)
}

fn measured(kind: &str, mut meta: Value, usage: &Usage) -> Value {
    let at = Time(usage.at.0).to_string();
    meta["creationTimestamp"] = at.as_str().into();
    let window = format!("{}.{:03}s", usage.window / 1000, usage.window % 1000);
    json!({"kind": kind, "apiVersion": NODE_METRICS.api_version(), "metadata": meta, "timestamp": at, "window": window})
}

fn amount(used: Amount) -> Value {
    json!({"cpu": format!("{}n", used.cpu), "memory": format!("{}Ki", used.memory >> 10)})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::usage::Container;

    fn usage(containers: &[(&str, &str)]) -> Usage {
        let used = Amount { cpu: 1_500_000, memory: 3 << 20 };
        let one = |(pod, name): &(&str, &str)| Container { pod: (*pod).into(), name: (*name).into(), used };
        Usage {
            at: api::meta::MicroTime(jiff::Timestamp::from_second(10).unwrap()),
            window: 1002,
            node: used,
            containers: containers.iter().map(one).collect(),
        }
    }

    fn pod() -> Pod {
        let running = |name: &str| json!({"name": name, "state": {"running": {}}});
        let status = json!({"containerStatuses": [running("a"), running("b"), {"name": "c", "state": {"terminated": {}}}]});
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "d", "uid": "u"}, "status": status})).unwrap()
    }

    #[test]
    fn a_pod_is_measured_when_all_that_runs_is() {
        let whole = of_pod(&pod(), &usage(&[("u", "a"), ("u", "b"), ("other", "a")])).unwrap();
        assert_eq!(whole["window"], "1.002s");
        assert_eq!(whole["timestamp"], "1970-01-01T00:00:10Z");
        let one = |name: &str| json!({"name": name, "usage": {"cpu": "1500000n", "memory": "3072Ki"}});
        assert_eq!(whole["containers"], json!([one("a"), one("b")]));
        assert_eq!(of_pod(&pod(), &usage(&[("u", "a"), ("other", "b")])), None);
        assert_eq!(of_pod(&Pod::default(), &usage(&[("u", "a")])), None);
    }
}
