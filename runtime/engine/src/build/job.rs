//! One build: its stages, each after those that it needs, several at once.

use std::any::Any;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use images::{CacheStep, Downloaded, Image, LayerOptions, NewImage, NewLayer, Platform};
use serde_json::json;

use super::cache::Steps;
use super::copying::{self, Copied};
use super::dockerfile::{Base, Dockerfile, Globals, Ignore, Stages};
use super::failure::{BuildError, BuildFailed, For};
use super::key::Key;
use super::repository::{Checkout, Repository};
use super::request::{Bases, BuildRequest, NamedContext, Stop};
use super::select::{Tree, Wanted};
use super::squash;
use super::stage;
use super::state::State;
use super::watch::{Report, Vertex, Watch};
use crate::Engine;

/// Stages that are built at once. What they wait for is mostly the network and the disk.
const PARALLEL: usize = 4;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// What a build has made.
#[derive(Debug)]
pub struct Built {
    /// The image, if one was asked for.
    pub image: Option<Image>,
    /// The stage that was built.
    state: Arc<State>,
    /// What was done for it, and whether its layer is in it.
    pub(super) steps: Vec<(CacheStep, bool)>,
}

/// An image that was named, once it is there; who wants it meanwhile waits.
type Slot = Arc<Mutex<Option<Arc<State>>>>;

/// A build that runs.
pub(super) struct Job<'a> {
    pub(super) engine: &'a Engine,
    pub(super) request: &'a BuildRequest,
    pub(super) file: &'a Dockerfile,
    pub(super) globals: &'a Globals,
    pub(super) stages: &'a Stages,
    bases: &'a dyn Bases,
    watch: &'a dyn Watch,
    stop: &'a Stop,
    context: Option<Tree>,
    /// When the build is said to have happened.
    now: i64,
    vertices: AtomicUsize,
    pub(super) steps: Steps,
    /// A stage has failed: the others end.
    failed: AtomicBool,
    progress: Mutex<Progress>,
    moved: Condvar,
    /// Images that were named, by name and platform.
    images: Mutex<BTreeMap<(String, Option<String>), Slot>>,
    folders: Mutex<BTreeMap<String, Arc<Tree>>>,
    /// What was fetched, by its address.
    files: Mutex<BTreeMap<String, Arc<Downloaded>>>,
    /// Repositories, with and without their `.git`.
    checkouts: Mutex<BTreeMap<(Repository, bool), Arc<Cloned>>>,
}

/// A repository that was fetched, opened.
#[derive(Debug)]
pub(super) struct Cloned {
    pub(super) tree: Tree,
    pub(super) checkout: Checkout,
}

#[derive(Default)]
struct Progress {
    begun: Vec<bool>,
    done: Vec<Option<Arc<State>>>,
    failure: Option<BuildFailed>,
}

impl Engine {
    /// Builds what a Dockerfile says. Blocks until it is done.
    ///
    /// # Errors
    /// [`BuildFailed`] says at which instruction, and why. Nothing is left but what steps before it have put into the cache.
    pub fn build(&self, request: &BuildRequest, bases: &dyn Bases, watch: &dyn Watch, stop: &Stop) -> Result<Built, BuildFailed> {
        sweep(self);
        let file = Dockerfile::parse(&request.dockerfile)?;
        let platform = request.platform.clone().unwrap_or_else(Platform::host);
        let automatic = automatic(&platform);
        let globals = Globals::new(file.directives.escape, &file.args, &request.args, &automatic)?;
        let stages = Stages::plan(&file, request.target.as_deref(), &globals)?;
        let context = request.context.as_deref().map(|path| {
            let root = sys::fs::open_dir(path).to(|| format!("open the context {}", path.display()))?;
            Ok::<_, BuildError>(Tree { root, ignore: request.ignore.clone(), of_root: true })
        });
        let count = file.stages.len();
        let job = Job {
            engine: self,
            request,
            file: &file,
            globals: &globals,
            stages: &stages,
            bases,
            watch,
            stop,
            context: context.transpose()?,
            now: request.epoch.unwrap_or_else(|| (monitor::now() / SECOND) as i64),
            vertices: AtomicUsize::new(1),
            steps: Steps::default(),
            failed: AtomicBool::new(false),
            progress: Mutex::new(Progress { begun: vec![false; count], done: vec![None; count], failure: None }),
            moved: Condvar::new(),
            images: Mutex::default(),
            folders: Mutex::default(),
            files: Mutex::default(),
            checkouts: Mutex::default(),
        };
        job.run(&platform)
    }
}

