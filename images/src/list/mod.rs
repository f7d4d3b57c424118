//! Lists of images for several platforms, made by hand: each one is made of images that are in registries, kept here until it is pushed, and is an
//! index there (`docker manifest`).
//!
//! ```text
//! create: registry ─> manifest and platform of each image ─> ROOT/lists/REGISTRY/REPOSITORY/:TAG ─> push: copy each image, then the index
//! ```

mod ask;
mod found;
mod kept;
mod push;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::ask::{search, tags};
use self::found::items_of;
pub use self::push::push_list;
use crate::error::{Error, Result};
use crate::pull::Progress;
use crate::registry::{Fetched, Registry};
use crate::store::Store;
use crate::{Credentials, Digest, Reference, Registries};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Who may be asked about images, and how.
#[derive(Debug, Default)]
pub struct ListOptions {
    /// Mirrors, insecure and blocked registries.
    pub registries: Registries,
    /// Who asks.
    pub credentials: Credentials,
}

/// A list that is not pushed yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct List {
    items: Vec<Item>,
}

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    /// Where it is.
    source: String,
    media_type: String,
    digest: Digest,
    size: u64,
    platform: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    annotations: Map<String, Value>,
}

/// What an image in a list is for. What is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Annotation {
    /// `linux`.
    pub os: Option<String>,
    /// `amd64`.
    pub architecture: Option<String>,
    /// `v8`.
    pub variant: Option<String>,
    /// Of Windows.
    pub os_version: Option<String>,
    /// Such as `win32k`; none of them leaves them as they are.
    pub os_features: Vec<String>,
    /// Notes in the index.
    pub annotations: Vec<(String, String)>,
}

/// A document of a registry, as it is there.
#[derive(Debug, Clone)]
pub struct RawManifest {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
}

/// What a name means in its registry. Blocks until it is known.
pub fn manifest_of(reference: &Reference, options: &ListOptions) -> Result<RawManifest> {
    blocking(async {
        let registry = Registry::new(reference, &options.registries, &options.credentials, &())?;
        let Fetched { bytes, digest, .. } = registry.manifest(&reference.what()).await?;
        Ok(RawManifest { bytes, digest })
    })
}

/// Makes the list `name` of images in registries. Of an index all images are taken. With `amend` a list that is there is
/// continued; without, it is an error.
pub fn create_list(
    store: &Store,
    name: &Reference,
    images: &[Reference],
    amend: bool,
    options: &ListOptions,
    progress: &dyn Progress,
) -> Result<List> {
    let mut list = match store.manifest_list(name) {
        Ok(_) if !amend => return Err(Error::ListExists { name: name.familiar() }),
        Err(Error::NoList { .. }) => List::default(),
        list => list?,
    };
    let items = blocking(async {
        let mut items = Vec::new();
        for image in images {
            items.extend(items_of(image, options, progress).await?);
        }
        Ok(items)
    })?;
    for item in items {
        list.items.retain(|known| known.digest != item.digest);
        list.items.push(item);
    }
    store.write_list(name, &list)?;
    Ok(list)
}

/// Takes the image `image` out of the list `name`. `image` is a name as given to [`create_list`], or a digest; of a name that stands for an
/// index, each image goes by its digest.
///
/// # Errors
/// [`Error::NoList`]; [`Error::NotInList`].
pub fn remove_from_list(store: &Store, name: &Reference, image: &str) -> Result<()> {
    let mut list = store.manifest_list(name)?;
    let at = list.find(name, image)?;
    list.items.remove(at);
    store.write_list(name, &list)
}

/// Says what the image `image` of the list `name` is for. `image` is a name as given to [`create_list`], or a digest.
pub fn annotate_list(store: &Store, name: &Reference, image: &str, annotation: &Annotation) -> Result<()> {
    let mut list = store.manifest_list(name)?;
    let at = list.find(name, image)?;
    let item = &mut list.items[at];
    let Annotation { os, architecture, variant, os_version, os_features, annotations } = annotation;
    for (key, value) in [("os", os), ("architecture", architecture), ("variant", variant), ("os.version", os_version)] {
        if let Some(value) = value {
            item.platform.insert(key.to_owned(), json!(value));
        }
    }
    if !os_features.is_empty() {
        item.platform.insert("os.features".to_owned(), json!(os_features));
    }
    item.annotations.extend(annotations.iter().map(|(key, value)| (key.clone(), json!(value))));
    store.write_list(name, &list)
}

impl List {
    /// The images in it.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.items.iter().map(|item| &item.digest)
    }

    /// The place of an image in the list, which is called `name`.
    fn find(&self, name: &Reference, image: &str) -> Result<usize> {
        let wanted = image.parse::<Digest>().ok();
        let named = image.parse::<Reference>().ok().map(|reference| reference.to_string());
        let fits = |item: &Item| Some(&item.digest) == wanted.as_ref() || Some(&item.source) == named.as_ref();
        let missing = || Error::NotInList { name: name.familiar(), image: image.chars().take(300).collect() };
        self.items.iter().position(fits).ok_or_else(missing)
    }

    /// The index that it is once it is pushed.
    pub fn index(&self) -> String {
        let docker = |item: &Item| item.media_type.starts_with("application/vnd.docker.");
        let noted = self.items.iter().any(|item| !item.annotations.is_empty());
        let media_type = if !noted && !self.items.is_empty() && self.items.iter().all(docker) { DOCKER_LIST } else { INDEX };
        let entries: Vec<Value> = self.items.iter().map(Item::descriptor).collect();
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
        serde_json::to_string_pretty(&index).unwrap_or_default()
    }
}

impl Item {
    fn descriptor(&self) -> Value {
        let Item { media_type, digest, size, platform, annotations, .. } = self;
        let mut descriptor = json!({"mediaType": media_type, "size": size, "digest": digest});
        if !platform.is_empty() {
            descriptor["platform"] = platform.clone().into();
        }
        if !annotations.is_empty() {
            descriptor["annotations"] = annotations.clone().into();
        }
        descriptor
    }
}

fn blocking<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}
