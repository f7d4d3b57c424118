//! Running without root: an ordinary user's *home*.
//!
//! A home is a user, a mount and a network namespace in which the user is root. One process, the [holder](make), keeps them between commands;
//! there is a home for each folder of run. A command of an ordinary user enters it at its very beginning, while it has one thread, and goes
//! on as root there: from then on the program is the same for everybody.
//!
//! ```text
//!   rctr (uid 1000) ── setns(holder, user and mounts) ──▶ rctr (uid 0 of the home, its own network: the host's)
//!                                                           │
//!   pull, push, -p sockets, --network host: the host's network, as the user has it
//!   bridges, addresses, packet rules: threads that enter the network of the home        (engine::Home)
//!                                                           │
//!   host's network ◀── pasta(1) ── network of the home ── rctr0 ── container
//! ```
//!
//! A process stays in the network it came from: what a user can reach can be pulled from, ports are bound where others look for them, and a
//! port that somebody has is an error at once. (No process could go back: the host's network is not the home's to enter.)
//!
//! | module | holds |
//! |---|---|
//! | `places` | which folders, and that they are nobody else's |
//! | `ranges` | `/etc/subuid` and `/etc/subgid`, and what is mapped from them |
//! | `map` | newuidmap and newgidmap |
//! | `home` | what is written down of a home, and how it is entered |
//! | `make` | its making |
//! | `end` | its end |
//! | `apart` | processes that outlive the command |
//! | `pasta` | its way to the host's network |

mod apart;
mod end;
mod home;
mod make;
mod map;
mod pasta;
mod places;
mod ranges;

use std::path::Path;

use anyhow::Result;

pub(crate) use end::Ending;
pub(crate) use places::{config_folder, default_places};

/// Whether this command has to enter a home to do what only root can.
pub(crate) fn is_wanted() -> bool {
    !rustix::process::geteuid().is_root()
}

/// Whether this process is root of the host, not only of a home.
fn is_host_root() -> bool {
    !is_wanted() && sys::ns::is_first_of_users()
}

/// Enters the home of this user and `run`, made if it is not there. From then on this process is root, as far as the home goes.
/// There must be one thread.
///
/// # Errors
/// Namespaces or ids are not to be had: says what to install, or which line to add.
pub(crate) fn enter(run: &Path) -> Result<()> {
    let run = places::Run::open(run)?;
    home::enter(&run)
}

/// The home that this process is in, as an engine below `run` has to know it; none for root of the host, or of a container.
///
/// # Errors
/// What is written down of the home cannot be read.
pub(crate) fn inside(run: &Path) -> Result<Option<engine::Home>> {
    if sys::ns::is_first_of_users() { Ok(None) } else { home::described(run) }
}

/// What a program is worth that this user's rights are given to: only one of root's, whatever `PATH` says.
fn program(name: &str) -> Option<std::path::PathBuf> {
    use std::os::unix::fs::MetadataExt;

    const FOLDERS: [&str; 5] = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/run/wrappers/bin"];
    FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.uid() == 0 && file.mode() & 0o022 == 0))
}
