//! Containers that are added to a pod for looking into it.

use integration::env::Running;
use serde_json::json;

use super::base::{BUSYBOX, Cluster};
use super::pods::{phase, pod, script};

integration::tests![a_container_looks_into_another];

fn a_container_looks_into_another() {
    let c = Cluster::start();
    c.apply(&pod("app", &json!({ "containers": [script("app", "echo here >/mark; sleep 12345")] })));
    c.soon("it runs", || phase(&c, "app") == "Running");
    let id = c.container("app");
    let mut command = c.command();
    let image = format!("--image={BUSYBOX}");
    command.args(["debug", "-i", "app", &image, "--image-pull-policy=IfNotPresent", "--target=app", "-c", "look", "--", "sh"]);
    let mut look = Running::start(command);
    look.type_in("echo saw $(ps | grep -c '[s]leep 12345'); cat /proc/1/root/mark; exit 3\n");
    look.wait_for("here");
    let said = look.finish().stdout;
    assert!(said.contains("saw 1"), "it sees the processes of the other one: {said}");
    let state = |path: &str| c.get(&["pod", "app"], &format!("{{.status.ephemeralContainerStatuses[0].{path}}}"));
    c.soon("it has ended", || state("state.terminated.exitCode") == "3");
    assert_eq!((c.container("app"), phase(&c, "app").as_str()), (id, "Running"), "the other one is not touched");
    assert!(c.kubectl(&["logs", "app", "-c", "look"]).ok().text().contains("saw 1"));

    // What cannot be is said by the API; ends are for good.
    let no = c.kubectl(&["debug", "app", &image, "--target=no", "-c", "other", "--", "true"]);
    assert!(no.code != 0 && no.stderr.contains("targetContainerName: Not found: \"no\""), "{no}");
    let patch = json!({ "spec": { "ephemeralContainers": [{ "name": "look", "image": "other:1" }] } }).to_string();
    let no = c.kubectl(&["patch", "pod", "app", "--subresource=ephemeralcontainers", "-p", &patch]);
    assert!(no.code != 0 && no.stderr.contains("may not be changed"), "{no}");
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}
