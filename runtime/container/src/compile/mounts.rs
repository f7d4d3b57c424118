//! Mounts, in the order of the configuration.

use std::path::{Component, Path, PathBuf};

use launch::{Attributes, Links, PROC_FILES, Step};
use oci_spec::runtime::Mount;
use rustix::mount::MountAttrFlags as Attribute;
use sys::mount::propagation;

use super::idmap::{self, Container, IdMap};
use super::options::Options;
use super::{Build, Source};
use crate::{Error, Host};

/// What all mounts of a container have in common.
pub(super) struct Context<'a> {
    pub(super) host: &'a Host,
    pub(super) container: Container<'a>,
    /// It has a cgroup namespace that is not its maker's.
    pub(super) cgroups_apart: bool,
}

impl Context<'_> {
    /// Mounts cannot lose what the host has locked.
    fn locked(&self) -> bool {
        self.container.separate() || self.host.locked
    }
}

/// Compiles `mounts`.
pub(super) fn mounts(mounts: &[Mount], context: &Context<'_>, build: &mut Build) -> Result<(), Error> {
    let mut late = Vec::new();
    for (at, mount) in mounts.iter().enumerate() {
        let field = |name: &str| format!("mounts[{at}].{name}");
        let options = Options::parse(mount.options().iter().flatten().map(String::as_str));
        let target = destination(mount.destination(), &field("destination"), &mut build.warnings)?;
        // `bind` among the options makes it a bind whatever the type says.
        let kind = match options.bind {
            Some(_) => "bind",
            None => mount.typ().as_deref().unwrap_or_default(),
        };
        let idmap = idmap::idmap(mount, &options, context.container, &field)?;
        fitting(kind, &options, &field("options"))?;
        if options.remount {
            build.steps.push(remount(kind, target, &options, context));
            continue;
        }
        let procfs = proc_rule(&target, kind, &field("destination"))?;
        match kind {
            "bind" => bind(mount, target, &options, &Bound { idmap, procfs, context }, &field, build)?,
            "cgroup" => cgroup(target, &options, context, build, &field("options"))?,
            "" => return Err(Error::invalid(field("type"), "missing")),
            _ => late.extend(new(mount, kind, target, &options, build)),
        }
    }
    // What is mounted below a tmpfs needs its mount points made there first, devices in /dev too.
    build.late.extend(late.into_iter().map(Step::Readonly));
    Ok(())
}

/// Refuses options that the kernel would take without a word, and do nothing.
fn fitting(kind: &str, options: &Options, field: &str) -> Result<(), Error> {
    let bind = kind == "bind";
    let links = options.links.copy || options.links.keep_target || options.keep_source;
    let useless = options.data.first().map(|(key, _)| key.as_str()).or(options.superblock.first().copied());
    let refuse = |why: String| Err(Error::invalid(field, why));
    match useless {
        Some(option) if bind => refuse(format!("a bind mount cannot have the file system option {option:?}")),
        _ if options.copy_up && kind != "tmpfs" => refuse("only a tmpfs can have tmpcopyup".to_owned()),
        _ if options.copy_up && options.remount => refuse("tmpcopyup is for a new tmpfs".to_owned()),
        _ if links && !bind => refuse("copy-symlink, src-nofollow and dest-nofollow are for bind mounts".to_owned()),
        _ => Ok(()),
    }
}

/// Settings of the file system itself.
fn settings(kind: &str, options: &Options) -> Vec<(String, Option<String>)> {
    let mut settings: Vec<_> = options.superblock.iter().map(|name| ((*name).to_owned(), None)).collect();
    // mount(2) has flags for these two, fsconfig(2) leaves them to the file system. Most have nothing to choose.
    let always = |key: &str| match key {
        "acl" => ["tmpfs", "xfs"].contains(&kind),
        "iversion" => ["tmpfs", "xfs", "btrfs", "ext4"].contains(&kind),
        _ => false,
    };
    settings.extend(options.data.iter().filter(|(key, _)| !always(key)).cloned());
    settings
}

/// A change of what a mount before this one has mounted.
fn remount(kind: &str, target: PathBuf, options: &Options, context: &Context<'_>) -> Step {
    let mut settings = settings(kind, options);
    if kind != "bind" {
        // As mount(2): the file system itself, too.
        settings.push(((if options.readonly() { "ro" } else { "rw" }).to_owned(), None));
    }
    Step::Remount { target, attributes: options.attributes(context.locked()), options: settings }
}

/// A new file system. Returns its target if it has to become read-only later.
fn new(mount: &Mount, kind: &str, target: PathBuf, options: &Options, build: &mut Build) -> Option<PathBuf> {
    let mut attributes = options.all();
    let mut settings = settings(kind, options);
    let later = options.readonly() && (kind == "tmpfs" || target == Path::new("/dev"));
    if later {
        attributes &= !u64::from(Attribute::MOUNT_ATTR_RDONLY.bits());
    } else if options.readonly() {
        // As mount(2) does it: the file system and the mount. A block device may allow nothing else.
        settings.insert(options.superblock.len(), ("ro".to_owned(), None));
    }
    settings.extend(labelled(kind, options, build.mount_label.as_ref()));
    let source = mount.source().as_ref().map_or_else(|| kind.to_owned(), |source| source.to_string_lossy().into_owned());
    build.steps.push(Step::Mount {
        kind: kind.to_owned(),
        source,
        target: target.clone(),
        options: settings,
        attributes,
        propagation: options.propagation,
        copy_up: options.copy_up,
    });
    if let Some(label) = build.mount_label.clone().filter(|_| kind == MQUEUE) {
        build.steps.push(Step::Label { path: target.clone(), label });
    }
    later.then_some(target)
}

/// It cannot be mounted with a context, but takes one afterwards.
const MQUEUE: &str = "mqueue";

