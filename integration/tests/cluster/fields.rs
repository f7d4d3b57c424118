//! Fields of pods: each does what it says, or is refused by its name.

use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};

use super::admission;
use super::base::{BUSYBOX, Cluster, NODE};
use super::pods::{phase, pod, script};

integration::tests![fields_do_what_they_say];

fn fields_do_what_they_say() {
    let c = Cluster::start();
    names_and_last_words(&c);
    users_of_its_own(&c);
    what_nothing_would_come_of(&c);
    admission::who_is_taken(&c);
    let images = "{.status.images[*].names}";
    c.soon("the node tells of its images", || c.get(&["node", NODE], images).contains(BUSYBOX));
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn message(c: &Cluster, name: &str, container: &str) -> String {
    let path = format!("{{.status.containerStatuses[?(@.name=='{container}')].state.terminated.message}}");
    c.get(&["pod", name], &path)
}

/// Host names and lines of /etc/hosts; `terminationMessagePath`, and logs in its place.
fn names_and_last_words(c: &Cluster) {
    let mut long = script("long", "yes last | tr -d '\\n' | head -c 6000 >/last; echo no; exit 1");
    long["terminationMessagePath"] = "/last".into();
    let mut log = script("log", "echo why it failed; exit 3");
    log["terminationMessagePolicy"] = "FallbackToLogsOnError".into();
    // An image as a volume is files that are read.
    let mut image =
        script("image", "test -x /files/busybox && ! touch /files/x && test -d /whole/etc && echo fine >/dev/termination-log");
    image["volumeMounts"] = json!([
        { "name": "i", "mountPath": "/files", "subPath": "bin" },
        { "name": "i", "mountPath": "/whole" },
    ]);
    let mut group = script("group", "id -u; id -g");
    group["securityContext"] = json!({ "runAsGroup": 77 });
    let spec = json!({
        "restartPolicy": "Never", "hostname": "short", "subdomain": "sub",
        "hostAliases": [{ "ip": "192.0.2.7", "hostnames": ["db", "db.lan"] }],
        "containers": [script("names", "hostname; cat /etc/hosts; cat /etc/hosts >/dev/termination-log"), long, log, image, group],
        "volumes": [{ "name": "i", "image": { "reference": BUSYBOX, "pullPolicy": "IfNotPresent" } }],
    });
    c.apply(&pod("words", &spec));
    c.soon("all have ended", || phase(c, "words") == "Failed");
    let said = c.kubectl(&["logs", "words", "-c", "names"]).stdout;
    let address = said.lines().find_map(|line| line.strip_suffix("\tshort.sub.default.svc.cluster.local\tshort"));
    assert!(said.starts_with("short\n") && address.is_some_and(|address| address.starts_with("10.")), "{said}");
    assert!(said.contains("\n192.0.2.7\tdb\n192.0.2.7\tdb.lan\n"), "{said}");
    let all = message(c, "words", "names");
    assert!(said.contains(all.trim()) && all.contains("192.0.2.7"), "{all}");
    // Five containers share 12 KiB.
    assert_eq!(message(c, "words", "long").len(), 2457);
    assert_eq!(message(c, "words", "log"), "why it failed");
    assert_eq!(message(c, "words", "image"), "fine");
    assert_eq!(c.kubectl(&["logs", "words", "-c", "group"]).stdout, "0\n77\n");

    let spec = json!({ "hostname": "short", "subdomain": "sub", "setHostnameAsFQDN": true,
        "containers": [script("a", "hostname; sleep 1000")] });
    c.apply(&pod("whole", &spec));
    c.soon("it has said its name", || c.kubectl(&["logs", "whole"]).stdout == "short.sub.default.svc.cluster.local\n");
    c.kubectl(&["delete", "pods", "--all"]).ok();
}

/// `hostUsers: false`: root is nobody on the host, and the pod's volumes are its own all the same.
fn users_of_its_own(c: &Cluster) {
    c.kubectl(&["create", "configmap", "m", "--from-literal=k=value"]).ok();
    let (mut writer, mut reader) = (script("a", "exit 1"), script("b", "sleep 1000"));
    writer["command"][2] =
        "id -u; stat -c %u:%g /disk /m/k; touch /disk/x /mem/x; stat -c %u /disk/x /mem/x; echo last >/dev/termination-log; sleep 1000".into();
    for container in [&mut writer, &mut reader] {
        container["volumeMounts"] = json!([
            { "name": "disk", "mountPath": "/disk" },
            { "name": "mem", "mountPath": "/mem" },
            { "name": "m", "mountPath": "/m" },
        ]);
    }
    let volumes = json!([
        { "name": "disk", "emptyDir": {} },
        { "name": "mem", "emptyDir": { "medium": "Memory" } },
        { "name": "m", "configMap": { "name": "m" } },
    ]);
    let spec = json!({ "hostUsers": false, "containers": [writer, reader], "volumes": volumes });
    let mut first = Vec::new();
    for name in ["own", "other"] {
        c.apply(&pod(name, &spec));
        c.soon("it runs", || phase(c, name) == "Running" && c.kubectl(&["logs", name, "-c", "a"]).stdout.lines().count() == 5);
        assert_eq!(c.kubectl(&["logs", name, "-c", "a"]).stdout, "0\n0:0\n0:0\n0\n0\n");
        let map = c.kubectl(&["exec", name, "-c", "b", "--", "cat", "/proc/self/uid_map"]).stdout;
        let map: Vec<u32> = map.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        assert!(map[0] == 0 && map[1] >= 0x7000_0000 && map[1].is_multiple_of(65536) && map[2] == 65536, "{map:?}");
        first.push(map[1]);
    }
    assert_ne!(first[0], first[1]);
    let uid = c.get(&["pod", "own"], "{.metadata.uid}");
    // What it writes is its root's, who is the host's in what is mapped.
    let file = c.env.root().join("volumes-of-pods").join(uid).join("disk/x");
    assert_eq!(std::fs::metadata(file).expect("a file").uid(), 0);
    c.env.rctr(["kill", &c.container("own")]).ok();
    let count = || c.get(&["pod", "own"], "{.status.containerStatuses[0].restartCount}");
    c.soon("it runs again", || count() == "1");
    assert_eq!(c.get(&["pod", "own"], "{.status.containerStatuses[0].lastState.terminated.message}"), "last");
    c.kubectl(&["delete", "pods", "--all"]).ok();
}

fn what_nothing_would_come_of(c: &Cluster) {
    let refused = |change: &dyn Fn(&mut Value), field: &str| {
        let mut object = pod("refused", &json!({ "containers": [script("a", "true")] }));
        change(&mut object["spec"]);
        let mut command = c.command();
        command.args(["create", "-f", "-"]);
        let mut kubectl = integration::env::Running::start(command);
        kubectl.type_in(&object.to_string());
        let said = kubectl.finish().stderr;
        assert!(said.contains(&format!("spec.{field}: ")), "{field}: {said}");
    };
    refused(
        &|spec| spec["volumes"] = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }]),
        "volumes[0].persistentVolumeClaim",
    );
    // A kind that is not known would be an empty folder.
    refused(
        &|spec| spec["volumes"] = json!([{ "name": "v", "gcePersistentDisk": { "pdName": "d" } }]),
        "volumes[0].gcePersistentDisk",
    );
    refused(&|spec| spec["overhead"] = json!({ "cpu": "1" }), "overhead");
    refused(&|spec| (spec["hostUsers"], spec["hostPID"]) = (false.into(), true.into()), "hostPID");
    refused(&|spec| spec["containers"][0]["livenessProbe"] = json!({}), "containers[0].livenessProbe");
}
