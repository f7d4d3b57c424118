//! Where Dockerfile and files come from.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use engine::Engine;
use engine::build::dockerfile::{Ignore, LIMIT};
use engine::build::{Checkout, Repository};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// A Dockerfile and its context.
pub(crate) struct Source {
    /// The Dockerfile, as errors call it.
    pub(crate) name: String,
    pub(crate) dockerfile: String,
    pub(crate) ignore: Ignore,
    place: Option<Place>,
}

enum Place {
    Folder(PathBuf),
    /// What came as an archive.
    Unpacked(images::Upper),
    /// What came from a repository.
    Fetched(Checkout),
}

impl Source {
    /// Reads the Dockerfile, and what is not to be seen of the context.
    /// `keep`: a repository's `.git` is a part of it.
    pub(crate) fn open(engine: &Engine, context: &str, file: Option<&str>, keep: bool) -> Result<Source> {
        if context == "-" && file == Some("-") {
            bail!("standard input can be the context or the Dockerfile, not both");
        }
        if let Some(repository) = repository(context) {
            let repository = repository.map_err(anyhow::Error::msg).context("context")?;
            let checkout = super::git::fetch(engine, &repository, keep).context("context")?;
            return Source::inside(Place::Fetched(checkout), file);
        }
        if context.contains("://") && !is_web(context) {
            bail!("context {context}: there are addresses of http and https, and repositories");
        }
        if is_web(context) {
            let fetched = images::download(engine.images(), context, &crate::context::proxies())?;
            return Source::stream(engine, fetched.file, context, file);
        }
        if context == "-" {
            return Source::stream(engine, spool(engine, io::stdin().lock())?, "standard input", file);
        }
        let folder = std::path::absolute(context)?;
        if !folder.is_dir() {
            bail!("context {context}: it is no folder");
        }
        match file {
            None => Source::inside(Place::Folder(folder), None),
            Some("-") => {
                let dockerfile = text(spool(engine, io::stdin().lock())?, "standard input")?;
                Source::with("-".to_owned(), dockerfile, None, Place::Folder(folder))
            }
            Some(path) => {
                let dockerfile = text(File::open(path).with_context(|| format!("--file: open {path}"))?, path)?;
                let own = match std::fs::read_to_string(format!("{path}.dockerignore")) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    own => Some(own.with_context(|| format!("read {path}.dockerignore"))?),
                };
                Source::with(path.to_owned(), dockerfile, own, Place::Folder(folder))
            }
        }
    }

    /// What is an archive of a context, or a Dockerfile without one.
    pub(crate) fn stream(engine: &Engine, input: File, from: &str, file: Option<&str>) -> Result<Source> {
        match images::archive(input.try_clone()?)? {
            Some(archive) => {
                let upper = engine.images().upper()?;
                let folder = upper.folder().join("upper");
                images::unpack(engine.images(), archive, &folder).with_context(|| format!("the context of {from}"))?;
                Source::inside(Place::Unpacked(upper), file)
            }
            None if file.is_some() => bail!("{from} is no archive, and -f names a Dockerfile in one"),
            None => Ok(Source { name: "-".to_owned(), dockerfile: text(input, from)?, ignore: Ignore::default(), place: None }),
        }
    }

    /// A Dockerfile that is in the context.
    fn inside(place: Place, file: Option<&str>) -> Result<Source> {
        let names: &[&str] = match file {
            Some(name) => &[name],
            None => &["Dockerfile", "dockerfile", "Containerfile"],
        };
        for name in names {
            if let Some(dockerfile) = within(&place.path(), name)? {
                let own = within(&place.path(), &format!("{name}.dockerignore"))?;
                return Source::with((*name).to_owned(), dockerfile, own, place);
            }
        }
        bail!("there is no {} in the context", names[0])
    }

    fn with(name: String, dockerfile: String, own: Option<String>, place: Place) -> Result<Source> {
        let rules = match own {
            Some(rules) => Some(rules),
            None => within(&place.path(), ".dockerignore")?,
        };
        let ignore = Ignore::parse(&rules.unwrap_or_default()).map_err(anyhow::Error::msg).context(".dockerignore")?;
        Ok(Source { name, dockerfile, ignore, place: Some(place) })
    }

    /// The context's folder, if there is one.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.place.as_ref().map(Place::path)
    }
}

impl Place {
    fn path(&self) -> PathBuf {
        match self {
            Place::Folder(path) => path.clone(),
            Place::Unpacked(upper) => upper.folder().join("upper"),
            Place::Fetched(checkout) => checkout.folder.clone(),
        }
    }
}

fn is_web(context: &str) -> bool {
    context.starts_with("http://") || context.starts_with("https://")
}

/// A repository; as with Docker, one at GitHub needs no scheme, unless there is a folder of that name.
fn repository(context: &str) -> Option<Result<Repository, String>> {
    match context.starts_with("github.com/") && !Path::new(context).exists() {
        true => {
            let (path, fragment) =
                context.split_once('#').map_or((context, String::new()), |(path, rest)| (path, format!("#{rest}")));
            Repository::parse(&format!("https://{}.git{fragment}", path.trim_end_matches(".git")))
        }
        false => Repository::parse(context).filter(|_| !Path::new(context).exists()),
    }
}

/// The text of a file of the context, links followed inside; nothing if it is not there.
fn within(folder: &Path, name: &str) -> Result<Option<String>> {
    let root = sys::fs::open_dir(folder)?;
    match sys::fs::open_in_root(&root, name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => Ok(None),
        file => Ok(Some(text(file?.into(), name)?)),
    }
}

/// A text that is not too long, be it a Dockerfile or rules.
fn text(file: File, name: &str) -> Result<String> {
    /// A `.dockerignore` may be longer than a Dockerfile.
    const MOST: usize = 16 * LIMIT;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        bail!("{name} is no file");
    }
    let mut bytes = Vec::new();
    file.take(MOST as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("read {name}"))?;
    if bytes.len() > MOST {
        bail!("{name} has more than {} MiB", MOST >> 20);
    }
    String::from_utf8(bytes).with_context(|| format!("{name} is no text"))
}

/// What comes through a pipe, in a file without a name.
fn spool(engine: &Engine, mut input: impl Read) -> Result<File> {
    if io::stdin().is_terminal() {
        bail!("standard input is a terminal: lead a Dockerfile or an archive here");
    }
    spooled(engine, &mut input).context("read standard input")
}

/// All that comes, in a file without a name.
pub(crate) fn spooled(engine: &Engine, input: &mut dyn Read) -> Result<File> {
    let folder = &engine.config().root;
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o600))
        .with_context(|| format!("make a file in {}", folder.display()))?;
    let mut file = File::from(file);
    io::copy(input, &mut file)?;
    file.flush().and_then(|()| file.rewind())?;
    Ok(file)
}
