//! How fast it could be: the layers decompressed by the fastest program there is, two at a time, into nothing.

use std::path::{Path, PathBuf};

use anyhow::Result;
use integration::layer::{Compression, Data};
use integration::oci::Bundle;

use crate::contender::{Contender, Ground, on_path};

/// As reports know it: no peer, but the floor.
pub(crate) const NAME: &str = "bare";

/// The compressed layers of an image in the folder of a docker-registry, largest first.
pub(crate) fn blobs(bundle: &Bundle, storage: &Path) -> Vec<PathBuf> {
    let compressed = |data: &Data| match data {
        Data::Bytes(bytes) => bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        Data::File(_) => true,
    };
    let mut blobs: Vec<_> = bundle.blobs.iter().filter(|blob| compressed(&blob.data)).collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let path = |digest: &str| {
        let hex = digest.trim_start_matches("sha256:");
        storage.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    };
    blobs.iter().map(|blob| path(&blob.digest)).collect()
}

/// What decompresses the `blobs` of each sample; nothing if no program is there for it, which is said.
pub(crate) fn contender(
    ground: &Ground,
    compression: Compression,
    image: &str,
    blobs: &[Vec<PathBuf>],
) -> Result<Option<Contender>> {
    let programs: &[&str] = match compression {
        Compression::Zstd => &["zstd"],
        _ => &["libdeflate-gunzip", "igzip", "pigz", "gzip"],
    };
    let Some(program) = programs.iter().find(|program| on_path(program)) else {
        eprintln!("bench: {} is not installed: how fast decompressing alone is stays unknown", programs[0]);
        return Ok(None);
    };
    eprintln!("bench: bare is {program}, two at a time");
    let list = |number: &str| ground.folder().join(format!("{}-{number}", image.replace('/', "-")));
    for (number, blobs) in blobs.iter().enumerate() {
        let lines: String = blobs.iter().map(|blob| format!("{}\n", blob.display())).collect();
        std::fs::write(list(&number.to_string()), lines)?;
    }
    // Blobs have no ending, which gunzip insists on.
    let line = format!("xargs -P 2 -I BLOB sh -c '{program} -dc <BLOB' <{} >/dev/null", list("{n}").display());
    Ok(Some(ground.contender(NAME, &["sh", "-c", &line])))
}
