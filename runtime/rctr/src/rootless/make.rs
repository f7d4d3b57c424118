//! Making a home: a process in new namespaces, which gets its ids from outside and then does nothing but be there.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use engine::Accounts;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use sys::Call;
use sys::ns::kind;
use sys::process::{Clone, clone3};

use super::apart;
use super::home::{self, NETWORK, Record};
use super::map::Ids;
use super::pasta::Pasta;
use super::places::{self, Run};

/// The longest word between the two.
const LONGEST: usize = 4096;
const GO: &[u8] = b"go";
const READY: &[u8] = b"ready";
const STAY: &[u8] = b"stay";

/// Makes a home and writes it down. A maker that is killed leaves none: the process ends with its socket unless it is told to stay.
pub(super) fn make(run: &Run) -> Result<OwnedFd> {
    let ids = Ids::of_caller()?;
    let flags = OFlags::CREATE | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&run.folder, NETWORK, flags, Mode::RUSR).call(|| format!("openat({NETWORK:?})"))?;
    let network = run.path.join(NETWORK);
    let (ours, theirs) = sys::socket::pair()?;
    let new = Clone { namespaces: kind::USER | kind::MOUNT | kind::NET, ..Clone::default() };
    let holder = clone3(&new, || hold(&theirs, &network)).map_err(refused)?;
    drop(theirs);
    let pid = holder.pid.as_raw_pid().cast_unsigned();
    ids.give(pid)?;
    tell(&ours, GO)?;
    match hear(&ours)?.as_slice() {
        READY => {}
        [] => bail!("the process that is to keep this user's home has ended"),
        why => bail!("make this user's home: {}", String::from_utf8_lossy(why)),
    }
    let start = sys::process::start_time(pid).context("the process that is to keep this user's home has ended")?;
    // Before its way to the host's network is made, which is to live as long.
    let accounts = Accounts::open(&places::session(), &run.unit()?, pid);
    let record = Record {
        boot: home::boot(),
        holder: (pid, start),
        pasta: Pasta::start(run, (pid, start))?,
        accounts,
        only_own: ids.only_own,
        ending: false,
    };
    record.write(run)?;
    tell(&ours, STAY)?;
    if let Some(why) = &record.only_own {
        eprintln!("rctr: {why}; until then images have files of no user but one");
    }
    Ok(holder.pidfd)
}

/// Why there is no new user namespace.
fn refused(error: sys::Error) -> anyhow::Error {
    let why = match error.errno() {
        Errno::PERM | Errno::ACCESS => {
            "this host lets no user make user namespaces (kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
        }
        Errno::NOSPC | Errno::USERS => "there are too many user namespaces (user.max_user_namespaces)",
        _ => "make a user namespace",
    };
    anyhow!(error).context(why)
}

fn tell(socket: &OwnedFd, word: &[u8]) -> Result<()> {
    sys::socket::send(socket, word, &[]).context("speak with the process that keeps this user's home")
}

fn hear(socket: &OwnedFd) -> Result<Vec<u8>> {
    let mut word = [0; LONGEST];
    let (length, _) = sys::socket::receive(socket, &mut word).context("hear the process that keeps this user's home")?;
    Ok(word[..length].to_vec())
}

/// The whole life of the process that keeps a home. It holds nothing of its maker's.
fn hold(socket: &OwnedFd, network: &Path) -> u8 {
    match begin(socket, network) {
        Ok(true) => {}
        Ok(false) => return 1,
        Err(error) => {
            let _ = sys::socket::send(socket, format!("{error:#}").as_bytes(), &[]);
            return 1;
        }
    }
    if !matches!(hear(socket).as_deref(), Ok(STAY)) || sys::fds::close_all_but(3, &[]).is_err() {
        return 1;
    }
    loop {
        let _ = rustix::event::poll(&mut [], None);
    }
}

/// False when the maker has ended.
fn begin(socket: &OwnedFd, network: &Path) -> Result<bool> {
    apart::settle(c"rctr-home", &[socket.as_fd()])?;
    if hear(socket)? != GO {
        return Ok(false);
    }
    // What is mounted here is nobody else's, while what the host mounts later is seen here, too.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", slave).call(|| "mount(\"/\", MS_REC | MS_SLAVE)")?;
    let own = PathBuf::from("/proc/self/ns/net");
    mount_bind(&own, network).call(|| format!("mount({own:?}, {network:?}, MS_BIND)"))?;
    sys::socket::send(socket, READY, &[])?;
    Ok(true)
}
