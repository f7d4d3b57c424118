//! What this program does inside a container.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Where it is in the container.
pub const PATH: &str = "/probe";

const SIGTERM: i32 = 15;

pub fn main(words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["exit", code] => std::process::exit(code.parse().unwrap()),
        ["wait"] => loop {
            rustix::event::poll(&mut [], None).ok();
        },
        ["count", path] => count(path),
        ["say", ref words @ ..] => println!("{}", words.join(" ")),
        ["read", path] => print!("{}", std::fs::read_to_string(path).unwrap()),
        ["cat"] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).unwrap();
            print!("{text}");
        }
        ["term"] => term(),
        ["die", signal] => sys::process::signal(me(), signal.parse().unwrap()).unwrap(),
        ["facts"] => facts(),
        ["sched"] => sched(),
        ["keyring"] => println!("{}", sys::process::session_keyring().unwrap_or(0)),
        ["mkdir", path] => println!("{}", outcome(std::fs::create_dir(path))),
        ["mkdir-and-wait", path] => {
            println!("{}", outcome(std::fs::create_dir(path)));
            main(&["wait".to_owned()]);
        }
        ["bind", port] => println!("{}", outcome(std::net::TcpListener::bind(("127.0.0.1", port.parse().unwrap())).map(drop))),
        ["calls"] => {
            println!("mkdir {}", outcome(std::fs::create_dir("/new")));
            let ruleset = sys::landlock::Ruleset::new(&sys::landlock::Handled { fs: 1, ..Default::default() });
            println!(
                "landlock {}",
                ruleset.map_or_else(|error| format!("errno {}", error.errno().raw_os_error()), |_| "done".into())
            );
        }
        ["thread"] => {
            let thread = std::thread::Builder::new().spawn(|| {});
            println!("{}", if thread.is_ok() { "started" } else { "refused" });
        }
        ["eat", megabytes] => {
            let mut eaten = vec![0u8; megabytes.parse::<usize>().unwrap() << 20];
            eaten.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            println!("{}", eaten.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        }
        ["fd", number] => {
            println!("{:?}", std::fs::read_link(format!("/proc/self/fd/{number}")).map_err(|error| error.kind()));
        }
        ["descriptors"] => {
            let names = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut numbers: Vec<u32> = names.map(|name| name.parse().unwrap()).collect();
            numbers.sort_unstable();
            println!("{numbers:?}");
        }
        ["remount", ref targets @ ..] => targets.iter().for_each(|target| {
            let flags = rustix::mount::MountFlags::BIND;
            println!("{target}: {}", outcome(rustix::mount::mount_remount(*target, flags, c"").map_err(std::io::Error::from)));
        }),
        ["mounts", ref targets @ ..] => targets.iter().for_each(|target| println!("{target}: {}", mounted(target))),
        ["tree", path] => tree(std::path::Path::new(path)),
        ["write", ref paths @ ..] => paths.iter().for_each(|path| {
            let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path);
            println!("{path}: {}", outcome(opened.map(drop)));
        }),
        ["dev", path] => {
            let meta = std::fs::metadata(path).unwrap();
            println!("{} {}:{}", meta.uid(), rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        }
        ["setuid", id] => {
            let id = rustix::process::Uid::from_raw(id.parse().unwrap());
            println!("{}", outcome(rustix::thread::set_thread_res_uid(id, id, id).map_err(Into::into)));
        }
        ["setgroups"] => println!("{}", outcome(rustix::thread::set_thread_groups(&[]).map_err(Into::into))),
        ["uptime"] => {
            println!("{}", rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec);
            println!("{}", rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec);
        }
        ["spy", found] => spy(found),
        ["overwrite", found, stop] => overwrite(found, std::path::Path::new(stop)),
        ["escape"] => escape(),
        ["tty"] => {
            let size = rustix::termios::tcgetwinsize(rustix::stdio::stdin()).unwrap();
            println!("{} {}", size.ws_row, size.ws_col);
        }
        ref other => panic!("unknown words {other:?}"),
    }
}

fn outcome(result: std::io::Result<()>) -> String {
    result.map_or_else(|error| format!("errno {}", error.raw_os_error().unwrap_or(0)), |()| "done".into())
}

/// All that is mounted on `target`, the lowest first: options of the mount, propagation, type, options of the file system.
fn mounted(target: &str) -> String {
    let all = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let there = all.lines().filter(|line| line.split(' ').nth(4) == Some(target)).map(|line| {
        let (mount, system) = line.split_once(" - ").unwrap();
        let (mount, system): (Vec<&str>, Vec<&str>) = (mount.split(' ').collect(), system.split(' ').collect());
        format!("{} [{}] {} {}", mount[5], mount[6..].join(" "), system[0], system[2])
    });
    there.collect::<Vec<_>>().join(" | ")
}

