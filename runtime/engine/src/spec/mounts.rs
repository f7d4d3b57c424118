//! What is mounted below a container's root file system: the usual kernel file systems, its own name files, the host's folders.

use std::collections::BTreeMap;
use std::path::Path;

use oci_spec::runtime::Mount;

use crate::mounts::stand_in;
use crate::record::Record;
use crate::request::{Access, HostsBase, Mount as Wanted, MountSource, NetworkMode, Sharing};

pub(super) fn mount(kind: &str, source: &Path, target: impl AsRef<Path>, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(target.as_ref().to_owned());
    mount.set_typ(Some(kind.to_owned()));
    mount.set_source(Some(source.to_owned()));
    mount.set_options(Some(options.iter().map(|option| (*option).to_owned()).collect()));
    mount
}

/// The user has put something of the host there.
pub(super) fn is_bound(record: &Record, target: &Path) -> bool {
    record.mounts.iter().any(|mount| mount.target == target)
}

/// All mounts of a container, in order: a folder before what is below it, as Docker sorts them. What the user mounts replaces ours of the
/// same place, and a `/dev` of the host all of ours in it. `files` is the folder with its `hosts`, `hostname` and `resolv.conf`.
/// `home` is the highest group of a user's home.
pub(super) fn mounts(record: &Record, files: &Path, init: &Path, home: Option<u32>) -> Vec<Mount> {
    let security = &record.security;
    let mut all = kernel(security.privileged, record.shm_size.unwrap_or(SHM_SIZE));
    if let (Some(0..TERMINALS), Some(options)) = (home, all.iter_mut().find_map(terminals)) {
        options.retain(|option| !option.starts_with("gid="));
    }
    shared_memory(record, files, &mut all);
    let users = record.namespaces.users.is_some();
    if users && matches!(record.network, NetworkMode::Host | NetworkMode::Container(_))
        || home.is_some() && record.network == NetworkMode::Host
    {
        // A new one shows the network, and is made only for users that it belongs to.
        all.retain(|mount| mount.destination() != Path::new("/sys"));
        // In a home what is mounted below is locked to it.
        let kind: &[&str] = if home.is_some() { &["rbind", "rro"] } else { &["bind", "ro"] };
        all.push(mount("bind", Path::new("/sys"), "/sys", &[kind, &["rprivate", "nosuid", "noexec", "nodev"]].concat()));
    }
    if record.tuning.init {
        let program = record.tuning.init_path.as_deref().unwrap_or(init);
        all.push(mount("bind", program, INIT, &["bind", "rprivate", "ro", "nosuid", "nodev"]));
    }
    // As Docker has it: what is the root file system's share can be written if that can.
    let own: &[&str] = if security.readonly_rootfs { &["bind", "rprivate", "ro"] } else { &["bind", "rprivate"] };
    let kept = record.dns.hosts_base == HostsBase::Kept;
    for name in ["resolv.conf", "hostname", "hosts"].into_iter().filter(|name| !(kept && *name == "hosts")) {
        all.push(mount("bind", &files.join(name), Path::new("/etc").join(name), own));
    }
    if let Some(zone) = &record.tuning.timezone {
        all.push(mount("bind", zone, "/etc/localtime", &["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"]));
    }
    let dev = is_bound(record, Path::new("/dev"));
    let replaced = |target: &Path| is_bound(record, target) || dev && target.starts_with("/dev");
    all.retain(|mount| !replaced(mount.destination()));
    all.extend(record.mounts.iter().enumerate().map(|(at, mount)| wanted(mount, &stand_in(at))));
    all.sort_by_key(|mount| mount.destination().components().count());
    all
}

/// Where `--init` has its program.
pub(super) const INIT: &str = "/dev/init";

/// What stands for the shared memory of another container. `files` is the container's folder.
pub(crate) fn shared(files: &Path) -> std::path::PathBuf {
    files.join("shm")
}

