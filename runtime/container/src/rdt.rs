//! Intel RDT: shares of the cache and of the memory bandwidth, as groups of the resctrl file system
//! (`Documentation/filesystems/resctrl.rst`).
//!
//! ```text
//! /sys/fs/resctrl/              the default class (CLOS), `closID: "/"`
//!   schemata tasks
//!   CLOSID/                     the container's class: `closID`, or the container's id
//!     schemata tasks
//!     mon_groups/ID/            `enableMonitoring`
//! ```
//!
//! A process enters a group as it enters a v1 cgroup: it writes itself to `tasks`. What is made for one container is removed with it; a
//! class that the configuration names is not (runtime-spec, `intelRdt`).

mod stats;

use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxIntelRdt;
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, rmdir};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sys::Call;

use crate::Error;

pub use stats::{Stats, stats};

/// mountinfo grows with the host's mounts: 4 MiB are about 20 000 of them.
const LIMIT: usize = 4 << 20;
/// What the kernel has in a group for itself.
const TAKEN: [&str; 5] = [".", "..", "info", "mon_groups", "mon_data"];

/// A container's groups: first what they will be, to be recorded before anything is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// Folders that its processes enter, in this order.
    pub enter: Vec<PathBuf>,
    /// Those of them that are made for it alone.
    own: Vec<PathBuf>,
    /// The class is made here, if this one is to be.
    #[serde(skip)]
    new: Option<PathBuf>,
    /// What is written to the class's `schemata`, one after the other.
    #[serde(skip)]
    schemata: Vec<String>,
}

/// Groups that were made. Dropping them undoes that.
#[derive(Debug)]
pub struct Made(Vec<PathBuf>);

/// Where resctrl is mounted.
pub(crate) fn mounted() -> Option<PathBuf> {
    let file = openat(CWD, "/proc/self/mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    find(&String::from_utf8_lossy(&sys::fs::read_all(file, LIMIT).ok()?))
}

/// The first resctrl in a mountinfo file (proc_pid_mountinfo(5)) whose root it shows.
fn find(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (fields, rest) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (root, target) = (fields.next()?, fields.next()?);
        (rest.starts_with("resctrl ") && root == "/").then(|| PathBuf::from(target.replace("\\040", " ")))
    })
}

/// Checks what can be told without a look at the host.
pub(crate) fn check(asked: &LinuxIntelRdt) -> Result<(), Error> {
    let invalid = |field: &str, why: String| Err(Error::invalid(format!("linux.intelRdt.{field}"), why));
    if let Some(id) = asked.clos_id().as_deref().filter(|id| *id != "/" && !id.is_empty())
        && (id.contains(['/', '\0', '\n']) || TAKEN.contains(&id))
    {
        return invalid("closID", format!("{id:?} is no name of a class"));
    }
    let bandwidth = asked.mem_bw_schema().as_deref().unwrap_or_default();
    if !bandwidth.is_empty() && !bandwidth.starts_with("MB:") {
        return invalid("memBwSchema", format!("{bandwidth:?} does not start with MB:"));
    }
    let cache = asked.l3_cache_schema().as_deref().unwrap_or_default();
    let lines = asked.schemata().iter().flatten().map(|line| ("schemata", line.as_str()));
    for (field, line) in [("l3CacheSchema", cache), ("memBwSchema", bandwidth)].into_iter().chain(lines) {
        if line.contains(['\n', '\0']) {
            return invalid(field, format!("{line:?} is more than one line"));
        }
    }
    Ok(())
}

