//! Pods that are put on the node by name.

use serde_json::{Value, json};

use super::base::{BUSYBOX, Cluster, NODE, WEB, ask};

integration::tests![
    a_pod_runs_and_goes,
    containers_are_started_again,
    what_is_wrong_is_said,
    jobs_of_one_pod_succeed,
    settings_reach_the_program,
    probes_decide,
    pods_outlive_the_daemon,
];

pub(super) fn pod(name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["nodeName"] = NODE.into();
    spec["terminationGracePeriodSeconds"] = 2.into();
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": name } }, "spec": spec })
}

pub(super) fn script(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script] })
}

pub(super) fn phase(c: &Cluster, name: &str) -> String {
    c.get(&["pod", name], "{.status.phase}")
}

fn a_pod_runs_and_goes() {
    let c = Cluster::start();
    c.apply(&pod("web", &json!({ "containers": [script("web", WEB)] })));
    c.soon("it runs", || phase(&c, "web") == "Running");
    let address = c.addresses("app=web").pop().expect("an address");
    c.soon("it answers", || ask(&address, 8080).as_deref() == Some("web"));
    assert_eq!(c.get(&["pod", "web"], "{.status.conditions[?(@.type=='Ready')].status}"), "True");
    assert_eq!(c.get(&["pod", "web"], "{.status.qosClass}"), "BestEffort");
    let happened = |reason: &str| {
        let path = format!("{{.items[?(@.reason=='{reason}')].involvedObject.fieldPath}}");
        c.soon(reason, || c.get(&["events"], &path) == "spec.containers{web}");
    };
    ["Pulled", "Created", "Started"].into_iter().for_each(happened);
    c.kubectl(&["delete", "pod", "web"]).ok();
    happened("Killing");
    assert_eq!(c.kubectl(&["get", "pods", "-o", "name"]).ok().text(), "");
    c.nothing_left();
}

fn containers_are_started_again() {
    let c = Cluster::start();
    c.apply(&pod("again", &json!({ "containers": [script("a", "sleep 1000")] })));
    c.soon("it runs", || phase(&c, "again") == "Running");
    c.env.rctr(["kill", &c.container("again")]).ok();
    let state = |path: &str| c.get(&["pod", "again"], &format!("{{.status.containerStatuses[0].{path}}}"));
    c.soon("it runs again", || state("restartCount") == "1" && !state("state.running.startedAt").is_empty());
    assert_eq!(state("lastState.terminated.exitCode"), "137");
    c.env.rctr(["kill", &c.container("again")]).ok();
    c.soon("it waits", || state("state.waiting.reason") == "CrashLoopBackOff");
    let said = "Back-off restarting failed container a in pod again_default(";
    c.soon("an event says so", || c.kubectl(&["get", "events"]).stdout.contains(said));
    c.kubectl(&["delete", "pod", "again"]).ok();
    c.nothing_left();
}

