//! `RUN`: an ordinary container, whose own files become the layer.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use images::{Digest, Upper};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, FileType, Mode as Bits, OFlags, statat, unlinkat};
use rustix::io::Errno;
use sys::Call;

use super::copying::Copied;
use super::device::Device;
use super::dockerfile::{Command, MountKind, PROXIES, Run, RunMount, Sharing};
use super::emulator;
use super::failure::{BuildError, For};
use super::job::{Job, Shown};
use super::key::Key;
use super::state::State;
use super::work::Work;
use crate::{
    Access, Attach, CreateRequest, Dns, Happening, Mount, MountSource, NetworkMode, SecretPlace, SecretUse, Security, StartOptions,
    Tuning,
};

/// The label of a build's containers; its value is the number of the process that builds.
pub(crate) const LABEL: &str = "dev.rctr.build";

const SIGKILL: i32 = 9;

/// A `RUN` in which nothing is left to choose.
#[derive(Debug)]
pub(super) struct RunStep {
    argv: Vec<String>,
    /// A script to be executed in place of a line for the shell.
    script: Option<String>,
    env: Vec<String>,
    proxies: Vec<String>,
    workdir: String,
    user: String,
    network: NetworkMode,
    insecure: bool,
    /// Names of devices.
    devices: Vec<String>,
    mounts: Vec<RunMount>,
    /// As the history shows it.
    pub(super) created_by: String,
}

/// Where a script is seen.
const SCRIPT: &str = "/dev/pipes/script";

impl RunStep {
    pub(super) fn new(job: &Job<'_>, state: &State, run: &Run) -> Result<RunStep, BuildError> {
        let invalid = BuildError::Invalid;
        let request = job.request;
        let (argv, script) = command(run, state);
        let network = match run.network.as_deref() {
            None | Some("default") => request.network.clone(),
            Some("none") => NetworkMode::None,
            Some("host") => NetworkMode::Host,
            Some(other) => return Err(invalid(format!("--network {other:?}: it is default, none or host"))),
        };
        let allowed = |what: &str| request.entitlements.iter().any(|entitlement| entitlement == what);
        if run.network.as_deref() == Some("host") && request.network != NetworkMode::Host && !allowed("network.host") {
            return Err(invalid("--network=host is not allowed: build with --allow network.host, or --network host".to_owned()));
        }
        let insecure = match run.security.as_deref() {
            None | Some("sandbox") => false,
            Some("insecure") if allowed("security.insecure") => true,
            Some("insecure") => {
                return Err(invalid("--security=insecure is not allowed: build with --allow security.insecure".to_owned()));
            }
            Some(other) => return Err(invalid(format!("--security {other:?}: it is sandbox or insecure"))),
        };
        let mut devices = Vec::new();
        for text in &run.devices {
            let text = state.scope.expand(text).map_err(invalid)?;
            let device = Device::parse(&text).map_err(|problem| invalid(format!("--device: {problem}")))?;
            if !allowed("device") {
                return Err(invalid(format!("--device={} is not allowed: build with --allow device", device.name)));
            }
            if device.required || crate::spec::is_described(&device.name)? {
                devices.push(device.name);
            }
        }
        let mut mounts = Vec::new();
        for text in &run.mounts {
            let text = state.scope.expand(text).map_err(invalid)?;
            mounts.push(RunMount::parse(&text).map_err(|problem| invalid(format!("--mount: {problem}")))?);
        }
        let args = state.scope.visible_args();
        let pair = |(name, value): (&String, &String)| format!("{name}={value}");
        let mut env: Vec<String> = args.iter().map(pair).collect();
        env.extend(state.scope.env.iter().map(|(name, value)| format!("{name}={value}")));
        let proxies = request
            .args
            .iter()
            .filter(|(name, _)| PROXIES.contains(&name.as_str()) && state.scope.get(name).is_none())
            .map(pair)
            .collect();
        let shown = argv.join(" ");
        let created_by = if args.is_empty() {
            format!("RUN {shown}")
        } else {
            let all: Vec<String> = args.iter().map(pair).collect();
            format!("RUN |{} {} {shown}", all.len(), all.join(" "))
        };
        let (workdir, user) = (state.workdir(), state.user());
        Ok(RunStep { argv, script, env, proxies, workdir, user, network, insecure, devices, mounts, created_by })
    }

