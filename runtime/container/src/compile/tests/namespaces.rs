use super::*;

fn with(namespaces: Value, patch: Value) -> Value {
    let mut all = json!({"linux": {"namespaces": namespaces}});
    merge(&mut all, &patch);
    all
}

#[test]
fn new_and_joined() {
    let namespaces =
        json!([{"type": "pid"}, {"type": "network", "path": "/run/netns/x"}, {"type": "mount", "path": ""}, {"type": "cgroup"}]);
    let Compiled { plan, sources, .. } = compiled(with(namespaces, json!({})));
    assert_eq!(plan.unshare, 0x2000_0000 | 0x2_0000 | 0x200_0000);
    assert_eq!(plan.join, [(0x4000_0000, Slot(2))]);
    assert_eq!(sources[2], Source::Namespace { path: "/run/netns/x".into(), flag: 0x4000_0000, foreign: false });
    assert!(!plan.loopback, "only in a new network");
    assert!(compiled(with(json!([{"type": "mount"}, {"type": "network"}]), json!({}))).plan.loopback);
}

#[test]
fn refusals() {
    for (namespaces, expected) in [
        (json!([]), "linux.namespaces: a container without a mount namespace of its own is not supported"),
        (json!([{"type": "mount"}, {"type": "pid"}, {"type": "pid"}]), "linux.namespaces[2]: a second pid namespace"),
        (json!([{"type": "mount"}, {"type": "uts", "path": "x"}]), "linux.namespaces[1].path: x is not an absolute path"),
    ] {
        assert_eq!(refused(with(namespaces, json!({}))), expected);
    }
}

#[test]
fn names_need_a_uts_namespace() {
    let own = json!([{"type": "mount"}, {"type": "uts"}]);
    let plan = compiled(with(own, json!({"hostname": "h", "domainname": "d"}))).plan;
    assert_eq!((plan.hostname.as_deref(), plan.domainname.as_deref()), (Some("h"), Some("d")));
    let none = json!([{"type": "mount"}]);
    assert_eq!(refused(with(none.clone(), json!({"hostname": "h"}))), "hostname: needs a uts namespace of the container's own");
    assert!(refused(with(none.clone(), json!({"domainname": "d"}))).starts_with("domainname: needs"));
    assert_eq!(compiled(with(none, json!({"hostname": ""}))).plan.hostname, None);
    // A joined one is looked at when it is opened: it may be the host's.
    let joined = json!([{"type": "mount"}, {"type": "uts", "path": "/proc/1/ns/uts"}]);
    let sources = compiled(with(joined, json!({"hostname": "h"}))).sources;
    assert!(matches!(sources[2], Source::Namespace { foreign: true, .. }));
}

#[test]
fn sysctls_belong_to_a_namespace() {
    let all = json!([{"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}]);
    for key in ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "kernel.shmmax", "fs.mqueue.msg_max", "kernel.domainname"]
    {
        let plan = compiled(with(all.clone(), json!({"linux": {"sysctl": {key: "1"}}}))).plan;
        assert_eq!(plan.sysctls, [(key.to_owned(), "1".to_owned())]);
        let error = refused(json!({"linux": {"sysctl": {key: "1"}}}));
        assert!(error.starts_with(&format!("linux.sysctl.{key}: needs a ")), "{error}");
    }
    for (key, expected) in [
        ("kernel.hostname", "is set by hostname"),
        ("kernel.core_pattern", "is a setting of the whole host"),
        ("vm.overcommit_memory", "is a setting of the whole host"),
        ("net/../kernel/core_pattern", "not the name of a setting"),
        ("net/ipv4/../../kernel/core_pattern", "not the name of a setting"),
        ("net..x", "not the name of a setting"),
        ("/net/x", "not the name of a setting"),
        ("", "not the name of a setting"),
    ] {
        let error = refused(with(all.clone(), json!({"linux": {"sysctl": {key: "1"}}})));
        assert!(error.starts_with(&format!("linux.sysctl.{key}: {expected}")), "{error}");
    }
}
