//! `COPY`, `ADD` and `WORKDIR`: files put on top of a stage without starting anything.

use std::io::Seek;
use std::os::fd::AsFd;
use std::sync::Arc;

use images::{Digest, Downloaded, LayerOptions, NewLayer};

use super::dockerfile::{Copy, Mode};
use super::failure::BuildError;
use super::job::{Cloned, Job};
use super::key::Key;
use super::place::{self, Placing};
use super::repository::Repository;
use super::select::{Tree, Wanted};
use super::state::State;
use super::work::Work;
use crate::spec::user;

/// A `COPY` or `ADD` in which nothing is left to choose.
#[derive(Debug)]
pub(super) struct CopyStep {
    add: bool,
    sources: Vec<String>,
    /// Absolute.
    target: String,
    /// It was written with a slash at its end, or as the working folder itself.
    folder: bool,
    /// Names and texts of files that are in the Dockerfile.
    documents: Vec<(String, String)>,
    from: Option<String>,
    chown: Option<String>,
    mode: Option<Mode>,
    link: bool,
    parents: bool,
    exclude: Vec<String>,
    unpack: Option<bool>,
    /// What is fetched has this digest.
    checksum: Option<Digest>,
    /// What is fetched by git is of this commit, or one that begins so.
    commit: Option<String>,
    /// The `.git` of repositories is copied, too.
    keep_git: bool,
    /// As the history shows it.
    pub(super) created_by: String,
}

impl CopyStep {
    pub(super) fn new(state: &State, copy: &Copy, add: bool) -> Result<CopyStep, BuildError> {
        let expand = |word: &String| state.scope.expand(word).map_err(BuildError::Invalid);
        let sources = copy.sources.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
        let written = expand(&copy.target)?;
        let target = state.absolute(&written);
        let folder = written.ends_with('/') || written == "." || written.ends_with("/.") || target == "/";
        let several = sources.len() + copy.heredocs.len() > 1;
        let verb = if add { "ADD" } else { "COPY" };
        if several && !folder {
            let problem =
                format!("when using {verb} with more than one source file, the destination must be a directory and end with a /");
            return Err(BuildError::Invalid(problem));
        }
        let (mut checksum, mut commit) = (None, None);
        if let Some(text) = copy.checksum.as_ref().map(expand).transpose()? {
            match &sources[..] {
                [only] if add && Repository::parse(only).is_some() => commit = Some(commit_prefix(&text)?),
                [only] if is_address(only) => {
                    let read = text.parse::<Digest>();
                    checksum = Some(read.map_err(|error| BuildError::Invalid(format!("--checksum: {error}")))?);
                }
                _ => return Err(BuildError::Invalid("--checksum is for one source that is an address".to_owned())),
            }
        }
        let mut documents = Vec::new();
        for heredoc in &copy.heredocs {
            let text = if heredoc.expand {
                state.scope.expand_text(&heredoc.content).map_err(BuildError::Invalid)?
            } else {
                heredoc.content.clone()
            };
            documents.push((heredoc.name.clone(), text));
        }
        let mode = copy.chmod.as_ref().map(expand).transpose()?.filter(|text| !text.is_empty());
        let mode = mode.map(|text| Mode::parse(&text).map_err(BuildError::Invalid)).transpose()?;
        let chown = copy.chown.as_ref().map(expand).transpose()?.filter(|text| !text.is_empty());
        let exclude = copy.exclude.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
        let shown = sources.iter().cloned().chain(copy.heredocs.iter().map(|heredoc| format!("<<{}", heredoc.name)));
        let created_by = format!("{verb} {} {written}", shown.collect::<Vec<_>>().join(" "));
        let (from, link, parents, unpack) = (copy.from.clone(), copy.link, copy.parents, copy.unpack);
        Ok(CopyStep {
            add,
            sources,
            target,
            folder,
            documents,
            from,
            chown,
            mode,
            link,
            parents,
            exclude,
            unpack,
            checksum,
            commit,
            keep_git: copy.keep_git_dir,
            created_by,
        })
    }

