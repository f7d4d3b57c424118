//! From the files to the units of systemd, and how files are known to each other. Nothing is read or written here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::keys::{self, Keys};
use super::syntax::Unit;
use super::{build, container, image, install, network, volume};

/// What a file is about: its extension says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Container,
    Volume,
    Network,
    Image,
    Build,
}

/// Kinds that Podman has besides, and why rctr has not.
const OTHERS: [(&str, &str); 3] = [
    ("pod", "rctr has no pods; containers of one NAME.network find each other by name"),
    ("kube", "rctr has no pods; noded runs those of Kubernetes"),
    ("artifact", "rctr has no artifacts"),
];

impl Kind {
    const ALL: [Kind; 5] = [Kind::Container, Kind::Volume, Kind::Network, Kind::Image, Kind::Build];

    /// The extension of its files.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Kind::Container => "container",
            Kind::Volume => "volume",
            Kind::Network => "network",
            Kind::Image => "image",
            Kind::Build => "build",
        }
    }

    /// The section that is its own.
    pub(super) fn section(self) -> &'static str {
        match self {
            Kind::Container => "Container",
            Kind::Volume => "Volume",
            Kind::Network => "Network",
            Kind::Image => "Image",
            Kind::Build => "Build",
        }
    }

    fn of(extension: &str) -> Result<Kind, String> {
        let why = OTHERS.iter().find(|(name, _)| *name == extension).map_or("no such kind", |(_, why)| why);
        Kind::ALL.into_iter().find(|kind| kind.extension() == extension).ok_or_else(|| format!("not supported: {why}"))
    }

    /// What service a file of this name becomes, without its own word about it.
    fn service(self, stem: &str) -> String {
        if self == Kind::Container {
            return stem.to_owned();
        }
        let (name, instance) = stem.split_at(stem.find('@').unwrap_or(stem.len()));
        format!("{name}-{}{instance}", self.extension())
    }
}

/// Whether files of this extension are of some kind of Podman's.
pub(super) fn is_one(extension: &str) -> bool {
    OTHERS.iter().any(|(name, _)| *name == extension) || Kind::of(extension).is_ok()
}

/// A file with its drop-ins.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// What it says, or why it cannot be read.
    pub(crate) unit: Result<Unit, String>,
}

/// What is known of this host.
pub(crate) struct Host<'a> {
    /// This program, as units call it.
    pub(crate) program: &'a str,
    /// Whether a file is there.
    pub(crate) exists: &'a dyn Fn(&Path) -> bool,
}

/// What a file has become.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// `NAME.service`.
    pub(crate) name: String,
    pub(crate) text: String,
    /// Links to be made in the folder of units: where, and what they say.
    pub(crate) links: Vec<(String, String)>,
}

/// Makes a unit of each file, or says why it cannot be.
pub(crate) fn services(sources: &[Source], host: &Host<'_>) -> Vec<(PathBuf, Result<Service, String>)> {
    let known = known(sources);
    sources.iter().map(|source| (source.path.clone(), service(source, &known, host))).collect()
}

/// How a file is known to others, by its name.
struct Known {
    /// `NAME.service`.
    service: String,
    /// The name of its container, volume, network or image.
    resource: String,
}

fn known(sources: &[Source]) -> BTreeMap<String, Known> {
    let of = |source: &Source| {
        let (name, stem, kind) = named(&source.path).ok()?;
        let unit = source.unit.as_ref().ok()?;
        let service = unit.last(kind.section(), "ServiceName").map_or_else(|| kind.service(stem), str::to_owned);
        let resource = match kind {
            Kind::Container => container::resource(unit, &service),
            Kind::Volume => resource(unit.last("Volume", "VolumeName"), stem),
            Kind::Network => resource(unit.last("Network", "NetworkName"), stem),
            Kind::Image => unit.last("Image", "ImageTag").or(unit.last("Image", "Image")).unwrap_or_default().to_owned(),
            Kind::Build => unit.last("Build", "ImageTag").unwrap_or_default().to_owned(),
        };
        Some((name.to_owned(), Known { service: format!("{service}.service"), resource }))
    };
    sources.iter().filter_map(of).collect()
}

/// Its own name, or one that is nobody else's. In a template the instance is part of it.
fn resource(own: Option<&str>, stem: &str) -> String {
    own.map_or_else(|| format!("systemd-{}", stem.replace('@', if stem.ends_with('@') { "-%i" } else { "-" })), str::to_owned)
}

/// A file's name, that without its extension, and its kind.
fn named(path: &Path) -> Result<(&str, &str, Kind), String> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("its name is no text")?;
    let (stem, extension) = name.rsplit_once('.').ok_or("its name has no extension")?;
    Ok((name, stem, Kind::of(extension)?))
}

/// A unit in the making.
pub(super) struct Making<'a> {
    pub(super) unit: Unit,
    pub(super) program: &'a str,
    /// The name of what it makes.
    pub(super) resource: String,
    kind: Kind,
    folder: &'a Path,
    known: &'a BTreeMap<String, Known>,
    host: &'a Host<'a>,
}

