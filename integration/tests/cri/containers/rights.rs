//! Whom containers run as, and what they may do.

use cri::{Int64Value, Mount};
use tonic::Code;

use crate::cri::asking::*;
use crate::cri::images::pull;
use crate::cri::known::left_out;
use crate::cri::node::{Node, is_another};

integration::tests![
    users_and_groups,
    what_is_allowed_is_what_was_asked_for,
    devices_are_those_that_were_asked_for,
    a_filter_of_system_calls_may_be_in_a_file,
    everything_may_be_allowed,
    root_may_be_nobody_on_the_host,
];

pub(super) fn security(config: &mut cri::ContainerConfig) -> &mut cri::LinuxContainerSecurityContext {
    config.linux.as_mut().expect("linux").security_context.as_mut().expect("security")
}

fn users_and_groups() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "users");
    let pod = run(&n, &pod_config);
    let mut config = config("main", SLEEP);
    let own = security(&mut config);
    own.run_as_user = Some(Int64Value { value: 1000 });
    own.run_as_group = Some(Int64Value { value: 3000 });
    own.supplemental_groups = vec![4000];
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    assert_eq!(says(&n, &id, "id -u; id -g"), "1000\n3000");
    let groups = says(&n, &id, "id -G");
    // The image's file has its user in group 2000.
    for group in ["3000", "4000", "2000"] {
        assert!(groups.split(' ').any(|own| own == group), "{groups}");
    }
    let user = status(&n, &id).user.and_then(|user| user.linux);
    if !left_out("user", user.is_none()) {
        let user = user.expect("a user");
        assert_eq!((user.uid, user.gid), (1000, 3000));
        assert!(user.supplemental_groups.contains(&4000) && user.supplemental_groups.contains(&2000), "{user:?}");
        let mut strict = config.clone();
        strict.metadata.as_mut().expect("metadata").name = "strict".to_owned();
        security(&mut strict).supplemental_groups_policy = 1;
        let id = create(&n, &pod, &strict, &pod_config);
        start(&n, &id);
        assert!(!says(&n, &id, "id -G").split(' ').any(|own| own == "2000"));
    }
    let mut alone = config;
    alone.metadata.as_mut().expect("metadata").name = "alone".to_owned();
    alone.linux.as_mut().expect("linux").security_context.as_mut().expect("security").run_as_user = None;
    assert!(n.ask(n.containers().create_container(creation(&pod, &alone, &pod_config))).is_err(), "a group without a user");
    remove_pod(&n, &pod);
}

/// A line of proc_pid_status(5) of a container's first process.
fn of_process(n: &Node, id: &str, line: &str) -> String {
    says(n, id, &format!("sed -n 's/^{line}:[[:space:]]*//p' /proc/1/status"))
}

/// CAP_NET_ADMIN, CAP_MKNOD and CAP_NET_BIND_SERVICE in a set of capabilities (capabilities(7)).
const NET_ADMIN: u64 = 1 << 12;
const MKNOD: u64 = 1 << 27;
const BIND: u64 = 1 << 10;