    /// What its result depends on, but for the content of what is mounted.
    pub(super) fn key(&self, job: &Job<'_>, state: &State) -> Result<Digest, BuildError> {
        let mut key = Key::new("run");
        state.files(&mut key);
        key.parts(&self.argv);
        key.part(self.script.as_deref().unwrap_or_default());
        key.parts(&self.env);
        key.parts([&self.workdir, &self.user]);
        key.part(format!("{:?} {}", self.network, self.insecure));
        if !self.devices.is_empty() {
            key.parts(&self.devices);
        }
        // How much it may use does not change what it makes.
        let running = &job.request.running;
        key.part(format!("{:?} {:?} {:?}", running.hosts, running.ulimits, running.shm_size));
        for mount in &self.mounts {
            key.part(format!("{mount:?}"));
            if mount.kind == MountKind::Bind {
                match &mount.from {
                    Some(from) => job.source(from)?.files(&mut key),
                    None => job.context_digest(mount.source.as_deref().unwrap_or("/"), &mut key)?,
                }
            }
        }
        key.part(job.epoch_part());
        Ok(key.finish())
    }

    /// Runs it, and answers the layer's folder.
    pub(super) fn run(&self, job: &Job<'_>, state: &State, shown: &Shown<'_>) -> Result<Upper, BuildError> {
        let architecture = state.document.get("architecture").and_then(|text| text.as_str()).unwrap_or_default();
        emulator::check(architecture, &images::Platform::host())?;
        let engine = job.engine;
        let upper = engine.images.upper()?;
        let image = state.image();
        let mut mounted = Mounted::default();
        let mut env = self.env.clone();
        env.extend(self.proxies.iter().cloned());
        for mount in &self.mounts {
            mounted.add(job, self, mount, &mut env)?;
        }
        if let Some(script) = &self.script {
            let path = mounted.file(job, "script", script.as_bytes(), 0o755, (0, 0))?;
            mounted.bind(path, SCRIPT.into(), true);
        }
        let mut targets: Vec<PathBuf> = mounted.targets();
        targets.extend(crate::spec::places(&self.devices)?);
        let missing = missing(state, job, &targets)?;
        let running = &job.request.running;
        let request = CreateRequest {
            image: "build".to_owned(),
            entrypoint: Some(self.argv.clone()),
            env,
            workdir: Some(self.workdir.clone()),
            user: Some(self.user.clone()),
            hostname: Some("build".to_owned()),
            labels: BTreeMap::from([(LABEL.to_owned(), std::process::id().to_string())]),
            mounts: mounted.mounts.clone(),
            network: self.network.clone(),
            security: Security { privileged: self.insecure, ..Security::default() },
            remove: true,
            upper: Some(upper.folder().to_owned()),
            secrets: mounted.secrets.clone(),
            shm_size: running.shm_size,
            resources: running.resources.clone(),
            dns: Dns { hosts: running.hosts.clone(), ..Dns::default() },
            tuning: Tuning {
                ulimits: running.ulimits.clone(),
                cgroup_parent: running.cgroup_parent.clone(),
                cdi: self.devices.clone(),
                ..Tuning::default()
            },
            ..CreateRequest::default()
        };
        let ahead = engine.ahead(&request.network)?;
        let record = engine.create_ahead(&ahead, &request, &image)?;
        let options = StartOptions { attach: Some(Attach { stdin: false }), size: None };
        let session = engine.start_ahead(ahead, &options).inspect_err(|_| drop(engine.remove(&record.id, true, true)));
        let code = match session {
            Ok(session) => follow(job, session, shown)?,
            Err(crate::Error::Start { kind: crate::Kind::NotFound, message }) => return Err(self.failed(127, Some(message))),
            Err(crate::Error::Start { kind: crate::Kind::NotExecutable, message }) => return Err(self.failed(126, Some(message))),
            Err(error) => return Err(error.into()),
        };
        if code != 0 {
            return Err(self.failed(code, None));
        }
        clean(&upper, &missing)?;
        Ok(upper)
    }

