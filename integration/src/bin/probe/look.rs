//! What this process is and sees.

use std::fs;

pub(crate) fn check(words: &[&str]) -> bool {
    match words {
        ["hostname"] => println!("{}", rustix::system::uname().nodename().to_string_lossy()),
        ["id"] => id(),
        ["pid"] => println!("{}", std::process::id()),
        ["env"] => std::env::vars().for_each(|(key, value)| println!("{key}={value}")),
        ["args", rest @ ..] => rest.iter().for_each(|arg| println!("{arg}")),
        ["cwd"] => {
            println!("{}", std::env::current_dir().map_or_else(|error| crate::name(&error), |path| path.display().to_string()))
        }
        // CapInh, CapPrm, CapEff, CapBnd, CapAmb, NoNewPrivs, Seccomp, Seccomp_filters
        ["status"] => status(&["Cap", "NoNewPrivs", "Seccomp", "Threads"]),
        ["limits"] => print!("{}", text("/proc/self/limits")),
        ["fds"] => fds(),
        ["mounts"] => mounts(),
        ["namespaces"] => namespaces(),
        ["processes"] => processes(),
        ["devices"] => list("/dev"),
        ["links"] => list("/sys/class/net"),
        ["tty"] => tty(),
        ["cgroup", file] => cgroup(file),
        ["umask"] => status(&["Umask"]),
        _ => return false,
    }
    true
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{}\n", crate::name(&error)))
}

fn status(prefixes: &[&str]) {
    let all = text("/proc/self/status");
    let wanted = all.lines().filter(|line| prefixes.iter().any(|prefix| line.starts_with(prefix)));
    wanted.for_each(|line| println!("{}", line.replace('\t', " ")));
}

/// `uid=N gid=N groups=N,N`, the effective ones.
fn id() {
    let mut groups: Vec<_> = rustix::process::getgroups().unwrap_or_default().iter().map(|group| group.as_raw()).collect();
    groups.sort_unstable();
    let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    println!("uid={uid} gid={gid} groups={}", groups.join(","));
}

/// Every open descriptor but the one that lists them, with what it leads to.
fn fds() {
    let Ok(folder) = fs::read_dir("/proc/self/fd") else { return println!("no /proc/self/fd") };
    let mut all: Vec<_> = folder
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, fs::read_link(entry.path()).ok()?)))
        .filter(|(_, target)| !target.starts_with("/proc/"))
        .collect();
    all.sort();
    all.iter().for_each(|(fd, target)| println!("{fd} {}", target.display()));
}

/// `MOUNTPOINT TYPE OPTIONS SUPER-OPTIONS PROPAGATION`, one line a mount.
fn mounts() {
    for line in text("/proc/self/mountinfo").lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let Some(dash) = fields.iter().position(|field| *field == "-") else { continue };
        let propagation = if dash > 6 { fields[6..dash].join(",") } else { "private".to_owned() };
        println!("{} {} {} {} {propagation}", fields[4], fields[dash + 1], fields[5], fields[dash + 3]);
    }
}

fn namespaces() {
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        println!(
            "{}",
            fs::read_link(format!("/proc/self/ns/{kind}"))
                .map_or_else(|error| crate::name(&error), |target| target.display().to_string())
        );
    }
}

/// `PID NAME`, one line a process.
fn processes() {
    let Ok(folder) = fs::read_dir("/proc") else { return println!("no /proc") };
    let mut all: Vec<u32> = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    all.sort_unstable();
    all.iter().for_each(|pid| println!("{pid} {}", text(&format!("/proc/{pid}/comm")).trim()));
}

fn list(path: &str) {
    let Ok(folder) = fs::read_dir(path) else { return println!("no {path}") };
    let mut names: Vec<_> = folder.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.iter().for_each(|name| println!("{name}"));
}

/// `COLUMNS ROWS`, or `no tty`.
pub(crate) fn tty() {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) => println!("{} {}", size.ws_col, size.ws_row),
        Err(_) => println!("no tty"),
    }
}

/// A limit file of this process' cgroup, wherever the hierarchy that has it is mounted.
fn cgroup(file: &str) {
    let roots =
        ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/pids"];
    let found = roots.iter().find_map(|root| fs::read_to_string(format!("{root}/{file}")).ok());
    print!("{}", found.unwrap_or_else(|| "ENOENT\n".to_owned()));
}
