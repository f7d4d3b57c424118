//! What containers share of memory, how much they may swap, and devices that have names.

use std::fs;
use std::path::PathBuf;

use integration::env::Env;

integration::tests![
    shared_memory,
    swap_is_as_much_as_memory,
    devices_by_name,
    hooks_of_devices,
    devices_that_cannot_be,
    a_read_only_root_with_room,
];

fn shared_memory() {
    let t = Env::new();
    let sleeper = |name: &str, mode: &[&str]| {
        let begin = ["--name", name, "--network", "none"];
        t.start(begin.iter().chain(mode).chain(&["busybox", "sleep", "1000"]))
    };
    sleeper("open", &["--ipc", "shareable"]);
    sleeper("shut", &["--ipc", "private"]);
    sleeper("bare", &["--ipc", "none"]);
    t.rctr(["exec", "open", "sh", "-c", "echo x > /dev/shm/f"]).ok();
    let join = |name: &str| {
        t.rctr(["run", "--rm", "--network", "none", "--ipc", &format!("container:{name}"), "busybox", "ls", "/dev/shm"])
    };
    join("open").ok().says("f\n");
    join("shut").fails(125, &["shut", "private", "shareable"]);
    join("bare").fails(125, &["bare", "private"]);
    t.rctr(["exec", "bare", "sh", "-c", "grep -c /dev/shm /proc/mounts"]).code(1).says("0\n");
    for (name, mode) in [("open", "shareable"), ("shut", "private"), ("bare", "none")] {
        assert_eq!(t.inspect(name, "{{.HostConfig.IpcMode}}"), mode);
    }
    t.rctr(["run", "--rm", "--ipc", "other", "busybox", "true"]).code(125).complains(&["--ipc", "other"]);
    t.rctr(["rm", "-f", "open", "shut", "bare"]).ok();
    t.nothing_left();
}

fn swap_is_as_much_as_memory() {
    let t = Env::new();
    let swap = |flags: &[&str]| {
        let begin = ["create", "--name", "s", "--network", "none"];
        t.rctr(begin.iter().chain(flags).chain(&["busybox", "true"])).ok();
        let shown = t.inspect("s", "{{.HostConfig.MemorySwap}}");
        t.rctr(["start", "-a", "s"]).ok();
        t.rctr(["rm", "s"]).ok();
        shown
    };
    let v1 = fs::exists("/sys/fs/cgroup/memory").unwrap_or_default();
    if v1 && !fs::exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").unwrap_or_default() {
        integration::skip!("this kernel does not count swap");
    }
    assert_eq!(swap(&["-m", "32m"]), (64 << 20).to_string());
    assert_eq!(swap(&["-m", "32m", "--memory-swap", "-1"]), "-1");
    assert_eq!(swap(&["-m", "32m", "--memory-swap", "32m"]), (32 << 20).to_string());
    assert_eq!(swap(&[]), "0");
    t.nothing_left();
}

/// A description of devices, which goes with it.
struct Description(PathBuf);

impl Description {
    fn new(t: &Env, name: &str, text: &str) -> Self {
        let folder = PathBuf::from("/var/run/cdi");
        fs::create_dir_all(&folder).expect("/var/run/cdi");
        let path = folder.join(format!("{}-{name}", t.bridge()));
        fs::write(&path, text).expect("a description");
        Self(path)
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        // Not if it is not empty.
        let _ = fs::remove_dir("/var/run/cdi");
    }
}

