//! Writing to procfs. Runtimes were tricked into writing elsewhere by mounts over the container's /proc (CVE-2019-16884,
//! CVE-2025-52881), so nothing is ever written through that one: the host's is used, before the root is changed, and what is opened
//! below it is verified not to leave it. Where the host's is covered (a container in a container sees /proc/sys read-only) a private
//! instance is made that nobody can mount on. This order also spares AppArmor's confusion about a private one, which refuses
//! sysctls in nested containers.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstatfs, openat, openat2};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use sys::mount::Filesystem;
use sys::ns::{kind, setns};
use sys::{Call, Error};

use crate::failure::During;
use crate::{ClockOffset, Failure};

/// Writes the `oom_score_adj` of a process, by its name in procfs. Its children inherit it.
pub(crate) fn adjust_oom_score(process: &str, score: Option<i32>) -> Result<(), Failure> {
    let Some(score) = score else { return Ok(()) };
    writable(&format!("{process}/oom_score_adj"))
        .and_then(|file| sys::fs::write_all(file, score.to_string().as_bytes()))
        .during(|| format!("set oom_score_adj to {score} (lowering it needs CAP_SYS_RESOURCE)"))
}

/// Opens a file of the caller's own for writing.
pub(super) fn writable(path: &str) -> sys::Result<OwnedFd> {
    match host().and_then(|proc| open(&proc, path)) {
        Err(error) if error.errno() != Errno::NOENT => open(&instance()?, path),
        other => other,
    }
}

/// Writes kernel settings of the calling thread's own namespaces: keys with dots or slashes, and values.
///
/// # Errors
/// The kernel has no such setting, or refuses the value.
pub fn set(settings: &[(String, String)]) -> Result<(), Failure> {
    if settings.is_empty() {
        return Ok(());
    }
    let host = host().and_then(|proc| folder(&proc));
    let mut private = None;
    for (key, value) in settings {
        let path = path(key);
        let file = match host.as_ref().map_err(Clone::clone).and_then(|host| open(host, &path)) {
            Err(error) if error.errno() != Errno::NOENT => settings_of_own(&mut private).and_then(|own| open(own, &path)),
            other => other,
        };
        file.and_then(|file| sys::fs::write_all(file, value.as_bytes())).during(|| format!("sysctl {key}={value}"))?;
    }
    Ok(())
}

/// The first separator of a key decides: after a dot, dots separate and slashes are dots in names (sysctl.d(5)).
fn path(key: &str) -> String {
    let dotted = key.find(['.', '/']).is_some_and(|at| key.as_bytes()[at] == b'.');
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    if dotted { key.chars().map(swap).collect() } else { key.to_owned() }
}

/// Sets the clocks of the time namespace that the caller's next child would be born in, and enters it itself.
pub(crate) fn enter_clocks(clocks: &[ClockOffset]) -> Result<(), Failure> {
    let proc = host().during(|| "set the clocks")?;
    let lines: String = clocks.iter().map(|one| format!("{} {} {}\n", one.clock, one.seconds, one.nanoseconds)).collect();
    open(&proc, "self/timens_offsets")
        .and_then(|file| sys::fs::write_all(file, lines.as_bytes()))
        .during(|| format!("set the clocks: {}", lines.trim_end().replace('\n', ", ")))?;
    // A link that jumps is just what this is.
    openat(&proc, "self/ns/time_for_children", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .call(|| "openat(procfs, \"self/ns/time_for_children\")")
        .and_then(|namespace| setns(namespace, kind::TIME as i32))
        .during(|| "enter the time namespace")
}

/// Reads a short file of a procfs.
pub(crate) fn read(at: impl AsFd, path: &str) -> sys::Result<Vec<u8>> {
    openat2(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), RESOLVE)
        .call(|| format!("openat2(procfs, {path:?}, O_RDONLY, RESOLVE_BENEATH | RESOLVE_NO_XDEV)"))
        .and_then(|file| sys::fs::read_all(file, 64 << 10))
}

/// The host's procfs, verified.
pub(crate) fn host() -> sys::Result<OwnedFd> {
    let proc =
        openat(CWD, "/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).call(|| "open(\"/proc\")")?;
    if fstatfs(&proc).call(|| "fstatfs(\"/proc\")")?.f_type == PROC_SUPER_MAGIC {
        Ok(proc)
    } else {
        Err(Error::new("fstatfs(\"/proc\"): not a procfs", Errno::XDEV))
    }
}

/// A procfs of our own, mounted nowhere.
fn instance() -> sys::Result<OwnedFd> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Filesystem::open("proc")?.mount(attributes)
}

/// The settings of one.
fn settings_of_own(private: &mut Option<OwnedFd>) -> sys::Result<&OwnedFd> {
    if private.is_none() {
        *private = Some(folder(&instance()?)?);
    }
    private.as_ref().ok_or_else(|| Error::new("fsopen(\"proc\")", Errno::NODEV))
}

/// Nothing mounted on the way, no link that jumps, no way up.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_XDEV).union(ResolveFlags::NO_MAGICLINKS);

/// The folder of settings: keys are resolved in it, so that `net/../../sysrq-trigger` is none.
fn folder(proc: &OwnedFd) -> sys::Result<OwnedFd> {
    openat2(proc, "sys", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), RESOLVE)
        .call(|| "openat2(procfs, \"sys\", O_PATH, RESOLVE_BENEATH | RESOLVE_NO_XDEV)")
}

/// Opens a file of a procfs for writing.
pub(crate) fn open(at: impl AsFd, path: &str) -> sys::Result<OwnedFd> {
    openat2(at, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), RESOLVE)
        .call(|| format!("openat2(procfs, {path:?}, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_XDEV)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_of_a_key_decides() {
        assert_eq!(path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
    }

    /// A mount inside the real one, on the label of the very task (CVE-2025-52881).
    #[test]
    #[allow(clippy::print_stdout, reason = "a test says what it leaves out")]
    fn nothing_is_opened_through_a_mount() {
        use rustix::mount::{MountPropagationFlags as Propagation, mount_bind, mount_change};
        if !rustix::process::geteuid().is_root() {
            return println!("skipped: needs root");
        }
        let fake = std::env::temp_dir().join(format!("launch-fake-attr-{}", std::process::id()));
        std::fs::create_dir(&fake).unwrap();
        std::fs::write(fake.join("exec"), "").unwrap();
        // A thread may have mounts of its own.
        let opened = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                sys::ns::unshare(sys::ns::kind::MOUNT as i32).unwrap();
                mount_change("/", Propagation::PRIVATE | Propagation::REC).unwrap();
                mount_bind(&fake, "/proc/thread-self/attr").unwrap();
                assert_eq!(std::fs::read("/proc/thread-self/attr/exec").unwrap(), b"", "the mount is seen");
                let file = writable("thread-self/attr/exec").unwrap();
                fstatfs(&file).unwrap().f_type == PROC_SUPER_MAGIC
            });
            thread.join().unwrap()
        });
        std::fs::remove_dir_all(&fake).unwrap();
        assert!(opened, "a file that is none of procfs");
    }

    #[test]
    fn no_key_leads_out_of_sys() {
        let proc = host().unwrap();
        for key in ["kernel/../../self/comm", "kernel/../../../etc/passwd"] {
            assert_eq!(open(folder(&proc).unwrap(), &path(key)).unwrap_err().errno(), Errno::XDEV);
        }
        assert_eq!(open(&proc, "self/root/etc/passwd").unwrap_err().errno(), Errno::LOOP);
    }
}
