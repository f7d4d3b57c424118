//! `--mount type=…,source=…,target=…,…`.

use std::path::{Component, Path, PathBuf};

use engine::{Access, Mount, MountSource, Propagation, VolumeSpec};

use super::{csv, host, plain, target, tmpfs};
use crate::parse;

const FORM: &str = "the form is type=bind|volume|tmpfs|image,source=…,target=/CONTAINER/PATH[,KEY=VALUE...]";

/// A mount in its long form.
pub(crate) fn mount(text: &str) -> Result<Mount, String> {
    let fields = csv::fields(text);
    let parsed = fields.and_then(|fields| {
        let mut given = Given::default();
        fields.iter().try_for_each(|field| given.set(field))?;
        given.mount()
    });
    parsed.map_err(|why| format!("{text:?}: {why}; {FORM}"))
}

/// What was given. The type may come last, so that nothing is decided before the end.
#[derive(Default)]
struct Given {
    kind: Option<String>,
    source: Option<String>,
    target: Option<PathBuf>,
    readonly: bool,
    chown: bool,
    idmap: Option<String>,
    propagation: Option<Propagation>,
    recursive: Option<Recursive>,
    create: bool,
    nocopy: bool,
    subpath: Option<PathBuf>,
    spec: VolumeSpec,
    tmpfs: Vec<String>,
    /// Keys of one type only, by the type.
    only: Vec<(&'static str, String)>,
}

/// `bind-recursive`.
#[derive(Clone, Copy, PartialEq)]
enum Recursive {
    /// With all below, which becomes read-only where the mount is.
    Enabled,
    /// Only itself.
    Disabled,
    /// With all below, which can be written if it can be on the host.
    Writable,
    /// With all below, all of it read-only.
    Readonly,
}

impl Given {
    fn set(&mut self, field: &str) -> Result<(), String> {
        let (key, value) = field.split_once('=').map_or((field, None), |(key, value)| (key, Some(value)));
        let some = || value.filter(|value| !value.is_empty()).ok_or_else(|| format!("{key} has no value"));
        let flag =
            || value.map_or(Ok(true), |value| truth(value).ok_or_else(|| format!("{key}={value} is neither true nor false")));
        if let Some((kind, _)) = key.split_once('-').filter(|(kind, _)| KINDS.contains(kind)) {
            let kind = KINDS.iter().find(|known| **known == kind).unwrap_or(&"");
            self.only.push((kind, key.to_owned()));
        }
        match key {
            "type" => self.kind = Some(some()?.to_lowercase()),
            "source" | "src" => self.source = Some(some()?.to_owned()),
            "target" | "dst" | "destination" => self.target = Some(target(some()?)?),
            "readonly" | "ro" => self.readonly = flag()?,
            "rw" | "readwrite" => self.readonly = !flag()?,
            "chown" | "U" => self.chown = flag()?,
            "idmap" => self.idmap = Some(value.unwrap_or_default().to_owned()),
            "consistency" | "relabel" => drop(some()?),
            "bind-propagation" => self.propagation = Some(some()?.parse()?),
            "bind-nonrecursive" => self.recursive = flag()?.then_some(Recursive::Disabled),
            "bind-recursive" => self.recursive = Some(recursive(some()?)?),
            "bind-create-src" => self.create = flag()?,
            "volume-nocopy" => self.nocopy = flag()?,
            "volume-subpath" | "image-subpath" | "subpath" => self.subpath = Some(relative(some()?)?),
            "volume-label" => insert(&mut self.spec.labels, some()?),
            "volume-opt" => insert(&mut self.spec.options, some()?),
            "volume-driver" if some()? == "local" => {}
            "volume-driver" => return Err(format!("there is no volume driver {:?}: there is local", some()?)),
            "tmpfs-size" => {
                let bytes = parse::bytes(some()?)?;
                self.tmpfs.push(format!("size={bytes}"));
            }
            "tmpfs-mode" => {
                let mode = format!("mode={}", some()?);
                tmpfs::check(&mode)?;
                self.tmpfs.push(mode);
            }
            _ => return Err(format!("unknown key {key:?}")),
        }
        Ok(())
    }

