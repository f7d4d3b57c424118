//! `checkpoint`: what a running container has in memory and in its files, in one archive. It runs on.
//!
//! ```text
//! checkpoint/       criu's images
//! rootfs-diff.tar   what it has written over its image, as overlayfs keeps it: a removed file is a device 0/0
//! config.dump       who it is, as checkpointctl(1) reads it
//! spec.dump         how it runs
//! dump.log          what criu says
//! ```

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use container::cgroup;
use container::criu::{self, Criu, Notification, Options, Request, Version};
use launch::Status;
use serde_json::json;
use sys::Call;

use crate::create::{Folder, folder};
use crate::error::During;
use crate::request::Sharing;
use crate::wait::open_process;
use crate::{Container, Engine, Error, Record, names};

/// Where to write a checkpoint, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRequest {
    /// The program `criu`.
    pub criu: PathBuf,
    /// The archive, which is not there yet.
    pub archive: PathBuf,
}

/// The folder of what becomes the archive, in that of the container.
const WORK: &str = "checkpoint";

/// The oldest criu that freezes by cgroup v2.
const OLDEST: Version = Version(3, 15);

/// `CLONE_NEWNET`: devices and addresses are left out of images.
const NET: u64 = 0x4000_0000;

impl Engine {
    /// Writes a checkpoint of a running container, which runs on. After an error nothing is written.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Paused`]; the archive is there already; [`Error::Criu`]: there is no criu, or it cannot do it.
    pub fn checkpoint(&self, given: &str, request: &CheckpointRequest) -> Result<(), Error> {
        let container = self.container(given)?;
        let record = &container.record;
        // Nobody removes it meanwhile.
        let _lock = Folder::lock(&self.config, &record.id)?;
        let pid = match container.status {
            Status::Running { pid, .. } => pid,
            Status::Paused { .. } => return Err(Error::Paused(names::short(record))),
            _ => return Err(Error::NotRunning(names::short(record))),
        };
        let what = || format!("write the checkpoint {}", request.archive.display());
        let mut archive = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&request.archive);
        let archive = archive.as_mut().map_err(|error| std::io::Error::from(error.kind()));
        let archive = archive.call(|| format!("open({:?}, O_CREAT | O_EXCL)", request.archive)).during(what)?;
        let own = sys::fs::open_dir(self.config.container(&record.id)).during(what)?;
        let _ = sys::fs::remove_tree(&own, WORK);
        let work = self.config.container(&record.id).join(WORK);
        let written = self.dump(&container, pid, &work, &request.criu).and_then(|()| {
            let folder = sys::fs::open_dir(&work).during(what)?;
            images::pack(folder.as_fd(), images::Owners::default(), archive)?;
            archive.sync_all().call(|| format!("fsync({:?})", request.archive)).during(what)
        });
        let _ = sys::fs::remove_tree(&own, WORK);
        written.inspect_err(|_| drop(std::fs::remove_file(&request.archive)))
    }

    /// Everything that goes into the archive.
    fn dump(&self, container: &Container, pid: u32, work: &Path, program: &Path) -> Result<(), Error> {
        let record = &container.record;
        let what = || format!("dump container {}", record.name);
        let images = work.join("checkpoint");
        folder(&images).during(what)?;
        let [images, log] = [&images, work].map(|path| sys::fs::open_dir(path).during(what));
        let (images, log) = (images?, log?);
        let spec = self.described(container, pid)?;
        let host = self.config.host()?;
        // What of the host it mounts.
        let compiled = container::compile(&spec, &host).map_err(Error::Container)?;
        let options = Options {
            images: images.as_raw_fd(),
            work: Some(log.as_raw_fd()),
            log_file: "dump.log".to_owned(),
            leave_running: true,
            shell_job: record.tty,
            empty_namespaces: NET,
            ..self.options(record, pid, &compiled)?
        };
        // criu is told a number. All that was found under it until here was the container's, if that lives still.
        drop(open_process(container).ok_or_else(|| Error::NotRunning(names::short(record)))?);
        ask(program, &options).map_err(|error| Error::Criu(with_log(error, work)))?;
        let write = |name: &str, text: Vec<u8>| sys::fs::replace(&log, name, &text).during(what);
        write("spec.dump", serde_json::to_vec(&spec).unwrap_or_default())?;
        write("config.dump", description(record))?;
        let upper = sys::fs::open_dir(record.writable(&self.config).join("upper")).during(what)?;
        let difference = work.join("rootfs-diff.tar");
        let mut difference = File::create_new(&difference).call(|| format!("open({difference:?}, O_CREAT)")).during(what)?;
        Ok(images::pack(upper.as_fd(), images::Owners::default(), &mut difference)?)
    }

    /// What is to be said about the container itself.
    fn options(&self, record: &Record, pid: u32, compiled: &container::Compiled) -> Result<Options, Error> {
        let what = || format!("look at container {}", record.name);
        let hierarchies = self.config.hierarchies()?;
        let folders = cgroup::paths(&hierarchies, &self.config.cgroup_of(record));
        let root = sys::fs::open_dir(format!("/proc/{pid}/root")).during(what)?;
        let mounts =
            criu::mounted(compiled, &folders).iter().map(|mount| mount.resolved(&root)).map(|at| (at.clone(), at)).collect();
        // What others have, too, is not its own to dump.
        let shared_pids = matches!(record.namespaces.pid, Sharing::Host | Sharing::Container(_) | Sharing::Pod(_));
        let external = [("net", true), ("pid", shared_pids)].into_iter().filter(|(_, shared)| *shared);
        let external = external.map(|(kind, _)| {
            let path = format!("/proc/{pid}/ns/{kind}");
            let inode = std::fs::metadata(&path).map(|data| data.ino()).call(|| format!("stat({path:?})")).during(what)?;
            Ok(format!("{kind}[{inode}]:extRoot{}NS", if kind == "net" { "Net" } else { "Pid" }))
        });
        let freezes = |folder: &&PathBuf| folder.join("cgroup.freeze").exists() || folder.join("freezer.state").exists();
        Ok(Options {
            pid: Some(pid),
            root: format!("/proc/{pid}/root"),
            mounts,
            external: external.collect::<Result<_, Error>>()?,
            freeze: folders.iter().find(freezes).map(|folder| folder.display().to_string()),
            ..Options::default()
        })
    }
}

