//! From one registry to another, with all platforms, and without keeping anything here: what the destination has is left out, what another
//! repository of the same registry has is taken over there, and the rest is passed on as it comes.
//!
//! ```text
//! index ─> each manifest ─> config and layers side by side, then the manifest ─> the index, the one with the name last
//!              └ what is about it (signatures), if asked for
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use futures_util::stream::LocalBoxStream;
use futures_util::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::manifest::{self, About, Descriptor, Document, Entry};
use crate::pull::{Event, Progress};
use crate::registry::{Content, Fetched, Registry, Upload, Uploaded};
use crate::{Credentials, Digest, Platform, Policy, Reference, Registries, policy};

/// Blobs on their way at once.
const PARALLEL: usize = 4;
/// Indexes within indexes.
const DEPTH: usize = 4;
/// Manifests of one image: more are nobody's image.
const DOCUMENTS: usize = 2000;
/// Bytes of them all: they are held until all blobs are there.
const BYTES: usize = 32 << 20;

/// How to copy.
#[derive(Debug, Default)]
pub struct CopyOptions {
    /// Only this platform, under the name itself; `None`: all of an index.
    pub platform: Option<Platform>,
    /// Also what refers to what is copied, such as signatures.
    pub referrers: bool,
    /// Also layers that may not be given to others.
    pub nondistributable: bool,
    /// Mirrors, insecure and blocked registries.
    pub registries: Registries,
    /// Who asks, at both ends.
    pub credentials: Credentials,
    /// Which images may be copied.
    pub policy: Policy,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What the new name means.
    pub digest: Digest,
    /// Bytes of that document.
    pub size: u64,
}

/// Copies the image `from` to the name `to`. Blocks until it is there.
pub fn copy(from: &Reference, to: &Reference, options: &CopyOptions, progress: &dyn Progress) -> Result<Copied> {
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let copied = runtime.block_on(bring(from, to, options, progress));
    runtime.shutdown_background();
    copied
}

/// The same within a runtime.
pub(crate) async fn bring(from: &Reference, to: &Reference, options: &CopyOptions, progress: &dyn Progress) -> Result<Copied> {
    let same = from.registry() == to.registry();
    let mounts: Vec<String> = if same { vec![from.repository().to_owned()] } else { Vec::new() };
    let (registries, credentials) = (&options.registries, &options.credentials);
    let source = Registry::new(from, registries, credentials, progress)?;
    let target = Registry::to_push(to, registries, credentials, mounts.clone(), progress)?;
    let mounts = if from.repository() == to.repository() { Vec::new() } else { mounts };
    Copy { from, to, options, source: &source, target: &target, mounts, progress }.run().await
}

/// One copy.
struct Copy<'a> {
    from: &'a Reference,
    to: &'a Reference,
    options: &'a CopyOptions,
    source: &'a Registry<'a>,
    target: &'a Registry<'a>,
    /// Repositories of the target's registry that may have its blobs.
    mounts: Vec<String>,
    progress: &'a dyn Progress,
}

/// A blob at the source.
struct Passed<'a> {
    registry: &'a Registry<'a>,
    blob: &'a Descriptor,
}

impl Content for Passed<'_> {
    async fn read(&self, offset: u64) -> Result<LocalBoxStream<'_, Result<Bytes>>> {
        let stream = self.registry.content(self.blob, offset).await?;
        Ok(stream.map_err(Error::from).boxed_local())
    }
}

