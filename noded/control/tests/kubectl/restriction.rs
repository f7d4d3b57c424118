//! What somebody can do with a node's credentials: one attack a line, and the words of the defence that stops it.

use serde_json::{Value, json};

use super::rights::with_token;
use super::{Cluster, Said};

/// Pods, accounts and objects of three nodes' worth: `n1` is the one that was broken into.
const OBJECTS: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: strong}
---
apiVersion: v1
kind: Pod
metadata: {name: mine}
spec:
  nodeName: n1
  containers: [{name: c, image: x, env: [{name: A, valueFrom: {secretKeyRef: {name: used, key: a}}}]}]
  volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: t, audience: vault}}]}}]
---
apiVersion: v1
kind: Pod
metadata: {name: foreign}
spec: {nodeName: n2, serviceAccountName: strong, containers: [{name: c, image: x}]}
"#;

/// A pod that a node says it runs by itself, with this laid over it.
fn mirror(more: Value) -> Value {
    let meta = json!({"name": "m", "namespace": "default", "annotations": {"kubernetes.io/config.mirror": "x"}});
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta,
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}]}});
    api::patch::merge(&mut pod, more);
    pod
}

fn with_volume(volume: Value) -> Value {
    let mut volume = volume;
    volume["name"] = "v".into();
    mirror(json!({"spec": {"volumes": [volume]}}))
}

fn owned(kind: &str, uid: &str) -> Value {
    let owner = json!({"apiVersion": "v1", "kind": kind, "name": "n1", "uid": uid, "controller": true});
    mirror(json!({"metadata": {"ownerReferences": [owner]}}))
}

fn node(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}

fn lease(name: &str, namespace: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": namespace}, "spec": {}})
}

/// A request for a token as a node sends it.
fn token(pod: &str, uid: &str, audiences: &[&str]) -> Value {
    let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid});
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": audiences, "boundObjectRef": reference}})
}

/// The node's own kubectl, with something on standard input.
fn fed(c: &Cluster, line: &str, input: &Value) -> Said {
    let server = format!("--server=https://{}", c.plane.address);
    let mut arguments = vec!["--kubeconfig=/dev/null", "--insecure-skip-tls-verify", &server, "--token=token-of-n1"];
    arguments.extend(line.split(' '));
    c.feed(&arguments, &input.to_string())
}

