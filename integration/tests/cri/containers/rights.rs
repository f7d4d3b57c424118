//! Whom containers run as, and what they may do.

use cri::{Int64Value, Mount};

use crate::cri::asking::*;
use crate::cri::images::pull;
use crate::cri::known::left_out;
use crate::cri::node::Node;

integration::tests![
    users_and_groups,
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
