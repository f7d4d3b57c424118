//! Processes that containers share: of their pod, or of one of them.

use std::time::Duration;

use engine::{Grace, POD_INIT, Sharing, StartOptions};

use super::{Pods, chain, soon, words};

integration::tests![containers_share_the_processes_of_a_pod, what_holds_the_processes_is_of_no_use, processes_of_one_are_joined];

fn script(text: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()]
}

fn containers_share_the_processes_of_a_pod() {
    let t = Pods::new();
    let pod = t.run("sharing");
    let shared = |name: &str, cmd: Vec<String>| {
        t.start(&pod, name, |request| {
            request.namespaces.pid = Sharing::Pod(String::new());
            request.cmd = cmd;
        })
    };
    let log = t.env.path("a.log");
    let a = t.start(&pod, "a", |request| {
        request.namespaces.pid = Sharing::Pod(String::new());
        request.cmd = script("trap 'echo asked; exit 5' TERM; while true; do sleep 0.05; done");
        request.tuning.log.path = Some(log.clone());
    });
    let b = shared("b", words("sleep 777"));
    let alone = t.start(&pod, "alone", |_| {});
    assert!(t.sh(&a, "ps -o args").contains("sleep 777"));
    assert!(!t.sh(&alone, "ps -o args").contains("sleep 777"));
    t.engine.remove(&alone, true, true).unwrap();
    // Nobody's children are reaped.
    t.sh(&b, "sh -c 'sleep 0.1 & exit'; sh -c 'true & exit'");
    soon("no zombie is left", || !t.sh(&b, "ps -o stat").contains('Z'));
    let inits = || {
        let all = t.engine.containers().unwrap();
        all.into_iter().filter(|one| one.record.pod.as_ref().is_some_and(|member| member.name == POD_INIT)).count()
    };
    assert_eq!(inits(), 1);
    // Each is asked to end before what holds them goes.
    t.engine.stop_pod(&pod.record.id, Grace::For(Duration::from_secs(20))).unwrap();
    let engine::Status::Exited(exit) = t.engine.container(&a).unwrap().status else { panic!("it still runs") };
    assert_eq!(exit.code, 5);
    assert!(std::fs::read_to_string(&log).unwrap().ends_with("stdout F asked\n"));
    t.engine.remove_pod(&pod.record.id).unwrap();
    assert_eq!(inits(), 0);
    t.nothing_left();
}

fn what_holds_the_processes_is_of_no_use() {
    let t = Pods::new();
    let pod = t.run("harmless");
    // With the right to look into any process of its own namespace.
    let a = t.start(&pod, "a", |request| {
        request.namespaces.pid = Sharing::Pod(String::new());
        request.security.cap_add = words("SYS_PTRACE SYS_ADMIN");
    });
    assert!(t.sh(&a, "tr '\\0' ' ' < /proc/1/cmdline").contains("--pause"));
    assert_eq!(t.sh(&a, "grep CapEff /proc/1/status | tr -d '\\t'"), "CapEff:0000000000000000");
    let seen = t.sh(&a, "ls /proc/1/root /proc/1/root/etc 2>&1");
    let marker = t.env.path("marker");
    std::fs::write(&marker, "").unwrap();
    assert!(!seen.contains("bin") && !seen.contains("passwd"), "{seen}");
    assert!(t.sh(&a, &format!("ls /proc/1/root{} 2>&1", marker.display())).contains("No such file"));
    // It ends, and with it they.
    t.sh(&a, "kill -KILL 1; kill 1");
    soon("all have ended", || !t.engine.container(&a).unwrap().is_running());
    let b = t.create(&pod, "b", |request| request.namespaces.pid = Sharing::Pod(String::new())).unwrap();
    // Another one is made for those that come then.
    t.engine.start(&b, &StartOptions::default()).unwrap_or_else(|error| panic!("{}", chain(&error)));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn processes_of_one_are_joined() {
    let t = Pods::new();
    let pod = t.run("target");
    let a = t.start(&pod, "a", |request| request.cmd = words("sleep 888"));
    let debug = t.start(&pod, "debug", |request| request.namespaces.pid = Sharing::Container(a.clone()));
    assert!(t.sh(&debug, "ps -o args").contains("sleep 888"));
    let error = t.create(&pod, "none", |request| request.namespaces.pid = Sharing::Container("none".to_owned())).unwrap_err();
    assert!(chain(&error).contains("no such container: none"), "{}", chain(&error));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}
