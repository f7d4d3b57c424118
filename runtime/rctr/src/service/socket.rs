//! The socket. Whoever may connect to it is root on this host.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

/// The group that Docker lets in, where the host has it.
const GROUP: &str = "docker";

/// Where to listen: `unix:///PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place(PathBuf);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        match text.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') && !path.ends_with('/') => Ok(Place(path.into())),
            _ if text.starts_with("tcp://") => {
                Err("whoever reaches a port would be root here: give unix:///PATH, and reach it over ssh".to_owned())
            }
            _ => Err(format!("{text:?} is no place to listen: the form is unix:///PATH")),
        }
    }
}

/// What is listened on. Dropping it removes a socket that was made here.
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    /// Its path, and what it is there: another one may have taken its place.
    made: Option<(PathBuf, (u64, u64))>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some((path, own)) = &self.made
            && identity(path) == Some(*own)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|data| (data.dev(), data.ino()))
}

/// Sockets that systemd has passed on (sd_listen_fds(3)).
pub(super) fn passed() -> Result<Vec<OwnedFd>> {
    let variable = |name| std::env::var(name).ok();
    let ours = variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    match variable("LISTEN_FDS").filter(|_| ours).and_then(|count| count.parse().ok()).unwrap_or(0) {
        0 => Ok(Vec::new()),
        count => sys::socket::passed(count).context("take over the sockets of systemd"),
    }
}

/// The socket of systemd, or one at `place`, or at the usual one below `run`.
pub(super) fn open(passed: Vec<OwnedFd>, place: Option<&Place>, run: &Path) -> Result<Socket> {
    let mut passed = passed.into_iter();
    let socket = match (passed.next(), passed.next(), place) {
        (Some(_), Some(_), _) => bail!("systemd has passed several sockets: one ListenStream is served"),
        (Some(_), None, Some(Place(path))) => bail!("systemd has passed a socket: {} cannot be listened on, too", path.display()),
        (Some(socket), None, None) => Socket { listener: UnixListener::from(socket), made: None },
        (None, ..) => {
            let path = place.map_or_else(|| run.join("docker.sock"), |Place(path)| path.clone());
            make(&path, run, group(&std::fs::read_to_string("/etc/group").unwrap_or_default()))
                .with_context(|| format!("listen on {}", path.display()))?
        }
    };
    socket.listener.set_nonblocking(true).context("set up the socket")?;
    Ok(socket)
}

/// The number of Docker's group (group(5)).
fn group(file: &str) -> Option<u32> {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let found = file.lines().map(fields).find(|fields| fields.first().is_some_and(|name| name == GROUP))?;
    found.get(2)?.parse().ok()
}

/// A socket for root, and for the group. It is bound under another name, in a folder that nobody else can write to, and gets its own when its
/// owner and mode are right: a link that is in its place is replaced and never followed, and so is a socket that nobody serves any more.
fn make(path: &Path, run: &Path, group: Option<u32>) -> Result<Socket> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { bail!("it has no name") };
    let data = std::fs::metadata(folder).with_context(|| format!("look at {}", folder.display()))?;
    let sticky = data.mode() & 0o1000 != 0;
    if data.uid() != rustix::process::geteuid().as_raw() || data.mode() & 0o022 != 0 && !sticky {
        bail!("others than root can put something else into {}", folder.display());
    }
    match std::fs::symlink_metadata(path) {
        Ok(data) if !data.file_type().is_socket() => bail!("something else is there"),
        Ok(_) if UnixStream::connect(path).is_ok() => bail!("another process serves it"),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let new = folder.join(format!(".{}.{}", name.display(), std::process::id()));
    let _ = std::fs::remove_file(&new);
    // The kernel makes it with the umask, before anybody else could set its mode.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(&new);
    rustix::process::umask(before);
    let listener = bound?;
    let placed = || -> Result<(u64, u64)> {
        if let Some(group) = group {
            lchown(&new, Some(0), Some(group)).context("give it to its group")?;
            std::fs::set_permissions(&new, Permissions::from_mode(0o660)).context("open it for its group")?;
        }
        std::fs::rename(&new, path)?;
        identity(path).context("it is gone")
    };
    let own = placed().inspect_err(|_| drop(std::fs::remove_file(&new)))?;
    // The folder of what runs is root's alone: whoever may connect has to reach the socket in it.
    if let Some(group) = group.filter(|_| folder == run && data.mode() & 0o077 == 0) {
        chown(folder, Some(0), Some(group)).context("give its folder to its group")?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o710)).context("open its folder for its group")?;
    }
    Ok(Socket { listener, made: Some((path.to_owned(), own)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!("unix:///run/a".parse(), Ok(Place("/run/a".into())));
        for text in ["", "/run/a", "unix://", "unix://run/a", "unix:///run/", "tcp://127.0.0.1:2375", "fd://"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_group_is_found() {
        assert_eq!(group("root:x:0:\ndocker:x:998:ada\n"), Some(998));
        assert_eq!(group("docker2:x:7:\nadocker:x:8:\n"), None);
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_what_nobody_serves_is_replaced() {
        if !rustix::process::geteuid().is_root() {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs root\n");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let first = make(&path, folder.path(), None).unwrap();
        assert_eq!((mode(&path), mode(folder.path())), (0o600, 0o700));
        let error = |path: &Path| make(path, folder.path(), None).err().unwrap().to_string();
        assert!(error(&path).contains("another process serves it"));
        drop(first);
        assert!(!path.exists());
        // As one that was killed leaves it.
        drop(UnixListener::bind(&path).unwrap());
        let second = make(&path, folder.path(), Some(7)).unwrap();
        assert_eq!((mode(&path), mode(folder.path())), (0o660, 0o710));
        drop(second);
        std::os::unix::fs::symlink("/nonsuch", &path).unwrap();
        assert!(error(&path).contains("something else is there"));
    }

    #[test]
    fn a_folder_of_others_is_no_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let error = make(&folder.path().join("s"), folder.path(), None).err().unwrap().to_string();
        assert!(error.contains("others than root"), "{error}");
    }
}
