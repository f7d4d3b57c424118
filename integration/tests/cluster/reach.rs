//! Logs, exec, attach, port-forward and cp: over the connection that the node keeps to the API server.

use std::fs;

use integration::env::Running;
use integration::terminal::Terminal;
use serde_json::json;

use super::base::{Cluster, NODE, WEB, ask};
use super::pods::{phase, pod, script};
use super::python;

integration::tests![pods_are_reached];

/// Says things, and waits for the file `go`.
const TALK: &str = "echo one; echo two; echo three; while [ ! -e /go ]; do sleep 0.05; done; echo last";

fn pods_are_reached() {
    let mut c = Cluster::start();
    let mut talk = script("talk", TALK);
    let mut typed = script("typed", "while read line; do echo got $line; done");
    (talk["tty"], typed["stdin"]) = (json!(false), json!(true));
    c.apply(&pod("two", &json!({ "containers": [talk, typed] })));
    c.apply(&pod("web", &json!({ "containers": [script("web", WEB)] })));
    c.apply(&pod(
        "ends",
        &json!({ "restartPolicy": "OnFailure", "containers": [script("a", "echo run; test -e /tmp/x; exit 1")] }),
    ));
    let mut never = script("a", "true");
    (never["image"], never["imagePullPolicy"]) = ("docker.io/library/no-such:3".into(), "Never".into());
    c.apply(&pod("never", &json!({ "containers": [never] })));
    for name in ["two", "web"] {
        c.soon("it runs", || phase(&c, name) == "Running");
    }
    logs(&c);
    what_cannot_be(&c);
    exec(&c);
    attach_and_forward(&c);
    proxies(&c);
    copies(&c);
    python::reaches_pods(&c);
    // the connection is made anew
    c.kill();
    c.begin();
    c.soon("the node is back", || c.kubectl(&["exec", "web", "--", "true"]).code == 0);
    followed_to_the_end(&c);
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn logs(c: &Cluster) {
    let log = |args: &[&str]| c.kubectl(&[&["logs", "two", "-c", "talk"], args].concat());
    c.soon("all is said", || log(&[]).lines().len() == 3);
    log(&[]).ok().says("one\ntwo\nthree\n");
    log(&["--tail=1"]).ok().says("three\n");
    log(&["--limit-bytes=5"]).ok().says("one\nt");
    log(&["--since=1h"]).ok().says("one\ntwo\nthree\n");
    log(&["--since-time=2100-01-01T00:00:00Z"]).ok().says("");
    let timed = log(&["--timestamps", "--tail=1"]);
    let (time, text) = timed.ok().stdout.split_once(' ').expect("a time");
    assert!(text == "three\n" && time.len() == 30 && time.starts_with("20") && time.ends_with('Z'), "{timed}");
    log(&["--previous"]).code(1).complains(&["previous terminated container \"talk\" in pod \"two\" not found"]);
    c.kubectl(&["logs", "two", "-c", "no"]).code(1).complains(&["container no is not valid for pod two"]);
    let said = c.kubectl(&["get", "--raw", "/api/v1/namespaces/default/pods/two/log"]);
    said.code(1).complains(&["a container name must be specified for pod two, choose one of: [talk typed]"]);
    c.kubectl(&["get", "--raw", "/api/v1/namespaces/default/pods/web/log?tailLines=-1"])
        .code(1)
        .complains(&["must be greater than or equal to 0"]);
    c.soon("it is started again", || c.kubectl(&["logs", "ends", "--previous"]).stdout == "run\n");
    c.soon("why it waits is said", || {
        c.kubectl(&["logs", "never"]).stderr.contains("container \"a\" in pod \"never\" is waiting to start: ErrImageNeverPull")
    });
}

fn what_cannot_be(c: &Cluster) {
    c.kubectl(&["logs", "nobody"]).code(1).complains(&["pods \"nobody\" not found"]);
    c.kubectl(&["exec", "never", "--", "true"]).code(1).complains(&["container not found (\"a\")"]);
    // not one of these is allowed to whoever may only look
    c.kubectl(&["create", "clusterrolebinding", "looks", "--clusterrole=view", "--user=ann"]).ok();
    c.kubectl(&["logs", "web", "--as=ann"]).ok();
    let refused = [
        &["exec", "web", "--as=ann", "--", "true"][..],
        &["attach", "web", "--as=ann"],
        &["port-forward", "web", ":80", "--as=ann"],
    ];
    for words in refused {
        let part = words[0].replace("port-forward", "portforward");
        c.kubectl(words).code(1).complains(&[&format!("User \"ann\" cannot create resource \"pods/{part}\"")]);
    }
    c.kubectl(&["get", "--raw", "/api/v1/namespaces/default/pods/web/log", "--as=bob"])
        .code(1)
        .complains(&["User \"bob\" cannot get resource \"pods/log\""]);
    // a pod of a node that nobody has heard of
    let mut far = pod("far", &json!({ "containers": [script("a", "true")] }));
    far["spec"]["nodeName"] = "nowhere".into();
    c.apply(&far);
    c.kubectl(&["logs", "far"]).code(1).complains(&["ServiceUnavailable", "node \"nowhere\" is not connected"]);
    c.kubectl(&["delete", "pod", "far", "--force", "--grace-period=0"]).ok();
}

fn exec(c: &Cluster) {
    for websockets in ["true", "false"] {
        let run = |args: &[&str]| {
            let mut command = c.command();
            command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets).args(args);
            Running::start(command).finish()
        };
        let said = run(&["exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]);
        said.code(3).complains(&["err"]).says("out\n");
        run(&["exec", "two", "-c", "typed", "--", "head", "-c", "3000000", "/dev/zero"]).ok();
    }
    let mut command = c.command();
    command.args(["exec", "-i", "web", "--", "sh", "-c", "read a; echo got $a"]);
    let mut kubectl = Running::start(command);
    kubectl.type_in("hello\n");
    kubectl.finish().ok().says("got hello\n");
    let mut command = c.command();
    // the size comes when the program runs already
    let script = "while [ \"$(stty size)\" != '33 77' ]; do sleep 0.05; done; echo sized; read a; echo $a$a";
    command.args(["exec", "-it", "web", "--", "sh", "-c", script]);
    let mut terminal = Terminal::start(&command, 77, 33);
    terminal.wait_for("sized");
    terminal.type_in("ab\n");
    terminal.wait_for("abab");
    assert_eq!(terminal.finish().0, 0);
}

fn attach_and_forward(c: &Cluster) {
    let mut command = c.command();
    command.args(["attach", "-i", "two", "-c", "typed"]);
    let mut kubectl = Running::start(command);
    kubectl.type_in("a\n");
    kubectl.wait_for("got a");
    kubectl.kill();
    for websockets in ["true", "false"] {
        let mut command = c.command();
        command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets).args(["port-forward", "web", ":8080"]);
        let mut kubectl = Running::start(command);
        kubectl.wait_for("Forwarding from 127.0.0.1:");
        let port = kubectl.said().split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a port");
        for _ in 0..3 {
            assert_eq!(ask("127.0.0.1", port).as_deref(), Some("web"));
        }
        kubectl.kill();
    }
}

/// HTTP to a pod, and to the pods behind a service, through the API server.
fn proxies(c: &Cluster) {
    let get = |path: &str| c.kubectl(&["get", "--raw", &format!("/api/v1/namespaces/default/{path}")]);
    get("pods/web:8080/proxy/").ok().says("web\n");
    get("pods/http:web:8080/proxy/index.html?a=b").ok().says("web\n");
    get("pods/web:8080/proxy/none").code(1).complains(&["NotFound"]);
    get("pods/web:81/proxy/").code(1).complains(&["error trying to reach service", "refused"]);
    get("pods/https:web:8080/proxy/").code(1).complains(&["https is not spoken with pods"]);
    get("pods/nobody/proxy/").code(1).complains(&["pods \"nobody\" not found"]);
    c.kubectl(&["label", "pod", "web", "app=web"]).ok();
    c.kubectl(&["expose", "pod", "web", "--port=80", "--target-port=8080"]).ok();
    c.soon("the service has an endpoint", || get("services/web/proxy/").stdout == "web\n");
    get("services/web:80/proxy/").ok().says("web\n");
    get("services/web:81/proxy/").code(1).complains(&["no service port 81 found for service \"web\""]);
    c.kubectl(&["patch", "service", "web", "-p", "{\"spec\":{\"selector\":{\"app\":\"none\"}}}"]).ok();
    c.soon("it has none", || get("services/web/proxy/").stderr.contains("no endpoints available for service \"web\""));
    c.kubectl(&["delete", "service", "web"]).ok();
    let as_ann = ["get", "--raw", "/api/v1/namespaces/default/pods/web:8080/proxy/", "--as=ann"];
    c.kubectl(&as_ann).code(1).complains(&["User \"ann\" cannot get resource \"pods/proxy\""]);
}

fn copies(c: &Cluster) {
    let (from, to) = (c.env.path("from"), c.env.path("to"));
    let text: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    fs::write(&from, &text).expect("a file");
    c.kubectl(&["cp", &from.to_string_lossy(), "web:/tmp/there"]).ok();
    c.kubectl(&["cp", "web:/tmp/there", &to.to_string_lossy()]).ok();
    assert!(fs::read_to_string(&to).expect("a file") == text, "what comes back is not what went");
}

/// Those who follow hear all, also after a rotation, and their command ends with the container; one that never reads holds up nobody.
fn followed_to_the_end(c: &Cluster) {
    let mut command = c.command();
    command.args(["exec", "two", "-c", "typed", "--", "cat", "/dev/zero"]);
    let (read, write) = std::io::pipe().expect("a pipe");
    let mut stalled = command.stdout(write).spawn().expect("kubectl");
    let followers: Vec<Running> = (0..3)
        .map(|_| {
            let mut command = c.command();
            command.args(["logs", "-f", "two", "-c", "talk", "--tail=2"]);
            let mut kubectl = Running::start(command);
            kubectl.wait_for("three");
            kubectl
        })
        .collect();
    c.kubectl(&["exec", "two", "-c", "talk", "--", "touch", "/go"]).ok();
    for follower in followers {
        follower.finish().ok().says("two\nthree\nlast\n");
    }
    let _ = stalled.kill();
    let _ = stalled.wait();
    drop(read);
    assert_eq!(c.get(&["node", NODE], "{.metadata.name}"), NODE);
}