/// Plans the groups of the container `id` in the resctrl mounted at `root`. Nothing is made yet.
///
/// # Errors
/// [`Error::Invalid`] for a class that must be there and is not, or that has other values; [`Error::Rdt`] when it cannot be read.
pub fn plan(root: &Path, id: &str, asked: &LinuxIntelRdt) -> Result<Groups, Error> {
    check(asked)?;
    let named = asked.clos_id().as_deref().filter(|named| !named.is_empty());
    let class = match named {
        Some("/") => root.to_owned(),
        named => root.join(named.unwrap_or(id)),
    };
    let single = [asked.l3_cache_schema(), asked.mem_bw_schema()];
    let mut schemata: Vec<String> = single.into_iter().flatten().filter(|line| !line.is_empty()).cloned().collect();
    schemata.extend(asked.schemata().as_ref().filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n")));
    let there = class.is_dir();
    if let Some(named) = named {
        if !there && schemata.is_empty() {
            return Err(Error::invalid(
                "linux.intelRdt.closID",
                format!("there is no class {named:?}, and nothing to make it from"),
            ));
        }
        if there && !schemata.is_empty() {
            compare(&class, named, &schemata)?;
            schemata.clear();
        }
    }
    let mut groups = Groups { enter: vec![class.clone()], own: Vec::new(), new: (!there).then(|| class.clone()), schemata };
    groups.own.extend(groups.new.clone().filter(|_| named.is_none()));
    if asked.enable_monitoring() == &Some(true) {
        let group = class.join("mon_groups").join(id);
        groups.enter.push(group.clone());
        groups.own.push(group);
    }
    Ok(groups)
}

/// A class of that name must already be what the configuration wants.
fn compare(class: &Path, name: &str, wanted: &[String]) -> Result<(), Error> {
    let path = class.join("schemata");
    let text = openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .call(|| format!("open({path:?})"))
        .and_then(|file| sys::fs::read_all(file, LIMIT))
        .map_err(|source| Error::Rdt { path: path.clone(), source })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    match wanted.iter().flat_map(|lines| lines.lines()).find(|line| !holds(&text, line)) {
        None => Ok(()),
        Some(line) => {
            Err(Error::invalid("linux.intelRdt", format!("the class {name:?} is there, and its schemata are not {line:?}")))
        }
    }
}

/// Whether a `schemata` file says what a line says: resource, and a number for each domain. Blanks and leading zeros mean nothing.
fn holds(schemata: &str, line: &str) -> bool {
    let Some((resource, wanted)) = parts(line) else { return false };
    let Some((_, has)) = schemata.lines().filter_map(parts).find(|(known, _)| *known == resource) else { return false };
    wanted.iter().all(|domain| has.contains(domain))
}

fn parts(line: &str) -> Option<(&str, Vec<(u32, u64)>)> {
    let (resource, domains) = line.trim().split_once(':')?;
    let domain = |text: &str| {
        let (domain, value) = text.split_once('=')?;
        // Masks are hexadecimal, percentages are not: the same digits are the same number either way.
        Some((domain.trim().parse().ok()?, u64::from_str_radix(value.trim(), 16).ok()?))
    };
    Some((resource.trim(), domains.split(';').filter(|part| !part.trim().is_empty()).map(domain).collect::<Option<_>>()?))
}

impl Groups {
    /// Makes them.
    ///
    /// # Errors
    /// [`Error::Rdt`], with what the kernel says about it. Nothing is left then.
    pub fn make(&self) -> Result<Made, Error> {
        let mut made = Made(Vec::new());
        self.new.iter().try_for_each(|class| made.folder(class))?;
        self.schemata.iter().try_for_each(|lines| write(&self.enter[0], lines))?;
        self.own.iter().filter(|group| self.new.as_ref() != Some(group)).try_for_each(|group| made.folder(group))?;
        Ok(made)
    }

    /// Gives the class another share: lines of its `schemata`, as `l3CacheSchema` and `memBwSchema` of a configuration. What is empty stays.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a line that is none, and for what this host cannot share; [`Error::Rdt`], with what the kernel says.
    pub fn update(&self, cache: &str, bandwidth: &str) -> Result<(), Error> {
        let text = |line: &str| (!line.is_empty()).then(|| line.to_owned());
        let mut asked = LinuxIntelRdt::default();
        asked.set_l3_cache_schema(text(cache)).set_mem_bw_schema(text(bandwidth));
        check(&asked)?;
        let there = |resource: &str| self.root().join("info").join(resource).is_dir();
        let lines = [
            ("l3CacheSchema", cache, "L3", "Intel RDT/CAT: l3 cache schema"),
            ("memBwSchema", bandwidth, "MB", "Intel RDT/MBA: memory bandwidth schema"),
        ];
        let lines: Vec<_> = lines.into_iter().filter(|(_, line, ..)| !line.is_empty()).collect();
        if let Some((field, _, _, what)) = lines.iter().find(|(_, _, resource, _)| !there(resource)) {
            return Err(Error::invalid(format!("linux.intelRdt.{field}"), format!("{what} is not enabled")));
        }
        let text = lines.iter().map(|(_, line, ..)| *line).collect::<Vec<_>>().join("\n");
        if text.is_empty() { Ok(()) } else { write(&self.enter[0], &text) }
    }

    /// The top of the resctrl file system that they are in.
    fn root(&self) -> &Path {
        self.enter.first().map_or(Path::new("/"), |class| top(class))
    }

    /// Removes what was made for this container. What is not there is fine.
    ///
    /// # Errors
    /// [`Error::Rdt`].
    pub fn remove(&self) -> Result<(), Error> {
        self.own.iter().rev().try_for_each(|path| match rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::Rdt { path: path.clone(), source: sys::Error::new("rmdir()", errno) }),
        })
    }
}

