//! What can be known of pods while they run: what they use, what happens to them, and what listens in them.

use std::io::{Read, Write};
use std::time::Duration;

use engine::{Error, EventOptions, Grace, PodNetwork, StartOptions, now};

use super::{Pods, request, soon, words};

integration::tests![what_a_pod_uses_is_known, what_listens_in_a_pod_is_reached, what_happens_is_told, no_monitor_stays_as_a_zombie,];

const NOW: Grace = Grace::For(Duration::ZERO);

fn what_a_pod_uses_is_known() {
    let t = Pods::new();
    let pod = t.run("used");
    let busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000";
    let ids =
        ["a", "b"].map(|name| t.start(&pod, name, |request| request.cmd = vec!["sh".to_owned(), "-c".to_owned(), busy.to_owned()]));
    soon("both have done their work", || ids.iter().all(|id| t.sh(id, "ps -o args").contains("sleep 1000")));
    let gateway = pod.network.as_ref().and_then(|network| network.networks[0].gateway).expect("a gateway");
    t.sh(&ids[0], &format!("ping -c 2 -i 0.1 {gateway}"));
    let whole = t.engine.pod_usage(&t.engine.pod(&pod.record.id).unwrap()).unwrap().expect("it is ready");
    let parts = ids.each_ref().map(|id| t.engine.usage(&t.engine.container(id).unwrap()).unwrap().expect("it runs"));
    assert!(
        parts.iter().all(|part| part.cpu > 0 && part.pids >= 1 && part.memory_all >= part.memory && part.faults > 0),
        "{parts:?}"
    );
    assert!(whole.usage.cpu >= parts[0].cpu.max(parts[1].cpu) && whole.usage.pids >= parts[0].pids + parts[1].pids, "{whole:?}");
    let [eth0] = whole.interfaces.as_slice() else { panic!("{whole:?}") };
    assert!(eth0.interface == "eth0" && eth0.received > 100 && eth0.sent > 100 && eth0.send_errors == 0, "{eth0:?}");
    t.engine.stop_pod(&pod.record.id, NOW).unwrap();
    assert_eq!(t.engine.pod_usage(&t.engine.pod(&pod.record.id).unwrap()).unwrap(), None);
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn what_listens_in_a_pod_is_reached() {
    let t = Pods::new();
    let pod = t.run("reached");
    t.start(&pod, "a", |request| request.cmd = words("nc -ll -p 70 -e cat"));
    let mut connection = None;
    soon("it listens", || {
        connection = t.engine.pod_connect(&pod.record.id, 70, Duration::from_secs(1)).ok();
        connection.is_some()
    });
    let mut connection = connection.expect("a connection");
    connection.write_all(b"echoed").unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    assert_eq!(text, "echoed");
    // It holds the network.
    drop(connection);
    assert!(t.engine.pod_connect(&pod.record.id, 71, Duration::from_secs(1)).is_err());
    // On the host's network it is the host's.
    let host = t.engine.run_pod(&engine::PodRequest { network: PodNetwork::Host, ..request("outside") }).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    t.engine.pod_connect(&host.record.id, listener.local_addr().unwrap().port(), Duration::from_secs(1)).unwrap();
    for pod in [pod, host] {
        t.engine.remove_pod(&pod.record.id).unwrap();
        assert!(matches!(t.engine.pod_connect(&pod.record.id, 1, Duration::ZERO), Err(Error::NoSuchPod(_))));
    }
    t.nothing_left();
}

fn what_happens_is_told() {
    let t = Pods::new();
    let begun = now();
    let pod = t.run("told");
    // Followed while it happens, without a look in between.
    let follow = t.engine.events(EventOptions { since: Some(begun), until: None }).unwrap();
    let (told, events) = std::sync::mpsc::channel();
    let id = pod.record.id.clone();
    let thread = std::thread::spawn(move || {
        for event in follow {
            let event = event.expect("an event");
            let last = event.kind == "pod" && event.action == "destroy";
            told.send(event).expect("a listener");
            if last {
                break;
            }
        }
    });
    let a = t.create(&pod, "a", |request| request.cmd = vec!["sh".to_owned(), "-c".to_owned(), "exit 3".to_owned()]).unwrap();
    t.engine.start(&a, &StartOptions::default()).unwrap();
    t.engine.wait(&a).unwrap();
    t.engine.remove_pod(&id).unwrap();
    thread.join().expect("the follower");
    let events: Vec<_> = events.try_iter().collect();
    let of = |kind: &str, id: &str| {
        let own = events.iter().filter(|event| event.kind == kind && event.actor.id == id);
        own.map(|event| event.action.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("pod", &id), "start stop destroy");
    assert_eq!(of("container", &a), "create start die destroy");
    let member = events.iter().filter(|event| event.kind == "container");
    assert!(member.clone().all(|event| event.actor.attributes["pod"] == id));
    t.nothing_left();
}

fn no_monitor_stays_as_a_zombie() {
    let t = Pods::new();
    let pod = t.run("zombies");
    let zombies = || {
        let own = std::process::id().to_string();
        let all = super::list(std::path::Path::new("/proc")).into_iter().filter(|name| name.parse::<u32>().is_ok());
        let stats = all.filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        let children = stats.filter(|stat| stat.contains("(rctr-monitor) Z "));
        children.filter(|stat| stat.rsplit(") Z ").next().is_some_and(|rest| rest.split(' ').next() == Some(&own))).count()
    };
    let before = zombies();
    for name in ["a", "b", "c"] {
        let id = t.start(&pod, name, |request| request.cmd = words("true"));
        t.engine.wait(&id).unwrap();
        t.engine.remove(&id, true, true).unwrap();
    }
    // The last one ends a moment after it has told of the end.
    soon("at most one waits for the next look", || {
        let id = t.start(&pod, "last", |_| {});
        t.engine.remove(&id, true, true).unwrap();
        zombies() <= before + 1
    });
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}
