//! What this host is, as its Node object says it.

use std::fs::read_to_string;
use std::net::IpAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::network::State;
use super::pressure::Pressure;

/// What a node tells of itself.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) address: IpAddr,
    /// How many pods it takes.
    pub(super) pods: u32,
    /// Addresses of its pods, if they are fixed.
    pub(super) pod_cidr: Option<String>,
    /// How the pod network is.
    pub(super) network: State,
    /// Whether the host goes down.
    pub(super) is_down: bool,
    /// What it is short of.
    pub(super) pressure: Pressure,
    /// Images that it has.
    pub(super) images: Vec<Value>,
    processors: usize,
    /// KiB.
    memory: u64,
    disk: u64,
    /// Bytes of huge pages, by the size of one as resources have it.
    huge_pages: Vec<(String, u64)>,
}

impl Facts {
    /// Looks at the host. `root` is where containers are.
    pub(super) fn look(name: String, address: IpAddr, pods: u32, pod_cidr: Option<String>, root: &Path) -> Facts {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let text = read_to_string("/proc/meminfo").unwrap_or_default();
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
        let disk = rustix::fs::statvfs(root).map_or(0, |fs| fs.f_blocks * fs.f_frsize);
        Facts {
            name,
            address,
            pods,
            pod_cidr,
            network: State::Waiting,
            is_down: false,
            pressure: Pressure::default(),
            images: Vec::new(),
            processors,
            memory: total.unwrap_or(0),
            disk,
            huge_pages: huge_pages(Path::new("/sys/kernel/mm/hugepages")),
        }
    }

    /// The Node object to begin with.
    pub(super) fn object(&self, now: &str) -> Value {
        let arch = architecture();
        let mut spec = json!({});
        if let Some(range) = &self.pod_cidr {
            spec = json!({ "podCIDR": range, "podCIDRs": [range] });
        }
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": self.name, "labels": {
                "kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch,
                "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": arch,
            }},
            "spec": spec,
            "status": self.status(&Value::Null, now),
        })
    }

    /// How many pods it takes: no more than there are addresses for, but for those of the range itself and of the bridge.
    fn room(&self, range: Option<&str>) -> u64 {
        let net = range.and_then(|range| range.parse::<engine::Ipv4Net>().ok());
        let addresses = net.map(|net| (1u64 << (32 - net.prefix_len())).saturating_sub(3));
        addresses.unwrap_or(u64::MAX).min(self.pods.into())
    }

    /// Its status on the node as it is known. What had been true before keeps its time.
    pub(super) fn status(&self, node: &Value, now: &str) -> Value {
        let (before, range) = (&node["status"], node["spec"]["podCIDR"].as_str().or(self.pod_cidr.as_deref()));
        let mut resources = json!({
            "cpu": self.processors.to_string(),
            "memory": format!("{}Ki", self.memory),
            "ephemeral-storage": self.disk.to_string(),
            "pods": self.room(range).to_string(),
        });
        for (size, bytes) in &self.huge_pages {
            resources[format!("hugepages-{size}")] = bytes.to_string().into();
        }
        let mut allocatable = resources.clone();
        // Devices that somebody else tells of.
        for (list, all) in [("capacity", &mut resources), ("allocatable", &mut allocatable)] {
            for (name, amount) in before[list].as_object().into_iter().flatten().filter(|(name, _)| name.contains('/')) {
                all[name] = amount.clone();
            }
        }
        let kept: u64 = self.huge_pages.iter().map(|(_, bytes)| bytes >> 10).sum();
        allocatable["memory"] = format!("{}Ki", self.memory.saturating_sub(kept)).into();
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            let old = before["conditions"].as_array().and_then(|all| all.iter().find(|condition| condition["type"] == kind));
            let since = old.filter(|old| old["status"] == status).map_or(json!(now), |old| old["lastTransitionTime"].clone());
            json!({ "type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": now, "lastTransitionTime": since })
        };
        let [memory, disk] = self.pressure.conditions(condition);
        json!({
            "capacity": resources,
            "allocatable": allocatable,
            "addresses": [
                { "type": "InternalIP", "address": self.address.to_string() },
                { "type": "Hostname", "address": self.name },
            ],
            "conditions": [
                memory,
                disk,
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                self.reached(condition),
                match self.is_down {
                    true => condition("Ready", "False", "KubeletNotReady", "node is shutting down"),
                    false => condition("Ready", "True", "NodeReady", "the node agent takes pods"),
                },
            ],
            "images": self.images,
            "nodeInfo": info(),
        })
    }
}

impl Facts {
    /// Whether pods of other nodes reach those of this one.
    fn reached(&self, condition: impl Fn(&str, &str, &str, &str) -> Value) -> Value {
        let (status, reason, message) = match &self.network {
            State::Right => ("False", "RoutesCreated", "the ways to the pods of other nodes are there"),
            State::Waiting => ("True", "NoPodCIDR", "the node waits for the addresses of its pods"),
            State::Broken(why) => ("True", "NoRoutes", why.as_str()),
        };
        condition("NetworkUnavailable", status, reason, message)
    }
}