fn what_is_wrong_is_said() {
    let c = Cluster::start();
    let mut missing = script("a", "true");
    missing["image"] = "docker.io/library/no-such:1".into();
    let mut secret = script("a", "true");
    secret["env"] = json!([{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "no", "key": "k" } } }]);
    let mut never = script("a", "true");
    never["image"] = "docker.io/library/no-such:2".into();
    never["imagePullPolicy"] = "Never".into();
    let mut program = script("a", "true");
    program["command"] = json!(["/no-such-program"]);
    let cases = [
        ("missing", missing, "waiting.reason", "ImagePullBackOff"),
        ("never", never, "waiting.reason", "ErrImageNeverPull"),
        ("secret", secret, "waiting.reason", "CreateContainerConfigError"),
    ];
    for (name, container, path, reason) in cases {
        c.apply(&pod(name, &json!({ "containers": [container] })));
        c.soon(reason, || c.get(&["pod", name], &format!("{{.status.containerStatuses[0].state.{path}}}")) == reason);
    }
    c.apply(&pod("program", &json!({ "restartPolicy": "Never", "containers": [program] })));
    c.soon("it has failed", || phase(&c, "program") == "Failed");
    let reason = "{.status.containerStatuses[0].state.terminated.reason}";
    assert_eq!(c.get(&["pod", "program"], reason), "StartError");
    assert!(c.kubectl(&["get", "events"]).stdout.contains("secret \"no\" not found"));
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn jobs_of_one_pod_succeed() {
    let c = Cluster::start();
    let inits = [script("first", "echo 1 >/v/a"), script("second", "test \"$(cat /v/a)\" = 1 && echo 2 >>/v/a")];
    let mount = json!([{ "name": "v", "mountPath": "/v" }]);
    let mut main = script("main", "test \"$(tail -1 /v/a)\" = 2; exit $?");
    let mut inits = inits.to_vec();
    for container in inits.iter_mut().chain([&mut main]) {
        container["volumeMounts"] = mount.clone();
    }
    let spec = json!({ "restartPolicy": "Never", "initContainers": inits, "containers": [main], "volumes": [{ "name": "v", "emptyDir": {} }] });
    c.apply(&pod("job", &spec));
    c.soon("it has succeeded", || phase(&c, "job") == "Succeeded");
    assert_eq!(c.get(&["pod", "job"], "{.status.initContainerStatuses[*].state.terminated.reason}"), "Completed Completed");
    c.apply(&pod("bad", &json!({ "restartPolicy": "Never", "containers": [script("a", "exit 3")] })));
    c.soon("it has failed", || phase(&c, "bad") == "Failed");
    assert_eq!(c.get(&["pod", "bad"], "{.status.containerStatuses[0].state.terminated.exitCode}"), "3");
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn settings_reach_the_program() {
    let c = Cluster::start();
    c.kubectl(&["create", "configmap", "m", "--from-literal=k=from-map"]).ok();
    c.kubectl(&["create", "secret", "generic", "s", "--from-literal=k=from-secret"]).ok();
    let mut main = script("a", "echo \"$A $B $C $(cat /m/k) $(cat /s/k)\" >/out/text; sleep 1000");
    main["env"] = json!([
        { "name": "A", "valueFrom": { "configMapKeyRef": { "name": "m", "key": "k" } } },
        { "name": "B", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
        { "name": "C", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
    ]);
    main["volumeMounts"] =
        json!([{ "name": "m", "mountPath": "/m" }, { "name": "s", "mountPath": "/s" }, { "name": "out", "mountPath": "/out" }]);
    let out = c.env.path("out");
    let volumes = json!([
        { "name": "m", "configMap": { "name": "m" } },
        { "name": "s", "secret": { "secretName": "s" } },
        { "name": "out", "hostPath": { "path": out, "type": "DirectoryOrCreate" } },
    ]);
    c.apply(&pod("settings", &json!({ "containers": [main], "volumes": volumes })));
    let text = || std::fs::read_to_string(out.join("text")).unwrap_or_default();
    c.soon("it has written", || !text().is_empty());
    assert_eq!(text().trim(), "from-map from-secret settings from-map from-secret");
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn probes_decide() {
    let c = Cluster::start();
    let mut main = script("a", WEB);
    main["readinessProbe"] = json!({ "httpGet": { "port": 8080 }, "periodSeconds": 1 });
    main["livenessProbe"] =
        json!({ "exec": { "command": ["test", "!", "-e", "/ill"] }, "periodSeconds": 1, "failureThreshold": 1 });
    main["startupProbe"] = json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 1 });
    c.apply(&pod("probed", &json!({ "containers": [main] })));
    let ready = || c.get(&["pod", "probed"], "{.status.containerStatuses[0].ready}");
    c.soon("it is ready", || ready() == "true");
    c.env.rctr(["exec", &c.container("probed"), "mv", "/w/index.html", "/w/x"]).ok();
    let said = |what: &str| c.kubectl(&["get", "events"]).stdout.contains(what);
    c.soon("it is not ready", || ready() == "false" && said("Readiness probe failed: HTTP probe failed with statuscode: 404"));
    c.env.rctr(["exec", &c.container("probed"), "touch", "/ill"]).ok();
    let count = || c.get(&["pod", "probed"], "{.status.containerStatuses[0].restartCount}");
    c.soon("it is started again", || count() == "1" && ready() == "true");
    c.soon("events say why", || said("Liveness probe failed") && said("failed liveness probe, will be restarted"));
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn pods_outlive_the_daemon() {
    let mut c = Cluster::start();
    for name in ["stays", "ends"] {
        c.apply(&pod(name, &json!({ "containers": [script("a", "sleep 1000")] })));
        c.soon("it runs", || phase(&c, name) == "Running");
    }
    let (stays, ends) = (c.container("stays"), c.container("ends"));
    c.kill();
    c.env.rctr(["kill", &ends]).ok();
    c.begin();
    let count = |name: &str| c.get(&["pod", name], "{.status.containerStatuses[0].restartCount}");
    c.soon("what has ended is started again", || count("ends") == "1");
    assert_eq!((c.container("stays"), count("stays").as_str()), (stays, "0"));
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}
