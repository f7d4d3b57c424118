use launch::{ClockOffset, IdRange, Mapper, NetDevice, Users};

use super::*;

fn mapped(uids: Value, gids: Value, patch: Value) -> Value {
    let mut all = json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "user"}], "uidMappings": uids, "gidMappings": gids}});
    merge(&mut all, &patch);
    all
}

fn ids(inside: u32, outside: u32, size: u32) -> Value {
    json!({"containerID": inside, "hostID": outside, "size": size})
}

#[test]
fn a_new_user_namespace() {
    let patch = mapped(json!([ids(0, 1000, 1), ids(1, 100_000, 9)]), json!([ids(0, 5, 7)]), json!({}));
    let plan = compiled(patch).plan;
    let range = |inside, outside, size| IdRange { inside, outside, size };
    let (uids, gids) = (vec![range(0, 1000, 1), range(1, 100_000, 9)], vec![range(0, 5, 7)]);
    assert_eq!(plan.users, Some(Users { uids, gids, mapper: Mapper::Caller }));
    assert_eq!(plan.unshare, 0x1002_0000);
    assert_eq!(compiled(json!({})).plan.users, None);
}

#[test]
fn a_joined_one_may_be_described() {
    let namespaces = json!([{"type": "mount"}, {"type": "user", "path": "/u"}]);
    let plan = compiled(json!({"linux": {"namespaces": namespaces}})).plan;
    assert_eq!((plan.users, plan.join), (None, vec![(0x1000_0000, Slot(2))]));
    let patch = mapped(json!([ids(0, 1, 1)]), json!([ids(0, 1, 1)]), json!({"linux": {"namespaces": namespaces}}));
    assert_eq!(compiled(patch).plan.users.unwrap().uids.len(), 1);
}

#[test]
fn who_maps() {
    let poor = Host { identity: Some((1000, 1001)), grantable: 0, ..host(V2) };
    let mapper =
        |uids: Value, gids: Value| compile(&spec(&mapped(uids, gids, json!({}))), &poor).unwrap().plan.users.unwrap().mapper;
    assert_eq!(mapper(json!([ids(0, 1000, 1)]), json!([ids(0, 1001, 1)])), Mapper::Itself);
    assert_eq!(mapper(json!([ids(0, 1000, 1)]), json!([ids(0, 1002, 1)])), Mapper::Helpers);
    assert_eq!(mapper(json!([ids(0, 1000, 1), ids(1, 9, 1)]), json!([ids(0, 1001, 1)])), Mapper::Helpers);
    let groups = json!({"process": {"user": {"additionalGids": [0]}}});
    let alone = mapped(json!([ids(0, 1000, 1)]), json!([ids(0, 1001, 1)]), groups);
    assert!(compile(&spec(&alone), &poor).unwrap_err().to_string().starts_with("process.user.additionalGids: groups cannot"));
    let caps = json!({"process": {"capabilities": {"bounding": ["CAP_SYS_ADMIN"]}}});
    let alone = mapped(json!([ids(0, 1000, 1)]), json!([ids(0, 1001, 1)]), caps);
    assert_eq!(compile(&spec(&alone), &poor).unwrap().plan.process.capabilities.unwrap().bounding, 1 << 21);
}

#[test]
fn users_that_make_no_sense() {
    let fine = json!([ids(0, 1, 10)]);
    for (uids, gids, expected) in [
        (json!([]), fine.clone(), "linux.uidMappings: missing"),
        (fine.clone(), json!([]), "linux.gidMappings: missing"),
        (fine.clone(), json!([ids(0, 1, 0)]), "linux.gidMappings: 0 1 0 is no range of ids"),
        (fine.clone(), json!([ids(1, 1, 10)]), "process.user.gid: 0 is not mapped in the user namespace"),
    ] {
        let error = refused(mapped(uids, gids, json!({})));
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(refused(json!({"linux": {"gidMappings": fine}})).starts_with("linux.gidMappings: needs a user namespace"));
}

#[test]
fn clocks() {
    let with = |namespaces: Value, offsets: Value| json!({"linux": {"namespaces": namespaces, "timeOffsets": offsets}});
    let new = json!([{"type": "mount"}, {"type": "time"}]);
    let plan = compiled(with(new.clone(), json!({"monotonic": {"secs": 7}, "boottime": {"secs": -1, "nanosecs": 5}}))).plan;
    let offset = |clock: &str, seconds, nanoseconds| ClockOffset { clock: clock.into(), seconds, nanoseconds };
    assert_eq!(plan.clocks, [offset("boottime", -1, 5), offset("monotonic", 7, 0)]);
    let one = json!({"monotonic": {"secs": 1}});
    for namespaces in [json!([{"type": "mount"}]), json!([{"type": "mount"}, {"type": "time", "path": "/t"}])] {
        let error = refused(with(namespaces, one.clone()));
        assert_eq!(error, "linux.timeOffsets.monotonic: clocks can only be set in a new time namespace");
    }
    assert!(refused(with(new, json!({"realtime": {}}))).starts_with("linux.timeOffsets.realtime: is neither"));
}

#[test]
fn a_furnished_mount_namespace_stays_as_it_is() {
    let namespaces = json!([{"type": "mount", "path": "/m"}, {"type": "pid"}]);
    let mounts = json!([{"destination": "/x", "type": "bind", "source": "/nonsuch", "options": ["bind"]}]);
    let Compiled { plan, sources, warnings } = compiled(json!({"mounts": mounts, "linux": {"namespaces": namespaces}}));
    assert!(plan.steps.is_empty() && !sources.iter().any(|source| matches!(source, Source::Tree { .. })));
    assert_eq!(plan.join, [(0x2_0000, Slot(2))]);
    assert!(warnings[0].contains("the mount namespace is another's"));
}

#[test]
fn network_devices() {
    let with = |devices: Value| json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "network"}], "netDevices": devices}});
    let plan = compiled(with(json!({"eth1": {}, "eth0": {"name": "lan"}}))).plan;
    let device = |outside: &str, inside: &str| NetDevice { outside: outside.into(), inside: inside.into() };
    assert_eq!(plan.devices, [device("eth0", "lan"), device("eth1", "eth1")]);
    for (devices, expected) in [
        (json!({"": {}}), "linux.netDevices.: \"\" is not the name"),
        (json!({"..": {}}), "linux.netDevices...: \"..\" is not the name"),
        (json!({"a": {"name": "b"}, "b": {}}), "linux.netDevices.b: a second device \"b\""),
    ] {
        let error = refused(with(devices));
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(refused(json!({"linux": {"netDevices": {"a": {}}}})).starts_with("linux.netDevices.a: needs a network namespace"));
    let poor = Host { grantable: 0, ..host(V2) };
    let error = compile(&spec(&with(json!({"a": {}}))), &poor).unwrap_err().to_string();
    assert!(error.ends_with("can only be moved with CAP_NET_ADMIN there"), "{error}");
}