fn devices_by_name() {
    let t = Env::new();
    fs::create_dir_all(t.path("lib")).expect("a folder");
    fs::write(t.path("lib/driver"), "the driver").expect("a file");
    let kind = format!("rctr.test/{}", t.bridge());
    let text = serde_json::json!({
        "cdiVersion": "0.6.0", "kind": kind, "containerEdits": { "env": ["CLASS=all"] },
        "devices": [{ "name": "zero", "containerEdits": {
            "env": ["ONE=zero", "OWN=no"],
            "deviceNodes": [{ "path": "/dev/fast", "hostPath": "/dev/net/tun", "permissions": "r", "fileMode": 292 }],
            "mounts": [{ "hostPath": t.path("lib"), "containerPath": "/opt/lib", "options": ["ro", "rbind", "nosuid", "nodev"] }],
            "additionalGids": [4242],
        }}],
    });
    let described = Description::new(&t, "a.json", &text.to_string());
    let device = format!("{kind}=zero");
    let line = "echo $CLASS $ONE $OWN; cat /opt/lib/driver; touch /opt/lib/x 2>/dev/null || echo; (: < /dev/fast) && echo opened; \
        (: > /dev/fast) 2>/dev/null || echo refused; stat -c %a /dev/fast; id -G";
    let run = t.rctr(["run", "--rm", "--network", "none", "--device", &device, "-e", "OWN=yes", "busybox", "sh", "-c", line]);
    let said: Vec<_> = run.ok().lines().into_iter().map(str::to_owned).collect();
    assert_eq!(said[..4], ["all zero yes", "the driver", "opened", "refused"], "{run}");
    assert!(said[4] == "444" && said[5].ends_with("4242"), "{run}");
    // it is what it is when the container starts
    t.rctr(["create", "--name", "d", "--network", "none", "--device", &device, "busybox", "true"]).ok();
    assert_eq!(t.inspect("d", "{{(index .HostConfig.DeviceRequests 0).DeviceIDs}}"), format!("[{device}]"));
    // A step of a build has it, the next one does not, and nothing of it is in the image.
    let text = format!(
        "FROM busybox\nRUN --device={device},required (: < /dev/fast) && cat /opt/lib/driver > /seen\n\
         RUN --device={kind}=other test ! -e /opt -a ! -e /dev/fast"
    );
    let build = |text: &str| {
        fs::create_dir_all(t.path("build")).expect("a folder");
        fs::write(t.path("build/Dockerfile"), text).expect("a file");
        t.rctr(["build", "--network", "none", "--allow", "device", "-t", "with", &t.path("build").display().to_string()])
    };
    build(&text).ok();
    t.rctr(["run", "--rm", "--network", "none", "with", "sh", "-c", "cat /seen; ls -d /opt 2>/dev/null"])
        .code(1)
        .says("the driver");
    build(&format!("FROM busybox\nRUN --device={kind}=other,required true")).code(1).complains(&["/etc/cdi"]);
    drop(described);
    t.rctr(["start", "d"]).fails(125, &[&device, "/etc/cdi"]);
    t.rctr(["rm", "d"]).ok();
    t.nothing_left();
}

