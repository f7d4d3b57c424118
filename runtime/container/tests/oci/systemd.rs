//! Containers as units of systemd, where that runs.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cgroups::file;
use crate::crash::killed;
use crate::fixture::{Bundle, counts, eventually, foreign, runtime, text};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("systemd_shows_the_limits", Of::Every, systemd_shows_the_limits),
    ("systemd_keeps_the_limits_when_it_reloads", Of::Every, systemd_keeps_the_limits_when_it_reloads),
    ("systemd_hears_of_updates", Of::Every, systemd_hears_of_updates),
    ("systemd_forgets_what_is_deleted", Of::Every, systemd_forgets_what_is_deleted),
    ("systemd_properties_by_annotation", Of::Every, systemd_properties_by_annotation),
    ("systemd_has_no_unit_after_a_failure", Of::Every, systemd_has_no_unit_after_a_failure),
    ("systemd_forgets_a_killed_create", Of::Ours, systemd_forgets_a_killed_create),
    ("systemd_units_have_one_container", Of::Every, systemd_units_have_one_container),
    ("systemd_services_run_containers", Of::Every, systemd_services_run_containers),
    ("systemd_paths_have_three_parts", Of::Every, systemd_paths_have_three_parts),
    ("systemd_that_is_not_there", Of::Ours, systemd_that_is_not_there),
];

const SLICE: &str = "oci-test-deep.slice";

fn booted() -> bool {
    let booted = Path::new("/run/systemd/system").exists();
    if !booted {
        println!("skipped: needs systemd");
    }
    booted
}

