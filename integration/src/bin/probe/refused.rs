//! System calls that a container has no business making. Each is harmless if it should succeed.

use rustix::mount::MountFlags;

use crate::verdict;

pub(crate) fn check(words: &[&str]) -> bool {
    let ["try", call] = words else { return false };
    let answer = match *call {
        // CLONE_NEWUSER: refused by the usual seccomp policy without CAP_SYS_ADMIN
        "unshare-user" => verdict(sys::ns::unshare(0x1000_0000).map_err(errno)),
        "unshare-mount" => verdict(sys::ns::unshare(0x2_0000).map_err(errno)),
        "mount" => verdict(rustix::mount::mount("none", "/tmp", "tmpfs", MountFlags::empty(), None)),
        "fsopen" => verdict(rustix::mount::fsopen("tmpfs", rustix::mount::FsOpenFlags::empty())),
        "umount-proc" => verdict(rustix::mount::unmount("/proc", rustix::mount::UnmountFlags::empty())),
        "sethostname" => verdict(rustix::system::sethostname(b"renamed")),
        // an empty module: ENOEXEC from the kernel's loader, EPERM when the caller is stopped before it
        "init-module" => verdict(rustix::system::init_module(&[], c"")),
        "bpf" => verdict(sys::bpf::load_device_program(&[]).map_err(errno)),
        "chroot" => verdict(rustix::process::chroot("/tmp")),
        "chown" => verdict(rustix::fs::chown("/tmp", None, None)),
        "clock-settime" => {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
            verdict(rustix::time::clock_settime(rustix::time::ClockId::Realtime, now))
        }
        "bind-low-port" => verdict(std::net::TcpListener::bind("0.0.0.0:80")),
        "sysrq" => verdict(std::fs::OpenOptions::new().append(true).open("/proc/sysrq-trigger")),
        _ => return false,
    };
    println!("{answer}");
    true
}

fn errno(error: sys::Error) -> std::io::Error {
    std::io::Error::from_raw_os_error(error.errno().raw_os_error())
}
