//! Volumes of pods, and parts of them.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::base::Cluster;
use super::pods::{phase, pod, script};

integration::tests![parts_of_volumes];

fn reason(c: &Cluster, name: &str) -> String {
    c.get(&["pod", name], "{.status.containerStatuses[0].state.waiting.message}")
}

fn mounted(name: &str, what: &str, mounts: Value) -> Value {
    let mut container = script(name, what);
    container["env"] = json!([{ "name": "WHO", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]);
    container["volumeMounts"] = mounts;
    container
}

/// `subPath` and `subPathExpr`: what is meant is seen, what is missing is made, and links lead nowhere else.
fn parts_of_volumes() {
    let c = Cluster::start();
    let (whole, secret) = (c.env.path("whole"), c.env.path("secret"));
    fs::create_dir_all(&secret).expect("a folder");
    fs::write(secret.join("key"), "secret").expect("a file");
    fs::create_dir_all(whole.join("a")).expect("a folder");
    fs::write(whole.join("a/text"), "text").expect("a file");
    symlink(&secret, whole.join("out")).expect("a link");
    symlink("../secret", whole.join("up")).expect("a link");
    c.kubectl(&["create", "configmap", "m", "--from-literal=k=value"]).ok();
    let volumes = json!([
        { "name": "h", "hostPath": { "path": whole } },
        { "name": "m", "configMap": { "name": "m" } },
        { "name": "e", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
    ]);
    let main = mounted(
        "a",
        "cat /one/text /file; echo new >/own/new; echo no >/one/no || echo ' read-only'; head -c 2000000 /dev/zero >/e/f || stat -fc %T /e",
        json!([
            { "name": "h", "mountPath": "/one", "subPath": "a", "readOnly": true },
            { "name": "h", "mountPath": "/own", "subPathExpr": "logs/$(WHO)" },
            { "name": "m", "mountPath": "/file", "subPath": "k" },
            { "name": "e", "mountPath": "/e" },
        ]),
    );
    c.apply(&pod("good", &json!({ "restartPolicy": "Never", "containers": [main], "volumes": volumes })));
    c.soon("it has ended", || phase(&c, "good") == "Succeeded");
    let said = c.kubectl(&["logs", "good"]).stdout;
    assert!(said.contains("textvalue") && said.contains("read-only") && said.contains("tmpfs"), "{said}");
    assert_eq!(fs::read_to_string(whole.join("logs/good/new")).expect("a file of the container"), "new\n");

    for (name, field, part) in
        [("out", "subPath", "out"), ("up", "subPath", "up"), ("deep", "subPath", "out/new"), ("expr", "subPathExpr", "$(NO)")]
    {
        let main = mounted("a", "cat /x/key", json!([{ "name": "h", "mountPath": "/x", field: part }]));
        c.apply(&pod(name, &json!({ "containers": [main], "volumes": volumes })));
        let why = if field == "subPath" { "leads out of" } else { "missing value for \"NO\"" };
        c.soon("it says why it does not run", || reason(&c, name).contains(why));
    }
    assert!(!secret.join("new").exists(), "nothing was made elsewhere");
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}
