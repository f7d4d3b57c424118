//! What other programs write, what we write, and what strangers write.

use std::fs::File;
use std::io::{Seek, Write};

use super::*;
use crate::decode::tests::{bzip2, xz};
use crate::unpack::testing::Tar;
use crate::{Digest, Error, Image, Platform, Store};

struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("images")).unwrap();
        Fixture { folder, store }
    }

    fn load(&self, archive: &[u8]) -> crate::Result<Vec<Loaded>> {
        load(&self.store, self.file(archive), &LoadOptions::default(), &())
    }

    fn file(&self, bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile_in(self.folder.path()).unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn save(&self, names: &[&str]) -> crate::Result<Vec<u8>> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut bytes = Vec::new();
        save(&self.store, &names, &SaveOptions::default(), &mut bytes, &()).map(|()| bytes)
    }

    fn read(&self, image: &Image, path: &str) -> String {
        std::fs::read_to_string(self.store.lower(image).unwrap()[0].path().join(path)).unwrap()
    }
}

fn layer(text: &str) -> Vec<u8> {
    Tar::default().dir("etc").file("etc/name", text).end()
}

fn config(layers: &[&[u8]]) -> String {
    let ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer)).collect();
    let host = Platform::host();
    serde_json::json!({"os": host.os, "architecture": host.architecture, "rootfs": {"type": "layers", "diff_ids": ids}}).to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn member(tar: Tar, path: &str, bytes: &[u8]) -> Tar {
    tar.entry(tar::EntryType::Regular, path, "", bytes)
}

/// As Docker wrote it up to version 24: layers in folders, and links where two are the same.
fn old_docker() -> Vec<u8> {
    let (low, top) = (layer("low"), layer("top"));
    let config = config(&[&low, &top, &low]);
    let id = Digest::sha256(config.as_bytes()).hex().to_owned();
    let list = format!(
        r#"[{{"Config":"{id}.json","RepoTags":["a/b:v1","a/b:v2"],"Layers":["1/layer.tar","2/layer.tar","3/layer.tar"]}}]"#
    );
    let tar = member(Tar::default().dir("1"), "1/layer.tar", &low);
    let tar = member(tar, "2/layer.tar", &top).symlink("3/layer.tar", "../1/layer.tar");
    member(member(tar, &format!("{id}.json"), config.as_bytes()), "manifest.json", list.as_bytes()).end()
}

#[test]
fn what_old_dockers_write() {
    let t = Fixture::new();
    let loaded = t.load(&old_docker()).unwrap();
    let image = &loaded[0].image;
    assert!(loaded[0].fresh && loaded.len() == 1);
    assert_eq!(image.names.iter().map(crate::Reference::familiar).collect::<Vec<_>>(), ["a/b:v1", "a/b:v2"]);
    assert_eq!(image.layers.len(), 3);
    assert_eq!(t.read(image, "etc/name"), "low");
    assert_eq!(t.store.image("a/b:v2").unwrap().id, image.id);
    assert!(!t.load(&old_docker()).unwrap()[0].fresh);
}

#[test]
fn compressed_as_a_whole_and_through_a_pipe() {
    let archive = old_docker();
    for archive in [gzip(&archive), zstd::stream::encode_all(&archive[..], 1).unwrap(), xz(&archive), bzip2(&archive)] {
        let t = Fixture::new();
        assert_eq!(t.load(&archive).unwrap().len(), 1);
    }
    let t = Fixture::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&archive).unwrap());
        let reader = File::from(std::os::fd::OwnedFd::from(reader));
        assert_eq!(load(&t.store, reader, &LoadOptions::default(), &()).unwrap().len(), 1);
    });
}