/// `TARGETPLATFORM` and the like.
fn automatic(target: &Platform) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (prefix, platform) in [("TARGET", target), ("BUILD", &Platform::host())] {
        let mut set = |name: &str, value: &str| drop(all.insert(format!("{prefix}{name}"), value.to_owned()));
        set("PLATFORM", &platform.to_string());
        set("OS", &platform.os);
        set("ARCH", &platform.architecture);
        set("VARIANT", platform.variant.as_deref().unwrap_or_default());
    }
    all
}

impl Built {
    pub(super) fn state(&self) -> &State {
        &self.state
    }
}

impl Job<'_> {
    fn run(&self, platform: &Platform) -> Result<Built, BuildFailed> {
        self.warn_of_unused();
        let workers = self.stages.order.len().min(PARALLEL);
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(|| self.work(platform));
            }
            self.work(platform);
        });
        let mut progress = lock(&self.progress);
        if let Some(failure) = progress.failure.take() {
            return Err(failure);
        }
        let state = progress.done[self.stages.target].clone();
        drop(progress);
        let state = state.ok_or(BuildError::Canceled)?;
        let image = if self.request.image { Some(self.export(&state)?) } else { None };
        let steps = self.steps.of(&state);
        Ok(Built { image, state, steps })
    }

    /// Builds stages until none is left.
    fn work(&self, platform: &Platform) {
        while let Some(at) = self.next() {
            let built = stage::build(self, at, platform);
            let mut progress = lock(&self.progress);
            match built {
                Ok(state) => progress.done[at] = Some(Arc::new(state)),
                Err(failure) => {
                    self.failed.store(true, Ordering::SeqCst);
                    // The one that failed first has ended the others.
                    let canceled = matches!(failure.error, BuildError::Canceled);
                    let worse = progress.failure.as_ref().is_none_or(|known| matches!(known.error, BuildError::Canceled));
                    if progress.failure.is_none() || !canceled && worse {
                        progress.failure = Some(failure);
                    }
                }
            }
            drop(progress);
            self.moved.notify_all();
        }
    }

    /// A stage that can be built now; waits for one.
    fn next(&self) -> Option<usize> {
        let mut progress = lock(&self.progress);
        loop {
            if progress.failure.is_some() || self.stages.order.iter().all(|at| progress.begun[*at]) {
                return None;
            }
            let ready =
                |at: &usize| !progress.begun[*at] && self.stages.needs[*at].iter().all(|need| progress.done[*need].is_some());
            if let Some(at) = self.stages.order.iter().copied().find(|at| ready(at)) {
                progress.begun[at] = true;
                return Some(at);
            }
            progress = self.moved.wait(progress).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn warn_of_unused(&self) {
        let declared = |name: &String| {
            let of = |kind: &super::dockerfile::Kind| matches!(kind, super::dockerfile::Kind::Arg(pairs) if pairs.iter().any(|(own, _)| own == name));
            let all = self.file.args.iter().chain(self.file.stages.iter().flat_map(|stage| &stage.instructions));
            all.into_iter().any(|instruction| of(&instruction.kind))
        };
        let special = |name: &String| {
            super::dockerfile::PROXIES.contains(&name.as_str()) || name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH"
        };
        let unused: Vec<_> = self.request.args.keys().filter(|name| !special(name) && !declared(name)).cloned().collect();
        if !unused.is_empty() {
            self.watch.warn(&format!("one or more build-args [{}] were not consumed", unused.join(" ")));
        }
    }

    /// Makes the image.
    fn export(&self, state: &State) -> Result<Image, BuildFailed> {
        let mut state = state.clone();
        squash::squash(self, &mut state)?;
        let shown = self.shown("exporting to image");
        let done = self.image_of(state).map_err(BuildFailed::from);
        match &done {
            Ok(image) => {
                shown.says(&format!("writing image {}", image.id));
                self.request.names.iter().for_each(|name| shown.says(&format!("naming to {name}")));
                shown.done();
            }
            Err(failure) => shown.failed(&failure.error.to_string()),
        }
        done
    }

    fn image_of(&self, mut state: State) -> Result<Image, BuildError> {
        state.add("Labels", self.request.labels.iter().map(|(name, value)| (name.clone(), json!(value))));
        self.request.unset.apply(state.config())?;
        let mut document = state.document.clone();
        document.insert("created".to_owned(), json!(self.created_or(state.made.as_deref())));
        // What a container has left is of no use to others.
        for key in ["container", "container_config", "docker_version", "parent", "id"] {
            document.remove(key);
        }
        if self.request.inline_cache {
            let steps: Vec<_> = self.steps.of(&state).into_iter().map(|(step, _)| step).collect();
            images::inline_cache(&mut document, &steps, &state.layers);
        }
        let new = NewImage { config: document, layers: &state.layers, names: &self.request.names };
        Ok(self.engine.images.make_image(&new)?)
    }

    /// When, as RFC 3339 has it.
    pub(super) fn created(&self) -> String {
        monitor::log::format_time(u64::try_from(self.now).unwrap_or_default().saturating_mul(SECOND))
    }

    /// When something was made that may come from the cache.
    pub(super) fn created_or(&self, known: Option<&str>) -> String {
        known.filter(|_| self.request.epoch.is_none()).map_or_else(|| self.created(), str::to_owned)
    }

    /// When, in seconds since 1970.
    pub(super) fn time(&self) -> i64 {
        self.now
    }

    /// What is remembered may be used.
    pub(super) fn uses_cache(&self) -> bool {
        !self.request.no_cache && !self.request.forgetful
    }

    /// A layer that was made now, as long as the build needs it.
    pub(super) fn held(&self, made: NewLayer) -> Arc<dyn Any + Send + Sync> {
        if self.request.forgetful { Arc::new(made.passing(self.engine.images())) } else { Arc::new(made) }
    }

    pub(super) fn layer_options(&self) -> LayerOptions {
        copying::layer_options(self.request.epoch)
    }

    /// Layers with clamped times are others than those without.
    pub(super) fn epoch_part(&self) -> String {
        self.request.epoch.map(|epoch| epoch.to_string()).unwrap_or_default()
    }

    pub(super) fn context(&self) -> Result<&Tree, BuildError> {
        self.context.as_ref().ok_or_else(|| BuildError::Invalid("there is no build context: give a folder".to_owned()))
    }

    /// Where something of the context is on this host, without links on the way below it.
    pub(super) fn context_path(&self, path: &str) -> Result<std::path::PathBuf, BuildError> {
        let (tree, folder) = (self.context()?, self.request.context.clone().unwrap_or_default());
        let path = super::dockerfile::clean(&format!("/{path}"));
        match tree.resolve(&path)? {
            Some((real, _)) => Ok(folder.join(real)),
            None => Err(BuildError::Missing { what: format!("/{path}"), hint: "" }),
        }
    }

    /// Adds what is below a folder of the context to a key.
    pub(super) fn context_digest(&self, path: &str, key: &mut Key) -> Result<(), BuildError> {
        let tree = self.context()?;
        tree.digest(&tree.select(&Wanted { sources: &[path.to_owned()], ..Wanted::default() })?, key)
    }

    /// A stage or image by the name that `--from` gives it.
    pub(super) fn source(&self, name: &str) -> Result<Arc<State>, BuildError> {
        match self.copied(name)? {
            Copied::State(state) => Ok(state),
            Copied::Folder(_) => Err(BuildError::Invalid(format!("{name} is a folder, and here goes a stage or an image"))),
        }
    }

    pub(super) fn copied(&self, name: &str) -> Result<Copied, BuildError> {
        if let Some(at) = super::dockerfile::find(self.file, name) {
            let done = lock(&self.progress).done[at].clone();
            return done.map(Copied::State).ok_or(BuildError::Canceled);
        }
        match self.request.contexts.get(name) {
            Some(NamedContext::Folder(path)) => {
                let mut folders = lock(&self.folders);
                if let Some(tree) = folders.get(name) {
                    return Ok(Copied::Folder(tree.clone()));
                }
                let root = sys::fs::open_dir(path).to(|| format!("open the context {name}"))?;
                let tree = Arc::new(Tree { root, ignore: Ignore::default(), of_root: true });
                folders.insert(name.to_owned(), tree.clone());
                Ok(Copied::Folder(tree))
            }
            _ => self.base(name, None).map(Copied::State),
        }
    }

    /// An image by its name, had once for all stages.
    pub(super) fn base(&self, name: &str, platform: Option<&Platform>) -> Result<Arc<State>, BuildError> {
        let real = match self.request.contexts.get(name) {
            Some(NamedContext::Image(image)) => image.as_str(),
            Some(NamedContext::Folder(_)) => {
                return Err(BuildError::Invalid(format!("the context {name} is a folder and no image")));
            }
            None => name,
        };
        let key = (real.to_owned(), platform.map(ToString::to_string));
        let slot = lock(&self.images).entry(key).or_default().clone();
        let mut slot = slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(state) = &*slot {
            return Ok(state.clone());
        }
        let asked = platform.or(self.request.platform.as_ref());
        let image = self.bases.image(real, asked).map_err(|source| BuildError::Base(format!("image {name}"), source))?;
        let state = Arc::new(State::of(self.engine, &image, self.file.directives.escape)?);
        *slot = Some(state.clone());
        Ok(state)
    }

    /// A file from a web server, fetched once in a build.
    pub(super) fn fetch(&self, address: &str) -> Result<Arc<Downloaded>, BuildError> {
        let mut files = lock(&self.files);
        if let Some(file) = files.get(address) {
            return Ok(file.clone());
        }
        let file = self.bases.fetch(address).map_err(|source| BuildError::Base(format!("ADD {address}"), source))?;
        let file = Arc::new(file);
        files.insert(address.to_owned(), file.clone());
        Ok(file)
    }

    /// A repository, fetched once in a build.
    pub(super) fn checkout(&self, repository: &Repository, keep: bool) -> Result<Arc<Cloned>, BuildError> {
        let mut checkouts = lock(&self.checkouts);
        let key = (repository.clone(), keep);
        if let Some(known) = checkouts.get(&key) {
            return Ok(known.clone());
        }
        let what = || format!("ADD {}", repository.shown());
        let checkout = self.bases.checkout(repository, keep).map_err(|source| BuildError::Base(what(), source))?;
        let root = sys::fs::open_dir(&checkout.folder).to(what)?;
        let cloned = Arc::new(Cloned { tree: Tree { root, ignore: Ignore::default(), of_root: true }, checkout });
        checkouts.insert(key, cloned.clone());
        Ok(cloned)
    }

    /// The result of a stage that is done.
    pub(super) fn stage(&self, at: usize) -> Result<Arc<State>, BuildError> {
        lock(&self.progress).done[at].clone().ok_or(BuildError::Canceled)
    }

    pub(super) fn base_of(&self, at: usize) -> &Base {
        &self.stages.bases[at]
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped() || self.failed.load(Ordering::SeqCst)
    }

    /// What is readable when the build is to end.
    pub(super) fn stops(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.stop.event()].into_iter()
    }

    pub(super) fn shown(&self, name: &str) -> Shown<'_> {
        let number = self.vertices.fetch_add(1, Ordering::SeqCst);
        let shown = Shown { vertex: Vertex { number, name: name.to_owned() }, watch: self.watch, began: Instant::now() };
        shown.watch.report(&shown.vertex, Report::Begins);
        shown
    }
}

