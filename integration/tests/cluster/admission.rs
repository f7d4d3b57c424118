//! Pods that name their node themselves, or are put there by somebody who knows it from before: the node looks once more.

use serde_json::{Value, json};

use super::base::{Cluster, NODE};
use super::pods::{phase, pod, script};

fn asking(name: &str, cpu: &str, change: impl Fn(&mut Value)) -> Value {
    let mut container = script("a", "sleep 1000");
    container["resources"] = json!({ "requests": { "cpu": cpu } });
    let mut pod = pod(name, &json!({ "containers": [container] }));
    change(&mut pod);
    pod
}

/// What the pod has failed for, once it has.
fn refused(c: &Cluster, name: &str) -> String {
    c.soon("it is refused", || phase(c, name) == "Failed");
    c.get(&["pod", name], "{.status.reason}: {.status.message}")
}

pub(super) fn who_is_taken(c: &Cluster) {
    let cpus: u64 = c.get(&["node", NODE], "{.status.allocatable.cpu}").parse().expect("a number");
    c.apply(&asking("large", &(cpus + 1).to_string(), |_| {}));
    let said = format!(
        "OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu, requested: {}, used: 0, capacity: {}",
        (cpus + 1) * 1000,
        cpus * 1000
    );
    assert_eq!(refused(c, "large"), said);
    let line = c.kubectl(&["get", "pod", "large", "--no-headers"]).stdout;
    assert_eq!(line.split_whitespace().nth(2), Some("OutOfcpu"), "{line}");
    c.soon("an event says so, too", || c.kubectl(&["get", "events"]).stdout.contains("OutOfcpu"));

    let selects = |value: &'static str| move |pod: &mut Value| pod["spec"]["nodeSelector"] = json!({ "place": value });
    c.apply(&asking("elsewhere", "1m", selects("there")));
    assert!(refused(c, "elsewhere").starts_with("NodeAffinity: Pod was rejected: Predicate NodeAffinity failed: "));
    // A label that was put there a moment ago counts.
    c.kubectl(&["label", "node", NODE, "place=here"]).ok();
    c.apply(&asking("here", "1m", selects("here")));
    c.soon("it runs", || phase(c, "here") == "Running");

    let door = |pod: &mut Value| pod["spec"]["containers"][0]["ports"] = json!([{ "containerPort": 80, "hostPort": 34571 }]);
    c.apply(&asking("first", "1m", door));
    c.soon("it runs", || phase(c, "first") == "Running");
    c.apply(&asking("second", "1m", door));
    assert!(refused(c, "second").starts_with("NodePorts: "));
    let sysctls = json!({ "sysctls": [{ "name": "net.core.somaxconn", "value": "7" }] });
    c.apply(&asking("setting", "1m", |pod| pod["spec"]["securityContext"] = sysctls.clone()));
    let said = "SysctlForbidden: Pod was rejected: forbidden sysctl: \"net.core.somaxconn\" not allowlisted";
    assert_eq!(refused(c, "setting"), said);

    // A critical pod has the place of another one. Nobody is critical by saying that it comes from the node.
    let most = format!("{}m", cpus * 600);
    c.apply(&asking("plain", &most, |_| {}));
    c.soon("it runs", || phase(c, "plain") == "Running");
    let forged = json!({ "kubernetes.io/config.source": "file" });
    c.apply(&asking("forged", &most, |pod| pod["metadata"]["annotations"] = forged.clone()));
    assert!(refused(c, "forged").starts_with("OutOfcpu: "));
    c.apply(&asking("critical", &most, |pod| pod["spec"]["priorityClassName"] = "system-node-critical".into()));
    assert_eq!(refused(c, "plain"), "Preempting: Preempted in order to admit critical pod");
    c.soon("the critical one runs", || phase(c, "critical") == "Running");
    let code = "{.status.containerStatuses[0].state.terminated.exitCode}";
    c.soon("the other one has ended", || c.get(&["pod", "plain"], code) == "137");
    assert_eq!((phase(c, "here"), phase(c, "first")), ("Running".to_owned(), "Running".to_owned()));
    c.kubectl(&["delete", "pods", "--all"]).ok();
}