#[test]
fn layers_may_be_compressed() {
    let t = Fixture::new();
    let content = layer("zipped");
    let config = config(&[&content]);
    let tar = member(Tar::default(), "./c.json", config.as_bytes());
    let tar = member(tar, "./x.tar.gz", &gzip(&content));
    let list = r#"[{"Config":"c.json","RepoTags":null,"Layers":["x.tar.gz"]}]"#;
    let loaded = t.load(&member(tar, "./manifest.json", list.as_bytes()).end()).unwrap();
    let image = &loaded[0].image;
    assert!(image.names.is_empty() && t.store.image(image.id.short()).is_ok());
    assert_eq!(t.read(image, "etc/name"), "zipped");
    assert_eq!(image.layers[0].digest, Digest::sha256(&gzip(&content)));
    assert_ne!(image.layers[0].digest, image.layers[0].diff_id);
}

/// Registries have no name for such layers: they become plain ones, which can be pushed.
#[test]
fn layers_of_xz_and_bzip2() {
    for encode in [xz, bzip2] {
        let t = Fixture::new();
        let content = layer("small");
        let tar = member(Tar::default(), "c", config(&[&content]).as_bytes());
        let tar = member(tar, "x", &encode(&content));
        let list = r#"[{"Config":"c","RepoTags":["x:1"],"Layers":["x"]}]"#;
        let loaded = t.load(&member(tar, "manifest.json", list.as_bytes()).end()).unwrap();
        let image = &loaded[0].image;
        assert_eq!(t.read(image, "etc/name"), "small");
        assert_eq!((&image.layers[0].digest, image.layers[0].media_type.as_str()), (&image.layers[0].diff_id, read::OCI_LAYER));
        // What is kept of it is what its digest says.
        let saved = t.save(&["x:1"]).unwrap();
        let again = Fixture::new();
        assert_eq!(again.load(&saved).unwrap()[0].image.id, image.id);
    }
}

#[test]
fn saved_and_loaded_it_is_the_same_image() {
    let t = Fixture::new();
    let image = t.load(&old_docker()).unwrap().remove(0).image;
    let saved = t.save(&["a/b:v1"]).unwrap();
    assert_eq!(saved, t.save(&["a/b:v1"]).unwrap(), "the same bytes each time");
    let other = Fixture::new();
    let loaded = other.load(&saved).unwrap().remove(0).image;
    assert_eq!((&loaded.id, &loaded.manifest, &loaded.layers), (&image.id, &image.manifest, &image.layers));
    assert_eq!(loaded.names.iter().map(crate::Reference::familiar).collect::<Vec<_>>(), ["a/b:v1"]);
    assert_eq!(saved, other.save(&["a/b:v1"]).unwrap());
    // By id there are no names.
    let nameless = Fixture::new();
    assert!(nameless.load(&t.save(&[image.id.hex()]).unwrap()).unwrap()[0].image.names.is_empty());
    assert!(matches!(t.save(&["a/b:v3"]), Err(Error::NotFound { .. })));
}

/// A plain layer is not kept a second time beside the image that has its files, and is the same bytes all the same.
#[test]
fn a_plain_layer_takes_its_space_once() {
    let mut t = Fixture::new();
    t.store = t.store.with_driver(crate::Driver::Erofs);
    let large: String = (0..40_000).map(|number| format!("{number}\n")).collect();
    let plain = Tar::default().dir("etc").file("etc/large", &large).file("etc/small", "small").file("etc/more", &large[7..]).end();
    let config = config(&[&plain]);
    let list = r#"[{"Config":"c","RepoTags":["a/b:v1"],"Layers":["l"]}]"#;
    let archive =
        member(member(member(Tar::default(), "c", config.as_bytes()), "l", &plain), "manifest.json", list.as_bytes()).end();
    let image = t.load(&archive).unwrap().remove(0).image;
    let folder = t.store.root().join("layers/sha256").join(image.layers[0].digest.hex());
    let folded = folder.join("folded");
    assert!(!folder.join("blob").exists());
    // Headers, and the ends of files, which are beside the inodes.
    assert!(std::fs::metadata(&folded).unwrap().len() < 16384 && large.len() > 200_000);
    let saved = t.save(&["a/b:v1"]).unwrap();
    assert!(saved.windows(plain.len()).any(|bytes| bytes == plain));
    assert_eq!(t.store.examine_layer(&image.layers[0].digest).unwrap().flaws, []);
    // Damage is found, whichever of the two has it.
    let good = std::fs::read(&folded).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    for bad in [&bad[..], &good[..good.len() - 512], b"x"] {
        std::fs::write(&folded, bad).unwrap();
        let flaws = t.store.examine_layer(&image.layers[0].digest).unwrap().flaws;
        assert_eq!(flaws.iter().map(|flaw| flaw.path.as_str()).collect::<Vec<_>>(), ["blob"]);
        assert!(t.save(&["a/b:v1"]).is_err());
    }
}

