//! What a container finds where, and what it can do to the host by that.

use std::fs;

use crate::host::Host;

#[test]
fn the_null_device_is_the_containers_own() {
    let Some(host) = Host::new() else { return };
    let out = host.run(&["--rm", "busybox", "busybox", "stat", "-L", "-c", "%d %i", "/proc/self/fd/0", "/dev/null"]).ok();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], lines[1], "{out}");
}

#[test]
fn a_folder_is_mounted_before_what_is_below_it() {
    let Some(host) = Host::new() else { return };
    fs::create_dir_all(host.path("lower/below")).unwrap();
    fs::create_dir(host.path("upper")).unwrap();
    fs::write(host.path("upper/found"), "").unwrap();
    let (lower, upper) =
        (format!("{}:/data", host.path("lower").display()), format!("{}:/data/below", host.path("upper").display()));
    assert_eq!(host.run(&["--rm", "-v", &upper, "-v", &lower, "busybox", "ls", "/data/below"]).ok(), "found\n");
    let etc = format!("{}:/etc", host.path("lower").display());
    assert!(host.run(&["--rm", "-v", &etc, "busybox", "cat", "/etc/hosts"]).ok().contains("localhost"));
    let twice = host.run(&["--rm", "-v", &lower, "-v", &lower, "busybox", "true"]);
    assert_eq!(twice.code, 125);
    assert!(twice.err.contains("/data: two have this place"), "{twice:?}");
}

#[test]
fn the_hosts_dev_can_be_given_to_a_privileged_container() {
    let Some(host) = Host::new() else { return };
    let out =
        host.run(&["--rm", "--privileged", "-v", "/dev:/dev", "busybox", "sh", "-c", "echo /dev/nu*; echo x > /dev/null"]).ok();
    assert_eq!(out, "/dev/null\n");
}

#[test]
fn what_a_container_writes_is_not_on_the_tmpfs_of_everybody() {
    let Some(host) = Host::new() else { return };
    let script = "echo own >> /etc/hosts; echo own > /etc/hostname; echo own > /etc/resolv.conf; echo done; sleep 1000";
    host.run(&["-d", "--name", "writes", "busybox", "sh", "-c", script]).ok();
    let run = host.path("run/containers").join(host.container("writes").file_name().unwrap());
    let left: Vec<_> = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["monitor.sock"]);
}

#[test]
fn a_bare_variable_takes_the_images_away() {
    let Some(host) = Host::new() else { return };
    assert_eq!(host.run(&["--rm", "busybox", "sh", "-c", "echo $FROM"]).ok(), "image\n");
    let said = host.run(&["--rm", "-e", "NOWHERE", "-e", "FROM", "busybox", "sh", "-c", "echo ${FROM-unset}"]);
    assert_eq!(said.ok(), "unset\n");
}
