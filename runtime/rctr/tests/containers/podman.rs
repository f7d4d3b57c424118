//! Verbs and flags that are Podman's.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::host::Host;

#[test]
fn what_depends_on_a_container_goes_with_it() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--name", "base", "-v", "/data", "busybox", "sleep", "1000"]).ok();
    host.rctr(&["run", "-d", "--name", "net", "--network", "container:base", "busybox", "sleep", "1000"]).ok();
    host.run(&["-d", "--name", "pid", "--pid", "container:net", "busybox", "sleep", "1000"]).ok();
    host.rctr(&["create", "--name", "mounts", "--volumes-from", "base", "busybox"]).ok();
    host.run(&["-d", "--name", "other", "busybox", "sleep", "1000"]).ok();
    let names = || host.rctr(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    // Those that run stay without force, as without the flag.
    let refused = host.rctr(&["rm", "--depend", "base"]);
    assert!(refused.code != 0 && names().contains("base\n") && names().contains("net\n"), "{refused:?}");
    host.rctr(&["create", "--name", "mounts", "--replace", "--volumes-from", "base", "busybox"]).ok();
    // Whatever the order, each is removed once.
    let gone = host.rctr(&["rm", "-f", "--depend", "pid", "base", "net"]).ok();
    assert_eq!((gone.lines().count(), names()), (4, "other\n".to_owned()), "{gone}");
    // A name that somebody else has since is another container.
    host.rctr(&["create", "--name", "base", "-v", "/data", "busybox"]).ok();
    host.rctr(&["create", "--name", "user", "--volumes-from", "base", "busybox"]).ok();
    host.rctr(&["rm", "base"]).ok();
    host.rctr(&["create", "--name", "base", "busybox"]).ok();
    assert_eq!(host.rctr(&["rm", "--depend", "base"]).ok(), "base\n");
    let missing = host.rctr(&["rm", "--depend", "nobody"]);
    assert!(missing.code != 0 && missing.err.contains("no such container: nobody"), "{missing:?}");
}

#[test]
fn an_init_may_be_another_program() {
    let Some(host) = Host::new() else { return };
    let init = host.path("init");
    fs::write(&init, "#!/bin/sh\necho own $1; shift; exec \"$@\"\n").unwrap();
    let path = init.display().to_string();
    let refused = host.run(&["--rm", "--init", "--init-path", &path, "busybox", "true"]);
    assert!(refused.code == 125 && refused.err.contains("--init-path") && refused.err.contains("program"), "{refused:?}");
    fs::set_permissions(&init, Permissions::from_mode(0o755)).unwrap();
    let said = host.run(&["--rm", "--init", "--init-path", &path, "busybox", "sh", "-c", "echo x > /dev/init; echo $$"]);
    assert_eq!((said.code, said.out.as_str()), (0, "own --\n1\n"), "{said:?}");
    assert!(fs::read_to_string(&init).unwrap().starts_with("#!"));
    let refused = host.run(&["--rm", "--init-path", &path, "busybox", "true"]);
    assert!(refused.code == 125 && refused.err.contains("--init"), "{refused:?}");
    host.nothing_left();
}

#[test]
fn the_callers_variables_come_last() {
    let Some(host) = Host::new() else { return };
    let mut all = host.command(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--env-host",
        "-e",
        "MINE=flag",
        "--unsetenv",
        "AWAY",
        "busybox",
        "env",
    ]);
    all.env("CALLER", "a b=c").env("FROM", "caller").env("MINE", "caller").env("AWAY", "caller");
    let said = crate::host::said(all.output().unwrap()).ok();
    let has = |line: &str| said.lines().any(|other| other == line);
    assert!(has("CALLER=a b=c") && has("FROM=image") && has("MINE=flag") && has("PATH=/bin"), "{said}");
    assert!(!said.contains("AWAY"), "{said}");
    assert!(!host.run(&["--rm", "busybox", "env"]).ok().contains("RCTR_ROOT"));
}