#[test]
fn what_we_write_is_docker_s_form_too() {
    let t = Fixture::new();
    t.load(&old_docker()).unwrap();
    let saved = t.save(&["a/b:v2"]).unwrap();
    // An index that nobody finds leaves only Docker's list.
    let at = saved.windows(10).position(|name| name == b"index.json").unwrap();
    let mut docker = saved.clone();
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&saved[at..at + 512]);
    header.set_path("other.json").unwrap();
    header.set_cksum();
    docker[at..at + 512].copy_from_slice(header.as_bytes());
    let other = Fixture::new();
    let loaded = other.load(&docker).unwrap().remove(0).image;
    let image = t.store.image("a/b:v2").unwrap();
    assert_eq!((loaded.id, loaded.names), (image.id, image.names));
}

#[test]
fn a_damaged_blob_is_not_saved() {
    let t = Fixture::new();
    let image = t.load(&old_docker()).unwrap().remove(0).image;
    let blob = t.store.root().join("layers/sha256").join(image.layers[0].digest.hex()).join("blob");
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&blob, &bytes).unwrap();
    assert!(matches!(t.save(&["a/b:v1"]), Err(Error::DigestMismatch { .. })));
    std::fs::write(&blob, &bytes[..1000]).unwrap();
    assert!(t.save(&["a/b:v1"]).is_err());
    std::fs::remove_file(&blob).unwrap();
    assert!(matches!(t.save(&["a/b:v1"]), Err(Error::NotKept { .. })));
}