    fn base_key(&self, state: &State) -> Key {
        let mut key = Key::new("copy");
        if self.link {
            key.part("link");
        } else {
            state.files(&mut key);
        }
        key.part(format!("{} {} {} {:?}", self.add, self.folder, self.parents, self.unpack));
        key.part(&self.target);
        key.part(format!("{:?} {:?}", self.chown, self.mode));
        // A name is looked up in what is there.
        if self.link && self.chown.is_some() {
            state.files(&mut key);
        }
        for (name, text) in &self.documents {
            key.parts([name, text]);
        }
        key
    }

    /// What its result depends on: what is there already, and the content of what is copied.
    pub(super) fn key(&self, job: &Job<'_>, state: &State) -> Result<Digest, BuildError> {
        let mut key = self.base_key(state);
        key.part(job.epoch_part());
        match &self.from {
            // All of the other stage stands for what is copied of it: to look at that it would have to be mounted.
            Some(from) => {
                key.parts(&self.sources);
                key.parts(&self.exclude);
                job.copied(from)?.key(&mut key, &self.wanted())?;
            }
            None if self.sources.is_empty() => {}
            None => {
                let Sources { addresses, repositories, paths } = self.split()?;
                for repository in &repositories {
                    let cloned = self.cloned(job, repository)?;
                    key.parts(["git", if self.keep_git { cloned.checkout.commit.as_str() } else { "" }]);
                    // The files of `.git` have times in them: the commit stands for them.
                    if !self.keep_git {
                        cloned.tree.digest(&cloned.tree.select(&everything())?, &mut key)?;
                    }
                }
                for address in addresses {
                    let fetched = job.fetch(&address)?;
                    self.check(&address, &fetched)?;
                    key.parts([address.as_str(), fetched.digest.as_str(), &format!("{:?}", fetched.modified)]);
                }
                if !paths.is_empty() {
                    let tree = job.context()?;
                    tree.digest(&tree.select(&Wanted { sources: &paths, ..self.wanted() })?, &mut key)?;
                }
            }
        }
        Ok(key.finish())
    }

    fn split(&self) -> Result<Sources, BuildError> {
        let mut all = Sources::default();
        for source in &self.sources {
            match Repository::parse(source).filter(|_| self.add && self.from.is_none()) {
                Some(repository) => all.repositories.push(repository.map_err(BuildError::Invalid)?),
                None if self.add && is_address(source) => all.addresses.push(source.clone()),
                None => all.paths.push(source.clone()),
            }
        }
        Ok(all)
    }

    fn cloned(&self, job: &Job<'_>, repository: &Repository) -> Result<Arc<Cloned>, BuildError> {
        let cloned = job.checkout(repository, self.keep_git)?;
        match &self.commit {
            Some(expected) if !cloned.checkout.commit.starts_with(expected) => {
                let found = &cloned.checkout.commit;
                Err(BuildError::Invalid(format!("{}: it is commit {found}, not {expected}", repository.shown())))
            }
            _ => Ok(cloned),
        }
    }

    fn check(&self, address: &str, fetched: &Downloaded) -> Result<(), BuildError> {
        match &self.checksum {
            Some(expected) if *expected != fetched.digest => {
                Err(BuildError::Invalid(format!("{address}: digest mismatch {}: {expected}", fetched.digest)))
            }
            _ => Ok(()),
        }
    }

    /// Puts a fetched file, or what an archive has in it if that was asked for, in its place.
    fn add_fetched(&self, job: &Job<'_>, address: &str, placing: &Placing<'_>) -> Result<(), BuildError> {
        let fetched = job.fetch(address)?;
        let file = fetched.file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
        let file = sys::Call::call(file, || "lseek(0)").map_err(|error| BuildError::System(format!("read {address}"), error))?;
        if self.unpack == Some(true) {
            let archive =
                images::archive(file)?.ok_or_else(|| BuildError::Invalid(format!("ADD --unpack {address}: it is no archive")))?;
            return self.add_archive(job, archive, placing);
        }
        let name = fetched.name.clone();
        if name.is_none() && placing.folder {
            return Err(BuildError::Invalid(format!("{address}: it has no name: give the file's whole path as destination")));
        }
        placing.put(&name.unwrap_or_default(), file.into(), 0o600, fetched.modified.unwrap_or_default())
    }

