//! What `checkpoint` and `restore` have in common: their flags, the folders of images and logs, and what criu says.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use container::criu::{self, CgroupMode, Criu, Features, Options, Start, Version};
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};
use sys::ns::kind::NET;

use crate::args::{Args, Flag, switch, value};
use crate::error::{Doing, Failed, Result};
use crate::{Context, program, rootless};

pub(crate) const IMAGE_PATH: Flag = value(&["image-path"], "DIR", "folder of the images; ./checkpoint if it is not given");
pub(crate) const WORK_PATH: Flag = value(&["work-path"], "DIR", "folder of logs; that of the images if it is not given");
pub(crate) const TCP_ESTABLISHED: Flag = switch(&["tcp-established"], "also TCP connections that are open");
pub(crate) const EXT_UNIX_SK: Flag = switch(&["ext-unix-sk"], "also unix sockets whose other end is outside");
pub(crate) const SHELL_JOB: Flag = switch(&["shell-job"], "also processes of a terminal that is outside");
pub(crate) const FILE_LOCKS: Flag = switch(&["file-locks"], "also locks of files");
pub(crate) const LAZY_PAGES: Flag = switch(&["lazy-pages"], "send memory when it is needed (userfaultfd)");
pub(crate) const AUTO_DEDUP: Flag = switch(&["auto-dedup"], "drop memory from earlier images that this one has");
pub(crate) const MANAGE_CGROUPS: Flag =
    value(&["manage-cgroups-mode"], "MODE", "what becomes of cgroups: soft (as without it), full, strict or ignore");
pub(crate) const EMPTY_NS: Flag = value(&["empty-ns"], "NAMESPACE", "leave out what is in a namespace: network, which always is");

/// The oldest criu that tells when memory can be asked for, joins pid namespaces and freezes by cgroup v2.
const OLDEST: Version = Version(3, 15);
/// What is given to criu beside its own settings, as with runc.
const CONFIG: &str = "/etc/criu/runc.conf";
/// The annotation that names another file, or none.
const CONFIG_ANNOTATION: &str = "org.criu.config";
/// What descriptors 0 to 2 of the first process were, as runc keeps it with the images.
pub(crate) const DESCRIPTORS: &str = "descriptors.json";

/// Folders, open.
pub(crate) struct Images {
    pub(crate) path: PathBuf,
    pub(crate) folder: OwnedFd,
    work: Option<OwnedFd>,
    /// Where criu writes what it does.
    log: PathBuf,
}

impl Images {
    /// Opens the folders that the flags name. Those that are to be written to are made.
    pub(crate) fn open(args: &Args, log: &str, write: bool) -> Result<Images> {
        // Before anything is made.
        cgroups(args)?;
        let given = args.get("image-path").filter(|path| !path.is_empty()).unwrap_or("checkpoint");
        let path = std::path::absolute(given).doing(|| "--image-path")?;
        if write {
            make(&path).doing_to(&path, || format!("--image-path: make {}", path.display()))?;
        }
        let folder = sys::fs::open_dir(&path).doing(|| "--image-path")?;
        let work = args.get("work-path").filter(|path| !path.is_empty()).map(std::path::absolute).transpose();
        let work = work.doing(|| "--work-path")?;
        if let Some(path) = &work {
            make(path).doing_to(path, || format!("--work-path: make {}", path.display()))?;
        }
        let opened = work.as_ref().map(sys::fs::open_dir).transpose().doing(|| "--work-path")?;
        let log = work.as_ref().unwrap_or(&path).join(log);
        Ok(Images { path, folder, work: opened, log })
    }

    /// What the flags of both verbs ask for.
    pub(crate) fn options(&self, args: &Args) -> Result<Options> {
        Ok(Options {
            images: self.folder.as_raw_fd(),
            work: self.work.as_ref().map(AsRawFd::as_raw_fd),
            log_file: self.log.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            external_sockets: args.on("ext-unix-sk"),
            tcp_established: args.on("tcp-established"),
            shell_job: args.on("shell-job"),
            file_locks: args.on("file-locks"),
            auto_dedup: args.on("auto-dedup"),
            lazy_pages: args.on("lazy-pages"),
            // Devices and addresses are somebody else's business, as with runc.
            empty_namespaces: NET,
            cgroups: cgroups(args)?,
            ..Options::default()
        })
    }

    /// What went wrong, with what criu's log has about it.
    pub(crate) fn failed(&self, context: &Context, error: criu::Error) -> Failed {
        let told = matches!(&error, criu::Error::Failed { .. } | criu::Error::Ended(_) | criu::Error::Lost);
        let mut failed = Failed::from(error);
        if told {
            errors(&self.log).iter().for_each(|line| context.log.warn(line));
            failed.message = format!("{}\nlog file: {}", failed.message, self.log.display()).replace('\n', ", ");
            failed.parts.path.get_or_insert_with(|| self.log.display().to_string());
        }
        failed
    }
}