#[test]
fn a_broken_node_gets_no_further() {
    let Some(c) = Cluster::start("a_broken_node_gets_no_further") else { return };
    c.ok("create secret generic used --from-literal=a=b");
    c.ok("create secret generic other --from-literal=a=b");
    c.ok("create configmap other --from-literal=a=b");
    assert_eq!(c.feed(&["create", "-f", "-"], OBJECTS).code, 0);
    assert_eq!(c.feed(&["create", "-f", "-"], &node("n2", json!({})).to_string()).code, 0);
    c.ok("label node n2 node-restriction.kubernetes.io/fips=yes");
    let uid = |pod: &str| c.ok(&format!("get pod {pod} -o jsonpath={{.metadata.uid}}"));
    let (mine, foreign) = (uid("mine"), uid("foreign"));

    // its own Node: made without what steers pods, then changed
    let made = |input: Value| fed(&c, "create -f - --validate=false", &input);
    let steering = json!({"node-restriction.kubernetes.io/fips": "yes"});
    let refusals = [
        (made(node("n1", steering)), "is not allowed to set the following labels: node-restriction.kubernetes.io/fips"),
        (made(node("n3", json!({}))), "is not allowed to create node \"n3\""),
    ];
    assert_eq!(made(node("n1", json!({"kubernetes.io/hostname": "n1"}))).code, 0);
    c.ok("taint node n1 dedicated=x:NoSchedule");
    let own = c.ok("get node n1 -o jsonpath={.metadata.uid}");

    let lines = [
        (
            "label node n1 node-role.kubernetes.io/control-plane=",
            "is not allowed to modify the following labels: node-role.kubernetes.io/control-plane",
        ),
        ("label node n2 app=x", "is not allowed to modify node \"n2\""),
        ("taint node n1 dedicated-", "is not allowed to modify taints"),
        ("taint node n2 dedicated=x:NoSchedule", "is not allowed to modify node \"n2\""),
        ("delete node n1", "cannot delete resource \"nodes\""),
        ("patch node n2 --subresource=status -p={\"status\":{\"phase\":\"x\"}}", "is not allowed to modify node \"n2\""),
        (
            "patch node n1 --type=merge -p={\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"x\",\"uid\":\"x\"}]}}",
            "is not allowed to modify ownerReferences",
        ),
        // pods
        ("get pod foreign", "can only act on pods with spec.nodeName set to itself"),
        ("get pods", "can only list/watch pods with spec.nodeName field selector"),
        ("get pods --field-selector=spec.nodeName=n2", "can only list/watch pods with spec.nodeName field selector"),
        ("delete pod foreign", "can only act on pods with spec.nodeName set to itself"),
        ("delete pods --all", "can only list/watch pods"),
        ("label pod mine app=web", "cannot patch resource \"pods\""),
        (
            "patch pod foreign --subresource=status -p={\"status\":{\"phase\":\"Failed\"}}",
            "can only act on pods with spec.nodeName set to itself",
        ),
        ("exec mine -- sh", "cannot create resource \"pods/exec\""),
        // what other pods use
        ("get secret other", "no relationship found between node \"n1\" and this object"),
        ("get secrets", "no relationship found"),
        ("get secrets --field-selector=metadata.name=other", "no relationship found"),
        ("get configmap other", "no relationship found"),
        ("delete secret used", "cannot delete resource \"secrets\""),
        // the lives of others
        ("get lease n2 -n kube-node-lease", "can only access node lease with the same name"),
        ("create deployment d --image=x", "cannot create resource \"deployments\""),
        ("get roles", "cannot list resource \"roles\""),
        ("get pods --as=admin", "cannot impersonate"),
        ("create token default", "node requested token not bound to a pod"),
    ];
    let evict = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "foreign", "namespace": "default"}});
    let raw = |path: &str, input: Value| fed(&c, &format!("create --raw /api/v1/namespaces/default/{path} -f -"), &input);
    let plain = mirror(json!({"metadata": {"annotations": null}}));
    let projected = json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}});
    let others = [
        (made(plain), "annotation, node \"n1\" can only create mirror pods"),
        (made(mirror(json!({"spec": {"nodeName": "n2"}}))), "can only create pods with spec.nodeName set to itself"),
        (made(mirror(json!({"spec": {"serviceAccountName": "strong"}}))), "can not create pods that reference a service account"),
        (made(with_volume(json!({"secret": {"secretName": "other"}}))), "can not create pods that reference secrets"),
        (made(with_volume(json!({"configMap": {"name": "other"}}))), "can not create pods that reference configmaps"),
        (made(with_volume(projected)), "can not create pods that reference projected volumes"),
        (made(owned("Node", "other-uid")), "with an owner reference set to itself"),
        (made(owned("ConfigMap", &own)), "with an owner reference set to itself"),
        (made(lease("n2", "kube-node-lease")), "can only access node lease with the same name"),
        (made(lease("n1", "default")), "can only access node lease with the same name"),
        (raw("pods/foreign/eviction", evict), "can only evict pods with spec.nodeName set to itself"),
        (
            raw("serviceaccounts/strong/token", token("foreign", &foreign, &[])),
            "can only act on pods with spec.nodeName set to itself",
        ),
        (
            raw("serviceaccounts/strong/token", token("mine", &mine, &[])),
            "no relationship found between node \"n1\" and this object",
        ),
        (raw("serviceaccounts/default/token", token("mine", "", &[])), "with a pod binding without a uid"),
        (raw("serviceaccounts/default/token", token("mine", &mine, &["bank"])), "audience \"bank\" not found in pod spec volume"),
    ];
    let said = lines.iter().map(|(line, words)| (with_token(&c, "token-of-n1", line), *words));
    for (said, words) in refusals.into_iter().chain(said).chain(others) {
        assert!(said.code != 0 && said.err.contains(words), "wanted {words:?}: {said:?}");
    }

    // and what a node needs to do it may do
    let fine = [
        made(owned("Node", &own)),
        made(lease("n1", "kube-node-lease")),
        raw("serviceaccounts/default/token", token("mine", &mine, &["vault"])),
        with_token(&c, "token-of-n1", "label node n1 topology.kubernetes.io/zone=a"),
        with_token(&c, "token-of-n1", "get secret used"),
        with_token(&c, "token-of-n1", "get pods --field-selector=spec.nodeName=n1"),
        with_token(&c, "token-of-n1", "patch pod mine --subresource=status -p={\"status\":{\"phase\":\"Running\"}}"),
        with_token(&c, "token-of-n1", "delete pod m --grace-period=0 --force --wait=false"),
    ];
    for said in fine {
        assert_eq!(said.code, 0, "{said:?}");
    }
}