#[test]
fn a_layout_with_several_platforms() {
    let host = Platform::host();
    let mut tar = Tar::default();
    let mut entries = Vec::new();
    for (architecture, text) in [("riscv64", "other"), (host.architecture.as_str(), "ours")] {
        let content = layer(text);
        let config = config(&[&content]).replace(&host.architecture, architecture);
        let (layer, id) = (Digest::sha256(&content), Digest::sha256(config.as_bytes()));
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": id, "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": content.len()}]});
        let manifest = manifest.to_string();
        let digest = Digest::sha256(manifest.as_bytes());
        entries.push(serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest,
            "size": manifest.len(), "platform": {"os": "linux", "architecture": architecture}}));
        for (digest, bytes) in [(layer, &content[..]), (id, config.as_bytes()), (digest, manifest.as_bytes())] {
            tar = member(tar, &format!("blobs/sha256/{}", digest.hex()), bytes);
        }
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).to_string();
    let target = Digest::sha256(index.as_bytes());
    let tar = member(tar, &format!("blobs/sha256/{}", target.hex()), index.as_bytes());
    let list = serde_json::json!({"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": target, "size": index.len(),
        "annotations": {"org.opencontainers.image.ref.name": "x/y:1"}}]});
    let archive = member(tar, "index.json", list.to_string().as_bytes()).end();
    let t = Fixture::new();
    let mut loaded = t.load(&archive).unwrap();
    let image = loaded.remove(0).image;
    assert!(loaded.is_empty(), "one name, however many machines it is for");
    assert_eq!((t.read(&image, "etc/name").as_str(), &image.target), ("ours", &target));
    assert_eq!(image.names[0].familiar(), "x/y:1");
    assert!(!t.load(&archive).unwrap()[0].fresh);
    let foreign: Platform = "linux/riscv64".parse().unwrap();
    assert_eq!(t.read(&t.store.image_for("x/y:1", Some(&foreign)).unwrap(), "etc/name"), "other");
    // It is written as it was, and one machine's image alone without the index.
    let saved = t.save(&["x/y:1"]).unwrap();
    let again = Fixture::new();
    assert_eq!(again.load(&saved).unwrap()[0].image.target, target);
    assert_eq!(again.read(&again.store.image_for("x/y:1", Some(&foreign)).unwrap(), "etc/name"), "other");
    assert_eq!(saved, again.save(&["x/y:1"]).unwrap());
    let options = SaveOptions { platforms: vec![foreign.clone()], ..SaveOptions::default() };
    let mut alone = Vec::new();
    save(&t.store, &["x/y:1".to_owned()], &options, &mut alone, &()).unwrap();
    let one = Fixture::new();
    let image = one.load(&alone).unwrap().remove(0).image;
    assert_eq!((one.read(&image, "etc/name").as_str(), &image.target), ("other", &image.manifest));
    // One of those that are there.
    let only = LoadOptions { platforms: vec![foreign], ..LoadOptions::default() };
    let one = Fixture::new();
    let image = load(&one.store, one.file(&saved), &only, &()).unwrap().remove(0).image;
    assert_eq!(one.read(&image, "etc/name"), "other");
    assert!(one.store.image_for("x/y:1", Some(&host)).is_err());
    let other = LoadOptions { platforms: vec!["linux/s390x".parse().unwrap()], ..LoadOptions::default() };
    let error = load(&t.store, t.file(&archive), &other, &()).unwrap_err();
    assert!(matches!(error, Error::WrongPlatform { .. }), "{error:?}");
}

#[test]
fn what_is_no_archive() {
    let archive = old_docker();
    let missing = Tar::default().file("manifest.json", r#"[{"Config":"../../etc/passwd","Layers":[]}]"#).end();
    let around = Tar::default().symlink("manifest.json", "manifest.json").end();
    let list = r#"[{"Config":"c","RepoTags":["../x:1"],"Layers":[]}]"#;
    let name = member(Tar::default().file("c", "{}"), "manifest.json", list.as_bytes()).end();
    for (what, archive, said) in [
        ("empty", &b""[..], "neither index.json"),
        ("text", &[b'x'; 2000], "tar archive"),
        ("cut", &archive[..3000], "cut off"),
        ("cut gzip", &gzip(&archive)[..100], "gzip data: unexpected end of file"),
        ("no config", &missing, "etc/passwd is missing"),
        ("a loop", &around, "neither index.json"),
        ("a bad name", &name, "invalid reference"),
        ("not json", &Tar::default().file("manifest.json", "<").end(), "manifest.json"),
    ] {
        let t = Fixture::new();
        let error = crate::registry::chain(&t.load(archive).unwrap_err());
        assert!(error.contains(said), "{what}: {error}");
        assert!(t.store.images().unwrap().is_empty());
    }
}

#[test]
fn lies_about_content_are_not_published() {
    let content = layer("true");
    let t = Fixture::new();
    let config = config(&[b"something else"]);
    let tar = member(member(Tar::default(), "c", config.as_bytes()), "l", &content);
    let list = r#"[{"Config":"c","RepoTags":["x:1"],"Layers":["l"]}]"#;
    let error = t.load(&member(tar, "manifest.json", list.as_bytes()).end()).unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error:?}");
    assert!(t.store.image("x:1").is_err());
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":2}}]}}"#,
        Digest::sha256(b"other")
    );
    let path = format!("blobs/sha256/{}", Digest::sha256(b"other").hex());
    let archive = member(member(Tar::default(), "index.json", index.as_bytes()), &path, b"{}").end();
    assert!(matches!(t.load(&archive), Err(Error::DigestMismatch { .. })));
}

