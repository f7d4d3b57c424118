//! What this program does inside a container: one word says what to look at, answers are lines `key=value`.

use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Where it is in the container.
pub const PATH: &str = "/probe";

pub fn main(words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["exit", code] => std::process::exit(code.parse().unwrap()),
        ["wait"] => loop {
            rustix::event::poll(&mut [], None).ok();
        },
        ["facts"] => facts(),
        ["write", ref paths @ ..] => paths.iter().for_each(|path| println!("{path}={}", outcome(write(path)))),
        ["look", ref paths @ ..] => paths.iter().for_each(|path| println!("{path}={}", look(Path::new(path)))),
        ["read", ref paths @ ..] => paths.iter().for_each(|path| {
            println!(
                "{path}={}",
                std::fs::read_to_string(path).map_or_else(|e| e.to_string(), |text| text.trim().replace('\n', "|"))
            );
        }),
        ["same", first, ref others @ ..] => {
            let file = |path: &str| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).unwrap();
            println!("same={}", others.iter().all(|other| file(other) == file(first)));
        }
        ["mkdir", path] => println!("{path}={}", outcome(std::fs::create_dir(path))),
        ["mounts"] => print!("{}", std::fs::read_to_string("/proc/self/mountinfo").unwrap()),
        ["tty"] => tty(),
        ref other => panic!("unknown words {other:?}"),
    }
}

fn outcome(result: std::io::Result<()>) -> String {
    result.map_or_else(|error| format!("errno {}", error.raw_os_error().unwrap_or(0)), |()| "done".into())
}

/// Opens for writing, and creates what is missing.
fn write(path: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).map(drop)
}

fn look(path: &Path) -> String {
    let Ok(meta) = path.symlink_metadata() else { return "missing".into() };
    let mode = meta.mode() & 0o7777;
    let owner = format!("{}:{}", meta.uid(), meta.gid());
    let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    match meta.file_type() {
        kind if kind.is_dir() => format!("folder {} {}", std::fs::read_dir(path).map_or(999, |dir| dir.count()), meta.dev()),
        kind if kind.is_symlink() => format!("link {}", std::fs::read_link(path).unwrap().display()),
        kind if kind.is_char_device() => format!("char {major}:{minor} {mode:o} {owner}"),
        kind if kind.is_fifo() => format!("fifo {mode:o} {owner}"),
        _ => format!("file {} {mode:o} {owner}", meta.len()),
    }
}

fn facts() {
    for name in ["mnt", "pid", "uts", "ipc", "net", "cgroup"] {
        println!("{name}={}", std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display());
    }
    for line in std::fs::read_to_string("/proc/self/status").unwrap().lines() {
        if let Some((key, value)) = line.split_once(':') {
            println!("{key}={}", value.trim().replace('\t', " "));
        }
    }
    // The last is the folder being read.
    let fds: Vec<_> = std::fs::read_dir("/proc/self/fd").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    println!("fds={}", fds.len() - 1);
    println!("number={}", std::process::id());
    println!("sid={}", rustix::process::getsid(None).unwrap().as_raw_nonzero());
    println!("cwd={}", std::env::current_dir().unwrap().display());
    println!("hostname={}", rustix::system::uname().nodename().to_str().unwrap());
    println!("domainname={}", rustix::system::uname().domainname().to_str().unwrap());
    println!("cgroup_path={}", std::fs::read_to_string("/proc/self/cgroup").unwrap().trim().replace('\n', "|"));
    println!("oom={}", std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim());
    println!("env={}", std::env::vars().map(|(k, v)| format!("{k}:{v}")).collect::<Vec<_>>().join(","));
    println!("keyring={}", sys::process::session_keyring().unwrap_or(0));
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    println!("nofile={:?}:{:?}", files.current, files.maximum);
    for set in
        [caps::CapSet::Ambient, caps::CapSet::Bounding, caps::CapSet::Effective, caps::CapSet::Permitted, caps::CapSet::Inheritable]
    {
        println!("{set:?}={:#x}", caps::read(None, set).unwrap().iter().fold(0, |all, cap| all | cap.bitmask()));
    }
}

fn tty() {
    use rustix::stdio::{stderr, stdin, stdout};
    for (name, stream) in [("stdin", stdin()), ("stdout", stdout()), ("stderr", stderr())] {
        println!("{name}={}", rustix::termios::isatty(stream));
    }
    let size = rustix::termios::tcgetwinsize(stdin()).unwrap();
    println!("size={}x{}", size.ws_row, size.ws_col);
    println!("name={}", std::fs::read_link("/proc/self/fd/0").unwrap().display());
    println!("session={}", rustix::termios::tcgetsid(stdin()).map_or(0, |pid| pid.as_raw_nonzero().get()));
    println!("controlling={}", std::fs::File::open("/dev/tty").is_ok());
    let own = rustix::fs::fstat(stdin().as_fd()).unwrap();
    let console = rustix::fs::stat("/dev/console");
    println!("console={}", console.is_ok_and(|console| console.st_rdev == own.st_rdev));
    println!("owner={}", own.st_uid);
    println!("done=yes");
}
