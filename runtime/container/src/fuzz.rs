//! Where strangers' bytes come in, each as one function that takes any bytes, panics when something is wrong, and says nothing else.
//! `cargo test` calls them with seeds and with changes of these; `fuzz/` (cargo-fuzz, a nightly compiler) with what libFuzzer finds.

use std::path::Component;

use oci_spec::runtime::{LinuxResources, Spec};

use crate::cgroup::Hierarchies;
use crate::{Host, Shared, capabilities, cgroup, compile, config, criu};

/// A `config.json`: what is compiled can be carried out.
pub fn spec(bytes: &[u8]) {
    let Ok((spec, _)) = config::spec(bytes) else { return };
    for host in [host(V2), host(HYBRID)] {
        if let Ok(compiled) = compile(&spec, &host) {
            plan(&compiled);
        }
        limits(&spec, &host);
        let annotations = spec.annotations().iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
        let _ = cgroup::systemd::annotations(annotations);
        let asked = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref()).map(|path| path.to_string_lossy());
        let _ = cgroup::systemd::Unit::new(asked.as_deref(), "x", "id", None);
    }
}

fn plan(compiled: &crate::Compiled) {
    let plan = &compiled.plan;
    assert!(plan.slots().all(|slot| (slot.0 as usize) < compiled.sources.len()));
    for step in &plan.steps {
        let place = step.place();
        assert!(place.is_absolute() && !place.components().any(|part| part == Component::ParentDir), "{place:?}");
        assert!(!place.as_os_str().as_encoded_bytes().contains(&0), "{place:?}");
    }
    // As it is sent to whoever carries it out.
    let sent = postcard::to_stdvec(plan).unwrap();
    assert_eq!(postcard::from_bytes::<launch::Plan>(&sent).as_ref(), Ok(plan));
}

/// Limits that come later meet those that are there.
fn limits(spec: &Spec, host: &Host) {
    let Some(resources) = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) else { return };
    let _ = cgroup::ignored(&host.cgroup, resources);
    let mut known = LinuxResources::default();
    if cgroup::merge(&mut known, resources).is_ok() {
        let _ = cgroup::merge(&mut known, resources);
    }
}

/// A process, as `exec --process` takes it.
pub fn process(bytes: &[u8]) {
    let Ok((process, _)) = config::process(bytes) else { return };
    let _ = crate::compile_process(&process, &host(V2));
}

/// Options of a mount, separated by commas.
pub fn options(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    crate::compile::check_options(text.split(','));
}

/// What a container's processes share, from a file beside its record.
pub fn shared(bytes: &[u8]) {
    if let Ok(read) = postcard::from_bytes::<Shared>(bytes) {
        let written = postcard::to_stdvec(&read).unwrap();
        assert_eq!(postcard::from_bytes::<Shared>(&written), Ok(read));
    }
}

/// An answer of criu's.
pub fn answer(bytes: &[u8]) {
    let _ = criu::understood(bytes);
}

/// The lines of mountinfo that tell of cgroups, and the files that statistics are read from.
pub fn mountinfo(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(all) = Hierarchies::parse(&text) {
        let paths = cgroup::paths(&all, "/a/b");
        assert!(!paths.is_empty() && paths.iter().all(|path| path.ends_with("a/b")), "{paths:?}");
    }
}

const V2: &str = "1 1 0:1 / /c rw - cgroup2 none rw\n";
const HYBRID: &str = "1 1 0:1 / /c/memory rw - cgroup cgroup rw,memory\n2 1 0:2 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      3 1 0:3 / /c/devices rw - cgroup cgroup rw,devices\n4 1 0:4 / /c/unified rw - cgroup2 none rw\n";

fn host(mountinfo: &str) -> Host {
    Host {
        locked: false,
        cgroup: Hierarchies::parse(mountinfo).unwrap(),
        last_cap: 40,
        grantable: capabilities::all(),
        identity: None,
        seccomp: true,
        apparmor: true,
        selinux: true,
        landlock: 6,
        resctrl: Some("/sys/fs/resctrl".into()),
    }
}

#[cfg(test)]
mod tests;
