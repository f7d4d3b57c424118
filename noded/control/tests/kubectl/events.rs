//! What happened, told once.

use super::Cluster;
use super::cluster::{Nodes, until};

#[test]
fn equal_events_are_counted() {
    let Some(c) = Cluster::start("equal_events_are_counted") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    c.ok("create deployment web --image=x:1");
    c.ok("rollout status deployment web --timeout=60s");
    let pods = |count: usize| {
        until(&c, "get pods -l app=web -o name", |out| out.lines().count() == count);
    };
    for count in [2, 1, 2, 1] {
        c.ok(&format!("scale deployment web --replicas={count}"));
        pods(count);
    }
    let counts = "get events --field-selector=involvedObject.kind=Deployment,reason=ScalingReplicaSet -o jsonpath={range.items[*]}{.count}:{.message},{end}";
    let told = until(&c, counts, |out| out.matches("2:Scaled").count() == 2);
    assert!(told.contains("from 1 to 2") && told.contains("from 2 to 1"), "{told}");
    assert!(c.ok("describe deployment web").contains("(x2 over"), "kubectl shows how often");
}

/// One event in the newer group's words.
fn newer(name: &str, note: &str) -> String {
    format!(
        "{{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{{\"name\":\"{name}\"}},\"eventTime\":\"2026-01-01T00:00:00.000000Z\",\
         \"regarding\":{{\"kind\":\"Pod\",\"name\":\"p\",\"namespace\":\"default\"}},\"note\":\"{note}\",\"reason\":\"Seen\",\"action\":\"Looking\",\
         \"type\":\"Normal\",\"reportingController\":\"example.com/eye\",\"reportingInstance\":\"eye-1\"}}"
    )
}

#[test]
fn both_groups_show_the_same_events() {
    let Some(c) = Cluster::start("both_groups_show_the_same_events") else { return };
    let made = c.feed(&["create", "-f", "-"], &newer("new", "from the newer"));
    assert_eq!((made.code, made.out.as_str()), (0, "event.events.k8s.io/new created"), "{}", made.err);
    let old = "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"old\"},\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"q\",\
               \"namespace\":\"default\"},\"message\":\"from the older\",\"reason\":\"Seen\",\"type\":\"Normal\",\"count\":3}";
    assert_eq!(c.feed(&["create", "-f", "-"], old).code, 0);
    let get = |what: &str, path: &str| c.ok(&format!("get {what} -o jsonpath={path}"));
    assert_eq!(
        get("events new", "{.apiVersion}:{.message}:{.involvedObject.name}:{.reportingComponent}"),
        "v1:from the newer:p:example.com/eye"
    );
    let path = "{.apiVersion}:{.note}:{.regarding.name}:{.deprecatedCount}";
    assert_eq!(get("events.events.k8s.io old", path), "events.k8s.io/v1:from the older:q:3");
    for group in ["events", "events.events.k8s.io"] {
        let table = c.ok(&format!("get {group}"));
        assert!(table.starts_with("LAST SEEN") && table.contains("pod/p") && table.contains("from the older"), "{table}");
    }
    assert!(c.ok("events").contains("from the newer"));
    let chosen = "get events.events.k8s.io --field-selector=regarding.name=p -o name";
    assert_eq!(c.ok(chosen), "event.events.k8s.io/new");
    // What has happened does not change; how often it has may.
    let patch = |patch: &str| c.run(&["patch", "events.events.k8s.io", "new", "--type=merge", "-p", patch]);
    let refused = patch("{\"note\":\"else\"}");
    assert!(refused.code != 0 && refused.err.contains("note: Invalid value: \"else\": field is immutable"), "{}", refused.err);
    assert_eq!(patch("{\"series\":{\"count\":2,\"lastObservedTime\":\"2026-01-01T00:00:09.000000Z\"}}").code, 0);
    assert_eq!(get("events new", "{.series.count}"), "2");
    // Fields are owned by the words in which they were written.
    let applied = c.feed(&["apply", "--server-side", "-f", "-"], &newer("new", "from the newer"));
    assert_eq!((applied.code, applied.out.as_str()), (0, "event.events.k8s.io/new serverside-applied"), "{}", applied.err);
    let owned = get("events new --show-managed-fields", "{range.metadata.managedFields[*]}{.apiVersion}:{.fieldsV1},{end}");
    assert!(owned.matches("events.k8s.io/v1:").count() >= 2 && owned.contains("f:note") && !owned.contains("f:message"), "{owned}");
    let without = newer("bad", "n").replace("\"action\":\"Looking\",", "");
    let refused = c.feed(&["create", "-f", "-"], &without);
    assert!(refused.err.contains("\"bad\" is invalid: action: Required value"), "{}", refused.err);
    // newer ones add the namespace
    assert!(c.ok("delete events.events.k8s.io new").starts_with("event.events.k8s.io \"new\" deleted"));
    assert_eq!(c.ok("get events -o name"), "event/old");
}

/// A deployment whose pods cannot be made says so where people look.
#[test]
fn what_cannot_be_made_is_said() {
    let Some(c) = Cluster::start("what_cannot_be_made_is_said") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    c.ok("create deployment web --image=x:1");
    until(&c, "events --for deployment/web", |out| out.contains("Scaled up replica set web-"));
    let set = c.ok("get replicaset -l app=web -o name");
    until(&c, &format!("describe {set}"), |out| {
        out.contains("SuccessfulCreate") && out.contains("replicaset-controller  Created pod: web-")
    });
    c.ok("patch deployment web -p={\"spec\":{\"template\":{\"spec\":{\"serviceAccountName\":\"nobody\"}}}}");
    let why = "error looking up service account default/nobody";
    let failure = "get deployment web -o jsonpath={.status.conditions[?(@.type==\"ReplicaFailure\")].message}";
    until(&c, failure, |out| out.contains(why));
    until(&c, "events --types=Warning", |out| out.contains("FailedCreate") && out.contains("Error creating: pods \"web-"));
    c.ok("create serviceaccount nobody");
    c.ok("rollout status deployment web --timeout=60s");
    until(&c, failure, str::is_empty);
    // the words that were told in a namespace go with it
    c.ok("create namespace brief");
    c.ok("-n brief create deployment web --image=x:1");
    until(&c, "-n brief events", |out| out.contains("SuccessfulCreate"));
    c.ok("delete namespace brief --timeout=60s");
    assert_eq!(c.ok("-n brief get events -o name"), "");
}
