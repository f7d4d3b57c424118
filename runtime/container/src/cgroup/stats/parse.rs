//! The texts of cgroup files.

use std::collections::BTreeMap;

use super::{BlkioEntry, Pressure, RdmaEntry, Stalled};

/// A number; `max` is the greatest, anything else 0.
pub(super) fn number(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or(0),
    }
}

/// A key and a number a line.
pub(super) fn keyed(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// A list such as `0-2,5` (cpuset(7), "List format").
pub(super) fn list(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

/// Pressure; `None` where the kernel has none or does not collect it.
pub(super) fn pressure(text: &str) -> Option<Pressure> {
    let line = |kind: &str| {
        let mut stalled = Stalled::default();
        for pair in text.lines().find_map(|line| line.strip_prefix(kind))?.split_whitespace() {
            match pair.split_once('=')? {
                ("avg10", value) => stalled.avg10 = value.parse().ok()?,
                ("avg60", value) => stalled.avg60 = value.parse().ok()?,
                ("avg300", value) => stalled.avg300 = value.parse().ok()?,
                ("total", value) => stalled.total = value.parse().ok()?,
                _ => {}
            }
        }
        Some(stalled)
    };
    Some(Pressure { some: line("some ")?, full: line("full ").unwrap_or_default() })
}

/// `MAJOR:MINOR`.
pub(super) fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Lines of v1: a device, an operation where there are several, a count. Sums over all devices have no device and are left out.
pub(super) fn blkio(text: &str) -> Vec<BlkioEntry> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = device(words.next()?)?;
        let (op, value) = match (words.next()?, words.next()) {
            (op, Some(value)) => (op.to_owned(), value),
            (value, None) => (String::new(), value),
        };
        Some(BlkioEntry { major, minor, op, value: value.parse().ok()? })
    };
    text.lines().filter_map(entry).collect()
}

/// `mlx4_0 hca_handle=2 hca_object=max`.
pub(super) fn rdma(text: &str) -> Vec<RdmaEntry> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let mut entry = RdmaEntry { device: words.next()?.to_owned(), ..RdmaEntry::default() };
        for word in words {
            let (key, value) = word.split_once('=')?;
            let value = if value == "max" { u32::MAX } else { value.parse().ok()? };
            match key {
                "hca_handle" => entry.hca_handles = value,
                "hca_object" => entry.hca_objects = value,
                _ => {}
            }
        }
        Some(entry)
    };
    text.lines().filter_map(entry).collect()
}