impl Made {
    /// Lets them stay.
    pub fn keep(mut self) {
        self.0.clear();
    }

    fn folder(&mut self, path: &Path) -> Result<(), Error> {
        match mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
            Ok(()) => self.0.push(path.to_owned()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::Rdt { path: path.to_owned(), source: sys::Error::new("mkdir()", errno) }),
        }
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = rmdir(path);
        }
    }
}

/// Writes lines as one: the kernel takes all of them or none.
fn write(class: &Path, lines: &str) -> Result<(), Error> {
    let path = class.join("schemata");
    let file = openat(CWD, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).call(|| "open(O_WRONLY)");
    let written = file.and_then(|file| {
        let wrote = rustix::io::write(&file, format!("{lines}\n").as_bytes());
        wrote.call(|| format!("write({lines:?}){}", said(class).map(|said| format!(" [{said}]")).unwrap_or_default())).map(drop)
    });
    written.map_err(|source| Error::Rdt { path, source })
}

/// The top of a resctrl file system: only there is `info`.
fn top(class: &Path) -> &Path {
    class.ancestors().find(|path| path.join("info").is_dir()).unwrap_or(class)
}

/// What the kernel says about the last write that it refused.
fn said(class: &Path) -> io::Result<String> {
    std::fs::read_to_string(top(class).join("info/last_cmd_status")).map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(value: Value) -> LinuxIntelRdt {
        serde_json::from_value(value).unwrap()
    }

    /// A folder that looks like resctrl, but for what the kernel does when a folder is made.
    fn resctrl() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("gold/mon_groups")).unwrap();
        std::fs::create_dir_all(root.path().join("mon_groups")).unwrap();
        std::fs::write(root.path().join("gold/schemata"), "    L3:0=00ff;1=0f0\n    MB:0=100;1= 50\n").unwrap();
        std::fs::write(root.path().join("schemata"), "L3:0=fff;1=fff\n").unwrap();
        root
    }

    #[test]
    fn mountinfo_tells_where_it_is() {
        let info = "1 1 0:1 / /a rw - tmpfs tmpfs rw\n30 24 0:26 / /sys/fs/res\\040ctrl rw,nosuid shared:9 - resctrl resctrl rw\n";
        assert_eq!(find(info), Some("/sys/fs/res ctrl".into()));
        assert_eq!(find("30 24 0:26 /gold /mnt rw - resctrl resctrl rw\n"), None, "a part of it");
        assert_eq!(find("1 1 0:1 / /resctrl rw - tmpfs resctrl rw"), None);
    }

    #[test]
    fn a_class_of_its_own_goes_with_it() {
        let root = resctrl();
        let groups = plan(root.path(), "box", &asked(json!({}))).unwrap();
        assert_eq!((&groups.enter, &groups.own), (&vec![root.path().join("box")], &vec![root.path().join("box")]));
        groups.make().unwrap().keep();
        assert!(root.path().join("box").is_dir());
        let kept: Groups = serde_json::from_str(&serde_json::to_string(&groups).unwrap()).unwrap();
        kept.remove().unwrap();
        kept.remove().unwrap();
        assert!(!root.path().join("box").exists());
    }

    #[test]
    fn a_named_class_stays() {
        let root = resctrl();
        let same = json!({"closID": "gold", "l3CacheSchema": "L3:0=ff", "schemata": ["MB:1=50;0=100"], "enableMonitoring": true});
        let groups = plan(root.path(), "box", &asked(same)).unwrap();
        let monitor = root.path().join("gold/mon_groups/box");
        assert_eq!((&groups.enter, &groups.own), (&vec![root.path().join("gold"), monitor.clone()], &vec![monitor.clone()]));
        let made = groups.make().unwrap();
        assert!(monitor.is_dir());
        drop(made);
        assert!(!monitor.exists() && root.path().join("gold").is_dir());
        let text = std::fs::read_to_string(root.path().join("gold/schemata")).unwrap();
        assert!(text.starts_with("    L3:0=00ff"), "not written to: {text}");
        let default = plan(root.path(), "box", &asked(json!({"closID": "/", "enableMonitoring": true}))).unwrap();
        assert_eq!(default.enter, [root.path().to_owned(), root.path().join("mon_groups/box")]);
    }

    #[test]
    fn a_named_class_is_made_from_its_schemata() {
        let root = resctrl();
        let new = json!({"closID": "new", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "schemata": ["L2:0=1", "L2:1=2"]});
        let groups = plan(root.path(), "box", &asked(new)).unwrap();
        assert_eq!(groups.schemata, ["L3:0=f", "MB:0=20", "L2:0=1\nL2:1=2"]);
        assert!(groups.own.is_empty() && groups.new.is_some());
        // The kernel would have made the file.
        let error = groups.make().unwrap_err();
        assert!(matches!(&error, Error::Rdt { path, .. } if path.ends_with("new/schemata")), "{error:?}");
        assert!(!root.path().join("new").exists(), "undone");
    }

    #[test]
    fn shares_are_changed() {
        let root = resctrl();
        std::fs::create_dir_all(root.path().join("info/L3")).unwrap();
        let groups = plan(root.path(), "box", &asked(json!({"closID": "gold"}))).unwrap();
        groups.update("L3:0=f;1=f", "").unwrap();
        let text = std::fs::read_to_string(root.path().join("gold/schemata")).unwrap();
        assert!(text.starts_with("L3:0=f;1=f\n"), "{text}");
        groups.update("", "").unwrap();
        for (cache, bandwidth, why) in [
            ("", "MB:0=5", "linux.intelRdt.memBwSchema: Intel RDT/MBA: memory bandwidth schema is not enabled"),
            ("", "L3:0=5", "linux.intelRdt.memBwSchema: \"L3:0=5\" does not start with MB:"),
            ("L3:0=f\nMB:0=1", "", "linux.intelRdt.l3CacheSchema: \"L3:0=f\\nMB:0=1\" is more than one line"),
        ] {
            assert_eq!(groups.update(cache, bandwidth).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let root = resctrl();
        for (value, expected) in [
            (json!({"closID": "none"}), "linux.intelRdt.closID: there is no class \"none\", and nothing to make it from"),
            (
                json!({"closID": "gold", "l3CacheSchema": "L3:0=f"}),
                "linux.intelRdt: the class \"gold\" is there, and its schemata are not \"L3:0=f\"",
            ),
            (json!({"closID": "gold", "schemata": ["L2:0=f"]}), "linux.intelRdt: the class \"gold\" is there"),
            (json!({"closID": "../x"}), "linux.intelRdt.closID: \"../x\" is no name of a class"),
            (json!({"closID": "info"}), "linux.intelRdt.closID: \"info\" is no name of a class"),
            (json!({"memBwSchema": "L3:0=f"}), "linux.intelRdt.memBwSchema: \"L3:0=f\" does not start with MB:"),
            (json!({"l3CacheSchema": "L3:0=f\nMB:0=1"}), "linux.intelRdt.l3CacheSchema: \"L3:0=f\\nMB:0=1\" is more than one line"),
            (json!({"schemata": ["L3:0=f\n"]}), "linux.intelRdt.schemata: \"L3:0=f\\n\" is more than one line"),
        ] {
            let error = plan(root.path(), "box", &asked(value)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let monitor = plan(root.path(), "box", &asked(json!({"enableMonitoring": true}))).unwrap();
        assert!(matches!(monitor.make(), Err(Error::Rdt { .. })), "this file system has no monitoring");
        assert!(!root.path().join("box").exists(), "undone");
    }
}