/// What is below `path`: name, type and permissions, owner, length or content of a link.
fn tree(path: &std::path::Path) {
    let meta = path.symlink_metadata().unwrap();
    let content = match () {
        () if meta.is_symlink() => format!("-> {}", std::fs::read_link(path).unwrap().display()),
        () if meta.is_file() => format!("{:?}", std::fs::read_to_string(path).unwrap_or_default()),
        () => String::new(),
    };
    println!("{} {:o} {}:{} {content}", path.display(), meta.mode(), meta.uid(), meta.gid());
    if meta.is_dir() {
        let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names.iter().for_each(|path| tree(path));
    }
}

fn me() -> std::os::fd::OwnedFd {
    sys::process::open(std::process::id(), sys::process::start_time(std::process::id()).unwrap()).unwrap()
}

/// Looks into every process that comes by, for ever, and notes whose program is none of this container's.
fn spy(found: &str) {
    let note = |what: String| std::fs::write(found, what).unwrap();
    note(String::new());
    loop {
        for pid in std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let look = |file: &str| std::path::Path::new("/proc").join(&pid).join(file);
            // Who may trace a process may read this link (ptrace(2), "Ptrace access mode checking").
            match std::fs::read_link(look("exe")) {
                Ok(exe) if exe != std::path::Path::new(PATH) => note(format!("{pid}: {}", exe.display())),
                _ => {}
            }
        }
    }
}

/// Opens every program that is none of this container's, tries to write to it, and when the file `stop` is there once more: a program
/// that nobody runs any more is not busy. Notes how many there were and what came of it.
fn overwrite(found: &str, stop: &std::path::Path) {
    let (mut opened, mut results) = (Vec::new(), std::collections::BTreeSet::new());
    let write = |file: &std::fs::File| {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        std::fs::OpenOptions::new().write(true).open(path).map_or_else(|error| error.to_string(), |_| "written".to_owned())
    };
    let note = |count: usize, results: &std::collections::BTreeSet<String>, end: &str| {
        std::fs::write(found, format!("{count} {results:?} {end}\n")).unwrap();
    };
    note(0, &results, "");
    while !stop.exists() {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let exe = entry.path().join("exe");
            let foreign = std::fs::read_link(&exe).is_ok_and(|exe| exe != std::path::Path::new(PATH));
            let path = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
            if let (true, Ok(file)) = (foreign && opened.len() < 500, rustix::fs::open(&exe, path, rustix::fs::Mode::empty())) {
                opened.push(std::fs::File::from(file));
                results.extend(opened.last().map(write));
                note(opened.len(), &results, "");
            }
        }
    }
    results.extend(opened.iter().map(write));
    note(opened.len(), &results, "end");
}

/// The way out of a chroot: another one below, and up from there. Prints what is at the top.
fn escape() {
    let _ = std::fs::create_dir("/cell");
    rustix::process::chroot("/cell").unwrap();
    for _ in 0..64 {
        rustix::process::chdir("..").unwrap();
    }
    rustix::process::chroot(".").unwrap();
    let mut names: Vec<_> = std::fs::read_dir("/").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    println!("{names:?}");
}

/// Counts, and says so, and writes it down.
fn count(path: &str) {
    for at in 0u64.. {
        println!("{at}");
        std::fs::write(path, at.to_string()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Ends with 42 when it is told to.
fn term() {
    let signals = sys::signal::signalfd(&[SIGTERM]).unwrap();
    println!("ready");
    let mut ready = [rustix::event::PollFd::from_borrowed_fd(signals.as_fd(), rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut ready, None).unwrap();
    assert_eq!(sys::signal::read(&signals), Some(SIGTERM));
    std::process::exit(42);
}

fn facts() {
    println!("cwd={}", std::env::current_dir().unwrap().display());
    println!("root={}", std::fs::read_dir("/").unwrap().count());
    for (key, value) in std::env::vars() {
        println!("env.{key}={value}");
    }
    for line in std::fs::read_to_string("/proc/self/status").unwrap().lines() {
        if let Some((key, value)) = line.split_once(":\t") {
            println!("{key}={}", value.replace('\t', " ").trim());
        }
    }
    println!("pid={}", std::process::id());
    println!("host={}", std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
}

/// How it runs, as JSON.
fn sched() {
    let attr = sys::sched::attr().unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
    let (class, level) = sys::sched::io_priority().unwrap();
    let own = serde_json::json!({
        "policy": attr.policy, "nice": attr.nice, "priority": attr.priority, "flags": attr.flags,
        "times": [attr.runtime, attr.deadline, attr.period],
        "io": [class, level],
        "cpus": field("Cpus_allowed_list"),
        "umask": u32::from_str_radix(field("Umask").unwrap(), 8).unwrap(),
        "machine": rustix::system::uname().machine().to_str().unwrap(),
        "memory": sys::memory::policy().ok(),
    });
    println!("{own}");
}