impl Copy<'_> {
    async fn run(&self) -> Result<Copied> {
        let policy = &self.options.policy;
        let signed = policy.admits("docker", &policy::of_registry(self.from), &self.from.familiar())?;
        let mut top = self.source.manifest(&self.from.what()).await?;
        let target = top.digest.clone();
        if let Some(platform) = &self.options.platform {
            // An entry without a platform may be an index again.
            for _ in 0..DEPTH {
                let Document::Index(entries) = parse(&top)? else { break };
                let entry = manifest::choose(&entries, platform).ok_or_else(|| self.other_platforms(platform, &entries))?;
                top = self.source.entry(entry).await?;
            }
        }
        let (digest, size) = (top.digest.clone(), top.bytes.len() as u64);
        let digests = if digest == target { &[&digest][..] } else { &[&digest, &target] };
        policy::check(policy, &signed, self.from, self.source, digests).await?;
        let documents = self.documents(top).await?;
        self.blobs(&documents).await?;
        for document in documents.iter().filter(|document| document.digest != digest) {
            self.document(document.digest.as_str(), document).await?;
        }
        // The one with the name last: nothing is named before it is there.
        for document in documents.iter().filter(|document| document.digest == digest) {
            self.document(&self.to.what(), document).await?;
        }
        Ok(Copied { digest, size })
    }

    /// All documents below one of them, and it: each behind those that it names.
    async fn documents(&self, top: Fetched) -> Result<Vec<Fetched>> {
        let mut known: BTreeMap<Digest, (usize, Fetched)> = BTreeMap::new();
        let mut left = VecDeque::from([(top.digest.clone(), 0)]);
        let mut bytes = top.bytes.len();
        known.insert(top.digest.clone(), (0, top));
        while let Some((digest, depth)) = left.pop_front() {
            let Some((_, document)) = known.get(&digest) else { continue };
            for child in self.below(document, &mut bytes).await? {
                let deeper = depth + 1;
                match known.get_mut(&child.digest) {
                    Some((at, _)) if *at >= deeper => continue,
                    Some((at, _)) => *at = deeper,
                    None => drop(known.insert(child.digest.clone(), (deeper, child.clone()))),
                }
                if deeper > DEPTH || known.len() > DOCUMENTS {
                    return Err(Error::NotAnImage { what: format!("{}: an index of so many manifests", self.from) });
                }
                left.push_back((child.digest, deeper));
            }
        }
        let mut all: Vec<(usize, Fetched)> = known.into_values().collect();
        all.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
        Ok(all.into_iter().map(|(_, document)| document).collect())
    }

    /// The manifests that an index names, and those that are about a document.
    async fn below(&self, document: &Fetched, bytes: &mut usize) -> Result<Vec<Fetched>> {
        let mut count = |fetched: &Fetched| {
            *bytes += fetched.bytes.len();
            let many = || Error::NotAnImage { what: format!("{}: an index of manifests of more than {BYTES} bytes", self.from) };
            if *bytes > BYTES { Err(many()) } else { Ok(()) }
        };
        let mut found = Vec::new();
        if let Document::Index(entries) = parse(document)? {
            if entries.len() > DOCUMENTS {
                return Err(Error::NotAnImage { what: format!("{}: an index of {} manifests", self.from, entries.len()) });
            }
            let fetching = entries.iter().map(|entry| self.source.entry(entry));
            let mut fetching = futures_util::stream::iter(fetching).buffered(PARALLEL);
            while let Some(fetched) = fetching.try_next().await? {
                count(&fetched)?;
                found.push(fetched);
            }
        }
        if self.options.referrers {
            for digest in self.source.referrers(&document.digest).await? {
                let referrer = self.source.manifest(digest.as_str()).await?;
                count(&referrer)?;
                // A list may say anything.
                let subject = About::read(&referrer.bytes)?.subject().cloned();
                found.extend((subject.as_ref() == Some(&document.digest)).then_some(referrer));
            }
        }
        Ok(found)
    }

    /// Brings all blobs of some manifests, each once.
    async fn blobs(&self, documents: &[Fetched]) -> Result<()> {
        let documents: Vec<Document> = documents.iter().map(parse).collect::<Result<_>>()?;
        let (mut seen, all) = (BTreeSet::new(), self.options.nondistributable);
        let blobs: Vec<&Descriptor> =
            documents.iter().flat_map(blobs).filter(|blob| (all || !blob.is_foreign()) && seen.insert(&blob.digest)).collect();
        let sizes: Vec<_> = blobs.iter().map(|blob| (blob.digest.clone(), blob.size)).collect();
        self.progress.event(Event::Layers(&sizes));
        let bringing = blobs.into_iter().map(|blob| self.blob(blob));
        futures_util::stream::iter(bringing).buffer_unordered(PARALLEL).try_collect().await
    }

    async fn document(&self, what: &str, document: &Fetched) -> Result<()> {
        Ok(self.target.put_manifest(what, &document.digest, &document.media_type, &document.bytes).await?)
    }

    async fn blob(&self, blob: &Descriptor) -> Result<()> {
        let Descriptor { digest, size, .. } = blob;
        let content = Passed { registry: self.source, blob };
        match self.target.upload(&Upload { digest, size: *size, mounts: &self.mounts, content: &content }).await? {
            Uploaded::Existed => self.progress.event(Event::Exists(digest)),
            Uploaded::Mounted(from) => self.progress.event(Event::Mounted { digest, from: &from }),
            Uploaded::Sent => self.progress.event(Event::Done(digest)),
        }
        Ok(())
    }

    fn other_platforms(&self, wanted: &Platform, entries: &[Entry]) -> Error {
        let have = entries.iter().filter(|entry| !entry.attestation).filter_map(|entry| entry.platform.clone()).collect();
        Error::WrongPlatform { reference: self.from.familiar(), wanted: wanted.clone(), have }
    }
}

fn parse(document: &Fetched) -> Result<Document> {
    Ok(manifest::parse(&document.bytes, &document.media_type)?)
}

/// The largest first.
fn blobs(document: &Document) -> Vec<&Descriptor> {
    let Document::Manifest { config, layers } = document else { return Vec::new() };
    let mut blobs: Vec<_> = std::iter::once(config).chain(layers).collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    blobs
}