    fn mount(self) -> Result<Mount, String> {
        let kind = self.kind.as_deref().unwrap_or("volume");
        if !KINDS.contains(&kind) {
            return Err(format!("there is no type {kind:?}"));
        }
        if let Some((_, key)) = self.only.iter().find(|(of, _)| *of != kind) {
            return Err(format!("{key} does not go with type={kind}"));
        }
        if self.subpath.is_some() && !matches!(kind, "volume" | "image") {
            return Err(format!("subpath does not go with type={kind}"));
        }
        let target = self.target.clone().ok_or("the target is missing")?;
        let source = self.kind_of_source(kind)?;
        let mut mount = plain(target, source);
        mount.access = self.access(kind)?;
        mount.propagation = self.propagation;
        if self.chown && !matches!(kind, "bind" | "volume") || self.idmap.is_some() && kind == "tmpfs" {
            return Err(format!("chown and idmap do not go with type={kind}"));
        }
        (mount.chown, mount.idmap) = (self.chown, self.idmap);
        Ok(mount)
    }

    fn access(&self, kind: &str) -> Result<Access, String> {
        let private = matches!(self.propagation, None | Some(Propagation::RPrivate));
        match (self.readonly || kind == "image", self.recursive) {
            (false, Some(Recursive::Writable | Recursive::Readonly)) => {
                Err("bind-recursive=writable and =readonly are for a read-only mount: add readonly".to_owned())
            }
            (_, Some(Recursive::Readonly)) if !private => Err("bind-recursive=readonly needs bind-propagation=rprivate".to_owned()),
            (false, _) => Ok(Access::Write),
            (true, Some(Recursive::Writable)) => Ok(Access::ReadTop),
            (true, _) => Ok(Access::Read),
        }
    }

    fn kind_of_source(&self, kind: &str) -> Result<MountSource, String> {
        let source = self.source.clone();
        let missing = || format!("the source is missing, which type={kind} needs");
        Ok(match kind {
            "bind" => {
                let text = source.ok_or_else(missing)?;
                let path = host(&text)?.ok_or_else(|| format!("the source {text:?} is no absolute path"))?;
                MountSource::Bind { path, create: self.create, recursive: self.recursive != Some(Recursive::Disabled), part: None }
            }
            "tmpfs" if source.is_some() => return Err("type=tmpfs has no source".to_owned()),
            "tmpfs" => MountSource::Tmpfs {
                options: self.tmpfs.iter().cloned().chain(self.readonly.then(|| "ro".to_owned())).collect(),
                short: false,
            },
            "image" => MountSource::Image {
                name: source.ok_or_else(missing)?,
                subpath: self.subpath.clone(),
                manifest: None,
                layers: Vec::new(),
            },
            _ => {
                let name = source.unwrap_or_default();
                if name.is_empty() && self.subpath.is_some() {
                    return Err("volume-subpath needs a volume with a name: add source".to_owned());
                }
                if !name.is_empty() {
                    engine::check_volume_name(&name).map_err(|error| error.to_string())?;
                }
                MountSource::Volume {
                    anonymous: name.is_empty(),
                    name,
                    copy: !self.nocopy,
                    subpath: self.subpath.clone(),
                    spec: self.spec.clone(),
                }
            }
        })
    }
}

const KINDS: [&str; 4] = ["bind", "volume", "tmpfs", "image"];

fn insert(map: &mut std::collections::BTreeMap<String, String>, text: &str) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    map.insert(key.to_owned(), value.to_owned());
}

/// What Go's `strconv.ParseBool` reads.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn recursive(text: &str) -> Result<Recursive, String> {
    match text {
        "enabled" => Ok(Recursive::Enabled),
        "disabled" => Ok(Recursive::Disabled),
        "writable" => Ok(Recursive::Writable),
        "readonly" => Ok(Recursive::Readonly),
        _ => Err(format!("bind-recursive={text:?}: there are enabled, disabled, writable and readonly")),
    }
}

