//! What a pod's life is made of, from the pull of its image to its last container's end.

use std::fs;

use integration::registry::{PASSWORD, Registry, USER};
use serde_json::json;

use super::base::Cluster;
use super::pods::{phase, pod, script};

integration::tests![from_the_first_to_the_last];

fn from_the_first_to_the_last() {
    let mut c = Cluster::start();
    sidecars_are_first_and_last(&c);
    the_end_has_an_order(&c);
    limits_hold(&c);
    images_of_ones_own(&mut c);
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

/// A sidecar is there before the pod's work begins, ends when that is done, and not before.
fn sidecars_are_first_and_last(c: &Cluster) {
    let mounts = json!([{ "name": "v", "mountPath": "/v" }]);
    let mut side = script("side", "trap 'test -e /v/done; exit $?' TERM; sleep 1; touch /v/side; while :; do sleep 0.1; done");
    side["restartPolicy"] = "Always".into();
    side["startupProbe"] = json!({ "exec": { "command": ["test", "-e", "/v/side"] }, "periodSeconds": 1 });
    let mut main = script("main", "test -e /v/side || exit 7; sleep 1; touch /v/done");
    (side["volumeMounts"], main["volumeMounts"]) = (mounts.clone(), mounts);
    let spec = json!({ "restartPolicy": "Never", "initContainers": [side], "containers": [main], "volumes": [{ "name": "v", "emptyDir": {} }] });
    c.apply(&pod("sided", &spec));
    c.soon("its work is done", || phase(c, "sided") == "Succeeded");
    let code = "{.status.initContainerStatuses[0].state.terminated.exitCode}";
    c.soon("the sidecar has ended after it", || c.get(&["pod", "sided"], code) == "0");
}

/// A pod that is deleted: the hook before the signal, and the sidecar after the others.
fn the_end_has_an_order(c: &Cluster) {
    let out = c.env.path("order");
    let mounts = json!([{ "name": "o", "mountPath": "/o" }]);
    let says = |name: &str, after: &str| {
        let text = format!("trap 'test -e /o/{after} && touch /o/{name}; exit 0' TERM; while :; do sleep 0.1; done");
        let mut container = script(name, &text);
        container["volumeMounts"] = mounts.clone();
        container
    };
    let (mut side, mut main) = (says("side", "main"), says("main", "hook"));
    side["restartPolicy"] = "Always".into();
    main["lifecycle"] = json!({ "preStop": { "exec": { "command": ["touch", "/o/hook"] } } });
    let volumes = json!([{ "name": "o", "hostPath": { "path": out, "type": "DirectoryOrCreate" } }]);
    let mut object = pod("ends", &json!({ "initContainers": [side], "containers": [main], "volumes": volumes }));
    object["spec"]["terminationGracePeriodSeconds"] = 30.into();
    c.apply(&object);
    c.soon("it runs", || phase(c, "ends") == "Running");
    c.kubectl(&["delete", "pod", "ends"]).ok();
    let mut files: Vec<_> = fs::read_dir(&out).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    files.sort();
    assert_eq!(files, ["hook", "main", "side"]);
}

/// Who takes more memory than it may is killed; what it may, it is told.
fn limits_hold(c: &Cluster) {
    let mut greedy = script("a", "exec tail /dev/zero");
    greedy["resources"] = json!({ "limits": { "memory": "16Mi" } });
    let mut told = script("b", "echo $LIMIT $ASKED");
    told["resources"] = json!({ "limits": { "memory": "32Mi", "cpu": "250m" }, "requests": { "cpu": "100m" } });
    let resource = |name: &str, divisor: &str| json!({ "resourceFieldRef": { "resource": name, "divisor": divisor } });
    told["env"] = json!([
        { "name": "LIMIT", "valueFrom": resource("limits.memory", "1Mi") },
        { "name": "ASKED", "valueFrom": resource("requests.cpu", "1m") },
    ]);
    c.apply(&pod("greedy", &json!({ "restartPolicy": "Never", "containers": [greedy, told] })));
    c.soon("it is killed", || phase(c, "greedy") == "Failed");
    let reason = "{.status.containerStatuses[?(@.name=='a')].state.terminated.reason}";
    assert_eq!(c.get(&["pod", "greedy"], reason), "OOMKilled");
    assert_eq!(c.get(&["pod", "greedy"], "{.status.qosClass}"), "Burstable");
    assert_eq!(c.kubectl(&["logs", "greedy", "-c", "b"]).stdout, "32 100\n");
}

/// Images that not everybody may have: by a secret of the pod, or of its account.
fn images_of_ones_own(c: &mut Cluster) {
    let registry = Registry::start(true).expect("a registry with accounts");
    c.env.registries(&format!("[[registry]]\nlocation = {:?}\ninsecure = true\n", registry.address));
    // It is read at the start.
    c.kill();
    c.begin();
    let login = [
        "create",
        "secret",
        "docker-registry",
        "login",
        &format!("--docker-server={}", registry.address),
        &format!("--docker-username={USER}"),
        &format!("--docker-password={PASSWORD}"),
    ];
    c.kubectl(&login).ok();
    let asks = |name: &str, secret: &str| {
        let mut container = script("a", "echo mine");
        container["image"] = format!("{}/library/busybox:latest", registry.address).into();
        container["imagePullPolicy"] = "Always".into();
        let mut spec = json!({ "restartPolicy": "Never", "containers": [container] });
        if !secret.is_empty() {
            spec["imagePullSecrets"] = json!([{ "name": secret }]);
        }
        pod(name, &spec)
    };
    c.apply(&asks("stranger", ""));
    let reason = "{.status.containerStatuses[0].state.waiting.reason}";
    c.soon("it is refused", || c.get(&["pod", "stranger"], reason) == "ImagePullBackOff");
    c.apply(&asks("named", "login"));
    c.soon("the pod's secret is used", || phase(c, "named") == "Succeeded");
    c.kubectl(&["patch", "serviceaccount", "default", "-p", r#"{"imagePullSecrets":[{"name":"login"}]}"#]).ok();
    c.apply(&asks("account", ""));
    c.soon("its account's is, too", || phase(c, "account") == "Succeeded");
    assert_eq!(c.get(&["pod", "account"], "{.spec.imagePullSecrets[0].name}"), "login");
}
