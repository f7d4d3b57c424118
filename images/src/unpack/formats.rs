//! Compression, dialects of tar, and archives that break off.

use std::io::Write;

use tar::EntryType;

use super::Error;
use super::hash::{Algorithm, Hasher};
use crate::decode::tests::{bzip2, xz};

use super::testing::{Driver, Place, Tar, snapshot, with_each_driver};

with_each_driver!(
    all_compressions_give_the_same_tree,
    what_follows_the_archive_counts_for_the_digest,
    broken_blobs_are_errors_whose_digest_is_known,
    a_download_that_breaks_off_is_an_error,
    an_empty_blob_is_an_empty_layer,
    old_and_strange_headers,
    long_names_of_both_kinds,
    agrees_with_gnu_tar,
);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

/// Bytes that do not shrink much.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8 & 0x3f
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn example() -> Vec<u8> {
    Tar::default().dir("d").entry(EntryType::Regular, "d/big", "", &noise(1_500_000)).file("d/small", "hello").end()
}

fn all_compressions_give_the_same_tree(driver: Driver) {
    let tar = example();
    let (first, second) = tar.split_at(700_000);
    let frame = |bytes| zstd::encode_all(bytes, 3).unwrap();
    let skipped = [&[0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &frame(first), &frame(second)].concat();
    let index = [&frame(&tar[..])[..], &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]].concat();
    let blobs = [
        ("tar", tar.clone()),
        ("gzip", gzip(&tar)),
        ("gzip of two members", [gzip(first), gzip(second)].concat()),
        ("gzip with an empty member and zeros", [gzip(&tar), gzip(b""), vec![0; 600]].concat()),
        ("zstd", frame(&tar)),
        ("zstd of frames, one to be skipped", skipped),
        ("zstd with an index behind", index),
        ("xz", xz(&tar)),
        ("xz of two streams", [xz(first), xz(second)].concat()),
        ("bzip2", bzip2(&tar)),
        ("bzip2 of two streams", [bzip2(first), bzip2(second)].concat()),
    ];
    for (name, blob) in blobs {
        let place = Place::new(driver);
        let outcome = place.outcome(&blob, true);
        assert_eq!(outcome.blob, Some((digest(&blob), blob.len() as u64)), "{name}");
        let (layer, diff_id) = outcome.tree.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!((diff_id, layer.bytes, layer.entries), (digest(&tar), 1_500_005, 3), "{name}");
        assert_eq!(std::fs::read(place.root().join("d/big")).unwrap(), noise(1_500_000), "{name}");
    }
}

fn what_follows_the_archive_counts_for_the_digest(driver: Driver) {
    let mut tar = example();
    tar.extend_from_slice(b"tail");
    let (_, diff_id) = Place::new(driver).outcome(&gzip(&tar), true).tree.unwrap();
    assert_eq!(diff_id, digest(&tar));
}

