//! `rctr info`.

use anyhow::Result;
use serde_json::json;

use crate::context::Context;
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
    let containers = engine.containers()?;
    let running = containers.iter().filter(|container| container.is_running()).count();
    let uname = rustix::system::uname();
    let version = cgroup_version();
    let info = json!({
        "Containers": containers.len(),
        "ContainersRunning": running,
        "ContainersStopped": containers.len() - running,
        "Images": engine.images().images()?.len(),
        "Driver": "overlay",
        "DockerRootDir": engine.config().root,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": version,
        "KernelVersion": uname.release().to_string_lossy(),
        "Architecture": uname.machine().to_string_lossy(),
        "OSType": "linux",
        "NCPU": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "MemTotal": memory(),
        "Name": uname.nodename().to_string_lossy(),
        "ServerVersion": env!("CARGO_PKG_VERSION"),
    });
    if let Some(format) = &args.format {
        println!("{}", template::one(format, &info)?);
        return Ok(0);
    }
    for (label, key) in [
        ("Containers", "Containers"),
        (" Running", "ContainersRunning"),
        (" Stopped", "ContainersStopped"),
        ("Images", "Images"),
        ("Storage Driver", "Driver"),
        ("Root Dir", "DockerRootDir"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
        ("Kernel Version", "KernelVersion"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
        ("Total Memory", "MemTotal"),
        ("Name", "Name"),
        ("Version", "ServerVersion"),
    ] {
        println!("{label}: {}", template::plain(&info[key]));
    }
    Ok(0)
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