/// In YAML, as drivers write it.
fn hooks_of_devices() {
    let t = Env::new();
    let (kind, told) = (format!("rctr.test/{}", t.bridge()), t.path("told").display().to_string());
    let hook = |name: &str, line: &str| {
        format!(
            "  - hookName: {name}\n    path: /bin/sh\n    args:\n    - sh\n    - -c\n    - {line:?}\n    env:\n    - PATH=/usr/bin:/bin\n"
        )
    };
    // Where the container's root is, says the configuration in the folder that the state names.
    let root =
        r#"bundle=$(sed 's/.*"bundle":"\([^"]*\)".*/\1/'); root=$(sed 's/.*"root":{"path":"\([^"]*\)".*/\1/' $bundle/config.json)"#;
    let inside =
        format!("{root}; echo made > $root/made; mkdir -p $root/lib2; mount -t tmpfs hooked $root/lib2; echo lib > $root/lib2/lib");
    let text = |first: &str| {
        format!(
            "cdiVersion: 0.6.0\nkind: {kind}\ncontainerEdits:\n  hooks:\n{}{}{}{}devices:\n- name: \"0\"\n",
            hook("createRuntime", &format!("grep -o '\"status\":\"[a-z]*\"' > {told}; {first}")),
            hook("createContainer", &inside),
            hook("startContainer", "echo started > /started"),
            hook("poststop", &format!("grep -o '\"status\":\"[a-z]*\"' >> {told}")),
        )
    };
    let device = format!("{kind}=0");
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        "--device",
        &device,
        "busybox",
        "sh",
        "-c",
        "cat /made /lib2/lib /started; ls /proc/1/root",
    ];
    let described = Description::new(&t, "h.yaml", &text("true"));
    let said = t.rctr(run);
    assert_eq!(said.ok().lines()[..3], ["made", "lib", "started"], "{said}");
    t.soon("the last hook has run", || fs::read_to_string(&told).is_ok_and(|text| text.lines().count() == 2));
    assert_eq!(fs::read_to_string(&told).unwrap(), "\"status\":\"creating\"\n\"status\":\"stopped\"\n");
    t.nothing_left_soon();
    // Hooks in the container are its own root's then.
    let mapped = ["--uidmap", "0:300000:1000", "--gidmap", "0:400000:1000"];
    let owner = "stat -c %u:%g /made /started; cat /made /lib2/lib /started";
    let mapped: Vec<_> = run[..2].iter().chain(&mapped).chain(&run[2..run.len() - 1]).chain(&[owner]).copied().collect();
    let said = t.rctr(mapped);
    assert_eq!(said.ok().lines(), ["0:0", "0:0", "made", "lib", "started"], "{said}");
    t.nothing_left_soon();
    drop(described);
    let _described = Description::new(&t, "h.yaml", &text("echo no such card >&2; exit 3"));
    t.rctr(run).fails(125, &["createRuntime hook /bin/sh", "no such card"]);
    t.nothing_left();
}

fn devices_that_cannot_be() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let kind = format!("rctr.test/{}", t.bridge());
    let with = |edits: serde_json::Value| {
        let devices = serde_json::json!([{ "name": "a", "containerEdits": edits }]);
        let text = serde_json::json!({ "cdiVersion": "0.6.0", "kind": kind, "devices": devices });
        let _described = Description::new(&t, "b.json", &text.to_string());
        t.rctr(["create", "--device", &format!("{kind}=a"), "busybox", "true"])
    };
    let hook = serde_json::json!({ "hooks": [{ "hookName": "poststart", "path": "/usr/bin/touch", "args": ["touch", "/x"] }] });
    with(hook).fails(125, &[&kind, "/usr/bin/touch", "poststart", "startContainer"]);
    with(serde_json::json!({ "deviceNodes": [{ "path": "/dev/none-such" }] })).ok();
    t.rctr(["start", t.rctr(["ps", "-aq"]).text()]).fails(125, &[&kind, "/var/run/cdi"]);
    t.remove_all();
    t.rctr(["create", "--gpus", "all", "busybox", "true"]).fails(125, &["nvidia.com/gpu=all", "/etc/cdi"]);
    t.rctr(["create", "--gpus", "some", "busybox", "true"]).code(125).complains(&["--gpus", "device="]);
    t.rctr(["create", "--device", "v.com/a", "busybox", "true"]).code(125).complains(&["--device"]);
    t.nothing_left();
}

fn a_read_only_root_with_room() {
    let t = Env::new();
    let run = |flags: &[&str]| {
        let line = "for f in /run /tmp /var/tmp /; do touch $f/x 2>/dev/null && echo $f; done; true";
        let begin = ["run", "--rm", "--network", "none"];
        t.rctr(begin.iter().chain(flags).chain(&["busybox", "sh", "-c", line]))
    };
    run(&["--read-only", "--read-only-tmpfs"]).ok().says("/run\n/tmp\n/var/tmp\n");
    run(&["--read-only", "--read-only-tmpfs=false"]).ok().says("");
    run(&["--read-only-tmpfs"]).code(125).complains(&["--read-only"]);
    t.nothing_left();
}