/// Image-spec, descriptor.md: a layout whose documents and layers are within its list.
#[test]
fn blobs_within() {
    use base64::Engine as _;
    let t = Fixture::new();
    let within = |media_type: &str, bytes: &[u8]| {
        let data = base64::prelude::BASE64_STANDARD.encode(bytes);
        let media_type = format!("application/vnd.oci.image.{media_type}");
        serde_json::json!({"mediaType": media_type, "digest": Digest::sha256(bytes), "size": bytes.len(), "data": data})
    };
    let content = layer("within");
    let (config, layers) = (within("config.v1+json", config(&[&content]).as_bytes()), [within("layer.v1.tar", &content)]);
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
    let index = |entry| serde_json::json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    let inner = within("index.v1+json", index(within("manifest.v1+json", manifest.as_bytes())).as_bytes());
    for list in [index(within("manifest.v1+json", manifest.as_bytes())), index(inner)] {
        let loaded = t.load(&member(Tar::default(), "index.json", list.as_bytes()).end()).unwrap();
        assert_eq!(t.read(&loaded[0].image, "etc/name"), "within");
    }
}

/// A few kilobytes, compressed, must not become all names that memory holds, nor layers without end.
#[test]
fn more_than_an_archive_needs() {
    let t = Fixture::new();
    let name = "n".repeat((1 << 20) - 100);
    let tar = (0..17).fold(Tar::default(), |tar, at| {
        tar.pax(&[("path", format!("{at}{}", &name[10..]).as_bytes())]).entry(tar::EntryType::Regular, "x", "", b"")
    });
    let error = t.load(&tar.end()).unwrap_err();
    assert!(crate::registry::chain(&error).ends_with("its members have names of more than 16 MiB"), "{error:?}");
    let content = layer("x");
    let config = config(&vec![&content[..]; 501]);
    let list = serde_json::json!([{"Config": "c", "Layers": vec!["l"; 501]}]).to_string();
    let tar = member(member(member(Tar::default(), "c", config.as_bytes()), "l", &content), "manifest.json", list.as_bytes());
    assert!(matches!(t.load(&tar.end()), Err(Error::TooManyLayers { layers: 501, .. })));
}

#[test]
fn documents_have_the_sizes_that_are_said() {
    let t = Fixture::new();
    let content = layer("x");
    let config = config(&[&content]);
    let blob = |kind: &str, bytes: &[u8], by: usize| {
        let kind = format!("application/vnd.oci.image.{kind}");
        serde_json::json!({"mediaType": kind, "digest": Digest::sha256(bytes), "size": bytes.len() + by})
    };
    let load = |config_by: usize, manifest_by: usize| {
        let config_entry = blob("config.v1+json", config.as_bytes(), config_by);
        let layers = [blob("layer.v1.tar", &content, 0)];
        let manifest = serde_json::json!({"schemaVersion": 2, "config": config_entry, "layers": layers}).to_string();
        let entry = blob("manifest.v1+json", manifest.as_bytes(), manifest_by);
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
        let blobs = [config.as_bytes(), &content, manifest.as_bytes()];
        let tar = blobs
            .iter()
            .fold(Tar::default(), |tar, bytes| member(tar, &format!("blobs/sha256/{}", Digest::sha256(bytes).hex()), bytes));
        t.load(&member(tar, "index.json", index.as_bytes()).end())
    };
    for wrong in [load(1, 0), load(0, 1)] {
        assert!(matches!(wrong, Err(Error::Truncated { .. })), "{wrong:?}");
    }
    assert_eq!(t.read(&load(0, 0).unwrap()[0].image, "etc/name"), "x");
}