    fn failed(&self, code: i32, why: Option<String>) -> BuildError {
        let command = self.argv.join(" ");
        match why {
            Some(why) => BuildError::Invalid(format!("process {command:?} could not be started: {why}")),
            None => BuildError::Process { command, code },
        }
    }
}

/// Program and arguments, and a script of its own.
fn command(run: &Run, state: &State) -> (Vec<String>, Option<String>) {
    let line = match &run.command {
        Command::Exec(words) => return (words.clone(), None),
        Command::Shell(line) => line,
    };
    let with_shell = |line: String| state.shell().into_iter().chain([line]).collect::<Vec<_>>();
    let alone = |heredoc: &super::dockerfile::Heredoc| {
        line.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with("<<") && {
            let word = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches("<<").trim_start_matches('-');
            word.trim_matches(['\'', '"']) == heredoc.name
        }
    };
    match &run.heredocs[..] {
        [] => (with_shell(line.clone()), None),
        // The document is the whole of it: a script.
        [only] if alone(only) && only.content.starts_with("#!") => (vec![SCRIPT.to_owned()], Some(only.content.clone())),
        [only] if alone(only) => (with_shell(only.content.clone()), None),
        // The shell knows what to do with it.
        documents => {
            let text = documents.iter().fold(line.clone(), |text, heredoc| format!("{text}\n{}{}", heredoc.content, heredoc.name));
            (with_shell(text), None)
        }
    }
}

/// Listens to the container until it and all that was made for it is gone.
fn follow(job: &Job<'_>, mut session: crate::Session, shown: &Shown<'_>) -> Result<i32, BuildError> {
    let began = Instant::now();
    let mut killed = false;
    loop {
        if !session.has_early() {
            let mut fds = vec![PollFd::from_borrowed_fd(session.as_fd(), PollFlags::IN)];
            if !killed {
                fds.extend(job.stops().map(|stop| PollFd::from_borrowed_fd(stop, PollFlags::IN)));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(sys::Error::new("poll()", errno)).to(|| "wait for a container"),
            }
            let ready = !fds[0].revents().is_empty();
            drop(fds);
            if !killed && job.is_stopped() {
                killed = true;
                let _ = session.signal(SIGKILL);
            }
            if !ready {
                continue;
            }
        }
        match session.happening()? {
            Some(Happening::Stdout(bytes)) => shown.wrote(false, &bytes, began.elapsed()),
            Some(Happening::Stderr(bytes)) => shown.wrote(true, &bytes, began.elapsed()),
            Some(Happening::Exited(_)) if killed => return Err(BuildError::Canceled),
            Some(Happening::Exited(exit)) => return Ok(exit.code),
            None => {}
        }
    }
}

/// What is mounted while it runs. Dropping it gives all of it up.
#[derive(Debug, Default)]
struct Mounted {
    mounts: Vec<Mount>,
    /// Variables whose values are in no record.
    secrets: Vec<SecretUse>,
    /// Folders of this run alone.
    folders: Vec<Scratch>,
    /// Locks of caches.
    locks: Vec<std::fs::File>,
}

/// A folder that goes when it is dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let (Some(parent), Some(name)) = (self.0.parent(), self.0.file_name()) else { return };
        let _ = sys::fs::open_dir(parent).and_then(|parent| sys::fs::remove_tree(parent, name));
    }
}

impl Mounted {
    fn targets(&self) -> Vec<PathBuf> {
        self.mounts.iter().map(|mount| mount.target.clone()).collect()
    }

