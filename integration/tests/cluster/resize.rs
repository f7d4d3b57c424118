//! Pods get other resources while they run, as `kubectl patch --subresource resize` asks.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::base::{Cluster, NODE};
use super::pods::{phase, pod, script};

integration::tests![in_place, by_a_restart, who_asks_for_too_much_waits, what_cannot_be];

/// A container that goes on for ever.
fn lasting(name: &str, resources: &Value) -> Value {
    let mut container = script(name, "trap 'exit 0' TERM; while :; do sleep 0.1; done");
    container["resources"] = resources.clone();
    container
}

fn start(c: &Cluster, name: &str, container: &Value) {
    c.apply(&pod(name, &json!({ "containers": [container], "terminationGracePeriodSeconds": 5 })));
    c.soon("it runs", || phase(c, name) == "Running");
}

fn resize(c: &Cluster, name: &str, resources: &Value) -> integration::output::Output {
    let patch = json!({ "spec": { "containers": [{ "name": "app", "resources": resources }] } }).to_string();
    c.kubectl(&["patch", "pod", name, "--subresource", "resize", "-p", &patch])
}

/// A file of the cgroup in which a container's first process is: of v2, or of v1's controller.
fn kernel(c: &Cluster, name: &str, controller: &str, v1: &str, v2: &str) -> String {
    let pid = c.env.rctr(["inspect", "-f", "{{.State.Pid}}", &c.container(name)]).ok().text().trim().to_owned();
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let of = |wanted: &str| {
        let mut lines = groups.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
        lines
            .find(|parts| parts.get(1).is_some_and(|list| list.split(',').any(|one| one == wanted)))
            .map(|parts| parts[2].to_owned())
    };
    let (folder, file) = match of(controller) {
        Some(path) => (PathBuf::from(format!("/sys/fs/cgroup/{controller}{path}")), v1),
        None => (PathBuf::from(format!("/sys/fs/cgroup{}", of("").unwrap_or_default())), v2),
    };
    fs::read_to_string(folder.join(file)).unwrap_or_default().trim().to_owned()
}

fn memory(c: &Cluster, name: &str) -> String {
    kernel(c, name, "memory", "memory.limit_in_bytes", "memory.max")
}

fn condition(c: &Cluster, name: &str, kind: &str) -> String {
    c.get(&["pod", name], &format!("{{.status.conditions[?(@.type=='{kind}')].reason}}"))
}

fn of(c: &Cluster, name: &str, path: &str) -> String {
    c.get(&["pod", name], &format!("{{.status.containerStatuses[0].{path}}}"))
}

