//! Mounts, in the order of the configuration.

use std::path::{Component, Path, PathBuf};

use launch::Step;
use oci_spec::runtime::Mount;
use rustix::mount::MountAttrFlags as Attribute;
use sys::mount::Attr;

use super::options::Options;
use super::{Build, Source};
use crate::{Error, Host};

/// Files of procfs that lxcfs and others replace. Nothing else may be mounted inside `/proc`: the container's own settings are written
/// there, and would go elsewhere (CVE-2019-16884, CVE-2019-19921).
const IN_PROC: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "softirqs",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

/// Compiles `mounts`.
pub(super) fn mounts(mounts: &[Mount], host: &Host, build: &mut Build) -> Result<(), Error> {
    let mut late = Vec::new();
    for (at, mount) in mounts.iter().enumerate() {
        let field = |name: &str| format!("mounts[{at}].{name}");
        if mount.uid_mappings().is_some() || mount.gid_mappings().is_some() {
            return Err(Error::unsupported(field("uidMappings"), "id-mapped mounts are"));
        }
        let options = Options::parse(mount.options().iter().flatten().map(String::as_str));
        if let Some(option) = &options.impossible {
            return Err(Error::unsupported(field("options"), format!("the option {option:?} is")));
        }
        let target = destination(mount.destination(), &field("destination"), &mut build.warnings)?;
        // `bind` among the options makes it a bind whatever the type says.
        let kind = match options.bind {
            Some(_) => "bind",
            None => mount.typ().as_deref().unwrap_or_default(),
        };
        let procfs = proc_rule(&target, kind, &field("destination"))?;
        match kind {
            "bind" => {
                bind(mount, target, &options, procfs, &field, build)?;
            }
            "cgroup" => cgroup(target, &options, host, build, &field("options"))?,
            "" => return Err(Error::invalid(field("type"), "missing")),
            _ => late.extend(new(mount, kind, target, &options, build)),
        }
    }
    // What is mounted below a tmpfs needs its mount points made there first, devices in /dev too.
    build.late.extend(late.into_iter().map(Step::Readonly));
    Ok(())
}

/// A new file system. Returns its target if it has to become read-only later.
fn new(mount: &Mount, kind: &str, target: PathBuf, options: &Options, build: &mut Build) -> Option<PathBuf> {
    let mut all = options.all();
    let later = options.readonly() && (kind == "tmpfs" || target == Path::new("/dev"));
    let flag = |name: &str| (name.to_owned(), None);
    let mut settings: Vec<_> = options.superblock.iter().map(|name| flag(name)).collect();
    if later {
        all.set &= !u64::from(Attribute::MOUNT_ATTR_RDONLY.bits());
    } else if options.readonly() {
        // As mount(2) does it: the file system and the mount. A block device may allow nothing else.
        settings.push(flag("ro"));
    }
    settings.extend(options.data.iter().cloned());
    let source = mount.source().as_ref().map_or_else(|| kind.to_owned(), |source| source.to_string_lossy().into_owned());
    build.steps.push(Step::Mount {
        kind: kind.to_owned(),
        source,
        target: target.clone(),
        options: settings,
        attributes: all.set,
        propagation: options.propagation,
    });
    later.then_some(target)
}

fn bind(
    mount: &Mount,
    target: PathBuf,
    options: &Options,
    procfs: bool,
    field: &dyn Fn(&str) -> String,
    build: &mut Build,
) -> Result<(), Error> {
    let source = mount.source().as_ref().ok_or_else(|| Error::invalid(field("source"), "missing"))?;
    if !source.is_absolute() {
        return Err(Error::invalid(field("source"), format!("{} is not an absolute path", source.display())));
    }
    // The kernel would take them without a word, and do nothing.
    let useless = options.data.first().map(|(key, _)| key.as_str()).or(options.superblock.first().copied());
    if let Some(option) = useless {
        return Err(Error::invalid(field("options"), format!("a bind mount cannot have the file system option {option:?}")));
    }
    let recursive = options.bind.unwrap_or(false);
    let Split { step, whole, everywhere } = split(options, recursive);
    let tree = build.slot(Source::Tree { path: source.clone(), recursive, everywhere, procfs });
    let Attr { set, clear, .. } = step;
    build.steps.push(Step::Bind { tree, target, set, clear, recursive: whole, propagation: options.propagation });
    Ok(())
}

struct Split {
    step: Attr,
    whole: bool,
    everywhere: Attr,
}

/// Divides attributes into those that one step can apply, all to the top or all to the whole tree, and the rest, which is applied to the
/// whole tree before.
fn split(options: &Options, recursive: bool) -> Split {
    let nothing = Attr::default();
    if !recursive {
        return Split { step: options.all(), whole: false, everywhere: nothing };
    }
    let (mut top, tree) = (options.top, options.tree);
    // What holds for the whole tree holds for its top: `ro` beside `rro` says nothing more.
    top.set &= !tree.set;
    top.clear &= !tree.clear;
    match (top == nothing, tree == nothing) {
        (true, _) => Split { step: tree, whole: tree != nothing, everywhere: nothing },
        (false, true) => Split { step: top, whole: false, everywhere: nothing },
        (false, false) => Split { step: top, whole: false, everywhere: tree },
    }
}

fn cgroup(target: PathBuf, options: &Options, host: &Host, build: &mut Build, field: &str) -> Result<(), Error> {
    if let Some((key, _)) = options.data.first() {
        return Err(Error::unsupported(field, format!("the option {key:?} of a cgroup mount is")));
    }
    let v1 = host.cgroup.all().iter().enumerate().filter(|(_, hierarchy)| !hierarchy.v2);
    let v1 = v1.map(|(at, hierarchy)| (hierarchy.name(), build.slot(Source::CgroupTree(at)))).collect();
    build.steps.push(Step::Cgroup { target, v1, readonly: options.readonly() });
    Ok(())
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
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(Error::invalid(field, format!("{} contains ..", path.display())));
    }
    let clean: PathBuf = path.components().collect();
    if clean == Path::new("/") {
        return Err(Error::invalid(field, "the root itself cannot be replaced"));
    }
    Ok(clean)
}

/// Whether this mount may be where it is, and whether its source must be a procfs.
fn proc_rule(target: &Path, kind: &str, field: &str) -> Result<bool, Error> {
    match target.strip_prefix("/proc") {
        Err(_) => Ok(false),
        Ok(inside) if inside == Path::new("") => match kind {
            "proc" | "" => Ok(false),
            "bind" => Ok(true),
            other => Err(Error::invalid(field, format!("only a procfs may be mounted on /proc, not {other}"))),
        },
        Ok(inside) if IN_PROC.iter().any(|allowed| inside == Path::new(allowed)) => Ok(false),
        Ok(_) => Err(Error::invalid(field, format!("{} is inside /proc, where nothing may be mounted", target.display()))),
    }
}