/// With the namespace for shared memory come the file systems that belong to it.
fn shared_memory(record: &Record, files: &Path, all: &mut Vec<Mount>) {
    let flags = ["rbind", "rprivate", "nosuid", "noexec", "nodev"];
    let places: &[(&str, std::path::PathBuf)] = match record.namespaces.ipc {
        Sharing::Own | Sharing::Private => return,
        Sharing::Nothing => {
            all.retain(|mount| mount.destination() != Path::new("/dev/shm"));
            return;
        }
        Sharing::Host => &[("/dev/shm", "/dev/shm".into()), ("/dev/mqueue", "/dev/mqueue".into())],
        Sharing::Container(_) | Sharing::Pod(_) => &[("/dev/shm", shared(files))],
    };
    for (target, source) in places.iter().filter(|(_, source)| source.starts_with(files) || source.exists()) {
        all.retain(|mount| mount.destination() != Path::new(target));
        all.push(mount("bind", source, target, &flags));
    }
}

/// What the user wants to have mounted. `stand_in` stands for what is no path of the host.
fn wanted(wanted: &Wanted, stand_in: &Path) -> Mount {
    let (source, bind) = match &wanted.source {
        MountSource::Bind { part: Some(_), .. } => (stand_in, "rbind"),
        MountSource::Bind { path, recursive, .. } => (path.as_path(), if *recursive { "rbind" } else { "bind" }),
        MountSource::Volume { .. } | MountSource::Image { .. } => (stand_in, "rbind"),
        MountSource::Tmpfs { options, .. } => {
            // Later ones win.
            let all: Vec<&str> = ["noexec", "nosuid", "nodev"].into_iter().chain(options.iter().map(String::as_str)).collect();
            return mount("tmpfs", Path::new("tmpfs"), &wanted.target, &all);
        }
    };
    let access = match wanted.access {
        // A volume that is mounted read-only itself stays so.
        Access::Write if source == stand_in => None,
        Access::Write => Some("rw"),
        Access::Read => Some("rro"),
        Access::ReadTop => Some("ro"),
    };
    let propagation = wanted.propagation.map_or_else(|| "rprivate".to_owned(), |own| own.to_string());
    let idmap = wanted.idmap.as_ref().map(|ranges| if ranges.is_empty() { "idmap".to_owned() } else { format!("idmap={ranges}") });
    let options: Vec<&str> = [bind, &propagation].into_iter().chain(access).chain(idmap.as_deref()).collect();
    mount("bind", source, &wanted.target, &options)
}

/// The group of terminals, which not every home has.
const TERMINALS: u32 = 5;

/// The options of the file system of terminals, if it is that.
fn terminals(mount: &mut Mount) -> Option<&mut Vec<String>> {
    if mount.typ().as_deref() == Some("devpts") { mount.options_mut().as_mut() } else { None }
}

/// Bytes of shared memory, unless asked for: Docker's 64 MiB.
const SHM_SIZE: u64 = 64 << 20;

