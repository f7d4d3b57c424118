//! Devices by name: `vendor.com/class=name`, which the host's administrator or a driver describes in files (Container Device Interface,
//! <https://github.com/cncf-tags/container-device-interface>). A description is JSON or YAML: variables, nodes, mounts, groups, and programs
//! of the host, hooks, that do the rest: the only programs that are run beside a container, as the description says and not the image.

use std::fs;
use std::path::{Path, PathBuf};

use launch::Hook;
use monitor::Point;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, Mount, Spec};
use rustix::fs::{FileType, major, minor, stat};
use serde::Deserialize;
use serde_json::Value;
use sys::Call;

use super::devices::rule;
use crate::environment::environment;
use crate::error::During;
use crate::{Error, Record};

/// Where descriptions are. One in a later folder takes the place of those in earlier ones.
const FOLDERS: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// A file of descriptions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    kind: String,
    #[serde(default)]
    devices: Vec<Device>,
    /// What each of them needs.
    #[serde(default)]
    container_edits: Edits,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    #[serde(default)]
    container_edits: Edits,
}

/// What a container gets with a device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Edits {
    env: Vec<String>,
    device_nodes: Vec<Node>,
    mounts: Vec<Shown>,
    #[serde(rename = "additionalGids")]
    groups: Vec<u32>,
    hooks: Vec<Run>,
    net_devices: Vec<Value>,
    intel_rdt: Option<Value>,
}

/// A program.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    hook_name: String,
    path: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    timeout: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    path: PathBuf,
    host_path: Option<PathBuf>,
    permissions: Option<String>,
    file_mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    host_path: PathBuf,
    container_path: PathBuf,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    options: Vec<String>,
}

/// Refuses names that nothing describes, and descriptions that cannot be followed.
pub(super) fn check(names: &[String]) -> Result<(), Error> {
    if names.is_empty() { Ok(()) } else { wanted(names).map(drop) }
}