#[test]
fn hosts_begin_with_a_file_or_are_the_images() {
    let Some(host) = Host::new() else { return };
    let says = |flags: &[&str]| host.run(&[&["--rm", "-h", "me"], flags, &["busybox", "cat", "/etc/hosts"]].concat()).ok();
    let base = host.path("base");
    fs::write(&base, "127.0.0.1 localhost\n1.2.3.4 from-file").unwrap();
    let path = base.display().to_string();
    assert_eq!(says(&["--hosts-file", &path, "--add-host", "a:10.0.0.1"]), "127.0.0.1 localhost\n1.2.3.4 from-file\n10.0.0.1\ta\n");
    assert_eq!(says(&["--no-hosts"]), "");
    assert!(says(&["--hosts-file", "none"]).starts_with("127.0.0.1\tlocalhost\n"));
    // What the image has there, a link out of it leads nowhere.
    host.rctr(&["create", "--name", "edited", "--network", "none", "--hosts-file", "image", "busybox", "cat", "/etc/hosts"]).ok();
    fs::create_dir_all(host.container("edited").join("upper/etc")).unwrap();
    fs::write(host.container("edited").join("upper/etc/hosts"), "10.9.8.7 from-image\n").unwrap();
    let said = host.rctr(&["start", "-a", "edited"]).ok();
    assert!(said.starts_with("10.9.8.7 from-image\n127.0.0.1\tlocalhost\n"), "{said}");
    fs::remove_file(host.container("edited").join("upper/etc/hosts")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", host.container("edited").join("upper/etc/hosts")).unwrap();
    let name = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let said = host.rctr(&["start", "-a", "edited"]);
    assert!(name.trim().is_empty() || !said.out.contains(name.trim()), "{said:?}");
    for (flags, why) in [
        (vec!["--hosts-file", "/no/such/file"], "--hosts-file"),
        (vec!["--no-hosts", "--add-host", "a:10.0.0.1"], "--no-hosts"),
        (vec!["--network", "container:edited", "--hosts-file", "none"], "--network container"),
    ] {
        let refused = host.rctr(&[&["run", "--rm"], &flags[..], &["busybox", "true"]].concat());
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
}

#[test]
fn files_of_cgroup_v2_can_be_written() {
    let Some(host) = Host::new() else { return };
    for bad in ["memory.high", "cgroup.kill=1", "../x.y=1", "memory=1", ".x=1"] {
        let refused = host.run(&["--cgroup-conf", bad, "busybox", "true"]);
        assert!(refused.code == 125 && refused.err.contains("FILE=VALUE"), "{refused:?}");
    }
    let v2 = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
    let made = host.rctr(&[
        "create",
        "--name",
        "high",
        "--network",
        "none",
        "--cgroup-conf",
        "memory.high=67108864",
        "busybox",
        "sleep",
        "1000",
    ]);
    if !v2 {
        assert!(
            made.code == 125 && made.err.contains("cgroup file memory.high: this host has its limits in cgroup v1"),
            "{made:?}"
        );
        return eprintln!("skipped: the limit itself needs cgroup v2");
    }
    host.rctr(&["start", "high"]).ok();
    let shown = host.rctr(&["inspect", "-f", "{{json .HostConfig.CgroupConf}}", "high"]).ok();
    assert_eq!(shown, "{\"memory.high\":\"67108864\"}\n");
    let (_, pid) = host.processes("high");
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = format!("/sys/fs/cgroup{}/memory.high", cgroup.trim().rsplit(':').next().unwrap());
    assert_eq!(fs::read_to_string(path).unwrap(), "67108864\n");
}

#[test]
fn volumes_are_shown_on_the_host() {
    let Some(host) = Host::new() else { return };
    let data = |name: &str| host.root().join("volumes").join(name).join("_data");
    let elsewhere = host.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("file"), "there").unwrap();
    host.rctr(&["volume", "create", "plain"]).ok();
    let device = format!("device={}", elsewhere.display());
    host.rctr(&["volume", "create", "-o", "type=none", "-o", &device, "-o", "o=bind", "bound"]).ok();
    let shown = format!("{}\n{}\n", data("plain").display(), data("bound").display());
    let is_mounted = || fs::read_to_string("/proc/self/mountinfo").unwrap().matches(&*data("bound").to_string_lossy()).count();
    // Twice is once.
    assert_eq!(host.rctr(&["volume", "mount", "plain", "bound"]).ok(), shown);
    assert_eq!(host.rctr(&["volume", "mount", "plain", "bound"]).ok(), shown);
    assert_eq!((fs::read_to_string(data("bound").join("file")).unwrap(), is_mounted()), ("there".to_owned(), 1));
    let busy = fs::File::open(data("bound").join("file")).unwrap();
    let refused = host.rctr(&["volume", "unmount", "bound"]);
    assert!(refused.code != 0 && refused.err.contains("EBUSY") && refused.err.contains("unmount the volume bound"), "{refused:?}");
    drop(busy);
    assert_eq!(host.rctr(&["volume", "unmount", "plain", "bound"]).ok(), "plain\nbound\n");
    assert_eq!((data("bound").join("file").exists(), is_mounted()), (false, 0));
    host.rctr(&["volume", "umount", "bound"]).ok();
    // A volume that is shown goes, and what it shows stays.
    host.rctr(&["volume", "mount", "bound"]).ok();
    host.rctr(&["volume", "rm", "bound"]).ok();
    assert_eq!((fs::read_to_string(elsewhere.join("file")).unwrap(), is_mounted()), ("there".to_owned(), 0));
    let missing = host.rctr(&["volume", "mount", "bound"]);
    assert!(missing.code != 0 && missing.err.contains("bound"), "{missing:?}");
}

#[test]
fn values_are_made_of_the_images() {
    let Some(host) = Host::new() else { return };
    let merged = ["--rm", "--env-merge", "PATH=/own:${PATH}", "--env-merge", "FROM=$FROM-${NONE:-me}"];
    let said = host.run(&[&merged[..], &["-e", "WIN=1", "--env-merge", "WIN=0", "busybox", "env"]].concat()).ok();
    let has = |line: &str| said.lines().any(|other| other == line);
    assert!(has("PATH=/own:/bin") && has("FROM=image-me") && has("WIN=1"), "{said}");
    for (bad, why) in [("FROM", "KEY=VALUE"), ("FROM=${FROM", "--env-merge FROM=${FROM")] {
        let refused = host.run(&["--rm", "--env-merge", bad, "busybox", "true"]);
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
    host.nothing_left();
}

#[test]
fn a_user_that_is_a_number_gets_a_name() {
    let Some(host) = Host::new() else { return };
    let user = ["-u", "4242:4343", "-w", "/tmp"];
    let files = ["busybox", "cat", "/etc/passwd", "/etc/group"];
    let said = host.run(&[&["--rm", "--passwd"], &user[..], &files].concat()).ok();
    assert_eq!(said, "4242:*:4242:4343:container user:/tmp:/bin/sh\n4343:x:4343:4242\n");
    let home = host.run(&[&["--rm", "--passwd=true", "--read-only"], &user[..], &["busybox", "sh", "-c", "echo $HOME"]].concat());
    assert_eq!(home.ok(), "/tmp\n");
    let forms = ["--passwd-entry", "me:x:$UID:$GID:$NAME:/h:/x", "--group-entry", "us:x:$GID:$USERLIST"];
    let said = host.run(&[&["--rm"], &forms[..], &user, &files].concat()).ok();
    assert_eq!(said, "me:x:4242:4343:container user:/h:/x\nus:x:4343:4242\n");
    // As with Docker, unless it is asked for.
    for flags in [&["--rm"][..], &["--rm", "--passwd=false", "--userns", "keep-id"]] {
        assert!(host.run(&[flags, &user, &files].concat()).code != 0, "{flags:?}");
    }
    // What the container makes of its files stays, and is not added to again.
    let line = "cat /etc/passwd";
    host.rctr(&["create", "--name", "app", "--passwd", "-u", "5:0", "--network", "none", "busybox", "sh", "-c", line]).ok();
    let first = host.rctr(&["start", "-a", "app"]).out;
    assert_eq!(first, "5:*:5:0:container user:/:/bin/sh\n");
    let passwd = host.container("app").join("upper/etc/passwd");
    fs::write(&passwd, "mine:x:5:0::/home:/x").unwrap();
    assert_eq!(host.rctr(&["start", "-a", "app"]).out, "mine:x:5:0::/home:/x");
    // Nothing outside is written to, whatever the container has in that place or the user mounts there.
    let outside = host.path("outside");
    fs::write(&outside, "kept").unwrap();
    let path = outside.display().to_string();
    for link in [path.clone(), format!("../../../../../../../../../../..{path}")] {
        fs::remove_file(&passwd).unwrap();
        std::os::unix::fs::symlink(&link, &passwd).unwrap();
        host.rctr(&["start", "-a", "app"]);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept", "{link}");
    }
    let bind = format!("{path}:/etc/passwd");
    assert_eq!(
        host.run(&[&["--rm", "--passwd", "-v", &bind], &user[..], &["busybox", "cat", "/etc/passwd"]].concat()).ok(),
        "kept"
    );
    for (flags, why) in [
        (["--passwd=maybe", "--rm"], "neither true nor false"),
        (["--passwd-entry", "x:y"], "--passwd-entry"),
        (["--group-entry", "x:y:z:a:b"], "--group-entry"),
    ] {
        let refused = host.run(&[&flags[..], &["busybox", "true"]].concat());
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
    let refused = host.run(&["--passwd=false", "--passwd-entry", "a:b:1:2:c:d:e", "busybox", "true"]);
    assert!(refused.code == 125 && refused.err.contains("--passwd=false"), "{refused:?}");
    host.rctr(&["rm", "-f", "app"]).ok();
    host.nothing_left();
}