fn service(source: &Source, known: &BTreeMap<String, Known>, host: &Host<'_>) -> Result<Service, String> {
    let (name, _, kind) = named(&source.path)?;
    let unit = source.unit.clone()?;
    if !unit.has(kind.section()) {
        return Err(format!("it has no section [{}]", kind.section()));
    }
    let Known { service, resource } = &known[name];
    if service.contains('/') {
        return Err(format!("ServiceName={}: no name of a unit", service.trim_end_matches(".service")));
    }
    let folder = source.path.parent().unwrap_or(Path::new("/"));
    let mut making = Making { unit, program: host.program, resource: resource.clone(), kind, folder, known, host };
    making.depends()?;
    match kind {
        Kind::Container => container::service(&mut making)?,
        Kind::Volume => volume::service(&mut making)?,
        Kind::Network => network::service(&mut making)?,
        Kind::Image => image::service(&mut making)?,
        Kind::Build => build::service(&mut making)?,
    }
    let mut unit = making.unit;
    // Whatever host root's commands are for: a unit is for its own.
    unit.add_first("Service", &[("Environment", "RCTR_CONTEXT=default")]);
    let links = install::links(&unit, service)?;
    unit.add_default("Unit", "SourcePath", &source.path.to_string_lossy());
    unit.rename(kind.section(), &format!("X-{}", kind.section()));
    unit.rename("Quadlet", "X-Quadlet");
    let text =
        format!("# Made by rctr-generator of {}: change that, then call systemctl daemon-reload.\n{unit}", source.path.display());
    Ok(Service { name: service.clone(), text, links })
}

impl<'a> Making<'a> {
    pub(super) fn keys<'u>(&self, unit: &'u Unit) -> Keys<'u>
    where
        'a: 'u,
    {
        Keys { unit, section: self.kind.section(), folder: self.folder }
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        (self.host.exists)(Path::new(path))
    }

    /// What comes before it: the network, unless [Quadlet] says otherwise; rctr's state; and files that [Unit] names as if they were units.
    fn depends(&mut self) -> Result<(), String> {
        const KEYS: [&str; 9] = ["Wants", "Requires", "Requisite", "BindsTo", "PartOf", "Upholds", "Conflicts", "Before", "After"];
        let known = self.known;
        let translated = |word: &str| match word.rsplit_once('.') {
            Some((_, extension)) if is_own_file(extension) => {
                known.get(word).map(|known| known.service.clone()).ok_or_else(|| format!("there is no file {word}"))
            }
            _ => Ok(word.to_owned()),
        };
        self.unit.change("Unit", &KEYS, |value| {
            Ok(value.split_whitespace().map(translated).collect::<Result<Vec<_>, _>>()?.join(" "))
        })?;
        let alone = self.unit.last("Quadlet", "DefaultDependencies").and_then(keys::truth) == Some(false);
        if !alone {
            self.unit.add_first("Unit", &[("Wants", "network-online.target"), ("After", "network-online.target")]);
        }
        self.unit.add("Unit", "RequiresMountsFor", "/var/lib/rctr");
        Ok(())
    }

    /// What the file `name` makes, which is there before this is begun.
    fn needed(&mut self, name: &str) -> Result<String, String> {
        let known = self.known.get(name).ok_or_else(|| format!("there is no file {name}"))?;
        // Of a template the same instance.
        let service = known.service.replace("@.", "@%i.");
        for key in ["Requires", "After"] {
            self.unit.add("Unit", key, &service);
        }
        Ok(known.resource.clone())
    }

    /// What a volume shows: a volume that a file makes, a folder of the host, or a volume as it is named.
    pub(super) fn source(&mut self, keys: &Keys<'_>, from: &str) -> Result<String, String> {
        match from {
            _ if from.ends_with(".volume") => self.needed(from),
            _ if from.starts_with('.') => Ok(keys.path(from)),
            _ => Ok(from.to_owned()),
        }
    }

    /// The same in the words of `--mount`, with images.
    pub(super) fn mount(&mut self, keys: &Keys<'_>, mount: &str) -> Result<String, String> {
        let fields = mount.split(',').map(|field| match field.split_once('=') {
            Some((key @ ("source" | "src"), from)) if from.ends_with(".image") || from.ends_with(".build") => {
                Ok(format!("{key}={}", self.image(from)?))
            }
            Some((key @ ("source" | "src"), from)) => Ok(format!("{key}={}", self.source(keys, from)?)),
            _ => Ok(field.to_owned()),
        });
        Ok(fields.collect::<Result<Vec<_>, String>>()?.join(","))
    }

    /// A network that a file makes, that of a container that a file makes, or one as it is named; its options follow a colon.
    pub(super) fn network(&mut self, asked: &str) -> Result<String, String> {
        let (name, options) = asked.split_at(asked.find(':').unwrap_or(asked.len()));
        match name {
            _ if name.ends_with(".network") => Ok(self.needed(name)? + options),
            _ if name.ends_with(".container") => Ok(format!("container:{}{options}", self.needed(name)?)),
            _ => Ok(asked.to_owned()),
        }
    }

    /// An image that a file pulls or builds, or one as it is named.
    pub(super) fn image(&mut self, asked: &str) -> Result<String, String> {
        match asked.ends_with(".image") || asked.ends_with(".build") {
            true => self.needed(asked),
            false => Ok(asked.to_owned()),
        }
    }

    /// A service that makes something once and is there from then on.
    pub(super) fn once(&mut self, command: &[String]) {
        self.unit.add_default("Service", "Type", "oneshot");
        self.unit.add_default("Service", "RemainAfterExit", "yes");
        self.unit.add_default("Service", "SyslogIdentifier", "%N");
        self.unit.add("Service", "ExecStart", &super::words::join(command));
    }
}

/// `NAME.volume` and so on; systemd has kinds of its own, none of which is one of these.
fn is_own_file(extension: &str) -> bool {
    Kind::of(extension).is_ok()
}