/// Whether a file of this host describes the device. One that cannot be read may.
pub(crate) fn is_described(name: &str) -> Result<bool, Error> {
    let (kind, own) = name.split_once('=').unwrap_or((name, ""));
    let describes = |file: Described| file.kind == kind && file.devices.iter().any(|device| device.name == own);
    for folder in FOLDERS {
        if described(Path::new(folder))?.iter().any(|(path, text)| read(path, text).map_or(true, describes)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where in a container something of devices is mounted.
pub(crate) fn places(names: &[String]) -> Result<Vec<PathBuf>, Error> {
    let all = if names.is_empty() { Vec::new() } else { wanted(names)? };
    Ok(all.into_iter().flat_map(|(_, edits)| edits.mounts).map(|mount| mount.container_path).collect())
}

/// The nodes that devices have, as they are on the host now, and the rules that allow their use.
pub(super) fn nodes(names: &[String]) -> Result<(Vec<LinuxDevice>, Vec<LinuxDeviceCgroup>), Error> {
    let (mut nodes, mut rules) = (Vec::new(), Vec::new());
    for (name, edits) in if names.is_empty() { Vec::new() } else { wanted(names)? } {
        for node in &edits.device_nodes {
            let made = made(&name, node)?;
            let access = node.permissions.as_deref().filter(|text| !text.is_empty()).unwrap_or("rwm");
            rules.push(rule(made.typ(), Some(made.major()), Some(made.minor()), access));
            nodes.push(made);
        }
    }
    Ok((nodes, rules))
}

/// The configuration of a container with all else that its devices want.
pub(crate) fn shown(record: &Record, mut spec: Spec) -> Result<Spec, Error> {
    let names = &record.tuning.cdi;
    if names.is_empty() {
        return Ok(spec);
    }
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    for (_, edits) in wanted(names)? {
        if let Some(process) = spec.process_mut() {
            // What the user sets stays.
            let own = process.env().clone().unwrap_or_default();
            process.set_env(Some(environment(&edits.env, &own)));
            let mut user = process.user().clone();
            let mut groups = user.additional_gids().clone().unwrap_or_default();
            groups.extend(edits.groups.iter().filter(|group| **group != 0));
            user.set_additional_gids(Some(groups));
            process.set_user(user);
        }
        for wanted in edits.mounts {
            mounts.retain(|mount| *mount.destination() != wanted.container_path);
            let mut mount = Mount::default();
            let options = if wanted.options.is_empty() { vec!["rbind".to_owned(), "rprivate".to_owned()] } else { wanted.options };
            mount.set_destination(wanted.container_path).set_source(Some(wanted.host_path));
            mount.set_typ(Some(wanted.kind.unwrap_or_else(|| "bind".to_owned()))).set_options(Some(options));
            mounts.push(mount);
        }
    }
    // A folder before what is below it.
    mounts.sort_by_key(|mount| mount.destination().components().count());
    spec.set_mounts(Some(mounts));
    Ok(spec)
}

/// The programs that devices want to be run, and when.
pub(crate) fn hooks(names: &[String]) -> Result<Vec<(Point, Hook)>, Error> {
    let mut all = Vec::new();
    for (_, edits) in if names.is_empty() { Vec::new() } else { wanted(names)? } {
        let hook = |Run { hook_name, path, args, env, timeout }| Some((point(&hook_name)?, Hook { path, args, env, timeout }));
        all.extend(edits.hooks.into_iter().filter_map(hook));
    }
    Ok(all)
}

/// A point of a container's life, as descriptions call it. Nothing waits for what runs after the start, so nothing could be told of its failure.
fn point(name: &str) -> Option<Point> {
    let all = [Point::Prestart, Point::CreateRuntime, Point::CreateContainer, Point::StartContainer, Point::Poststop];
    all.into_iter().find(|point| point.to_string() == name)
}

/// What each name means on this host.
fn wanted(names: &[String]) -> Result<Vec<(String, Edits)>, Error> {
    let mut files = Vec::new();
    for (at, folder) in FOLDERS.iter().enumerate() {
        for path in described(Path::new(folder))? {
            files.push((at, path));
        }
    }
    find(&files, names)
}

/// The files of a folder, by name.
fn described(folder: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "json" || end == "yaml" || end == "yml") {
            let text = fs::read_to_string(&path).call(|| format!("read({path:?})")).during(|| "read descriptions of devices")?;
            found.push((path, text));
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path, text: &str) -> Result<Described, String> {
    match path.extension().is_some_and(|end| end == "json") {
        true => serde_json::from_str(text).map_err(|error| error.to_string()),
        // With more than a line about where it is wrong.
        false => serde_saphyr::from_str(text).map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

/// Looks names up in files, each with the place of its folder.
fn find(files: &[(usize, (PathBuf, String))], names: &[String]) -> Result<Vec<(String, Edits)>, Error> {
    let mut all = Vec::new();
    let mut kinds = Vec::new();
    let refused = |name: &str, why: String| Err(Error::Invalid { what: format!("device {name}"), why });
    let mut unread = None;
    for (at, (path, text)) in files {
        match read(path, text) {
            Ok(file) => all.push((*at, path, file)),
            // Another one may be meant.
            Err(why) => unread = Some(format!("{}: {why}", path.display())),
        }
    }
    let mut found = Vec::new();
    for name in names {
        let (kind, own) = name.split_once('=').unwrap_or((name, ""));
        let fitting = all.iter().filter(|(_, _, file)| file.kind == kind);
        let fitting = fitting.flat_map(|(at, path, file)| file.devices.iter().map(move |device| (*at, *path, file, device)));
        let fitting: Vec<_> = fitting.filter(|(.., device)| device.name == own).collect();
        let Some(last) = fitting.iter().map(|(at, ..)| *at).max() else {
            let why = format!("no file in {} describes it", FOLDERS.join(" or "));
            let unread = unread.as_ref().map(|what| format!(" (not read: {what})")).unwrap_or_default();
            return refused(name, why + &unread);
        };
        let mut fitting = fitting.into_iter().filter(|(at, ..)| *at == last);
        let (Some((_, path, file, device)), other) = (fitting.next(), fitting.next()) else { continue };
        if let Some((_, other, ..)) = other {
            return refused(name, format!("{} and {} describe it", path.display(), other.display()));
        }
        // What all devices of a file need comes once.
        let common = Some(&file.container_edits).filter(|_| !kinds.contains(path));
        kinds.push(path.clone());
        for edits in common.into_iter().chain([&device.container_edits]) {
            if let Some(problem) = edits.problem() {
                return refused(name, format!("{}: {problem}", path.display()));
            }
            found.push((name.clone(), edits.clone()));
        }
    }
    Ok(found)
}

impl Edits {
    /// What of it cannot be done.
    fn problem(&self) -> Option<String> {
        let paths = self.device_nodes.iter().map(|node| &node.path);
        let paths = paths.chain(self.mounts.iter().flat_map(|mount| [&mount.host_path, &mount.container_path]));
        let access = |text: &str| text.chars().all(|letter| "rwm".contains(letter));
        let mut broken = paths.filter(|path| !path.is_absolute() || path.components().any(|part| part.as_os_str() == ".."));
        let strange = |hook: &&Run| !hook.path.is_absolute() || point(&hook.hook_name).is_none();
        if let Some(Run { hook_name, path, .. }) = self.hooks.iter().find(strange) {
            let why =
                "it is to be an absolute path, and run at prestart, createRuntime, createContainer, startContainer or poststop";
            return Some(format!("the {hook_name} hook {}: {why}", path.display()));
        }
        if !self.net_devices.is_empty() || self.intel_rdt.is_some() {
            return Some("it wants network devices or Intel RDT, which are not supported".to_owned());
        }
        if let Some(node) = self.device_nodes.iter().find(|node| node.permissions.as_deref().is_some_and(|text| !access(text))) {
            return Some(format!(
                "{:?} are no permissions: they are made of r, w and m",
                node.permissions.as_deref().unwrap_or_default()
            ));
        }
        if let Some(entry) = self.env.iter().find(|entry| !entry.contains('=')) {
            return Some(format!("{entry:?} is no variable"));
        }
        broken.next().map(|path| format!("{} is no absolute path", path.display()))
    }
}

/// A node as the host has it, with what the description says otherwise.
fn made(name: &str, node: &Node) -> Result<LinuxDevice, Error> {
    let host = node.host_path.as_ref().unwrap_or(&node.path);
    let what = || format!("device {name}");
    let data = stat(host).call(|| format!("stat({host:?})")).during(what)?;
    let kind = match FileType::from_raw_mode(data.st_mode) {
        FileType::CharacterDevice => LinuxDeviceType::C,
        FileType::BlockDevice => LinuxDeviceType::B,
        _ => return Err(Error::Invalid { what: what(), why: format!("{} is no device", host.display()) }),
    };
    let mut made = LinuxDevice::default();
    made.set_path(node.path.clone())
        .set_typ(kind)
        .set_major(i64::from(major(data.st_rdev)))
        .set_minor(i64::from(minor(data.st_rdev)))
        .set_file_mode(Some(node.file_mode.unwrap_or(data.st_mode & 0o7777)))
        .set_uid(Some(node.uid.unwrap_or(data.st_uid)))
        .set_gid(Some(node.gid.unwrap_or(data.st_gid)));
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(at: usize, name: &str, text: &str) -> (usize, (PathBuf, String)) {
        (at, (name.into(), text.to_owned()))
    }

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const A: &str = r#"{"cdiVersion": "0.6.0", "kind": "v.com/gpu", "containerEdits": {"env": ["ALL=1"]}, "devices": [
        {"name": "0", "containerEdits": {"env": ["ONE=1"], "deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/null"}]}},
        {"name": "1", "containerEdits": {"mounts": [{"hostPath": "/h", "containerPath": "/c", "options": ["ro", "bind"]}]}}]}"#;

    #[test]
    fn descriptions_are_found() {
        let files = [file(0, "/etc/cdi/a.json", A), file(0, "/etc/cdi/z.yaml", "kind: [x")];
        let found = find(&files, &named(&["v.com/gpu=0", "v.com/gpu=1"])).unwrap();
        let env: Vec<_> = found.iter().flat_map(|(_, edits)| edits.env.clone()).collect();
        assert_eq!((env, found.len()), (named(&["ALL=1", "ONE=1"]), 3));
        let why = |names: &[&str]| find(&files, &named(names)).unwrap_err().to_string();
        assert!(why(&["v.com/gpu=2"]).contains("z.yaml") && why(&["other.com/gpu=0"]).contains("device other.com/gpu=0"));
    }

    /// As nvidia-ctk(1) writes them.
    #[test]
    fn descriptions_may_be_yaml() {
        let text = "---\ncdiVersion: 0.5.0\nkind: v.com/gpu\ncontainerEdits:\n  env:\n  - ALL=void\n  hooks:\n  - args:\n    - hook\n    - --link\n    \
            - ../lib.so.1::/usr/lib/lib.so\n    hookName: createContainer\n    path: /usr/bin/hook\ndevices:\n- containerEdits:\n    deviceNodes:\n    \
            - path: /dev/x0\n      fileMode: 438\n  name: \"0\"\n";
        let found = find(&[file(0, "/etc/cdi/v.yaml", text)], &named(&["v.com/gpu=0"])).unwrap();
        let (common, own) = (&found[0].1, &found[1].1);
        assert_eq!(
            (common.env.as_slice(), &common.hooks[0].args[2]),
            (&named(&["ALL=void"])[..], &"../lib.so.1::/usr/lib/lib.so".to_owned())
        );
        assert_eq!((own.device_nodes[0].file_mode, point(&common.hooks[0].hook_name)), (Some(438), Some(Point::CreateContainer)));
    }

    #[test]
    fn later_folders_win_and_two_of_one_are_a_conflict() {
        let later = A.replace("ONE=1", "ONE=2");
        let found = find(&[file(0, "/etc/a.json", A), file(1, "/var/a.json", &later)], &named(&["v.com/gpu=0"])).unwrap();
        assert_eq!(found[1].1.env, named(&["ONE=2"]));
        let twice = find(&[file(0, "/etc/a.json", A), file(0, "/etc/b.json", A)], &named(&["v.com/gpu=0"])).unwrap_err();
        assert!(twice.to_string().contains("/etc/a.json and /etc/b.json"), "{twice}");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (edits, why) in [
            (r#"{"hooks": [{"hookName": "poststart", "path": "/usr/bin/x"}]}"#, "the poststart hook /usr/bin/x"),
            (r#"{"hooks": [{"hookName": "createContainer", "path": "bin/x"}]}"#, "bin/x: it is to be an absolute path"),
            (r#"{"deviceNodes": [{"path": "dev/x"}]}"#, "no absolute path"),
            (r#"{"mounts": [{"hostPath": "/a/../b", "containerPath": "/c"}]}"#, "no absolute path"),
            (r#"{"deviceNodes": [{"path": "/dev/x", "permissions": "z"}]}"#, "permissions"),
            (r#"{"env": ["A"]}"#, "no variable"),
            (r#"{"intelRdt": {}}"#, "RDT"),
        ] {
            let text = format!(r#"{{"kind": "v.com/x", "devices": [{{"name": "a", "containerEdits": {edits}}}]}}"#);
            let error = find(&[file(0, "/etc/a.json", &text)], &named(&["v.com/x=a"])).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
