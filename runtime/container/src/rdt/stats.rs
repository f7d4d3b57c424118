//! What a container has of cache and bandwidth, and what it uses of it, under the names that runc prints it with.

use std::path::Path;

use serde::Serialize;

use super::{Groups, LIMIT};

/// Read from the resctrl file system. What this host has not is left out.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    #[serde(skip_serializing_if = "Option::is_none")]
    l3_cache_info: Option<Cache>,
    #[serde(skip_serializing_if = "String::is_empty")]
    l3_cache_schema_root: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    l3_cache_schema: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_bw_info: Option<Bandwidth>,
    #[serde(skip_serializing_if = "String::is_empty")]
    mem_bw_schema_root: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mem_bw_schema: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    schemata: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mbm_stats: Option<Vec<Traffic>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmt_stats: Option<Vec<Occupancy>>,
}

/// What there is to share of the cache.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Cache {
    #[serde(skip_serializing_if = "String::is_empty")]
    cbm_mask: String,
    #[serde(skip_serializing_if = "none")]
    min_cbm_bits: u64,
    #[serde(skip_serializing_if = "none")]
    num_closids: u64,
}

/// And of the bandwidth.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Bandwidth {
    #[serde(skip_serializing_if = "none")]
    bandwidth_gran: u64,
    #[serde(skip_serializing_if = "none")]
    delay_linear: u64,
    #[serde(skip_serializing_if = "none")]
    min_bandwidth: u64,
    #[serde(skip_serializing_if = "none")]
    num_closids: u64,
}

/// Bytes that went through one memory controller.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Traffic {
    mbm_total_bytes: u64,
    mbm_local_bytes: u64,
}

/// Bytes in one cache.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Occupancy {
    llc_occupancy: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn none(number: &u64) -> bool {
    *number == 0
}

/// What is known of a container's groups now. Counters are those of its own group, if it has one; otherwise of all that its class has.
pub fn stats(groups: &Groups) -> Stats {
    let Some(class) = groups.enter.first() else { return Stats::default() };
    let root = groups.root();
    let (own, all) = (lines(&class.join("schemata")), lines(&root.join("schemata")));
    let line = |lines: &[String], resource: &str| {
        let found = lines.iter().rfind(|line| line.starts_with(resource));
        found.cloned().unwrap_or_default()
    };
    let mut stats = Stats { schemata: own.clone(), ..Stats::default() };
    let info = |file: &str| root.join("info").join(file);
    if info("L3").is_dir() {
        stats.l3_cache_info = Some(Cache {
            cbm_mask: text(&info("L3/cbm_mask")),
            min_cbm_bits: number(&info("L3/min_cbm_bits")),
            num_closids: number(&info("L3/num_closids")),
        });
        (stats.l3_cache_schema_root, stats.l3_cache_schema) = (line(&all, "L3"), line(&own, "L3"));
    }
    if info("MB").is_dir() {
        stats.mem_bw_info = Some(Bandwidth {
            bandwidth_gran: number(&info("MB/bandwidth_gran")),
            delay_linear: number(&info("MB/delay_linear")),
            min_bandwidth: number(&info("MB/min_bandwidth")),
            num_closids: number(&info("MB/num_closids")),
        });
        (stats.mem_bw_schema_root, stats.mem_bw_schema) = (line(&all, "MB"), line(&own, "MB"));
    }
    monitored(&mut stats, groups.enter.last().unwrap_or(class), &lines(&info("L3_MON/mon_features")));
    stats
}

fn monitored(stats: &mut Stats, group: &Path, features: &[String]) {
    let has = |name: &str| features.iter().any(|feature| feature == name);
    let mut domains: Vec<_> =
        std::fs::read_dir(group.join("mon_data")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    domains.retain(|domain| domain.is_dir());
    domains.sort();
    if has("mbm_total_bytes") || has("mbm_local_bytes") {
        let of = |domain: &std::path::PathBuf| Traffic {
            mbm_total_bytes: number(&domain.join("mbm_total_bytes")),
            mbm_local_bytes: number(&domain.join("mbm_local_bytes")),
        };
        stats.mbm_stats = Some(domains.iter().map(of).collect());
    }
    if has("llc_occupancy") {
        let of = |domain: &std::path::PathBuf| Occupancy { llc_occupancy: number(&domain.join("llc_occupancy")) };
        stats.cmt_stats = Some(domains.iter().map(of).collect());
    }
}

fn text(path: &Path) -> String {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).ok();
    let bytes = file.and_then(|file| sys::fs::read_all(file, LIMIT).ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn lines(path: &Path) -> Vec<String> {
    text(path).lines().map(|line| line.trim().to_owned()).collect()
}

/// 0 where there is none: a counter may also be "Unavailable".
fn number(path: &Path) -> u64 {
    text(path).parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_runc_prints() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("schemata", "    MB:0=100\n    L3:0=fff\n");
        write("info/L3/cbm_mask", "fff\n");
        write("info/L3/min_cbm_bits", "1\n");
        write("info/L3/num_closids", "16\n");
        write("info/MB/bandwidth_gran", "10\n");
        write("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n");
        write("gold/schemata", "    MB:0= 50\n    L3:0=00f\n");
        for (domain, bytes) in [("mon_L3_00", "5\n"), ("mon_L3_01", "Unavailable\n")] {
            for file in ["mbm_total_bytes", "mbm_local_bytes", "llc_occupancy"] {
                write(&format!("gold/mon_groups/box/mon_data/{domain}/{file}"), bytes);
            }
        }
        let class = root.path().join("gold");
        let groups = |enter| Groups { enter, own: Vec::new(), new: None, schemata: Vec::new() };
        let found = serde_json::to_value(stats(&groups(vec![class.clone(), class.join("mon_groups/box")]))).unwrap();
        let traffic = |bytes: u64| json!({"mbm_total_bytes": bytes, "mbm_local_bytes": bytes});
        assert_eq!(
            found,
            json!({
                "l3_cache_info": {"cbm_mask": "fff", "min_cbm_bits": 1, "num_closids": 16},
                "l3_cache_schema_root": "L3:0=fff", "l3_cache_schema": "L3:0=00f",
                "mem_bw_info": {"bandwidth_gran": 10},
                "mem_bw_schema_root": "MB:0=100", "mem_bw_schema": "MB:0= 50",
                "schemata": ["MB:0= 50", "L3:0=00f"],
                "mbm_stats": [traffic(5), traffic(0)], "cmt_stats": [{"llc_occupancy": 5}, {"llc_occupancy": 0}],
            })
        );
        assert_eq!(serde_json::to_value(stats(&groups(vec!["/nonsuch".into()]))).unwrap(), json!({}));
    }
}
