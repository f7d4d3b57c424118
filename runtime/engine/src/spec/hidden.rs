//! What of the host a container does not see, and what it sees but cannot change.

use std::fs;
use std::path::Path;

use crate::request::Security;

/// Files of procfs and sysfs that tell about the host: those that Docker and Kubernetes hide.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Files of procfs that change the host.
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where the kernel tells of processors.
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// What is hidden from a container that is not privileged, on this host as it is now.
#[must_use]
pub fn masked_paths() -> Vec<String> {
    MASKED.iter().map(|path| (*path).to_owned()).chain(throttled(Path::new(PROCESSORS))).collect()
}

/// What a container that is not privileged cannot change.
#[must_use]
pub fn readonly_paths() -> Vec<String> {
    READONLY.map(str::to_owned).into()
}

/// How often each processor was slowed down for its heat: what others compute on it can be told from that (GHSA-6fw5-f8r9-fgfm). Either all
/// processors count it or none does, so that most machines are asked only once.
fn throttled(processors: &Path) -> Vec<String> {
    let counter = |name: &str| processors.join(name).join("thermal_throttle");
    if !counter("cpu0").exists() {
        return Vec::new();
    }
    let names = fs::read_dir(processors).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let is_one = |name: &String| name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok());
    let mut all: Vec<_> = names.filter(is_one).map(|name| counter(&name)).filter(|counter| counter.exists()).collect();
    all.sort();
    all.into_iter().map(|counter| counter.display().to_string()).collect()
}

/// What is hidden, and what is read-only.
pub(super) fn hidden(security: &Security) -> (Vec<String>, Vec<String>) {
    if let (Some(paths), false) = (&security.paths, security.privileged) {
        return (paths.masked.clone(), paths.readonly.clone());
    }
    if security.privileged || security.system_paths {
        return (security.masked.clone(), Vec::new());
    }
    let all = security.unmasked.iter().any(|path| path == "ALL");
    let open = |path: &str| {
        all || security.unmasked.iter().any(|open| path == open || path.starts_with(&format!("{}/", open.trim_end_matches('/'))))
    };
    let closed = |paths: Vec<String>| paths.into_iter().filter(|path| !open(path)).collect::<Vec<_>>();
    let mut masked = closed(masked_paths());
    masked.extend(security.masked.iter().cloned());
    (masked, closed(readonly_paths()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_opened_and_hidden() {
        let hide = |masked: &[&str], unmasked: &[&str], system_paths| {
            let own = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
            hidden(&Security { masked: own(masked), unmasked: own(unmasked), system_paths, ..Security::default() })
        };
        let (masked, readonly) = hide(&["/x"], &["/proc/kcore", "/proc/sys"], false);
        assert!(masked.contains(&"/x".to_owned()) && !masked.contains(&"/proc/kcore".to_owned()));
        assert!(masked.contains(&"/proc/keys".to_owned()) && !readonly.contains(&"/proc/sys".to_owned()));
        assert_eq!(hide(&[], &["ALL"], false), (Vec::new(), Vec::new()));
        assert_eq!(hide(&["/x"], &[], true), (vec!["/x".to_owned()], Vec::new()));
    }

    #[test]
    fn counters_of_heat_are_hidden() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cpu0", "cpu11", "cpufreq"] {
            fs::create_dir_all(folder.path().join(name).join("thermal_throttle")).unwrap();
        }
        // Switched off: it counts nothing.
        fs::create_dir(folder.path().join("cpu3")).unwrap();
        let at = |name: &str| folder.path().join(name).join("thermal_throttle").display().to_string();
        assert_eq!(throttled(folder.path()), [at("cpu0"), at("cpu11")]);
        fs::remove_dir(folder.path().join("cpu0/thermal_throttle")).unwrap();
        assert!(throttled(folder.path()).is_empty());
        assert!(throttled(&folder.path().join("none")).is_empty());
    }
}