/// What `systemctl show` prints.
fn show(unit: &str) -> HashMap<String, String> {
    let output = Command::new("systemctl").args(["show", unit]).output().unwrap();
    let text = text(&output);
    text.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[track_caller]
fn shows(unit: &str, expected: &[(&str, &str)]) {
    let shown = show(unit);
    for (name, value) in expected {
        assert_eq!(shown.get(*name).map(String::as_str), Some(*value), "{name} of {unit}");
    }
}

fn systemctl(words: &[&str]) {
    let output = Command::new("systemctl").args(words).output().unwrap();
    assert!(output.status.success(), "systemctl {words:?}: {}", text(&output));
}

fn gone(bundle: &Bundle) {
    shows(&bundle.unit(), &[("LoadState", "not-found")]);
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

fn limits() -> Value {
    json!({
        "memory": {"limit": 67108864, "swap": 67108864, "reservation": 33554432}, "pids": {"limit": 77},
        "cpu": {"shares": 512, "quota": 20000, "period": 50000},
    })
}

fn running(resources: Value) -> Bundle {
    let bundle = Bundle::new(&["wait"]).in_slice(SLICE).with(|spec| spec["linux"]["resources"] = resources);
    bundle.ok(&["run", "-d", "ID"]);
    bundle
}

fn systemd_shows_the_limits() {
    if !booted() {
        return;
    }
    let mut resources = limits();
    resources["cpu"]["cpus"] = json!("0");
    if !counts("cpuset") {
        resources["cpu"].as_object_mut().unwrap().remove("cpus");
    }
    let bundle = running(resources);
    let group = format!("/oci.slice/oci-test.slice/{SLICE}/{}", bundle.unit());
    let expected = [
        ("ActiveState", "active"),
        ("Slice", SLICE),
        ("ControlGroup", &group),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("MemoryMax", "67108864"),
        ("MemoryLow", "33554432"),
        ("TasksMax", "77"),
        ("CPUWeight", "59"),
        ("CPUQuotaPerSecUSec", "400ms"),
        ("CPUQuotaPeriodUSec", "50ms"),
        ("CPUAccounting", "yes"),
        ("MemoryAccounting", "yes"),
        ("TasksAccounting", "yes"),
        ("IOAccounting", "yes"),
    ];
    shows(&bundle.unit(), &expected);
    if !foreign() {
        // Others let systemd allow all swap, and it does when it reloads.
        shows(
            &bundle.unit(),
            &[("MemorySwapMax", "0"), ("Description", &format!("container {} of {}", bundle.id, bundle.path("root").display()))],
        );
    }
    // The parents of the slice are slices, too.
    shows("oci-test.slice", &[("ActiveState", "active"), ("ControlGroup", "/oci.slice/oci-test.slice")]);
    let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    assert_eq!(cgroups.trim(), format!("0::{group}"));
    assert_eq!(file(&bundle, "", "memory.max"), "67108864");
    assert_eq!(bundle.json(&["ps", "-f", "json", "ID"]), json!([bundle.pid()]));
}

fn systemd_keeps_the_limits_when_it_reloads() {
    if !booted() {
        return;
    }
    let bundle = running(limits());
    systemctl(&["daemon-reload"]);
    let files = ["memory.max", "memory.low", "pids.max", "cpu.weight", "cpu.max"];
    let now = files.map(|name| file(&bundle, "", name));
    assert_eq!(now, ["67108864", "33554432", "77", "59", "20000 50000"]);
    if !foreign() {
        assert_eq!(file(&bundle, "", "memory.swap.max"), "0");
    }
    // What the container may open is as before.
    bundle.ok(&["exec", "ID", "/probe", "read", "/dev/null"]);
}

fn systemd_hears_of_updates() {
    if !booted() {
        return;
    }
    let bundle = running(limits());
    bundle.ok(&["update", "--memory", "100M", "--memory-swap", "150M", "--pids-limit", "5", "--cpu-quota", "10000", "ID"]);
    let expected = [
        ("MemoryMax", "104857600"),
        ("MemorySwapMax", "52428800"),
        ("TasksMax", "5"),
        ("CPUQuotaPerSecUSec", "200ms"),
        ("CPUWeight", "59"),
    ];
    shows(&bundle.unit(), &expected);
    assert_eq!(["memory.max", "cpu.max"].map(|name| file(&bundle, "", name)), ["104857600", "10000 50000"]);
    bundle.ok(&["update", "--cpu-idle", "1", "--pids-limit", "-1", "ID"]);
    shows(&bundle.unit(), &[("CPUWeight", "idle"), ("TasksMax", "infinity")]);
    bundle.fails(&["update", "--memory", "lots", "ID"], "invalid value");
    bundle.ok(&["pause", "ID"]);
    assert_eq!(bundle.status(), "paused");
    bundle.ok(&["resume", "ID"]);
}

fn systemd_forgets_what_is_deleted() {
    if !booted() {
        return;
    }
    let bundle = running(limits());
    bundle.ok(&["delete", "--force", "ID"]);
    gone(&bundle);
    // Of one that has ended by itself, and one that was never started.
    let bundle = Bundle::new(&["exit", "3"]).in_slice(SLICE);
    assert_eq!(bundle.call(&["run", "ID"]).code, Some(3));
    gone(&bundle);
    bundle.ok(&["create", "ID"]);
    shows(&bundle.unit(), &[("ActiveState", "active")]);
    bundle.ok(&["delete", "-f", "ID"]);
    gone(&bundle);
    // Of one that has failed, which systemd keeps until it is told to forget it.
    let late = json!({"org.systemd.property.RuntimeMaxSec": "1", "org.systemd.property.TimeoutStopSec": "1"});
    let bundle = Bundle::new(&["wait"]).in_slice(SLICE).with(|spec| spec["annotations"] = late);
    bundle.ok(&["run", "-d", "ID"]);
    bundle.until("stopped");
    eventually("the unit fails", || show(&bundle.unit())["ActiveState"] == "failed");
    bundle.ok(&["delete", "ID"]);
    gone(&bundle);
}

fn systemd_properties_by_annotation() {
    if !booted() {
        return;
    }
    let annotate = |key: &str, value: &str| {
        let key = format!("org.systemd.property.{key}");
        Bundle::new(&["wait"]).in_slice(SLICE).with(|spec| spec["annotations"] = json!({key: value, "other": "x"}))
    };
    for (key, value, name, shown) in [
        ("TimeoutStopUSec", "uint64 123000000", "TimeoutStopUSec", "2min 3s"),
        ("TimeoutStopSec", "7", "TimeoutStopUSec", "7s"),
        ("CollectMode", "'inactive-or-failed'", "CollectMode", "inactive-or-failed"),
        ("Before", "['oci-other.service']", "Before", "oci-other.service"),
        ("SendSIGHUP", "true", "SendSIGHUP", "yes"),
    ] {
        let bundle = annotate(key, value);
        bundle.ok(&["create", "ID"]);
        shows(&bundle.unit(), &[(name, shown)]);
    }
    for (key, value, why) in
        [("CollectMode", "nonsense", "CollectMode"), ("NoSuchThing", "true", "NoSuchThing"), ("x-y", "1", "x-y")]
    {
        let bundle = annotate(key, value);
        bundle.fails(&["create", "ID"], why);
        gone(&bundle);
    }
}

fn systemd_has_no_unit_after_a_failure() {
    if !booted() {
        return;
    }
    // Nothing to execute, and a limit that the kernel refuses when the unit is there.
    let bundle = Bundle::new(&["wait"]).in_slice(SLICE).with(|spec| spec["process"]["args"] = json!(["/no/such/program"]));
    bundle.fails(&["run", "ID"], "no such file or directory");
    gone(&bundle);
    let unified = json!({"unified": {"cgroup.max.depth": "many"}});
    let bundle = Bundle::new(&["wait"]).in_slice(SLICE).with(|spec| spec["linux"]["resources"] = unified);
    bundle.fails(&["run", "ID"], "cgroup.max.depth");
    gone(&bundle);
}

/// Also when systemd is about to make the unit just then.
fn systemd_forgets_a_killed_create() {
    if !booted() {
        return;
    }
    let bundle = Bundle::new(&["wait"]).in_slice(SLICE);
    let mut wait = Duration::ZERO;
    while killed(&bundle, "create", wait).is_none() {
        bundle.ok(&["delete", "--force", "ID"]);
        gone(&bundle);
        wait += Duration::from_micros(700);
    }
}

fn systemd_units_have_one_container() {
    if !booted() {
        return;
    }
    let first = running(json!({}));
    let second = Bundle::new(&["wait"]).in_slice(SLICE);
    let path = first.spec["linux"]["cgroupsPath"].clone();
    let second = second.with(|spec| spec["linux"]["cgroupsPath"] = path);
    second.fails(&["run", "-d", "ID"], "already");
    assert_eq!(first.status(), "running");
    shows(&first.unit(), &[("ActiveState", "active")]);
}

fn systemd_services_run_containers() {
    if !booted() {
        return;
    }
    let bundle = Bundle::new(&["term"]).in_slice(SLICE);
    let name = format!("{}.service", bundle.id);
    let unit = Path::new("/run/systemd/system").join(&name);
    let run = format!(
        "{} --root {} --systemd-cgroup run -b {} {}",
        runtime().display(),
        bundle.path("root").display(),
        bundle.dir.path().display(),
        bundle.id
    );
    std::fs::write(&unit, format!("[Service]\nExecStart={run}\nSuccessExitStatus=42\n")).unwrap();
    // Writes the configuration, and looks for nothing.
    bundle.call(&["state", "ID"]);
    systemctl(&["daemon-reload"]);
    systemctl(&["start", &name]);
    bundle.until_there("running");
    shows(&bundle.unit(), &[("ActiveState", "active"), ("Slice", SLICE)]);
    eventually("it is ready", || bundle.json(&["events", "--stats", "ID"])["data"]["pids"]["current"].as_u64() >= Some(1));
    systemctl(&["stop", &name]);
    shows(&name, &[("ActiveState", "inactive"), ("Result", "success")]);
    gone(&bundle);
    std::fs::remove_file(unit).unwrap();
}

fn systemd_paths_have_three_parts() {
    for path in ["/a/b", "a:b", "a.slice:b:c:d"] {
        let bundle = Bundle::new(&["exit", "0"]).in_slice(SLICE).with(|spec| spec["linux"]["cgroupsPath"] = json!(path));
        bundle.fails(&["run", "ID"], if foreign() { "slice" } else { "with systemd it has the form slice:prefix:name" });
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    }
}

fn systemd_that_is_not_there() {
    if Path::new("/run/systemd/private").exists() || Path::new("/run/dbus/system_bus_socket").exists() {
        return println!("skipped: systemd is there");
    }
    let bundle = Bundle::new(&["exit", "0"]).in_slice(SLICE);
    bundle.fails(&["run", "ID"], "nobody answers at /run/systemd/private or /run/dbus/system_bus_socket: connect(");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}