fn kernel(privileged: bool, shm_size: u64) -> Vec<Mount> {
    let guarded = if privileged { "rw" } else { "ro" };
    let new = |kind: &str, source: &str, target: &str, options: &[&str]| mount(kind, Path::new(source), target, options);
    vec![
        new("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        new("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        new("devpts", "devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        new("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", guarded]),
        new("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", guarded]),
        new("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        new("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", &format!("size={shm_size}")]),
    ]
}

/// Docker's defaults since 20.10: ordinary users may listen on low ports and send pings.
pub(crate) const NETWORK_SYSCTLS: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// Only a container with its own network may change the network's settings, and then only harmless ones by itself; what the user sets comes
/// on top. `home` is the highest group of a user's home.
pub(super) fn sysctls(record: &Record, home: Option<u32>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let users = record.namespaces.users.as_ref();
    if matches!(record.network, NetworkMode::Bridge | NetworkMode::None) {
        all.extend(NETWORK_SYSCTLS.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    let own = users.map(|users| users.gids.iter().find(|range| range.inside == 0).map_or(0, |range| range.size - 1));
    if let (Some(last), Some(groups)) = (own.or(home), all.get_mut("net.ipv4.ping_group_range")) {
        // All groups that there are.
        *groups = format!("0 {}", last.min(i32::MAX as u32));
    }
    all.extend(record.tuning.sysctls.clone());
    all
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::request::{Resources, Security};

    /// A container of which nothing is asked.
    pub(crate) fn record() -> Record {
        let digest = format!("sha256:{}", "0".repeat(64));
        serde_json::from_value(serde_json::json!({
            "id": "", "name": "", "created": 0, "entrypoint": [], "cmd": [], "env": [], "workdir": "/", "user": "", "hostname": "",
            "image": { "name": "", "id": digest, "manifest": digest, "layers": [] }, "tty": false, "stdin": false, "labels": {},
            "mounts": [], "network": "bridge", "ports": [], "exposed": [], "resources": Resources::default(),
            "security": Security::default(), "remove": false, "stop_signal": 15,
        }))
        .unwrap()
    }

    fn order(binds: &[&str]) -> Vec<String> {
        let record = Record { mounts: binds.iter().map(|target| bind(target, Access::Write)).collect(), ..record() };
        mounts(&record, Path::new("/files"), Path::new("/init"), None)
            .iter()
            .map(|mount| mount.destination().display().to_string())
            .collect()
    }

    pub(crate) fn bind(target: &str, access: Access) -> Wanted {
        let source = MountSource::Bind { path: "/host".into(), create: true, recursive: true, part: None };
        Wanted { target: target.into(), source, access, propagation: None, chown: false, idmap: None, mode: String::new() }
    }

    fn options(wanted: Wanted) -> String {
        let record = Record { mounts: vec![wanted], ..record() };
        let all = mounts(&record, Path::new("/files"), Path::new("/init"), None);
        all.iter().find(|mount| mount.destination() == Path::new("/data")).unwrap().options().clone().unwrap().join(" ")
    }

    #[test]
    fn what_a_mount_becomes() {
        assert_eq!(options(bind("/data", Access::Write)), "rbind rprivate rw");
        assert_eq!(options(bind("/data", Access::Read)), "rbind rprivate rro");
        let idmap = Some("uids=0-1-10;gids=0-1-10".to_owned());
        let shared = Wanted { propagation: Some(crate::Propagation::RShared), idmap, ..bind("/data", Access::ReadTop) };
        assert_eq!(options(shared), "rbind rshared ro idmap=uids=0-1-10;gids=0-1-10");
        let tmpfs = MountSource::Tmpfs { options: vec!["exec".to_owned(), "size=1m".to_owned()], short: true };
        assert_eq!(options(Wanted { source: tmpfs, ..bind("/data", Access::Write) }), "noexec nosuid nodev exec size=1m");
    }

    fn at(order: &[String], target: &str) -> usize {
        order.iter().position(|other| other == target).unwrap_or_else(|| panic!("no {target} in {order:?}"))
    }

    #[test]
    fn a_folder_comes_before_what_is_below_it() {
        let order = order(&["/data/sub", "/data", "/etc"]);
        assert!(at(&order, "/data") < at(&order, "/data/sub"));
        assert!(at(&order, "/etc") < at(&order, "/etc/hosts"));
        assert!(at(&order, "/sys") < at(&order, "/sys/fs/cgroup"));
    }

    #[test]
    fn the_images_hosts_may_stay() {
        let dns = crate::request::Dns { hosts_base: HostsBase::Kept, ..Default::default() };
        let all = mounts(&Record { dns, ..record() }, Path::new("/files"), Path::new("/init"), None);
        let has = |target: &str| all.iter().any(|mount| mount.destination() == Path::new(target));
        assert!(!has("/etc/hosts") && has("/etc/hostname"));
    }

    #[test]
    fn in_a_home() {
        let of = |network, home| {
            let record = Record { network, ..record() };
            let all = mounts(&record, Path::new("/files"), Path::new("/init"), home);
            let options = |target: &str| {
                all.iter().find(|mount| mount.destination() == Path::new(target)).unwrap().options().clone().unwrap().join(" ")
            };
            let ping = sysctls(&record, home).remove("net.ipv4.ping_group_range");
            (options("/sys"), options("/dev/pts").contains("gid=5"), ping)
        };
        let (sys, terminals, ping) = of(NetworkMode::None, Some(65536));
        assert!(sys.ends_with("ro") && !sys.contains("bind") && terminals && ping.as_deref() == Some("0 65536"), "{sys} {ping:?}");
        let (sys, terminals, _) = of(NetworkMode::Host, Some(0));
        assert!(sys.starts_with("rbind rro") && !terminals, "{sys}");
        assert!(of(NetworkMode::Host, None).1 && !of(NetworkMode::Host, None).0.contains("bind"));
    }

    #[test]
    fn the_users_mounts_replace_ours() {
        let order = order(&["/dev", "/etc/hosts"]);
        assert!(!order.iter().any(|target| target.starts_with("/dev/")));
        assert_eq!(order.iter().filter(|target| *target == "/dev" || *target == "/etc/hosts").count(), 2);
    }
}
