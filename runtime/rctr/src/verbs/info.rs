//! `rctr info`.

use anyhow::Result;
use engine::{Engine, Status};
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::amount::rfc3339;
use crate::output::template;

/// Print what this host has
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// json, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints counts and facts.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let info = shape(&engine)?;
    if let Some(format) = &args.format {
        println!("{}", template::one(format, &info)?);
        return Ok(0);
    }
    for (label, key) in [
        ("Containers", "Containers"),
        (" Running", "ContainersRunning"),
        (" Paused", "ContainersPaused"),
        (" Stopped", "ContainersStopped"),
        ("Images", "Images"),
        ("Storage Driver", "Driver"),
        ("Root Dir", "DockerRootDir"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
        ("Security Options", "SecurityOptions"),
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
        ("Total Memory", "MemTotal"),
        ("Name", "Name"),
        ("Version", "ServerVersion"),
    ] {
        println!("{label}: {}", template::plain(&info[key]));
    }
    if !info["IDMappings"].is_null() {
        println!("ID Mappings: {}", template::plain(&info["IDMappings"]));
    }
    for warning in info["Warnings"].as_array().into_iter().flatten() {
        println!("WARNING: {}", template::plain(warning));
    }
    Ok(0)
}

/// The counts and facts in the shape of Docker's API.
pub(crate) fn shape(engine: &Engine) -> Result<Value> {
    let containers = engine.containers()?;
    let paused = containers.iter().filter(|container| matches!(container.status, Status::Paused { .. })).count();
    let running = containers.iter().filter(|container| container.is_running()).count() - paused;
    let uname = rustix::system::uname();
    let version = cgroup_version();
    Ok(json!({
        "Containers": containers.len(),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": containers.len() - running - paused,
        "Images": engine.images().images()?.len(),
        "Driver": "overlay",
        "DockerRootDir": engine.config().root,
        "CgroupDriver": if engine.config().home.as_ref().is_some_and(|home| home.accounts.cgroup.is_none()) { "none" } else { "cgroupfs" },
        "CgroupVersion": version,
        "SecurityOptions": security(engine.config().home.is_some()),
        "IDMappings": engine.config().home.as_ref().map(|_| json!({ "uidmap": map("uid_map"), "gidmap": map("gid_map") })),
        "Warnings": engine.config().home.as_ref().map(|home| [&home.only_own, &home.cut_off].into_iter().flatten().collect::<Vec<_>>()),
        "KernelVersion": uname.release().to_string_lossy(),
        "Architecture": uname.machine().to_string_lossy(),
        "OSType": "linux",
        "OperatingSystem": operating_system(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
        "NCPU": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "MemTotal": memory(),
        "Name": uname.nodename().to_string_lossy(),
        // Of containers that say nothing of it.
        "LoggingDriver": "local",
        "SystemTime": rfc3339(engine::now()),
        "ServerVersion": env!("CARGO_PKG_VERSION"),
    }))
}

/// Ids of a user's home, and who they are outside: lines of `/proc/self/uid_map`, as Podman tells them.
fn map(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = |line: &str| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [inside, outside, count] = numbers[..] else { return None };
        Some(json!({ "container_id": inside, "host_id": outside, "size": count }))
    };
    text.lines().filter_map(line).collect()
}

/// What confines a container that asks for nothing, in the words of Docker's API.
fn security(rootless: bool) -> Vec<&'static str> {
    let apparmor = !engine::apparmor_profile(&engine::Security::default()).is_empty();
    let seccomp = rustix::thread::secure_computing_mode().is_ok();
    [(apparmor, "name=apparmor"), (seccomp, "name=seccomp,profile=builtin"), (rootless, "name=rootless"), (true, "name=cgroupns")]
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name))
        .collect()
}

/// Its name for people (os-release(5)).
fn operating_system(release: &str) -> &str {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    name.trim_matches(['"', '\''])
}

/// The version of the hierarchy that has the controllers.
fn cgroup_version() -> &'static str {
    let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok();
    if unified { "2" } else { "1" }
}

/// Bytes of memory: the first line of proc_meminfo(5), which is in units of 1024 bytes.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().next().and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse::<u64>().ok());
    total.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_have_names() {
        assert_eq!(operating_system("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"), "Debian GNU/Linux 13 (trixie)");
        assert_eq!(operating_system("PRETTY_NAME='Alpine Linux'"), "Alpine Linux");
        assert_eq!(operating_system(""), "Linux");
    }
}
