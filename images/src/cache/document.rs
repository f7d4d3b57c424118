//! The documents of a cache. Strangers write them: what is not as it should be is left out, and what a layer is said to be is compared when it
//! comes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{CONFIG, CREATED, CacheStep, DIFF_ID, INLINE, MANIFEST};
use crate::Digest;
use crate::image::Layer;

/// `application/vnd.buildkit.cacheconfig.v0`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Config {
    #[serde(default)]
    layers: Vec<Blob>,
    #[serde(default)]
    records: Vec<Record>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Blob {
    blob: String,
    /// The place of the layer below in the list; -1 is none.
    #[serde(default)]
    parent: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    digest: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layers: Vec<Found>,
    /// Not BuildKit's, which passes over what it does not know: what the step was, and when it was done if it has no layer.
    #[serde(default, rename = "dev.rctr.step", skip_serializing_if = "Option::is_none")]
    step: Option<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Found {
    layer: i64,
    #[serde(default, rename = "createdAt", skip_serializing_if = "String::is_empty")]
    created: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    what: String,
    created: String,
}

/// Config and manifest of a cache with these steps, and the layers that they name.
pub(super) fn write(steps: &[CacheStep]) -> (String, String, Vec<Layer>) {
    let mut layers: Vec<Layer> = Vec::new();
    let mut times = BTreeMap::new();
    for step in steps {
        let Some(layer) = &step.layer else { continue };
        times.entry(layer.digest.clone()).or_insert_with(|| step.created.clone());
        if !layers.iter().any(|known| known.digest == layer.digest) {
            layers.push(layer.clone());
        }
    }
    let at = |digest: &Digest| layers.iter().position(|layer| layer.digest == *digest).map_or(-1, |at| at as i64);
    let parent = |layer: &Layer| {
        let of = |step: &&CacheStep| step.layer.as_ref().is_some_and(|own| own.digest == layer.digest);
        steps.iter().find(of).and_then(|step| step.parent.as_ref()).map_or(-1, at)
    };
    let blobs = layers.iter().map(|layer| Blob { blob: layer.digest.to_string(), parent: parent(layer) }).collect();
    let config = Config { layers: blobs, records: steps.iter().map(|step| record(step, at)).collect() };
    let config = serde_json::to_string(&config).unwrap_or_default();
    let descriptor = |layer: &Layer| {
        json!({
            "mediaType": layer.media_type, "digest": layer.digest, "size": layer.size,
            "annotations": { DIFF_ID: layer.diff_id, CREATED: times.get(&layer.digest) },
        })
    };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": Digest::sha256(config.as_bytes()), "size": config.len() },
        "layers": layers.iter().map(descriptor).collect::<Vec<_>>(),
    });
    (config, manifest.to_string(), layers)
}

fn record(step: &CacheStep, at: impl Fn(&Digest) -> i64) -> Record {
    let CacheStep { key, layer, what, created, .. } = step;
    let found = layer.iter().map(|layer| Found { layer: at(&layer.digest), created: created.clone() });
    let known = Step { what: what.clone(), created: created.clone() };
    Record { digest: key.to_string(), layers: found.collect(), step: Some(known) }
}

/// Puts the steps of an image, whose layers are `layers`, into its config.
pub fn inline(config: &mut Map<String, Value>, steps: &[CacheStep], layers: &[Layer]) {
    let at = |digest: &Digest| layers.iter().position(|layer| layer.digest == *digest).map_or(-1, |at| at as i64);
    let own = steps.iter().filter(|step| step.layer.as_ref().is_none_or(|layer| at(&layer.digest) >= 0));
    let records: Vec<Record> = own.map(|step| record(step, at)).collect();
    let text = serde_json::to_vec(&records).unwrap_or_default();
    config.insert(INLINE.to_owned(), json!(BASE64_STANDARD.encode(text)));
}

/// The steps that an image's config has, if it has any.
pub(super) fn inlined(config: &Map<String, Value>, layers: &[Layer]) -> Option<Vec<CacheStep>> {
    let text = BASE64_STANDARD.decode(config.get(INLINE)?.as_str()?).ok()?;
    let records = serde_json::from_slice(&text).ok()?;
    Some(steps(records, &layers.iter().cloned().map(Some).collect::<Vec<_>>()))
}

