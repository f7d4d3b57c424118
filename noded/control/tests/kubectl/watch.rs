//! get -w and wait.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{Cluster, rows};

#[test]
fn what_happens_is_seen_as_it_happens() {
    let Some(c) = Cluster::start("what_happens_is_seen_as_it_happens") else { return };
    c.ok("run p --image=x");
    let mut child = c.command(&["get", "pods", "-w", "--no-headers"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(rows(&lines.next().unwrap())[0][..3], ["p", "0/1", "Pending"]);
    c.ok("run q --image=x");
    assert!(lines.any(|line| rows(&line)[0][0] == "q"));
    c.set_status(
        "pod/p",
        "{\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"p\",\"ready\":true,\"state\":{\"running\":{}}}]}",
    );
    assert!(lines.any(|line| rows(&line)[0][..3] == ["p", "1/1", "Running"]));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn waiting() {
    let Some(c) = Cluster::start("waiting") else { return };
    c.ok("run p --image=x");
    assert!(c.fails("wait --for=condition=Ready pod/p --timeout=1s").contains("timed out waiting"));
    let waiting = c.command(&["wait", "--for=condition=Ready", "pod/p", "--timeout=30s"]).stdout(Stdio::piped()).spawn().unwrap();
    c.set_status("pod/p", "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}");
    assert!(waiting.wait_with_output().unwrap().status.success());
    let waiting = c.command(&["wait", "--for=delete", "pod/p", "--timeout=30s"]).stdout(Stdio::piped()).spawn().unwrap();
    c.ok("delete pod p");
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert_eq!(
        c.ok("wait --for=jsonpath={.status.phase}=Active namespace/default --timeout=5s"),
        "namespace/default condition met"
    );
}