    fn add_archive(&self, job: &Job<'_>, archive: std::fs::File, placing: &Placing<'_>) -> Result<(), BuildError> {
        let unpacked = job.engine.images.upper()?;
        let folder = unpacked.folder().join("upper");
        images::unpack(job.engine.images(), archive, &folder)?;
        let root = sys::fs::open_dir(&folder).map_err(|error| BuildError::System("open what was unpacked".to_owned(), error))?;
        let inside = Tree { root, ignore: Default::default(), of_root: false };
        let all = inside.select(&Wanted { sources: &[".".to_owned()], ..Wanted::default() })?;
        Placing { folder: true, owner: self.chown.as_ref().and(placing.owner), ..*placing }.copy(&inside, &all)
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { sources: &self.sources, parents: self.parents, exclude: &self.exclude }
    }

    /// Copies, and answers the layer; nothing if that has changed nothing.
    pub(super) fn run(&self, job: &Job<'_>, state: &State) -> Result<Option<NewLayer>, BuildError> {
        let work = if self.link { Work::alone(job.engine)? } else { Work::on(job.engine, state)? };
        let owner = self.owner(job, state, &work)?;
        let own = if self.from.is_some() { owner } else { Some(owner.unwrap_or_default()) };
        let placing =
            Placing { root: work.root(), target: &self.target, folder: self.folder, owner: own, mode: self.mode.as_ref() };
        for (name, text) in &self.documents {
            placing.write(name, text.as_bytes(), 0o644, job.time())?;
        }
        let Sources { addresses, repositories, paths } = self.split()?;
        for repository in &repositories {
            let cloned = self.cloned(job, repository)?;
            let all = cloned.tree.select(&Wanted { exclude: &self.exclude, ..everything() })?;
            Placing { folder: true, ..placing }.copy(&cloned.tree, &all)?;
        }
        for address in &addresses {
            self.add_fetched(job, address, &placing)?;
        }
        if !paths.is_empty() {
            let source;
            let tree: &Tree = match &self.from {
                Some(from) => {
                    source = job.copied(from)?.open(job.engine)?;
                    &source.tree
                }
                None => job.context()?,
            };
            if self.add && self.unpack != Some(false) {
                self.add_paths(job, tree, &paths, &placing)?;
            } else {
                placing.copy(tree, &tree.select(&self.wanted())?)?;
            }
        }
        work.into_layer(&job.layer_options())
    }

    /// Archives are unpacked into the target, anything else is copied.
    fn add_paths(&self, job: &Job<'_>, tree: &Tree, paths: &[String], placing: &Placing<'_>) -> Result<(), BuildError> {
        for source in paths {
            let wanted = Wanted { sources: std::slice::from_ref(source), ..self.wanted() };
            let mut selection = tree.select(&wanted)?;
            selection.into_folder |= self.sources.len() > 1;
            let [only] = &selection.items[..] else {
                placing.copy(tree, &selection)?;
                continue;
            };
            let archive = match tree.open(only) {
                Ok(file) => images::archive(std::fs::File::from(file))?,
                // A folder.
                Err(_) => None,
            };
            match archive {
                Some(archive) => self.add_archive(job, archive, placing)?,
                None if self.unpack == Some(true) => {
                    return Err(BuildError::Invalid(format!("ADD --unpack {source}: it is no archive")));
                }
                None => placing.copy(tree, &selection)?,
            }
        }
        Ok(())
    }

