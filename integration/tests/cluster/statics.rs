//! Static pods: manifests of the node's own.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::base::{Cluster, NODE};
use super::pods::{phase, script};

integration::tests![static_pods_run_by_themselves];

fn manifest(name: &str, what: &str) -> Value {
    let spec = json!({ "hostNetwork": true, "terminationGracePeriodSeconds": 1, "containers": [script("a", what)] });
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec })
}

/// Written beside, and then renamed: as tools do it.
fn put(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(format!(".{name}")), text).expect("a manifest");
    fs::rename(folder.join(format!(".{name}")), folder.join(name)).expect("a manifest in its place");
}

fn static_pods_run_by_themselves() {
    let mut c = Cluster::start();
    let folder = c.env.path("manifests");
    fs::create_dir_all(&folder).expect("a folder");
    // The node notices a new folder after a while; a new start of it does so at once.
    c.kill();
    put(&folder, "web.yaml", &manifest("web", "echo first; sleep 1000").to_string());
    put(&folder, "broken.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec: {containers: [{name: a}]}\n");
    c.begin();
    c.soon("it runs, and the API shows it", || phase(&c, "web-one") == "Running");
    let uid = || c.get(&["pod", "web-one"], "{.metadata.uid}");
    let id = c.container("web-one");
    assert_eq!(c.get(&["pod", "web-one"], "{.metadata.ownerReferences[0].name}"), NODE);
    assert_eq!(c.kubectl(&["logs", "web-one"]).ok().text(), "first");
    assert_eq!(c.kubectl(&["exec", "web-one", "--", "echo", "in"]).ok().text(), "in");

    // Whoever deletes the mirror does not end the pod. kubectl would wait for ever if the next mirror were there before it looks.
    let before = uid();
    c.kubectl(&["delete", "pod", "web-one", "--wait=false"]).ok();
    c.soon("there is another mirror", || !uid().is_empty() && uid() != before && phase(&c, "web-one") == "Running");
    assert_eq!(c.container("web-one"), id);

    // Another manifest is another pod, another file another one.
    put(&folder, "web.yaml", &manifest("web", "echo second; sleep 1000").to_string());
    put(&folder, "other.yaml", &manifest("other", "sleep 1000").to_string());
    c.soon("the new one runs", || phase(&c, "web-one") == "Running" && c.kubectl(&["logs", "web-one"]).stdout == "second\n");
    c.soon("and the other one", || phase(&c, "other-one") == "Running");
    c.soon("and the old one is gone", || c.env.rctr(["inspect", &id]).code != 0);

    // One that comes again while it ends runs again.
    let text = fs::read_to_string(folder.join("other.yaml")).expect("a manifest");
    let first = c.container("other-one");
    fs::remove_file(folder.join("other.yaml")).expect("a manifest");
    c.soon("it ends", || c.env.rctr(["inspect", "-f", "{{.State.Running}}", &first]).stdout.trim() != "true");
    put(&folder, "other.yaml", &text);
    c.soon("it runs again", || phase(&c, "other-one") == "Running" && c.container("other-one") != first);

    // What has changed while nobody looked is noticed by the next noded; it finds its pods again.
    let (id, other) = (c.container("web-one"), c.container("other-one"));
    c.kill();
    fs::remove_file(folder.join("other.yaml")).expect("a manifest");
    c.begin();
    c.soon("what was removed is gone", || c.env.rctr(["inspect", &other]).code != 0 && phase(&c, "other-one").is_empty());
    assert_eq!(c.container("web-one"), id);
    fs::remove_file(folder.join("web.yaml")).expect("a manifest");
    c.soon("the last one, too", || phase(&c, "web-one").is_empty());
    c.nothing_left();
}
