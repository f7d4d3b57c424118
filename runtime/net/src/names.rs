//! Names within a network: `names/NAME/CONTAINER -> ADDRESS[,ADDRESS]`, for whoever resolves them.
//!
//! Several containers can have one name; each has an entry of its own, made and removed in one step, so that there is nothing to be
//! locked and nothing to be rewritten. The folder of a name goes with its last entry.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::network::Network;

/// The folder of names in a network's state.
pub(crate) const FOLDER: &str = "names";

/// A container's claim to a name. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Name(PathBuf);

impl Name {
    /// Leaves it in place: the entry, and the folder that is to go if it is empty then.
    pub(crate) fn keep(mut self) -> (PathBuf, PathBuf) {
        let path = std::mem::take(&mut self.0);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        (path, folder)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            forget(&self.0);
        }
    }
}

fn forget(path: &Path) {
    let _ = fs::remove_file(path);
    // Others may have the name, too.
    let _ = path.parent().map(fs::remove_dir);
}

/// What a name is kept as: names do not depend on case (RFC 4343).
pub(crate) fn folded(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Lets `name` mean `addresses` of container `id`. Nothing when it does already.
pub(crate) fn claim(network: &Network, id: &str, name: &str, addresses: &[IpAddr]) -> Result<Option<Name>> {
    let folded = folded(name);
    if folded.is_empty() || folded.len() > 253 || folded.starts_with('.') || folded.contains(['/', '\0']) {
        return Err(Error::Name(name.to_owned(), "an address in a network"));
    }
    let folder = network.state.join(FOLDER).join(folded);
    let path = folder.join(id);
    let text = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let failed = |call: &str, error: &io::Error| {
        let errno = Errno::from_raw_os_error(error.raw_os_error().unwrap_or(5));
        Error::Leases { path: folder.clone(), source: sys::Error::new(format!("{call}({path:?})"), errno) }
    };
    for _ in 0..1024 {
        match symlink(&text, &path) {
            Ok(()) => return Ok(Some(Name(path))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            // Another's last entry may go with the folder just after it was made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder) {
                    Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
                        return Err(failed("mkdir", &error));
                    }
                    _ => {}
                }
            }
            Err(error) => return Err(failed("symlink", &error)),
        }
    }
    Err(failed("symlink", &io::Error::from_raw_os_error(Errno::AGAIN.raw_os_error())))
}

/// Forgets all names of a container whose owner died.
pub(crate) fn forget_all(network: &Network, id: &str) {
    let folders = fs::read_dir(network.state.join(FOLDER)).into_iter().flatten().flatten();
    for path in folders.map(|folder| folder.path().join(id)).filter(|path| path.is_symlink()) {
        forget(&path);
    }
}

/// An entry of a name, and the folder that goes with the last one.
pub type Entry = (PathBuf, PathBuf);

/// Lets `to` mean `addresses` of container `id` from now on, and `from` no more. Answers what was made, and what is gone.
///
/// # Errors
/// It cannot be made. Then nothing has changed.
pub fn rename(
    network: &Network,
    id: &str,
    from: Option<&str>,
    to: &str,
    addresses: &[IpAddr],
) -> Result<(Option<Entry>, Option<Entry>)> {
    let made = claim(network, id, to, addresses)?.map(Name::keep);
    let gone = from.map(|from| {
        let folder = network.state.join(FOLDER).join(folded(from));
        let path = folder.join(id);
        forget(&path);
        (path, folder)
    });
    Ok((made, gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_many_containers_and_goes_with_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::new("b", "10.0.0.0/24".parse().unwrap(), folder.path());
        let to = |n: u8| [IpAddr::from([10, 0, 0, n])];
        let one = claim(&network, "a", "Web", &to(2)).unwrap().unwrap();
        assert!(claim(&network, "a", "web.", &to(2)).unwrap().is_none(), "it has it");
        let two = claim(&network, "b", "web", &to(3)).unwrap().unwrap();
        let entries = || fs::read_dir(folder.path().join("names/web")).map(|all| all.count()).ok();
        assert_eq!(entries(), Some(2));
        drop(one);
        assert_eq!(entries(), Some(1));
        let (path, of) = two.keep();
        assert!(path.starts_with(&of) && entries() == Some(1));
        forget_all(&network, "b");
        assert_eq!(entries(), None);
        for bad in ["", ".", "a/b", "../x", &"a".repeat(254)] {
            assert!(claim(&network, "a", bad, &to(2)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_container_goes_by_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::new("b", "10.0.0.0/24".parse().unwrap(), folder.path());
        let to = [IpAddr::from([10, 0, 0, 2])];
        claim(&network, "a", "old", &to).unwrap().unwrap().keep();
        let (made, gone) = rename(&network, "a", Some("old"), "new", &to).unwrap();
        assert!(made.unwrap().0.is_symlink() && !gone.unwrap().1.exists());
        // it has the name already, and keeps the other one
        let (made, gone) = rename(&network, "a", None, "NEW", &to).unwrap();
        assert!(made.is_none() && gone.is_none() && folder.path().join("names/new/a").is_symlink());
        assert!(rename(&network, "a", Some("new"), "a/b", &to).is_err() && folder.path().join("names/new/a").is_symlink());
    }

    #[test]
    fn names_come_and_go_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::new("b", "10.0.0.0/24".parse().unwrap(), folder.path());
        std::thread::scope(|scope| {
            for n in 0..8 {
                let network = &network;
                scope.spawn(move || {
                    for _ in 0..50 {
                        drop(claim(network, &format!("c{n}"), "web", &[IpAddr::from([10, 0, 0, n])]).unwrap().unwrap());
                    }
                });
            }
        });
        assert!(!folder.path().join("names/web").exists());
    }
}