fn in_place() {
    let c = Cluster::start();
    let small = json!({ "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "cpu": "100m", "memory": "32Mi" } });
    start(&c, "p", &lasting("app", &small));
    assert_eq!(memory(&c, "p"), (32 << 20).to_string());
    let id = c.container("p");
    let great = json!({ "requests": { "cpu": "20m", "memory": "24Mi" }, "limits": { "cpu": "200m", "memory": "64Mi" } });
    resize(&c, "p", &great).ok();
    c.soon("the kernel knows", || memory(&c, "p") == (64 << 20).to_string());
    let quota = kernel(&c, "p", "cpu", "cpu.cfs_quota_us", "cpu.max");
    assert!(quota == "20000" || quota == "20000 100000", "{quota}");
    c.soon("it is told", || of(&c, "p", "resources.limits.memory") == "64Mi" && of(&c, "p", "resources.limits.cpu") == "200m");
    assert_eq!(of(&c, "p", "allocatedResources.memory"), "24Mi");
    assert_eq!((c.container("p"), of(&c, "p", "restartCount").as_str()), (id.clone(), "0"), "nothing was restarted");
    c.soon("it is over", || c.get(&["pod", "p"], "{.status.conditions[?(@.type=='PodResizeInProgress')].status}").is_empty());
    assert_eq!(c.get(&["pod", "p"], "{.metadata.generation}"), "2");
    c.soon("it is seen", || c.get(&["pod", "p"], "{.status.observedGeneration}") == "2");

    // Less again, for as long as the container does not need it.
    resize(&c, "p", &small).ok();
    c.soon("the kernel knows", || memory(&c, "p") == (32 << 20).to_string());
    resize(&c, "p", &json!({ "requests": { "memory": "4Ki" }, "limits": { "memory": "8Ki" } })).ok();
    c.soon("it is said why not", || condition(&c, "p", "PodResizeInProgress") == "Error");
    let why = c.get(&["pod", "p"], "{.status.conditions[?(@.type=='PodResizeInProgress')].message}");
    assert!(why.starts_with("attempting to set container memory limit (8192) below current usage ("), "{why}");
    assert_eq!((memory(&c, "p"), c.container("p")), ((32 << 20).to_string(), id), "it lives on as it was");
    assert_eq!(of(&c, "p", "resources.limits.memory"), "32Mi");
    resize(&c, "p", &small).ok();
    c.soon("it is over", || c.get(&["pod", "p"], "{.status.conditions[?(@.type=='PodResizeInProgress')].status}").is_empty());
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn by_a_restart() {
    let c = Cluster::start();
    let small = json!({ "requests": { "memory": "16Mi" }, "limits": { "memory": "32Mi" } });
    let mut container = lasting("app", &small);
    container["resizePolicy"] = json!([{ "resourceName": "memory", "restartPolicy": "RestartContainer" }]);
    // It ends well when it is told to, and comes back all the same.
    c.apply(&pod("p", &json!({ "containers": [container], "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 5 })));
    c.soon("it runs", || phase(&c, "p") == "Running");
    let id = c.container("p");
    resize(&c, "p", &json!({ "requests": { "memory": "16Mi" }, "limits": { "memory": "64Mi" } })).ok();
    c.soon("it runs again", || of(&c, "p", "restartCount") == "1" && !of(&c, "p", "state.running.startedAt").is_empty());
    assert!(c.container("p") != id && phase(&c, "p") == "Running" && memory(&c, "p") == (64 << 20).to_string());
    c.soon("it is told", || of(&c, "p", "resources.limits.memory") == "64Mi");
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn who_asks_for_too_much_waits() {
    let mut c = Cluster::start();
    let room: i64 = c.get(&["node", NODE], "{.status.allocatable.cpu}").parse::<i64>().expect("processors") * 1000;
    let asks = |milli: i64| json!({ "requests": { "cpu": format!("{milli}m") } });
    start(&c, "other", &lasting("app", &asks(room / 2)));
    start(&c, "p", &lasting("app", &asks(100)));
    resize(&c, "p", &asks(room * 3 / 4)).ok();
    c.soon("it waits", || condition(&c, "p", "PodResizePending") == "Deferred");
    let why = c.get(&["pod", "p"], "{.status.conditions[?(@.type=='PodResizePending')].message}");
    assert_eq!(
        why,
        format!("Node didn't have enough resource: cpu, requested: {}, used: {}, capacity: {room}", room * 3 / 4, room / 2)
    );
    assert_eq!((of(&c, "p", "resources.requests.cpu"), of(&c, "p", "allocatedResources.cpu")), ("100m".into(), "100m".into()));

    // An agent that begins anew knows what it has given.
    let id = c.container("p");
    c.kill();
    c.begin();
    c.soon("it waits yet", || condition(&c, "p", "PodResizePending") == "Deferred");
    assert_eq!((of(&c, "p", "allocatedResources.cpu"), c.container("p")), ("100m".into(), id.clone()));

    // Room that others leave is taken.
    c.kubectl(&["delete", "pod", "other"]).ok();
    c.soon("it has what it asked for", || of(&c, "p", "resources.requests.cpu") == format!("{}m", room * 3 / 4));
    assert_eq!((condition(&c, "p", "PodResizePending").as_str(), c.container("p")), ("", id));
    let shares: i64 = kernel(&c, "p", "cpu", "cpu.shares", "cpu.weight").parse().expect("a number");
    assert!(shares == room * 3 / 4 * 1024 / 1000 || (1..=10_000).contains(&shares), "{shares}");

    // What the node never has.
    resize(&c, "p", &asks(room * 2)).ok();
    c.soon("it cannot be", || condition(&c, "p", "PodResizePending") == "Infeasible");
    let events = || c.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]).stdout;
    c.soon("it is told", || ["ResizeDeferred", "ResizeInfeasible", "ResizeCompleted"].iter().all(|word| events().contains(word)));
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn what_cannot_be() {
    let c = Cluster::start();
    let some = json!({ "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "32Mi" } });
    start(&c, "p", &lasting("app", &some));
    for (resources, why) in [
        (
            json!({ "limits": { "memory": null } }),
            "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
        ),
        (json!({ "requests": { "memory": "64Mi" } }), "must be less than or equal to memory limit of 32Mi"),
        (json!({ "limits": { "cpu": "10m", "memory": "16Mi" } }), "Pod QOS Class may not change as a result of resizing"),
        (json!({ "limits": { "ephemeral-storage": "1Gi" } }), "only cpu and memory resources are mutable"),
        (json!({ "limits": { "memory": "much" } }), "quantities must match"),
    ] {
        let no = resize(&c, "p", &resources);
        assert!(no.code == 1 && no.stderr.contains(why), "{resources}: {no}");
    }
    // The way to all else is another one, and this one leads nowhere else.
    let patch =
        json!({ "spec": { "containers": [{ "name": "app", "resources": { "limits": { "memory": "64Mi" } } }] } }).to_string();
    let no = c.kubectl(&["patch", "pod", "p", "-p", &patch]);
    assert!(no.code == 1 && no.stderr.contains("pod updates may not change fields other than"), "{no}");
    let patch =
        json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "app", "image": "other:1" }] } });
    c.kubectl(&["patch", "pod", "p", "--subresource", "resize", "-p", &patch.to_string()]).ok();
    assert_eq!(c.get(&["pod", "p"], "{.metadata.labels.a}{.metadata.generation}"), "1");
    // A revision that is not the last one.
    let patch = json!({ "metadata": { "resourceVersion": "1" } }).to_string();
    let no = c.kubectl(&["patch", "pod", "p", "--subresource", "resize", "-p", &patch]);
    assert!(no.code == 1 && no.stderr.contains("the object has been modified"), "{no}");
    assert!(c.kubectl(&["get", "pod", "p", "--subresource", "resize"]).ok().text().contains("Running"));
    assert_eq!(memory(&c, "p"), (32 << 20).to_string());
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}