fn ask(program: &Path, options: &Options) -> Result<(), criu::Error> {
    let criu = Criu::beside(program)?;
    let version = criu.version()?;
    if version < OLDEST {
        let why = format!("criu {}.{} is older than {}.{}", version.0, version.1, OLDEST.0, OLDEST.1);
        return Err(criu::Error::Ground(why));
    }
    let mut note = |_: &Notification, _: Option<OwnedFd>| Ok(());
    criu.run(Request::Dump, options, &mut note)
}

/// How many of the errors in criu's log are told: the first says what went wrong, later ones what came of it.
const TOLD: usize = 3;

fn with_log(error: criu::Error, work: &Path) -> criu::Error {
    let text = std::fs::read(work.join("dump.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let errors: Vec<_> = text.lines().map(str::trim).filter(|line| line.contains("Error (")).take(TOLD).collect();
    match errors.is_empty() {
        true => error,
        false => criu::Error::Ground(format!("{error}: {}", errors.join("; "))),
    }
}

/// `config.dump`, in the names of podman's and CRI-O's.
fn description(record: &Record) -> Vec<u8> {
    let now = crate::now();
    let described = json!({
        "id": record.id, "name": record.name, "rootfsImage": record.image.name, "rootfsImageRef": record.image.id.to_string(),
        "runtime": "rctr", "createdTime": record.created, "checkpointedTime": now,
    });
    serde_json::to_vec(&described).unwrap_or_default()
}