    fn add(&mut self, job: &Job<'_>, step: &RunStep, mount: &RunMount, env: &mut Vec<String>) -> Result<(), BuildError> {
        let target = |default: &str| {
            let target = mount.target.clone().unwrap_or_else(|| default.to_owned());
            PathBuf::from(if target.starts_with('/') { target } else { format!("{}/{target}", step.workdir.trim_end_matches('/')) })
        };
        match mount.kind {
            MountKind::Tmpfs => {
                let options = mount.size.iter().map(|size| format!("size={size}")).collect();
                self.show(target(""), MountSource::Tmpfs { options, short: false }, Access::Write);
            }
            MountKind::Bind => {
                self.show(target(""), Mounted::bound(job, mount)?, Access::Read);
            }
            MountKind::Cache => {
                let source = self.cache(job, mount, &target("").display().to_string())?;
                self.bind(source, target(""), mount.readonly);
            }
            MountKind::Secret => {
                let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
                let id = mount.id.clone().or_else(|| mount.target.as_deref().map(name)).unwrap_or_default();
                let Some(secret) = job.request.secrets.get(&id) else {
                    if mount.required {
                        return Err(BuildError::Invalid(format!("secret {id} not found: give it with --secret id={id},src=FILE")));
                    }
                    return Ok(());
                };
                if let Some(name) = &mount.env {
                    let file = self.file(job, "secret", secret, 0o600, (0, 0))?;
                    let place = SecretPlace::Variable(name.clone());
                    self.secrets.push(SecretUse { name: id.clone(), file: Some(file), place });
                    if mount.target.is_none() {
                        return Ok(());
                    }
                }
                let path = self.file(
                    job,
                    &format!("secret-{}", self.mounts.len()),
                    secret,
                    mount.mode.unwrap_or(0o400),
                    (mount.uid, mount.gid),
                )?;
                self.bind(path, target(&format!("/run/secrets/{id}")), true);
            }
            MountKind::Ssh => {
                let id = mount.id.clone().unwrap_or_else(|| "default".to_owned());
                let Some(socket) = job.request.agents.get(&id) else {
                    if mount.required {
                        return Err(BuildError::Invalid(format!("no SSH agent {id:?}: give it with --ssh {id}")));
                    }
                    return Ok(());
                };
                let target = target(&format!("/run/buildkit/ssh_agent.{}", self.mounts.len()));
                env.push(format!("SSH_AUTH_SOCK={}", target.display()));
                self.bind(socket.clone(), target, false);
            }
        }
        Ok(())
    }

    /// A folder of a stage, an image or the context.
    fn bound(job: &Job<'_>, mount: &RunMount) -> Result<MountSource, BuildError> {
        let path = mount.source.as_deref().unwrap_or("/");
        if !mount.readonly {
            return Err(BuildError::Invalid("--mount=type=bind is read-only here: copy what is to be written".to_owned()));
        }
        let Some(from) = &mount.from else {
            return Ok(MountSource::Bind { path: job.context_path(path)?, create: false, recursive: true, part: None });
        };
        match job.copied(from)? {
            Copied::Folder(_) => {
                Err(BuildError::Invalid(format!("--mount from {from}: it is a folder of the host, and only COPY reads those")))
            }
            Copied::State(state) => {
                // It is found below the root of what it is in (CVE-2024-1753).
                let subpath = Some(path.trim_start_matches('/')).filter(|path| !path.is_empty()).map(PathBuf::from);
                let layers: Vec<Digest> = state.layers.iter().map(|layer| layer.digest.clone()).collect();
                if layers.is_empty() {
                    return Err(BuildError::Missing { what: format!("/{path} of {from}"), hint: "" });
                }
                Ok(MountSource::Image { name: from.clone(), subpath, manifest: None, layers })
            }
        }
    }

    /// A file or folder of the host at `target`.
    fn bind(&mut self, path: PathBuf, target: PathBuf, readonly: bool) {
        let access = if readonly { Access::Read } else { Access::Write };
        self.show(target, MountSource::Bind { path, create: false, recursive: true, part: None }, access);
    }

    fn show(&mut self, target: PathBuf, source: MountSource, access: Access) {
        self.mounts.push(Mount { target, source, access, propagation: None, chown: false, idmap: None, mode: String::new() });
    }

