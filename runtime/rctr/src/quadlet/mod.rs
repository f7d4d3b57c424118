//! Containers, volumes, networks and images as units of systemd, from the files that podman-systemd.unit(5) describes.
//!
//! ```text
//! find: files and drop-ins ─▶ syntax ─▶ units: one service of each, or why not ─▶ write: NAME.service, links of [Install]
//!                                         │
//!             container, volume, network, image, build: a table of keys ─▶ a command line of rctr
//! ```
//!
//! systemd calls the generator at boot and at `systemctl daemon-reload`, under its own name: a link to rctr. A file that makes no sense is
//! named in the kernel's log, where systemd logs before there is another, and the others become units all the same. Where Podman's
//! generator is there, too, the files are left to it.
//!
//! The service of a container is of type `notify`, and its main process is the container's monitor, which the unit's own command leaves
//! behind as a child of systemd (`rctr run --detach --sdnotify`). So a unit costs no process but the one that each container has;
//! `systemctl status` shows the processes of the container, which are in the unit's cgroup (`--cgroups split`) under the limits of [Service];
//! the monitor ends with the container's exit code, which `Restart=` and `SuccessExitStatus=` look at; what the container says goes to the
//! journal as the unit's (`--log-driver journald`); and when the unit is stopped nothing of it stays. How often it is started
//! again is systemd's to say: the container has no restart policy of its own. That takes cgroup v2 and root, as with Podman.

mod build;
mod container;
mod find;
mod image;
mod install;
mod keys;
mod network;
mod syntax;
#[cfg(test)]
mod tests;
mod units;
mod volume;
mod words;
mod write;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use units::Service;

/// What the program is called by as a generator.
const NAME: &str = "rctr-generator";

/// Whether this program was called as a generator.
pub(crate) fn is_called(name: Option<&OsString>) -> bool {
    name.is_some_and(|name| Path::new(name).file_name().is_some_and(|name| name == NAME))
}

/// A generator as systemd.generator(7) has it: the first of three folders gets the units.
pub(crate) fn generator(mut args: impl Iterator<Item = OsString>) -> i32 {
    let say = |text: &str| log(text).unwrap_or_else(|_| eprintln!("{NAME}: {text}"));
    let Some(folder) = args.next().map(PathBuf::from).filter(|folder| folder.is_absolute()) else {
        eprintln!("{NAME}: systemd calls this with the folders for its units; see rctr quadlet --help");
        return crate::exit::FAILED;
    };
    let folders = usual();
    if podmans() && folders.iter().any(|folder| folder.is_dir()) {
        say("there is Podman's generator, too: files in /etc/containers/systemd are left to it");
        return 0;
    }
    let made = services(&folders);
    let made = made.and_then(|made| write(&made, &folder, &say));
    made.unwrap_or_else(|error| {
        say(&format!("{error:#}"));
        crate::exit::FAILED
    })
}

/// What became of each file.
pub(crate) type Made = Vec<(PathBuf, Result<Service, String>)>;

/// The units of what is in these folders; what is found first hides what has the same name later.
pub(crate) fn services(folders: &[PathBuf]) -> Result<Made> {
    let program = std::env::current_exe().context("find this program")?;
    let Some(program) = program.to_str() else { bail!("{}: not a name that units can have", program.display()) };
    let host = units::Host { program, exists: &Path::exists };
    Ok(units::services(&find::sources(folders), &host))
}

/// Prints the units, and says of the other files why there is none.
pub(crate) fn print(made: &Made) -> i32 {
    let mut code = 0;
    for (path, made) in made {
        match made {
            Ok(service) => {
                println!("---{}---\n{}", service.name, service.text);
                service.links.iter().for_each(|(link, to)| println!("# {link} -> {to}\n"));
            }
            Err(error) => {
                eprintln!("rctr: {}: {error}", path.display());
                code = crate::exit::FAILED;
            }
        }
    }
    code
}

/// Writes the units into the folder, and says of the other files why there is none.
pub(crate) fn write(made: &Made, folder: &Path, say: &dyn Fn(&str)) -> Result<i32> {
    let mut code = 0;
    for (path, made) in made {
        let written = made.as_ref().map_err(|error| anyhow::Error::msg(error.clone()));
        if let Err(error) = written.and_then(|service| write::service(folder, service)) {
            say(&format!("{}: {error:#}", path.display()));
            code = crate::exit::FAILED;
        }
    }
    Ok(code)
}

/// Where files are: for a test of them, of the administrator, of packages. `QUADLET_UNIT_DIRS` says otherwise, as with Podman.
pub(crate) fn usual() -> Vec<PathBuf> {
    let own = std::env::var_os("QUADLET_UNIT_DIRS").filter(|own| !own.is_empty());
    let usual = || ["/run", "/etc", "/usr/share"].map(|at| Path::new(at).join("containers/systemd")).to_vec();
    own.map_or_else(usual, |own| std::env::split_paths(&own).collect())
}

/// Whether systemd calls Podman's generator. The first of these is the one; if it leads to `/dev/null`, there is none.
fn podmans() -> bool {
    let places = ["/run", "/etc", "/usr/local/lib", "/usr/lib"];
    let mut places = places.map(|at| Path::new(at).join("systemd/system-generators/podman-system-generator")).into_iter();
    places.find(|path| path.symlink_metadata().is_ok()).is_some_and(|path| path.metadata().is_ok_and(|file| file.is_file()))
}

/// A line of the kernel's log, as an error of a daemon.
fn log(text: &str) -> std::io::Result<()> {
    let mut kmsg = std::fs::File::options().write(true).open("/dev/kmsg")?;
    kmsg.write_all(format!("<27>{NAME}[{}]: {text}\n", std::process::id()).as_bytes())
}
