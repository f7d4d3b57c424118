//! What events say of networks, volumes and images, and who used them.

use integration::env::{Env, world};
use serde_json::Value;

integration::tests![networks, volumes, images, of_one_run];

/// All events so far that fit a filter, but for those of other types than `kind`.
#[track_caller]
fn told(t: &Env, kind: &str) -> Vec<Value> {
    let filter = format!("type={kind}");
    let all = t.rctr(["events", "--since", "1h", "--until", "0s", "--filter", &filter, "--format", "json"]);
    all.ok().lines().into_iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What happened to what, with one of its attributes.
fn short(events: &[Value], attribute: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| format!("{} {}", text(&event["Action"]), text(&event["Actor"]["Attributes"][attribute]))).collect()
}

fn networks() {
    let t = Env::new();
    let id = t.rctr(["network", "create", "evn"]).ok().text().to_owned();
    let container = t.start(["--name", "a", "--network", "evn", "busybox", "sleep", "1000"]);
    t.rctr(["network", "connect", "bridge", "a"]).ok();
    t.rctr(["network", "disconnect", "evn", "a"]).ok();
    t.rctr(["rm", "-f", "a"]).ok();
    t.rctr(["network", "rm", "evn"]).ok();
    let events = told(&t, "network");
    let expected = ["create evn", "connect evn", "connect bridge", "disconnect evn", "disconnect bridge", "destroy evn"];
    assert_eq!(short(&events, "name"), expected);
    let connect = &events[1];
    assert_eq!((&connect["Actor"]["ID"], &connect["Actor"]["Attributes"]["container"]), (&id.into(), &container.into()));
    // the default network is called what inspect calls it
    let bridge = t.rctr(["network", "inspect", "-f", "{{.Id}}", "bridge"]).ok().text().to_owned();
    assert_eq!(events[2]["Actor"]["ID"], bridge);
    t.nothing_left();
}

fn volumes() {
    let t = Env::new();
    t.rctr(["run", "--rm", "--network", "none", "-v", "evv:/d:ro", "busybox", "true"]).ok();
    t.rctr(["volume", "rm", "evv"]).ok();
    let events = told(&t, "volume");
    assert_eq!(short(&events, "read/write"), ["create ", "mount false", "unmount false", "destroy "]);
    assert_eq!(events[1]["Actor"]["Attributes"]["destination"], "/d");
    assert!(events.iter().all(|event| event["Actor"]["ID"] == "evv" && event.get("status").is_none()));
    // one of the container's own goes with it
    t.rctr(["run", "--rm", "--network", "none", "-v", "/d", "busybox", "true"]).ok();
    t.soon("the volume's end is told", || told(&t, "volume").len() == 8);
    assert_eq!(told(&t, "volume")[7]["Action"], "destroy");
    t.nothing_left();
}

fn images() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let id = t.rctr(["image", "inspect", "-f", "{{.Id}}", "busybox"]).ok().text().to_owned();
    let pushed = format!("{}/events:1", world().registry.address);
    t.rctr(["tag", "busybox", &pushed]).ok();
    t.rctr(["push", "-q", &pushed]).ok();
    t.rctr(["save", "-o", &t.path("x.tar").display().to_string(), "busybox"]).ok();
    t.rctr(["rmi", &pushed]).ok();
    t.rctr(["rmi", "busybox"]).ok();
    t.rctr(["load", "-q", "-i", &t.path("x.tar").display().to_string()]).ok();
    let events = told(&t, "image");
    let actions: Vec<_> = events.iter().map(|event| event["Action"].as_str().unwrap_or_default()).collect();
    assert_eq!(actions, ["pull", "tag", "push", "save", "untag", "untag", "delete", "load"]);
    assert_eq!((&events[0]["Actor"]["ID"], &events[0]["id"]), (&"busybox:latest".into(), &"busybox:latest".into()));
    assert!(events[1]["Actor"]["ID"] == id.as_str() && events[1]["Actor"]["Attributes"]["name"] == pushed.as_str());
    assert_eq!(events[6]["Actor"]["ID"], id.as_str());
    t.nothing_left();
}

fn of_one_run() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    t.rctr(["run", "--rm", "--network", "none", "-v", "evo:/d", "busybox", "true"]).ok();
    t.soon("its end is told", || told(&t, "container").len() == 4);
    let all = t.rctr(["events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}"]);
    let all: Vec<_> = all.ok().lines().into_iter().skip(1).map(str::to_owned).collect();
    let expected = [
        "volume create",
        "container create",
        "network connect",
        "volume mount",
        "container start",
        "container die",
        "network disconnect",
        "volume unmount",
        "container destroy",
    ];
    assert_eq!(all, expected);
    t.rctr(["volume", "rm", "evo"]).ok();
    t.nothing_left();
}