    /// The folder of a cache, which all builds share.
    fn cache(&mut self, job: &Job<'_>, mount: &RunMount, target: &str) -> Result<PathBuf, BuildError> {
        let id = mount.id.as_deref().unwrap_or(target);
        let mut key = Key::new("mount");
        key.part(id);
        let what = || format!("cache {id}");
        let caches = job.engine.config.root.join("build/mounts");
        crate::create::folder(&caches).to(what)?;
        let folder = caches.join(key.finish().hex());
        let lock_path = folder.with_extension("lock");
        let lock = std::fs::File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock_path)
            .call(|| format!("open({lock_path:?})"))
            .to(what)?;
        let folder = match mount.sharing {
            Sharing::Shared => {
                lock.lock_shared().call(|| "flock(LOCK_SH)").to(what)?;
                folder
            }
            Sharing::Locked => {
                lock.lock().call(|| "flock(LOCK_EX)").to(what)?;
                folder
            }
            Sharing::Private if lock.try_lock().is_ok() => folder,
            Sharing::Private => {
                let own = caches.join(format!(".private-{}-{}", std::process::id(), lock.as_raw_fd()));
                self.folders.push(Scratch(own.clone()));
                own
            }
        };
        self.locks.push(lock);
        if !folder.exists() {
            crate::create::folder(&folder).to(what)?;
            let set = || -> std::io::Result<()> {
                std::os::unix::fs::chown(&folder, Some(mount.uid), Some(mount.gid))?;
                std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mount.mode.unwrap_or(0o755)))
            };
            set().call(|| format!("chmod({folder:?})")).to(what)?;
        }
        Ok(folder)
    }

    /// A file of this run alone, in memory.
    fn file(&mut self, job: &Job<'_>, name: &str, bytes: &[u8], mode: u32, (uid, gid): (u32, u32)) -> Result<PathBuf, BuildError> {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = job.engine.config.run.join("build").join(format!("{}-{count}", std::process::id()));
        let what = || format!("make the file {name}");
        crate::create::folder(&folder).to(what)?;
        self.folders.push(Scratch(folder.clone()));
        let path = folder.join(name);
        let make = || -> std::io::Result<()> {
            use std::io::Write;
            use std::os::unix::fs::OpenOptionsExt;
            let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(bytes)?;
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
            file.set_permissions(std::fs::Permissions::from_mode(mode))
        };
        make().call(|| format!("write({path:?})")).to(what)?;
        Ok(path)
    }
}

/// Which of the mounts' places the stage has not: they are made for the run, and are no part of the layer.
fn missing(state: &State, job: &Job<'_>, targets: &[PathBuf]) -> Result<Vec<PathBuf>, BuildError> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let work = Work::on(job.engine, state)?;
    let there = |path: &Path| {
        let path = path.strip_prefix("/").unwrap_or(path);
        sys::fs::open_in_root(work.root(), path, OFlags::PATH, Bits::empty()).is_ok()
    };
    let mut missing = Vec::new();
    for target in targets {
        // From the topmost one that is missing on.
        let mut path = target.as_path();
        while !there(path) {
            missing.push(path.to_owned());
            match path.parent().filter(|parent| *parent != Path::new("/")) {
                Some(parent) => path = parent,
                None => break,
            }
        }
    }
    missing.sort();
    missing.dedup();
    Ok(missing)
}

/// Takes away empty places of mounts, the deepest first; what the program has put there itself stays.
fn clean(upper: &Upper, missing: &[PathBuf]) -> Result<(), BuildError> {
    let root = sys::fs::open_dir(upper.folder().join("upper")).to(|| "look at what was written")?;
    for path in missing.iter().rev() {
        let path = path.strip_prefix("/").unwrap_or(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        // Links on the way were made by the program: then the place is elsewhere, and stays.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = rustix::fs::ResolveFlags::BENEATH | rustix::fs::ResolveFlags::NO_SYMLINKS;
        let Ok(parent) = rustix::fs::openat2(&root, parent, flags, Bits::empty(), resolve) else { continue };
        let Ok(stat) = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => drop(unlinkat(&parent, name, AtFlags::REMOVEDIR)),
            FileType::RegularFile if stat.st_size == 0 => drop(unlinkat(&parent, name, AtFlags::empty())),
            _ => {}
        }
    }
    Ok(())
}
