//! Labels of security modules, on a kernel that has them.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fixture::Bundle;
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("apparmor_confines", Of::Every, apparmor_confines),
    ("apparmor_confines_further_processes", Of::Every, apparmor_confines_further_processes),
    ("apparmor_profiles_must_be_there", Of::Every, apparmor_profiles_must_be_there),
    ("apparmor_around_the_runtime", Of::Ours, apparmor_around_the_runtime),
    ("selinux_labels_processes_and_mounts", Of::Every, selinux_labels_processes_and_mounts),
];

/// Everything but one file.
const CONFINED: &str = "
    profile oci-test-confined flags=(attach_disconnected,mediate_deleted) {
        file, capability, network, signal, unix, ptrace, mount, umount, pivot_root, dbus,
        deny /secret rw,
    }
    profile oci-test-other flags=(attach_disconnected,mediate_deleted) {
        file, capability, network, signal, unix, ptrace, mount, umount, pivot_root, dbus,
        deny /other rw,
    }";

/// What LXC and others put around a container that may make containers: kernel settings of the network may be written below `/proc`, and
/// what looks like sysfs may not. A file of a procfs that is mounted nowhere has no `/proc` in its path.
const AROUND: &str = "
    profile oci-test-around flags=(attach_disconnected,mediate_deleted) {
        file, capability, network, signal, unix, ptrace, mount, umount, pivot_root, dbus, change_profile,
        deny /sys/[^fdck]*{,/**} wklx,
        deny /sys/net/** wklx,
    }";

/// Loads profiles, unless there is no AppArmor.
fn loaded(profiles: &str) -> bool {
    if !std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|enabled| enabled.starts_with('Y')) {
        crate::skip("needs a kernel with AppArmor");
        return false;
    }
    let mut parser = match Command::new("apparmor_parser").arg("--replace").arg("--skip-cache").stdin(Stdio::piped()).spawn() {
        Ok(parser) => parser,
        Err(error) => {
            crate::skip(&format!("needs apparmor_parser: {error}"));
            return false;
        }
    };
    parser.stdin.take().unwrap().write_all(profiles.as_bytes()).unwrap();
    assert!(parser.wait().unwrap().success());
    true
}

fn confined(words: &[&str], profile: &str) -> Bundle {
    let bundle = Bundle::new(words).with(|spec| {
        spec["root"]["readonly"] = json!(false);
        spec["process"]["apparmorProfile"] = json!(profile);
    });
    for file in ["secret", "other"] {
        std::fs::write(bundle.path("rootfs").join(file), "x").unwrap();
    }
    bundle
}

const WRITE: &[&str] = &["write", "/secret", "/other"];
const LABEL: &[&str] = &["read", "/proc/self/attr/apparmor/current"];

fn apparmor_confines() {
    if !loaded(CONFINED) {
        return;
    }
    assert_eq!(confined(WRITE, "unconfined").ok(&["run", "ID"]), "/secret: done\n/other: done\n");
    for strict in [false, true] {
        let with = |spec: &mut Value| spec["process"]["noNewPrivileges"] = json!(strict);
        assert_eq!(confined(LABEL, "oci-test-confined").with(with).ok(&["run", "ID"]).trim(), "oci-test-confined (enforce)");
        assert_eq!(confined(WRITE, "oci-test-confined").with(with).ok(&["run", "ID"]), "/secret: errno 13\n/other: done\n");
    }
}

fn apparmor_confines_further_processes() {
    if !loaded(CONFINED) {
        return;
    }
    let bundle = confined(&["wait"], "oci-test-confined");
    bundle.ok(&["run", "-d", "ID"]);
    let exec = |flags: &[&str]| bundle.ok(&[&["exec"], flags, &["ID", "/probe"], WRITE].concat());
    assert_eq!(exec(&[]), "/secret: errno 13\n/other: done\n");
    assert_eq!(exec(&["--apparmor", "oci-test-other"]), "/secret: done\n/other: errno 13\n");
    bundle.fails(&["exec", "--apparmor", "oci-test-none", "ID", "/probe", "exit", "0"], "");
    assert_eq!(bundle.status(), "running");
}

fn apparmor_profiles_must_be_there() {
    if !loaded(CONFINED) {
        return;
    }
    let bundle = confined(&["exit", "0"], "oci-test-none");
    bundle.fails(&["run", "ID"], "oci-test-none");
    assert!(bundle.left().is_empty());
}

/// The way to kernel settings must not be one that AppArmor takes for another (runc 1.2.8 and later fell into this).
fn apparmor_around_the_runtime() {
    if !loaded(AROUND) {
        return;
    }
    const PORTS: &str = "net.ipv4.ip_unprivileged_port_start";
    let bundle = Bundle::new(&["read", "/proc/sys/net/ipv4/ip_unprivileged_port_start"]).with(|spec| {
        spec["linux"]["sysctl"] = json!({PORTS: "77"});
    });
    let inner = bundle.command(&["run", "ID"]);
    let mut around = Command::new("aa-exec");
    around.args(["-p", "oci-test-around", "--"]).arg(inner.get_program()).args(inner.get_args()).current_dir(bundle.path(""));
    let said = bundle.said(&mut around);
    assert_eq!((said.code, said.out.trim()), (Some(0), "77"), "{said:?}");
}

/// Labels that any policy has. Whether it allows the change is for the policy; where it only notes, all is as asked.
fn selinux_labels_processes_and_mounts() {
    const PROCESS: &str = "system_u:system_r:kernel_t:s0";
    const OTHER: &str = "system_u:system_r:init_t:s0";
    const MOUNT: &str = "system_u:object_r:tmpfs_t:s0";
    if !std::fs::read_to_string("/sys/fs/selinux/enforce").is_ok_and(|enforce| enforce.trim() == "0") {
        return crate::skip("needs a kernel with SELinux that does not enforce");
    }
    const LABEL: &[&str] = &["read", "/proc/self/attr/current"];
    let with = |words: &[&str]| {
        Bundle::new(words).with(|spec| {
            spec["process"]["selinuxLabel"] = json!(PROCESS);
            spec["linux"]["mountLabel"] = json!(MOUNT);
        })
    };
    assert_eq!(with(LABEL).ok(&["run", "ID"]).trim_end_matches(['\0', '\n']), PROCESS);
    let mounted = with(&["mounts", "/dev"]).ok(&["run", "ID"]);
    assert!(mounted.contains(&format!("context={MOUNT}")) || mounted.contains(&format!("context=\"{MOUNT}\"")), "{mounted}");
    let bundle = with(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    let exec = |flags: &[&str]| bundle.ok(&[&["exec"], flags, &["ID", "/probe"], LABEL].concat());
    assert_eq!(exec(&[]).trim_end_matches(['\0', '\n']), PROCESS);
    assert_eq!(exec(&["--process-label", OTHER]).trim_end_matches(['\0', '\n']), OTHER);
    let bad = with(LABEL).with(|spec| spec["process"]["selinuxLabel"] = json!("nobody:knows:this:s0"));
    bad.fails(&["run", "ID"], "nobody:knows:this:s0");
    assert!(bad.left().is_empty());
}