    /// Whom `--chown` means.
    fn owner(&self, job: &Job<'_>, state: &State, work: &Work) -> Result<Option<(u32, u32)>, BuildError> {
        let Some(chown) = &self.chown else { return Ok(None) };
        let names = |text: &str| text.parse::<u32>().is_err();
        let looked_up;
        let root = if self.link && chown.split(':').any(names) {
            looked_up = Work::on(job.engine, state)?;
            looked_up.root()
        } else {
            work.root()
        };
        let identity = user::identify(root.as_fd(), chown, &crate::Tuning::default())?;
        // A number alone is both.
        let alone = !chown.contains(':') && !names(chown);
        Ok(Some((identity.uid, if alone { identity.uid } else { identity.gid })))
    }
}

/// Whether a source is fetched rather than copied.
fn is_address(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// Where the sources of an instruction are.
#[derive(Debug, Default)]
struct Sources {
    addresses: Vec<String>,
    repositories: Vec<Repository>,
    paths: Vec<String>,
}

/// All that a tree has.
fn everything() -> Wanted<'static> {
    static TOP: std::sync::LazyLock<[String; 1]> = std::sync::LazyLock::new(|| [".".to_owned()]);
    Wanted { sources: &*TOP, ..Wanted::default() }
}

/// The beginning of a commit's name.
fn commit_prefix(text: &str) -> Result<String, BuildError> {
    let fine = (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lower = fine.then(|| text.to_ascii_lowercase());
    lower.ok_or_else(|| BuildError::Invalid(format!("--checksum {text:?}: of a repository it is a commit, of 7 or more digits")))
}

/// `WORKDIR`: the folder is made if it is not there.
pub(super) fn workdir_key(job: &Job<'_>, state: &State, path: &str) -> Digest {
    let mut key = Key::new("workdir");
    state.files(&mut key);
    key.part(path);
    key.part(job.epoch_part());
    key.finish()
}

pub(super) fn workdir(job: &Job<'_>, state: &State, path: &str) -> Result<Option<NewLayer>, BuildError> {
    let work = Work::on(job.engine, state)?;
    if place::is_folder(work.root(), path) {
        return Ok(None);
    }
    let (folder, _) = place::make_folder(work.root(), path, (0, 0))?;
    drop(folder);
    work.into_layer(&job.layer_options())
}

/// Where a `--from` leads.
#[derive(Debug, Clone)]
pub(super) enum Copied {
    /// A stage or an image.
    State(Arc<State>),
    /// A folder of the host.
    Folder(Arc<Tree>),
}

/// The same, opened.
#[derive(Debug)]
pub(super) struct Opened {
    tree: Arc<Tree>,
    _work: Option<Work>,
}

impl Copied {
    fn key(&self, key: &mut Key, wanted: &Wanted<'_>) -> Result<(), BuildError> {
        match self {
            Copied::State(state) => state.files(key),
            Copied::Folder(tree) => tree.digest(&tree.select(wanted)?, key)?,
        }
        Ok(())
    }

    fn open(&self, engine: &crate::Engine) -> Result<Opened, BuildError> {
        match self {
            Copied::Folder(tree) => Ok(Opened { tree: tree.clone(), _work: None }),
            Copied::State(state) => {
                let work = Work::on(engine, state)?;
                let root = work.root().try_clone_to_owned();
                let root = sys::Call::call(root, || "fcntl(F_DUPFD_CLOEXEC)");
                let root = root.map_err(|error| BuildError::System("open a stage".to_owned(), error))?;
                let tree = Tree { root, ignore: Default::default(), of_root: false };
                Ok(Opened { tree: Arc::new(tree), _work: Some(work) })
            }
        }
    }
}

/// How layers of this build are made.
pub(super) fn layer_options(epoch: Option<i64>) -> LayerOptions {
    LayerOptions { newest: epoch, ..LayerOptions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_repositories() {
        assert!(is_address("https://a/b") && !is_address("a/b") && !is_address("ftp://a"));
        assert!(commit_prefix("ABCDEF0").is_ok_and(|text| text == "abcdef0"));
        assert!(commit_prefix("abc").is_err() && commit_prefix("sha256:abc").is_err());
    }
}