fn broken_blobs_are_errors_whose_digest_is_known(driver: Driver) {
    let good = gzip(&example());
    let mut flipped = good.clone();
    flipped[500_000] ^= 0x55;
    let zstd = zstd::encode_all(&example()[..], 3).unwrap();
    let blobs: [(&str, Vec<u8>); 7] = [
        ("flipped", flipped),
        ("gzip cut off", good[..good.len() - 9].to_vec()),
        ("gzip without its checksum", good[..good.len() - 8].to_vec()),
        ("zstd cut off", zstd[..zstd.len() - 5].to_vec()),
        ("garbage behind", [&good[..], b"garbage"].concat()),
        ("xz cut off", vec![0xfd, b'7', b'z', b'X', b'Z', 0]),
        ("tar cut off", example()[..600_000].to_vec()),
    ];
    for (name, blob) in blobs {
        let outcome = Place::new(driver).outcome(&blob, true);
        assert_eq!(outcome.blob, Some((digest(&blob), blob.len() as u64)), "{name}");
        match outcome.tree {
            Err(Error::Compressed { .. }) if name != "tar cut off" => {}
            Err(Error::Input(_)) if name == "tar cut off" => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn a_download_that_breaks_off_is_an_error(driver: Driver) {
    for blob in [gzip(&example()), example(), Vec::new()] {
        let outcome = Place::new(driver).outcome(&blob, false);
        assert!(outcome.blob.is_none() && outcome.tree.is_err());
    }
}

fn an_empty_blob_is_an_empty_layer(driver: Driver) {
    let (layer, _) = Place::new(driver).outcome(b"", true).tree.unwrap();
    assert_eq!((layer.entries, layer.bytes), (0, 0));
}

fn old_and_strange_headers(driver: Driver) {
    let place = Place::new(driver);
    let long = format!("{}/{}", "p".repeat(150), "n".repeat(90));
    let mut ustar = tar::Header::new_ustar();
    ustar.set_path(&long).unwrap();
    ustar.set_mode(0o600);
    ustar.set_size(1);
    ustar.set_uid(rustix::process::geteuid().as_raw().into());
    ustar.set_gid(rustix::process::getegid().as_raw().into());
    ustar.set_mtime(0);
    ustar.set_cksum();
    let mut tar = Tar::default();
    tar.0.extend_from_slice(ustar.as_bytes());
    tar.0.extend_from_slice(&[b'x'; 1]);
    tar.0.resize(1024, 0);
    let old = |header: &mut tar::Header| header.as_old_mut().linkflag = [0];
    let tar = tar.with(EntryType::Regular, "olddir/", "", b"", old).with(EntryType::Regular, "oldfile", "", b"o", old);
    let tar = tar.entry(EntryType::new(b'7'), "contiguous", "", b"c");
    // Links and folders have no data, whatever their size says (as Go reads it).
    let tar = tar.with(EntryType::Directory, "sized", "", b"", |header| header.set_size(4096)).file("after", "a");
    let tar = tar.entry(EntryType::XGlobalHeader, "g", "", b"15 comment=abc\n").file("last", "l");
    place.unpack(&tar.end()).unwrap();
    assert_eq!(place.read(&long), "x");
    assert!(place.stat("olddir").is_dir() && place.stat("sized").is_dir());
    for (path, content) in [("oldfile", "o"), ("contiguous", "c"), ("after", "a"), ("last", "l")] {
        assert_eq!(place.read(path), content);
    }
}

fn long_names_of_both_kinds(driver: Driver) {
    let part = "n".repeat(200);
    let path = vec![part.as_str(); 19].join("/") + "/" + &"e".repeat(180);
    assert!(path.len() > 3990);
    let nul = [path.as_bytes(), b"\0"].concat();
    for tar in [
        Tar::default().entry(EntryType::GNULongName, "././@LongLink", "", &nul).file("short", "x"),
        Tar::default().pax(&[("path", path.as_bytes())]).file("short", "x"),
    ] {
        let place = Place::new(driver);
        place.unpack(&tar.end()).unwrap();
        let folder = sys::fs::open_dir(place.root()).unwrap();
        let open = rustix::fs::openat(folder, path.as_str(), rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        assert_eq!(sys::fs::read_all(open, 10).unwrap(), b"x");
    }
    let place = Place::new(driver);
    let target = "t".repeat(3000);
    let nul = [target.as_bytes(), b"\0"].concat();
    let tar = Tar::default().entry(EntryType::GNULongLink, "", "", &nul).symlink("g", "short");
    place.unpack(&tar.pax(&[("linkpath", target.as_bytes())]).symlink("p", "short").end()).unwrap();
    for name in ["g", "p"] {
        assert_eq!(std::fs::read_link(place.root().join(name)).unwrap().to_str(), Some(target.as_str()));
    }
}

/// Sparse files and all the rest as GNU tar writes them, against GNU tar's own unpacking.
fn agrees_with_gnu_tar(driver: Driver) {
    use std::process::Command;
    if Command::new("tar").arg("--version").output().is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: needs GNU tar");
        return;
    }
    let source = tempfile::tempdir().unwrap();
    let path = |name: &str| source.path().join(name);
    std::fs::create_dir_all(path("a/b")).unwrap();
    std::fs::write(path("a/b/file"), noise(70_000)).unwrap();
    std::fs::hard_link(path("a/b/file"), path("a/link")).unwrap();
    std::os::unix::fs::symlink("b/file", path("a/sym")).unwrap();
    std::fs::write(path(&format!("a/{}", "l".repeat(180))), "long").unwrap();
    let holes = std::fs::File::create(path("a/holes")).unwrap();
    for block in 0..40u64 {
        std::os::unix::fs::FileExt::write_all_at(&holes, &noise(4096), block * 1_000_000).unwrap();
    }
    holes.set_len(50_000_000).unwrap();
    let formats = [vec!["--format=gnu"], vec!["--format=gnu", "-S"], vec!["--format=pax"], vec!["--format=ustar", "--exclude=l*l"]];
    let sparse =
        ["0.0", "0.1", "1.0"].map(|version| vec!["--format=pax".to_owned(), "-S".into(), format!("--sparse-version={version}")]);
    let formats = formats.into_iter().map(|words| words.into_iter().map(str::to_owned).collect()).chain(sparse);
    for words in formats {
        let made = Command::new("tar").arg("-C").arg(source.path()).args(&words).args(["-cf", "-", "a"]).output().unwrap();
        assert!(made.status.success(), "{words:?}");
        let (ours, theirs) = (Place::new(driver), tempfile::tempdir().unwrap());
        ours.unpack(&made.stdout).unwrap_or_else(|error| panic!("{words:?}: {error:?}"));
        let archive = path("archive");
        std::fs::write(&archive, &made.stdout).unwrap();
        assert!(Command::new("tar").arg("-C").arg(theirs.path()).arg("-xpf").arg(&archive).status().unwrap().success());
        std::fs::remove_file(&archive).unwrap();
        assert_eq!(snapshot(&ours.root().join("a"), false), snapshot(&theirs.path().join("a"), false), "{words:?}");
        if words.iter().any(|word| word == "-S") {
            let stat = ours.stat("a/holes");
            assert!(ours.allocated("a/holes") < 2_000_000 && stat.len() == 50_000_000, "{words:?}: holes were filled");
        }
    }
}