fn what_is_allowed_is_what_was_asked_for() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "allowed");
    let pod = run(&n, &pod_config);
    let made = |name: &str, change: &dyn Fn(&mut cri::ContainerConfig)| {
        let mut config = config(name, SLEEP);
        change(&mut config);
        let id = create(&n, &pod, &config, &pod_config);
        start(&n, &id);
        id
    };
    let set = |id: &str, name: &str| u64::from_str_radix(&of_process(&n, id, name), 16).expect("a set");
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let id = made("narrow", &|config| {
        config.envs = vec![cri::KeyValue { key: "COLOUR".to_owned(), value: b"a b".to_vec() }];
        config.working_dir = "/var".to_owned();
        let own = security(config);
        own.capabilities = Some(cri::Capability {
            add_capabilities: names(&["NET_ADMIN"]),
            drop_capabilities: names(&["MKNOD"]),
            ..Default::default()
        });
        own.no_new_privs = true;
        own.readonly_rootfs = true;
        own.masked_paths = names(&["/proc/version", "/home"]);
        own.readonly_paths = names(&["/proc/sys"]);
        own.seccomp = Some(cri::SecurityProfile { profile_type: 0, localhost_ref: String::new() });
    });
    let bounds = set(&id, "CapBnd");
    assert_eq!((bounds & NET_ADMIN, bounds & MKNOD), (NET_ADMIN, 0), "{bounds:x}");
    assert_eq!(["NoNewPrivs", "Seccomp"].map(|line| of_process(&n, &id, line)), ["1", "2"]);
    assert_eq!(
        says(&n, &id, "cat /proc/version | wc -c; ls /home | wc -l; tr '\\0' '\\n' < /proc/1/environ | grep COLOUR"),
        "0\n0\nCOLOUR=a b"
    );
    assert_eq!(says(&n, &id, "readlink /proc/1/cwd"), "/var");
    for file in ["/file", "/proc/sys/net/ipv4/ip_forward"] {
        assert_ne!(sh(&n, &id, &format!("echo 1 > {file}")).exit_code, 0, "{file}");
    }
    let id = made("narrower", &|config| {
        let own = security(config);
        own.run_as_username = "app".to_owned();
        own.capabilities = Some(cri::Capability {
            add_capabilities: names(&["NET_BIND_SERVICE"]),
            drop_capabilities: names(&["ALL"]),
            add_ambient_capabilities: names(&["NET_BIND_SERVICE"]),
        });
    });
    assert_eq!(says(&n, &id, "id -u"), "1000");
    let sets = ["CapBnd", "CapEff", "CapAmb"].map(|name| set(&id, name));
    assert_eq!(sets[0], BIND);
    assert!(left_out("ambient", sets[2] == 0) || sets == [BIND; 3], "{sets:x?}");
    // Nothing said is no filter, and what is writable is.
    assert_eq!(["NoNewPrivs", "Seccomp"].map(|line| of_process(&n, &id, line)), ["0", "0"]);
    let all = made("all", &|config| {
        security(config).capabilities = Some(cri::Capability { add_capabilities: names(&["ALL"]), ..Default::default() });
    });
    assert_eq!(set(&all, "CapBnd") & (NET_ADMIN | MKNOD), NET_ADMIN | MKNOD);
    let mut wrong = config("wrong", SLEEP);
    security(&mut wrong).capabilities = Some(cri::Capability { add_capabilities: names(&["NO_SUCH"]), ..Default::default() });
    if !is_another() {
        let refused = n.fails(Code::InvalidArgument, n.containers().create_container(creation(&pod, &wrong, &pod_config)));
        assert!(refused.contains("NO_SUCH"), "{refused}");
    }
    remove_pod(&n, &pod);
}

/// A description of devices for all on this host, which goes with it.
struct Description(std::path::PathBuf);

impl Drop for Description {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        // Not if there are others.
        let _ = std::fs::remove_dir("/var/run/cdi");
    }
}

fn devices_are_those_that_were_asked_for() {
    let n = Node::own("");
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "devices");
    let pod = run(&n, &pod_config);
    std::fs::create_dir_all("/var/run/cdi").expect("a folder");
    let kind = format!("rctr.test/cri-{}", n.env.bridge());
    let described = Description(format!("/var/run/cdi/cri-{}.json", n.env.bridge()).into());
    let text = serde_json::json!({ "cdiVersion": "0.6.0", "kind": kind, "devices": [{ "name": "one", "containerEdits": {
        "env": ["ONE=here"], "deviceNodes": [{ "path": "/dev/one", "hostPath": "/dev/net/tun", "permissions": "r" }],
    }}]});
    std::fs::write(&described.0, text.to_string()).expect("a description");
    let mut config = config("main", SLEEP);
    let device = |host: &str, container: &str, permissions: &str| cri::Device {
        host_path: host.to_owned(),
        container_path: container.to_owned(),
        permissions: permissions.to_owned(),
    };
    config.devices = vec![device("/dev/null", "/dev/nothing", "rwm"), device("/dev/net/tun", "/dev/shut", "r")];
    config.cdi_devices = vec![cri::CdiDevice { name: format!("{kind}=one") }];
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    let opens = |how: &str, device: &str| sh(&n, &id, &format!(": {how} /dev/{device}")).exit_code == 0;
    assert_eq!(
        ["nothing", "shut", "one"].map(|device| (opens("<", device), opens(">", device))),
        [(true, true), (true, false), (true, false)]
    );
    assert_eq!(says(&n, &id, "tr '\\0' '\\n' < /proc/1/environ | grep ONE"), "ONE=here");
    config.metadata.as_mut().expect("metadata").name = "none".to_owned();
    config.cdi_devices[0].name = format!("{kind}=two");
    let refused = n.ask(n.containers().create_container(creation(&pod, &config, &pod_config))).expect_err("nothing describes it");
    assert!(refused.message().contains(&format!("{kind}=two")) && refused.code() != Code::Internal, "{refused}");
    remove_pod(&n, &pod);
    n.env.nothing_left_soon();
}