/// A place in a volume or an image.
fn relative(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    match path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        true => Ok(path.components().filter(|part| *part != Component::CurDir).collect()),
        false => Err(format!("the subpath {text:?} is no relative path without ..")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_types() {
        let bind = mount("type=bind,src=/a,dst=/b,readonly").unwrap();
        assert_eq!(bind.source, MountSource::Bind { path: "/a".into(), create: false, recursive: true, part: None });
        assert_eq!((bind.target.as_path(), bind.access), (Path::new("/b"), Access::Read));
        let volume =
            mount(r#"source=data,target=/b,volume-nocopy,volume-label=a=b,volume-driver=local,"volume-opt=o=x,y",ro=false"#);
        let MountSource::Volume { name, anonymous: false, copy: false, spec, .. } = volume.unwrap().source else { panic!() };
        assert_eq!((name.as_str(), spec.labels["a"].as_str(), spec.options["o"].as_str()), ("data", "b", "x,y"));
        let tmpfs = mount("type=tmpfs,destination=/b,tmpfs-size=64m,tmpfs-mode=1770,ro").unwrap();
        let options = ["size=67108864", "mode=1770", "ro"].map(str::to_owned).to_vec();
        assert_eq!(tmpfs.source, MountSource::Tmpfs { options, short: false });
        let image = mount("type=image,source=busybox,target=/b,image-subpath=bin/x").unwrap();
        let MountSource::Image { name, subpath, .. } = image.source else { panic!() };
        assert_eq!((name.as_str(), subpath, image.access), ("busybox", Some("bin/x".into()), Access::Read));
        assert!(matches!(mount("target=/b").unwrap().source, MountSource::Volume { anonymous: true, .. }));
    }

    #[test]
    fn recursive_or_not() {
        let made = |rest: &str| mount(&format!("type=bind,src=/a,dst=/b,{rest}"));
        let access = |rest: &str| made(rest).map(|mount| mount.access);
        assert_eq!(access("ro,bind-recursive=writable"), Ok(Access::ReadTop));
        assert_eq!(access("ro,bind-recursive=readonly,bind-propagation=rprivate"), Ok(Access::Read));
        assert!(
            access("ro,bind-recursive=readonly,bind-propagation=rslave").is_err() && access("bind-recursive=readonly").is_err()
        );
        for once in ["bind-nonrecursive", "bind-nonrecursive=true", "bind-recursive=disabled"] {
            assert!(matches!(made(once).unwrap().source, MountSource::Bind { recursive: false, .. }), "{once}");
        }
    }

    #[test]
    fn what_makes_no_sense() {
        for (text, why) in [
            ("type=bind,src=/a", "target is missing"),
            ("type=bind,dst=/b", "source is missing"),
            ("type=bind,src=a,dst=/b", "no absolute path"),
            ("type=npipe,dst=/b", "no type \"npipe\""),
            ("type=tmpfs,src=/a,dst=/b", "has no source"),
            ("type=tmpfs,dst=/b,volume-nocopy", "volume-nocopy does not go with type=tmpfs"),
            ("type=volume,src=a,dst=/b,bind-propagation=rslave", "does not go with type=volume"),
            ("type=volume,dst=/b,volume-subpath=x", "needs a volume with a name"),
            ("type=volume,src=ab,dst=/b,volume-subpath=../x", "without .."),
            ("type=volume,src=ab,dst=/b,volume-driver=nfs", "no volume driver \"nfs\""),
            ("type=bind,src=/a,dst=/b,subpath=x", "subpath does not go"),
            ("type=bind,src=/a,dst=/b,colour=red", "unknown key \"colour\""),
            ("type=bind,src=/a,dst=/b,ro=maybe", "neither true nor false"),
            ("type=bind,src=/a,dst=/b,bind-propagation=x", "no propagation"),
            ("type=tmpfs,dst=/b,tmpfs-mode=99", "octal"),
            ("type=tmpfs,dst=/b,tmpfs-size=x", "no size"),
            ("type=bind,src=,dst=/b", "src has no value"),
            ("\"type=bind", "quote is not closed"),
            ("", "unknown key"),
        ] {
            let error = mount(text).unwrap_err();
            assert!(error.contains(why) && error.contains("the form is type="), "{text}: {error}");
        }
    }
}