/// Huge pages that there are, in a folder such as `/sys/kernel/mm/hugepages`: sizes that a kernel has and that nobody has set aside count, too.
fn huge_pages(folder: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let size = name.strip_prefix("hugepages-").and_then(|name| name.strip_suffix("kB")?.parse::<u64>().ok());
        let count = read_to_string(entry.path().join("nr_hugepages")).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let (Some(kib), Some(count)) = (size, count) else { continue };
        let size = match kib {
            kib if kib % (1 << 20) == 0 => format!("{}Gi", kib >> 20),
            kib if kib % (1 << 10) == 0 => format!("{}Mi", kib >> 10),
            kib => format!("{kib}Ki"),
        };
        all.push((size, count.saturating_mul(kib << 10)));
    }
    all.sort();
    all
}

fn info() -> Value {
    let first_line = |path: &str| read_to_string(path).unwrap_or_default().trim().to_owned();
    let uname = rustix::system::uname();
    let release = read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    json!({
        "architecture": architecture(),
        "bootID": first_line("/proc/sys/kernel/random/boot_id"),
        "containerRuntimeVersion": format!("rctr://{}", env!("CARGO_PKG_VERSION")),
        "kernelVersion": uname.release().to_string_lossy(),
        "kubeProxyVersion": "",
        "kubeletVersion": format!("v{}", env!("CARGO_PKG_VERSION")),
        "machineID": first_line("/etc/machine-id"),
        "operatingSystem": "linux",
        "osImage": system.trim_matches('"'),
        "systemUUID": first_line("/sys/class/dmi/id/product_uuid").to_lowercase(),
    })
}

/// The processor in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_stays_keeps_its_time() {
        let facts = Facts::look("n".to_owned(), IpAddr::from([192, 0, 2, 1]), 7, None, Path::new("/"));
        let first = facts.status(&Value::Null, "2026-01-01T00:00:00Z");
        assert_eq!(first["capacity"]["pods"], "7");
        let mut second = json!({ "status": first.clone() });
        second["status"]["conditions"][4]["status"] = "Unknown".into();
        let third = facts.status(&second, "2026-01-01T00:01:00Z");
        assert_eq!(third["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(third["conditions"][4]["lastTransitionTime"], "2026-01-01T00:01:00Z");
        assert_eq!(third["conditions"][0]["lastHeartbeatTime"], "2026-01-01T00:01:00Z");
        // What others say that it has stays, too.
        second["status"]["capacity"]["example.com/card"] = "2".into();
        let fourth = facts.status(&second, "2026-01-01T00:02:00Z");
        assert_eq!((&fourth["capacity"]["example.com/card"], &fourth["capacity"]["pods"]), (&json!("2"), &json!("7")));
    }

    #[test]
    fn huge_pages_are_told_and_are_no_memory_for_others() {
        let folder = tempfile::tempdir().unwrap();
        for (size, count) in [("2048", "8"), ("1048576", "0"), ("64", "x")] {
            let path = folder.path().join(format!("hugepages-{size}kB"));
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("nr_hugepages"), format!("{count}\n")).unwrap();
        }
        let huge_pages = huge_pages(folder.path());
        assert_eq!(huge_pages, [("1Gi".to_owned(), 0), ("2Mi".to_owned(), 16 << 20)]);
        let facts = Facts::look("n".to_owned(), IpAddr::from([192, 0, 2, 1]), 7, None, Path::new("/"));
        let status = Facts { memory: 1 << 20, huge_pages, ..facts }.status(&Value::Null, "2026-01-01T00:00:00Z");
        let (capacity, allocatable) = (&status["capacity"], &status["allocatable"]);
        assert_eq!((&capacity["hugepages-2Mi"], &allocatable["hugepages-2Mi"]), (&json!("16777216"), &json!("16777216")));
        assert_eq!((&capacity["memory"], &allocatable["memory"]), (&json!("1048576Ki"), &json!("1032192Ki")));
    }

    #[test]
    fn a_node_takes_no_more_pods_than_it_has_addresses() {
        let facts = Facts::look("n".to_owned(), IpAddr::from([192, 0, 2, 1]), 500, None, Path::new("/"));
        let rooms = [None, Some("10.244.3.0/24"), Some("10.244.0.0/22"), Some("10.244.0.0/30")].map(|range| facts.room(range));
        assert_eq!(rooms, [500, 253, 500, 1]);
        let node = json!({ "spec": { "podCIDR": "10.244.3.0/24" } });
        assert_eq!(facts.status(&node, "2026-01-01T00:00:00Z")["allocatable"]["pods"], "253");
    }
}
