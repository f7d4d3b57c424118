//! Signatures that cosign keeps beside an image: under the tag `sha256-HEX.sig` of its repository, each a layer with the signature as an
//! annotation.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::signature::{Key, Statement};
use super::{Policy, Signed};

use crate::manifest::Descriptor;
use crate::registry::Registry;
use crate::{Digest, Reference};

const KIND: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Bytes of what is signed.
const LIMIT: u64 = 1 << 20;
/// Signatures that are looked at.
const MOST: usize = 100;

/// The manifest of signatures, as far as it matters.
#[derive(Deserialize)]
struct Attached {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A signature, as it came.
pub(super) struct Found {
    pub(super) payload: Vec<u8>,
    pub(super) signature: String,
}

/// That `wanted` holds for one of `digests`, which say the same image: its manifest, and the index that names it.
///
/// # Errors
/// [`crate::Error::Refused`] says why none of its signatures counts.
pub(crate) async fn check(
    policy: &Policy,
    wanted: &[&Signed],
    reference: &Reference,
    registry: &Registry<'_>,
    digests: &[&Digest],
) -> crate::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let (mut found, mut whys) = (Vec::new(), Vec::new());
    for digest in digests {
        match signatures(registry, digest).await {
            Ok(all) => found.push((*digest, all)),
            Err(error) => whys.push(crate::registry::chain(&error)),
        }
    }
    for signed in wanted {
        let all = found.iter().flat_map(|(digest, all)| all.iter().map(move |one| (*digest, one)));
        if let Err(why) = signed.holds(reference, all) {
            let why = [vec![why], whys].concat().join("; ");
            return Err(policy.refused(&reference.familiar(), why));
        }
    }
    Ok(())
}

async fn signatures(registry: &Registry<'_>, digest: &Digest) -> crate::Result<Vec<Found>> {
    let tag = format!("{}-{}.sig", digest.algorithm(), digest.hex());
    let manifest = registry.manifest(&tag).await?;
    let malformed = |source| crate::Error::Document { what: format!("signatures {tag}"), source: crate::error::brief(source) };
    let attached: Attached = serde_json::from_slice(&manifest.bytes).map_err(malformed)?;
    let mut all = Vec::new();
    for layer in attached.layers.into_iter().filter(|layer| layer.media_type == KIND).take(MOST) {
        if let Some(signature) = layer.annotations.get(SIGNATURE).cloned() {
            let blob = Descriptor::new(layer.media_type, layer.digest, layer.size);
            all.push(Found { payload: registry.small("signature", &blob, LIMIT).await?, signature });
        }
    }
    Ok(all)
}

impl Signed {
    /// One of the signatures is by one of the keys, of the very digest that it was found at, and for a name that fits.
    ///
    /// # Errors
    /// Why none of them is.
    pub(super) fn holds<'a>(&self, asked: &Reference, all: impl Iterator<Item = (&'a Digest, &'a Found)>) -> Result<(), String> {
        let keys = self.keys.iter().map(|key| key.read()).collect::<Result<Vec<Key>, String>>()?;
        let mut whys = Vec::new();
        for (digest, Found { payload, signature }) in all {
            match self.counts(&keys, asked, digest, payload, signature) {
                Ok(()) => return Ok(()),
                Err(why) if whys.contains(&why) => {}
                Err(why) => whys.push(why),
            }
        }
        whys.truncate(5);
        Err(if whys.is_empty() { "it has no signature".to_owned() } else { whys.join("; ") })
    }

    fn counts(&self, keys: &[Key], asked: &Reference, digest: &Digest, payload: &[u8], signature: &str) -> Result<(), String> {
        if !keys.iter().any(|key| key.has_signed(payload, signature)) {
            return Err("a signature is by no key of the policy".to_owned());
        }
        let statement = Statement::read(payload)?;
        if statement.digest != *digest {
            return Err(format!("a signature is of {}, not of {digest}", statement.digest));
        }
        match self.identity.fits(asked, &statement.name) {
            true => Ok(()),
            false => Err(format!("a signature is for the name {:?}", statement.name.chars().take(300).collect::<String>())),
        }
    }
}