/// The SELinux context of a new file system, where the configuration has one for all and this one may have it: the files of procfs and
/// sysfs have labels of their own. As runc does.
fn labelled(kind: &str, options: &Options, label: Option<&String>) -> Option<(String, Option<String>)> {
    let own = options.data.iter().any(|(key, _)| key == "context");
    let label = label.filter(|_| !own && !matches!(kind, "proc" | "sysfs" | MQUEUE))?;
    Some(("context".to_owned(), Some(label.clone())))
}

/// What is known about a bind mount beside its options.
struct Bound<'a> {
    idmap: Option<IdMap>,
    procfs: bool,
    context: &'a Context<'a>,
}

fn bind(
    mount: &Mount,
    target: PathBuf,
    options: &Options,
    bound: &Bound<'_>,
    field: &dyn Fn(&str) -> String,
    build: &mut Build,
) -> Result<(), Error> {
    let source = mount.source().as_ref().ok_or_else(|| Error::invalid(field("source"), "missing"))?;
    if !source.is_absolute() {
        return Err(Error::invalid(field("source"), format!("{} is not an absolute path", source.display())));
    }
    no_nul(source, &field("source"))?;
    // Descriptors and folders of the runtime, which are nobody's to give away (CVE-2024-21626).
    if ["/proc/self", "/proc/thread-self"].iter().any(|own| source.starts_with(own)) {
        return Err(Error::invalid(field("source"), format!("{} is of the runtime itself", source.display())));
    }
    let tree = build.slot(Source::Tree {
        path: source.clone(),
        recursive: options.bind.unwrap_or(false),
        follow: !(options.keep_source || options.links.copy),
        idmap: bound.idmap.clone(),
        procfs: bound.procfs,
    });
    let attributes = options.attributes(bound.context.locked());
    build.steps.push(Step::Bind { tree, target, attributes, links: options.links });
    Ok(())
}

/// The container's own cgroups and no others. In a cgroup namespace of its own a new mount of v2 begins there; without one it would begin at
/// the top of the host, writable (CVE-2023-25809), so the container's folder is bound instead, as with v1.
fn cgroup(target: PathBuf, options: &Options, context: &Context<'_>, build: &mut Build, field: &str) -> Result<(), Error> {
    if let Some((key, _)) = options.data.first() {
        return Err(Error::unsupported(field, format!("the option {key:?} of a cgroup mount is")));
    }
    let all = context.host.cgroup.all();
    if let ([own], false) = (all, context.cgroups_apart)
        && own.v2
    {
        let tree = build.slot(Source::CgroupTree(0));
        let mut set = Attribute::MOUNT_ATTR_NOSUID | Attribute::MOUNT_ATTR_NODEV | Attribute::MOUNT_ATTR_NOEXEC;
        set.set(Attribute::MOUNT_ATTR_RDONLY, options.readonly());
        let locked = context.locked();
        let attributes =
            Attributes { set: u64::from(set.bits()), propagation: propagation::PRIVATE, locked, ..Attributes::default() };
        build.steps.push(Step::Bind { tree, target, attributes, links: Links::default() });
        return Ok(());
    }
    let v1 = all.iter().enumerate().filter(|(_, hierarchy)| !hierarchy.v2);
    let v1 = v1.map(|(at, hierarchy)| (hierarchy.name(), build.slot(Source::CgroupTree(at)))).collect();
    build.steps.push(Step::Cgroup { target, v1, readonly: options.readonly() });
    Ok(())
}

/// A path as the kernel sees it ends at the first NUL.
fn no_nul(path: &Path, field: &str) -> Result<(), Error> {
    match path.as_os_str().as_encoded_bytes().contains(&0) {
        true => Err(Error::invalid(field, format!("{path:?} has a NUL byte"))),
        false => Ok(()),
    }
}

/// A clean absolute path below the root. One without the leading slash is taken as if it had one (runtime-spec 1.2), with a warning.
pub(super) fn destination(path: &Path, field: &str, warnings: &mut Vec<String>) -> Result<PathBuf, Error> {
    if !path.is_absolute() {
        warnings.push(format!("{field}: {} is not an absolute path, taken as below /", path.display()));
    }
    absolute(&Path::new("/").join(path), field)
}

/// Cleans an absolute path without `..`, which could lead anywhere once there are symbolic links.
pub(super) fn absolute(path: &Path, field: &str) -> Result<PathBuf, Error> {
    if !path.is_absolute() {
        return Err(Error::invalid(field, format!("{} is not an absolute path", path.display())));
    }
    no_nul(path, field)?;
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(Error::invalid(field, format!("{} contains ..", path.display())));
    }
    let clean: PathBuf = path.components().collect();
    if clean == Path::new("/") {
        return Err(Error::invalid(field, "the root itself cannot be replaced"));
    }
    Ok(clean)
}

/// Whether this mount may be where it is, and whether its source must be a procfs. Nothing but few files may be mounted inside `/proc`:
/// the container's own settings are written there, and would go elsewhere (CVE-2019-16884, CVE-2019-19921).
fn proc_rule(target: &Path, kind: &str, field: &str) -> Result<bool, Error> {
    match target.strip_prefix("/proc") {
        Err(_) => Ok(false),
        Ok(inside) if inside == Path::new("") => match kind {
            "proc" | "" => Ok(false),
            "bind" => Ok(true),
            other => Err(Error::invalid(field, format!("only a procfs may be mounted on /proc, not {other}"))),
        },
        Ok(inside) if PROC_FILES.iter().any(|allowed| inside == Path::new(allowed)) => Ok(false),
        Ok(_) => Err(Error::invalid(field, format!("{} is inside /proc, where nothing may be mounted", target.display()))),
    }
}
