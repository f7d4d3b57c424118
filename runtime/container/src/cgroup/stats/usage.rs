//! The few numbers of a cgroup that a person watches.

use std::path::Path;

use super::super::hierarchies::clean;
use super::super::{Error, Hierarchies};
use super::{number, parse, text};

/// What a cgroup uses. Numbers of a controller that is not there are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds of processor time.
    pub cpu: u64,
    /// Bytes of memory without inactive page cache, which goes first when memory is needed.
    pub memory: u64,
    /// The limit; the greatest number without one.
    pub memory_limit: u64,
    /// Bytes read from disks.
    pub read: u64,
    /// Bytes written to disks.
    pub written: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes of memory with all of the page cache.
    pub memory_all: u64,
    /// Bytes of memory that no file has.
    pub anonymous: u64,
    /// Bytes in swap.
    pub swap: u64,
    /// Page faults.
    pub faults: u64,
    /// Those that had to wait for a disk.
    pub major_faults: u64,
}

/// Reads what the cgroup `path` uses. A container may end meanwhile: what cannot be read is 0.
///
/// # Errors
/// [`Error::Path`].
pub fn usage(hierarchies: &Hierarchies, path: &str) -> Result<Usage, Error> {
    let path = clean(path)?;
    let folder = |at: usize| hierarchies.all()[at].folder(&path);
    let mut usage = Usage { memory_limit: u64::MAX, ..Usage::default() };
    if let Some(unified) = hierarchies.unified().map(folder) {
        v2(&unified, &mut usage);
    }
    let v1 = |controller: &str| hierarchies.v1(controller).map(folder);
    if let Some(folder) = v1("cpuacct") {
        usage.cpu = number(&folder, "cpuacct.usage");
    }
    if let Some(folder) = v1("memory") {
        memory(&text(&folder, "memory.stat"), "total_", "rss", number(&folder, "memory.usage_in_bytes"), &mut usage);
        usage.swap = number(&folder, "memory.memsw.usage_in_bytes").saturating_sub(usage.memory_all);
        usage.memory_limit = number(&folder, "memory.limit_in_bytes");
    }
    if let Some(folder) = v1("pids") {
        usage.pids = number(&folder, "pids.current");
    }
    if let Some(folder) = v1("blkio") {
        let files = ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"];
        let entries = files.iter().map(|file| parse::blkio(&text(&folder, file))).find(|entries| !entries.is_empty());
        for entry in entries.unwrap_or_default() {
            match entry.op.as_str() {
                "Read" => usage.read += entry.value,
                "Write" => usage.written += entry.value,
                _ => {}
            }
        }
    }
    Ok(usage)
}

fn v2(folder: &Path, usage: &mut Usage) {
    usage.cpu = parse::keyed(&text(folder, "cpu.stat")).get("usage_usec").copied().unwrap_or(0) * 1000;
    memory(&text(folder, "memory.stat"), "", "anon", number(folder, "memory.current"), usage);
    usage.swap = number(folder, "memory.swap.current");
    let limit = text(folder, "memory.max");
    usage.memory_limit = if limit.is_empty() { u64::MAX } else { parse::number(&limit) };
    usage.pids = number(folder, "pids.current");
    for word in text(folder, "io.stat").split_whitespace() {
        match word.split_once('=') {
            Some(("rbytes", value)) => usage.read += parse::number(value),
            Some(("wbytes", value)) => usage.written += parse::number(value),
            _ => {}
        }
    }
}

/// What `memory.stat` tells about the bytes that are used. Its keys begin with `prefix`.
fn memory(stat: &str, prefix: &str, anonymous: &str, all: u64, usage: &mut Usage) {
    let stat = parse::keyed(stat);
    let at = |key: &str| stat.get(&format!("{prefix}{key}")).copied().unwrap_or(0);
    usage.memory_all = all;
    usage.memory = all.saturating_sub(at("inactive_file"));
    usage.anonymous = at(anonymous);
    (usage.faults, usage.major_faults) = (at("pgfault"), at("pgmajfault"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("cpu.stat", "usage_usec 1500\nuser_usec 1000\n"),
            ("memory.current", "5000\n"),
            ("memory.stat", "anon 1500\ninactive_file 1000\npgfault 8\npgmajfault 7\n"),
            ("memory.swap.current", "9\n"),
            ("memory.max", "max\n"),
            ("pids.current", "3\n"),
            ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n"),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut usage = Usage::default();
        v2(folder.path(), &mut usage);
        let expected = Usage {
            cpu: 1_500_000,
            memory: 4000,
            memory_limit: u64::MAX,
            read: 11,
            written: 22,
            pids: 3,
            memory_all: 5000,
            anonymous: 1500,
            swap: 9,
            faults: 8,
            major_faults: 7,
        };
        assert_eq!(usage, expected);
    }
}