/// A step that is shown.
pub(super) struct Shown<'a> {
    vertex: Vertex,
    watch: &'a dyn Watch,
    began: Instant,
}

impl Shown<'_> {
    pub(super) fn wrote(&self, error: bool, bytes: &[u8], after: Duration) {
        self.watch.report(&self.vertex, Report::Wrote { error, bytes, after });
    }

    pub(super) fn says(&self, text: &str) {
        self.watch.report(&self.vertex, Report::Says(text));
    }

    pub(super) fn cached(&self) {
        self.watch.report(&self.vertex, Report::Cached);
    }

    pub(super) fn done(&self) {
        self.watch.report(&self.vertex, Report::Done(self.began.elapsed()));
    }

    pub(super) fn failed(&self, why: &str) {
        self.watch.report(&self.vertex, Report::Failed(why));
    }

    pub(super) fn canceled(&self) {
        self.watch.report(&self.vertex, Report::Canceled);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether there is a process of this number: the one that builds, or a later one, which is waited for as well.
pub(super) fn alive(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

/// Removes what builds have left whose process was killed: their containers, and files in memory.
pub(super) fn sweep(engine: &Engine) {
    for container in engine.containers().unwrap_or_default() {
        let builder = container.record.labels.get(super::run::LABEL);
        if builder.is_some_and(|pid| !alive(pid)) {
            let _ = engine.remove(&container.record.id, true, true);
        }
    }
    let folder = engine.config.run.join("build");
    let Ok(all) = sys::fs::open_dir(&folder) else { return };
    for name in sys::fs::list(&all).unwrap_or_default() {
        if name.to_str().and_then(|name| name.split_once('-')).is_some_and(|(pid, _)| !alive(pid)) {
            let _ = sys::fs::remove_tree(&all, &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_known() {
        let all = automatic(&"linux/arm/v7".parse().unwrap());
        assert_eq!(
            (all["TARGETPLATFORM"].as_str(), all["TARGETARCH"].as_str(), all["TARGETVARIANT"].as_str()),
            ("linux/arm/v7", "arm", "v7")
        );
        assert_eq!(all["BUILDOS"], "linux");
    }
}