/// The steps of a cache, by its config and the descriptors of its manifest or index.
pub(super) fn read(config: &[u8], descriptors: &[Value]) -> Option<Vec<CacheStep>> {
    let config: Config = serde_json::from_slice(config).ok()?;
    let by_digest: BTreeMap<&str, &Value> =
        descriptors.iter().filter_map(|descriptor| Some((descriptor["digest"].as_str()?, descriptor))).collect();
    let layer = |blob: &Blob| {
        let descriptor = by_digest.get(blob.blob.as_str())?;
        Some(Layer {
            digest: blob.blob.parse().ok()?,
            size: descriptor["size"].as_u64()?,
            diff_id: descriptor["annotations"][DIFF_ID].as_str()?.parse().ok()?,
            media_type: descriptor["mediaType"].as_str()?.to_owned(),
            urls: Vec::new(),
        })
    };
    let layers: Vec<_> = config.layers.iter().map(layer).collect();
    Some(steps(config.records, &layers))
}

fn steps(records: Vec<Record>, layers: &[Option<Layer>]) -> Vec<CacheStep> {
    let step = |record: Record| {
        let key = record.digest.parse().ok()?;
        let (what, created) = record.step.map(|step| (step.what, step.created)).unwrap_or_default();
        let Some(found) = record.layers.first() else {
            // Nothing is known of what came of it, unless one of ours says so.
            return (!created.is_empty()).then_some(CacheStep { key, layer: None, parent: None, what, created });
        };
        let layer = usize::try_from(found.layer).ok().and_then(|at| layers.get(at)?.clone())?;
        let created = if found.created.is_empty() { created } else { found.created.clone() };
        Some(CacheStep { key, layer: Some(layer), parent: None, what, created })
    };
    records.into_iter().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    fn step(name: &str, layer: Option<&str>, parent: Option<&str>) -> CacheStep {
        let layer = layer.map(|text| Layer {
            digest: digest(text),
            size: 5,
            diff_id: digest(&format!("tar of {text}")),
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
            urls: Vec::new(),
        });
        let created = "2026-01-02T03:04:05Z".to_owned();
        CacheStep { key: digest(name), layer, parent: parent.map(digest), what: format!("RUN {name}"), created }
    }

    #[test]
    fn what_is_written_is_read() {
        let all =
            [step("a", Some("1"), None), step("b", Some("2"), Some("1")), step("c", None, Some("2")), step("d", Some("1"), None)];
        let (config, manifest, layers) = write(&all);
        assert_eq!(layers.len(), 2);
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let parents: Value = serde_json::from_str(&config).unwrap();
        assert_eq!((&parents["layers"][0]["parent"], &parents["layers"][1]["parent"]), (&json!(-1), &json!(0)));
        let read = read(config.as_bytes(), manifest["layers"].as_array().unwrap()).unwrap();
        assert_eq!(read, all.map(|step| CacheStep { parent: None, ..step }));
    }

    #[test]
    fn an_image_has_its_own_steps() {
        let all = [step("a", Some("1"), None), step("other stage", Some("2"), None), step("b", None, None)];
        let layers: Vec<Layer> = all[..1].iter().filter_map(|step| step.layer.clone()).collect();
        let mut config = Map::new();
        inline(&mut config, &all, &layers);
        let read = inlined(&config, &layers).unwrap();
        assert_eq!(read.iter().map(|step| step.key.clone()).collect::<Vec<_>>(), [digest("a"), digest("b")]);
        assert_eq!(inlined(&Map::new(), &layers), None);
    }

    #[test]
    fn what_strangers_write() {
        let config = json!({
            "layers": [{"blob": digest("1"), "parent": -1}, {"blob": "x"}],
            "records": [
                {"digest": digest("a"), "layers": [{"layer": 9}]}, {"digest": digest("b"), "layers": [{"layer": -1}]},
                {"digest": digest("c"), "layers": [{"layer": 1}]}, {"digest": "none"}, {"digest": digest("d")},
            ],
        });
        assert_eq!(read(config.to_string().as_bytes(), &[]), Some(Vec::new()));
        assert_eq!(read(b"no JSON", &[]).map(|steps| steps.len()), None);
    }
}
