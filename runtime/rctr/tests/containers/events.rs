//! What has happened, and what happens, in the form of Docker's events.

use std::io::{BufRead, BufReader};

use crate::host::Host;

fn actions(text: &str) -> Vec<String> {
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.map(|event| event["Action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_containers_life_is_told() {
    let Some(host) = Host::new() else { return };
    let flags = ["-d", "--name", "app", "--label", "tier=front"];
    host.run(&[&flags[..], &["busybox", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done"]].concat()).ok();
    host.rctr(&["pause", "app"]).ok();
    host.rctr(&["unpause", "app"]).ok();
    host.rctr(&["exec", "app", "true"]).ok();
    host.rctr(&["rename", "app", "other"]).ok();
    host.rctr(&["stop", "other"]).ok();
    host.rctr(&["rm", "other"]).ok();
    let read = |flags: &[&str]| {
        host.rctr(
            &[&["events", "--since", "1h", "--until", "0s", "--filter", "type=container", "--format", "json"], flags].concat(),
        )
        .ok()
    };
    let all = read(&[]);
    let expected = [
        "create",
        "start",
        "pause",
        "unpause",
        "exec_create: true ",
        "exec_start: true ",
        "exec_die",
        "rename",
        "kill",
        "die",
        "stop",
        "destroy",
    ];
    assert_eq!(actions(&all), expected);
    let die = read(&["--filter", "event=die", "--filter", "label=tier=front", "--filter", "container=other"]);
    let die: serde_json::Value = serde_json::from_str(&die).unwrap();
    let attributes = &die["Actor"]["Attributes"];
    assert!(die["Type"] == "container" && die["from"] == "busybox" && die["status"] == "die", "{die}");
    assert!(attributes["exitCode"] == "4" && attributes["name"] == "other" && attributes["image"] == "busybox", "{die}");
    assert_eq!(read(&["--filter", "event=die", "--filter", "container=nobody"]), "");
    let text = host.rctr(&["events", "--since", "1h", "--until", "0s", "--filter", "event=create"]).ok();
    assert!(text.contains(" container create ") && text.contains("(image=busybox, name=app, tier=front)"), "{text}");
}

#[test]
fn events_are_followed_and_end_in_time() {
    let Some(host) = Host::new() else { return };
    host.rctr(&["create", "--name", "before", "busybox"]).ok();
    let mut follower = host.spawn(&["events", "--filter", "event=start", "--format", "{{.Action}} {{.Actor.Attributes.name}}"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    // It has begun when it watches.
    while !std::fs::read_dir(format!("/proc/{}/fd", follower.id()))
        .unwrap()
        .flatten()
        .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().contains("inotify")))
    {
        std::thread::yield_now();
    }
    host.run(&["--rm", "--name", "now", "busybox", "true"]).ok();
    assert_eq!(lines.next().unwrap().unwrap(), "start now");
    follower.kill().unwrap();
    follower.wait().unwrap();
    let until = (std::time::SystemTime::now() + std::time::Duration::from_secs(1)).duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(host.rctr(&["events", "--until", &until.as_secs_f64().to_string()]).ok(), "");
    for (flags, why) in [(["--filter", "colour=red"], "there is no filter"), (["--since", "soon"], "--since")] {
        let refused = host.rctr(&[&["events"], &flags[..]].concat());
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
}