/// What becomes of cgroups. Of namespaces only that of the network is left out.
fn cgroups(args: &Args) -> Result<CgroupMode> {
    if let Some(namespace) = args.all("empty-ns").find(|namespace| *namespace != "network") {
        return Err(Failed::new(format!("--empty-ns: namespace {namespace:?} is not supported: only network is")));
    }
    let mode = args.get("manage-cgroups-mode").unwrap_or_default();
    CgroupMode::parse(mode)
        .ok_or_else(|| Failed::new(format!("--manage-cgroups-mode: {mode:?} is not soft, full, strict or ignore")))
}

fn make(path: &Path) -> std::io::Result<()> {
    // What is in memory is nobody else's to read.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The errors in a log of criu's. It tells of many things on its way.
fn errors(log: &Path) -> Vec<String> {
    const LIMIT: usize = 16 << 20;
    const LINES: usize = 10;
    let text = sys::fs::open_dir(log.parent().unwrap_or(Path::new("/"))).ok().and_then(|folder| {
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, log.file_name()?, flags, rustix::fs::Mode::empty()).ok()?;
        sys::fs::read_all(file, LIMIT).ok()
    });
    let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    let lines: Vec<String> = text.lines().filter(|line| line.contains("Error (")).map(|line| format!("criu: {line}")).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

/// The file of settings that criu reads last.
pub(crate) fn config(spec: &Spec) -> Option<String> {
    match spec.annotations().as_ref().and_then(|annotations| annotations.get(CONFIG_ANNOTATION)) {
        Some(file) => Some(file.clone()).filter(|file| !file.is_empty()),
        None => Some(CONFIG.to_owned()),
    }
}

/// Starts criu, asks for its version and for what is needed of it.
pub(crate) fn start(context: &Context, start: Start<'_>, needed: Features) -> Result<Criu> {
    let program = start.program.display().to_string();
    let criu = Criu::spawn(start)?;
    let version = criu.version()?;
    context.log.debug(|| format!("{program} is version {}.{}", version.0, version.1));
    if version < OLDEST {
        return Err(Failed::new(format!("{program}: version {}.{} is older than {}.{}", version.0, version.1, OLDEST.0, OLDEST.1)));
    }
    if needed != Features::default() {
        let has = criu.features(needed)?;
        let missing = [
            (
                needed.memory_tracking && !has.memory_tracking,
                "--pre-dump needs a kernel that tracks changes of memory (CONFIG_MEM_SOFT_DIRTY)",
            ),
            (needed.lazy_pages && !has.lazy_pages, "--lazy-pages needs a kernel and a criu with userfaultfd"),
        ];
        if let Some((_, why)) = missing.iter().find(|(missing, _)| *missing) {
            return Err(Failed::new(format!("criu is missing features: {why}")));
        }
    }
    Ok(criu)
}

/// criu, looked up as a shell does it, as runc does.
pub(crate) fn program() -> Result<PathBuf> {
    program::find("criu").doing(|| "checkpoint and restore are done by criu(8)")
}

/// Who is not root of the host is told what to expect, as by runc.
pub(crate) fn rootless(context: &Context) {
    if !rustix::process::geteuid().is_root() || rootless::in_user_namespace() {
        context.log.warn("criu is made for root of the host: what it does for others is not tested");
    }
}

/// Namespaces of a kind that a configuration joins: criu knows them by these names.
pub(crate) fn joined(spec: &Spec) -> impl Iterator<Item = (&LinuxNamespace, &'static str)> {
    let all = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let with_path = |one: &&LinuxNamespace| one.path().as_ref().is_some_and(|path| !path.as_os_str().is_empty());
    all.iter().filter(with_path).map(|one| (one, name(one.typ())))
}

fn name(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Time => "time",
    }
}

/// The name of an external namespace in images, which is runc's: `extRootNetNS`.
pub(crate) fn external(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("extRoot{}{rest}NS", first.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_errors_of_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("dump.log");
        let text: String = (0..30).map(|at| format!("(0.1) fine {at}\n(0.2) Error (criu/x.c:{at}): no\n")).collect();
        std::fs::write(&log, text).unwrap();
        let lines = errors(&log);
        assert_eq!((lines.len(), lines[9].as_str()), (10, "criu: (0.2) Error (criu/x.c:29): no"));
        assert!(errors(&dir.path().join("none")).is_empty());
    }

    #[test]
    fn namespaces_of_outside_are_called_as_runc_does() {
        assert_eq!(["net", "pid"].map(external), ["extRootNetNS", "extRootPidNS"]);
        let spec = |annotations: serde_json::Value| -> Spec {
            serde_json::from_value(serde_json::json!({"ociVersion": "1.0.0", "annotations": annotations})).unwrap()
        };
        assert_eq!(config(&spec(serde_json::json!({}))).as_deref(), Some("/etc/criu/runc.conf"));
        assert_eq!(config(&spec(serde_json::json!({"org.criu.config": ""}))), None);
        assert_eq!(config(&spec(serde_json::json!({"org.criu.config": "/x"}))).as_deref(), Some("/x"));
    }
}