fn a_filter_of_system_calls_may_be_in_a_file() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "seccomp");
    let pod = run(&n, &pod_config);
    let profile = n.env.path("profile.json");
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(&profile, text).expect("a profile");
    let mut config = config("main", SLEEP);
    let localhost =
        |path: &std::path::Path| Some(cri::SecurityProfile { profile_type: 2, localhost_ref: path.display().to_string() });
    security(&mut config).seccomp = localhost(&profile);
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    assert_ne!(sh(&n, &id, "mkdir /tmp/x").exit_code, 0);
    assert_eq!(sh(&n, &id, "touch /tmp/x").exit_code, 0);
    config.metadata.as_mut().expect("metadata").name = "missing".to_owned();
    security(&mut config).seccomp = localhost(&n.env.path("nonsuch.json"));
    let made = n.ask(n.containers().create_container(creation(&pod, &config, &pod_config)));
    assert!(made.expect_err("no such profile").message().contains("nonsuch.json"));
    remove_pod(&n, &pod);
}

fn everything_may_be_allowed() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let mut pod_config = pod_config(&n, "privileged");
    let privileged = cri::LinuxSandboxSecurityContext { privileged: true, ..Default::default() };
    pod_config.linux.as_mut().expect("linux").security_context = Some(privileged);
    let pod = run(&n, &pod_config);
    let plain = create(&n, &pod, &config("plain", SLEEP), &pod_config);
    let mut config = config("main", SLEEP);
    security(&mut config).privileged = true;
    let id = create(&n, &pod, &config, &pod_config);
    for id in [&plain, &id] {
        start(&n, id);
    }
    let link = "ip link add dummy7 type bridge";
    assert_ne!(sh(&n, &plain, link).exit_code, 0);
    assert_eq!(sh(&n, &id, link).exit_code, 0);
    remove_pod(&n, &pod);
}

fn root_may_be_nobody_on_the_host() {
    let n = Node::start();
    let handlers = n.ok(n.containers().status(cri::StatusRequest::default())).runtime_handlers;
    if !handlers.iter().any(|handler| handler.name.is_empty() && handler.features.is_some_and(|features| features.user_namespaces))
    {
        integration::skip!("this runtime has no user namespaces");
    }
    pull(&n, BUSYBOX);
    let range = vec![cri::IdMapping { host_id: 3_000_000, container_id: 0, length: 65_536 }];
    let users = cri::UserNamespace { mode: cri::NamespaceMode::Pod.into(), uids: range.clone(), gids: range.clone() };
    let mut pod_config = pod_config(&n, "users-own");
    let options = cri::NamespaceOption { userns_options: Some(users.clone()), ..Default::default() };
    let context = cri::LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
    pod_config.linux.as_mut().expect("linux").security_context = Some(context);
    let pod = run(&n, &pod_config);
    let folder = n.env.path("owned");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("file"), "root's").expect("a file");
    let mut config = config("main", SLEEP);
    let pid = cri::NamespaceMode::Container.into();
    security(&mut config).namespace_options = Some(cri::NamespaceOption { pid, userns_options: Some(users), ..Default::default() });
    config.mounts = vec![Mount {
        host_path: folder.display().to_string(),
        container_path: "/data".to_owned(),
        uid_mappings: range.clone(),
        gid_mappings: range,
        ..Mount::default()
    }];
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    let map = says(&n, &id, "cat /proc/self/uid_map");
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "3000000", "65536"]);
    assert_eq!(says(&n, &id, "stat -c %u /data/file; touch /data/new; id -u"), "0\n0");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(folder.join("new")).expect("made").uid(), 0);
    remove_pod(&n, &pod);
}
