//! Important pods push others away.

use super::cluster::{Nodes, until};
use super::{Cluster, rows};

const CLASSES: &str = "
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
description: for tests
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: patient}
value: 900
preemptionPolicy: Never
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: usual}
value: 7
globalDefault: true
";

fn pod(name: &str, class: &str, cpu: &str) -> String {
    let class = if class.is_empty() { String::new() } else { format!("priorityClassName: {class}, ") };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{{class}containers: [{{name: c, image: x, resources: {{requests: {{cpu: '{cpu}'}}}}}}]}}\n"
    )
}

#[test]
fn important_pods_push_others_away() {
    let Some(c) = Cluster::start("important_pods_push_others_away") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    let table = c.ok("get priorityclasses --no-headers");
    assert_eq!(rows(&table)[0][..3], ["system-cluster-critical", "2000000000", "false"]);
    assert_eq!(rows(&table)[1][4], "PreemptLowerPriority");
    assert_eq!(c.feed(&["apply", "-f", "-"], CLASSES).code, 0);
    let make = |name: &str, class: &str, cpu: &str| c.feed(&["apply", "-f", "-"], &pod(name, class, cpu));
    for name in ["low-1", "low-2"] {
        assert_eq!(make(name, "", "4").code, 0);
        until(&c, &format!("get pod {name} -o jsonpath={{.status.phase}}/{{.spec.priority}}"), |out| out == "Running/7");
    }
    // one that does not push waits, and says so
    assert_eq!(make("waits", "patient", "4").code, 0);
    let message = "get pod waits -o jsonpath={.status.conditions[0].message}";
    until(&c, message, |out| out.ends_with("1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."));
    // a finalizer holds the victim where it can be looked at
    for name in ["low-1", "low-2"] {
        c.ok(&format!("patch pod {name} --type=merge -p={{\"metadata\":{{\"finalizers\":[\"test/held\"]}}}}"));
    }
    assert_eq!(make("important", "high", "3").code, 0);
    until(&c, "get pod important -o jsonpath={.status.nominatedNodeName}", |out| out == "n1");
    let going = "get pods -o jsonpath={.items[?(@.metadata.deletionTimestamp)].metadata.name}";
    let victim = until(&c, going, |out| !out.is_empty());
    assert_eq!(victim.split(' ').count(), 1, "{victim}");
    let conditions = c.ok(&format!("get pod {victim} -o jsonpath={{.status.conditions[?(@.type==\"DisruptionTarget\")]}}"));
    assert!(
        conditions.contains("\"PreemptionByScheduler\"") && conditions.contains("default-scheduler: preempting to"),
        "{conditions}"
    );
    let uid = c.ok("get pod important -o jsonpath={.metadata.uid}");
    until(&c, &format!("events --for pod/{victim}"), |out| {
        out.contains(&format!("Preempted by pod {uid} on node n1")) && out.contains("Preempted ")
    });
    c.ok(&format!("patch pod {victim} --type=merge -p={{\"metadata\":{{\"finalizers\":null}}}}"));
    until(&c, "get pod important -o jsonpath={.status.phase}/{.spec.priority}/{.status.nominatedNodeName}", |out| {
        out == "Running/1000/"
    });
    assert_eq!(c.ok("get pod waits -o jsonpath={.status.phase}"), "Pending");
}

#[test]
fn classes_and_pods_that_are_refused() {
    let Some(c) = Cluster::start("classes_and_pods_that_are_refused") else { return };
    assert!(
        c.fails("create priorityclass huge --value=1000000001")
            .contains("maximum allowed value of a user defined priority is 1000000000")
    );
    assert!(c.fails("create priorityclass system-x --value=1").contains("reserved for system use only"));
    c.ok("create priorityclass usual --value=7 --global-default=true");
    assert!(
        c.fails("create priorityclass other --value=8 --global-default=true")
            .contains("PriorityClass usual is already marked as default")
    );
    assert!(c.fails("patch priorityclass usual -p={\"value\":8}").contains("value: Forbidden: may not be changed in an update."));
    c.ok("patch priorityclass usual -p={\"description\":\"often\"}");
    let said = c.feed(&["apply", "-f", "-"], &pod("p", "nowhere", "1"));
    assert!(said.err.contains("no PriorityClass with name nowhere was found"), "{said:?}");
    let raised = pod("p", "", "1").replace("spec: {", "spec: {priority: 9, ");
    let said = c.feed(&["apply", "-f", "-"], &raised);
    assert!(said.err.contains("the integer value of priority (9) must not be provided in pod spec"), "{said:?}");
    c.ok("delete priorityclass usual");
    assert_eq!(c.feed(&["apply", "-f", "-"], &pod("p", "", "1")).code, 0);
    assert_eq!(c.ok("get pod p -o jsonpath={.spec.priority}/{.spec.preemptionPolicy}"), "0/PreemptLowerPriority");
}
