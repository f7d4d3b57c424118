use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

fn manifest(media_type: Option<&str>, more: &str) -> String {
    let media_type = media_type.map(|media_type| format!(r#""mediaType":"{media_type}","#)).unwrap_or_default();
    format!(
        r#"{{"schemaVersion":2,{media_type}"config":{{"mediaType":"c","digest":"{DIGEST}","size":7}},
        "layers":[{{"mediaType":"l","digest":"{DIGEST}","size":9,"urls":["https://x"],"annotations":{{"a":"b"}}}}]{more}}}"#
    )
}

fn index(entries: &str) -> String {
    format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{entries}]}}"#)
}

fn entry(size: u32, platform: &str) -> String {
    format!(r#"{{"mediaType":"{OCI}","digest":"{DIGEST}","size":{size},"platform":{platform}}}"#)
}

fn problem(bytes: &str, media_type: &str) -> String {
    parse(bytes.as_bytes(), media_type).unwrap_err().to_string()
}

#[test]
fn one_image() {
    let descriptor = |media_type: &str, size| Descriptor::new(media_type, DIGEST.parse().unwrap(), size);
    let layer = Descriptor { urls: vec!["https://x".to_owned()], ..descriptor("l", 9) };
    let expected = Document::Manifest { config: descriptor("c", 7), layers: vec![layer] };
    for (says, came_as) in [
        (Some(OCI), OCI),
        (Some(DOCKER), DOCKER),
        (Some(OCI), "Application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
        (Some(DOCKER), "application/json"),
        (Some(OCI), ""),
        (None, OCI),
        (None, "text/plain; charset=utf-8"),
    ] {
        assert_eq!(parse(manifest(says, "").as_bytes(), came_as).unwrap(), expected, "{says:?} {came_as}");
    }
    assert_eq!(media_type(manifest(None, "").as_bytes(), "").unwrap(), OCI);
    assert_eq!(media_type(manifest(Some(DOCKER), "").as_bytes(), "").unwrap(), DOCKER);
}

/// CVE-2021-41190.
#[test]
fn confusion() {
    let both = format!(r#","manifests":[{}]"#, entry(1, "null"));
    let says = |media_type: &str, member: &str| format!("it says that it is {media_type:?} and has {member:?}");
    assert_eq!(problem(&manifest(Some(OCI), &both), OCI), says(OCI, "manifests"));
    assert_eq!(problem(&manifest(None, &both), OCI), says(OCI, "manifests"));
    assert_eq!(problem(&manifest(None, &both), OCI_INDEX), says(OCI_INDEX, "layers"));
    assert_eq!(problem(&manifest(None, &both), ""), says(OCI_INDEX, "layers"));
    let config = format!(r#"{{"schemaVersion":2,"manifests":[],"config":{{"mediaType":"c","digest":"{DIGEST}","size":7}}}}"#);
    assert_eq!(problem(&config, DOCKER_LIST), says(DOCKER_LIST, "config"));
    assert_eq!(problem(&manifest(Some(OCI), ""), DOCKER), format!("it came as {DOCKER:?} and says that it is {OCI:?}"));
    // A member twice: readers differ in which one counts.
    assert!(parse(manifest(Some(OCI), r#","layers":[]"#).as_bytes(), OCI).is_err());
    assert!(parse(manifest(Some(OCI), &format!(r#","mediaType":"{OCI_INDEX}""#)).as_bytes(), OCI).is_err());
}

#[test]
fn what_is_no_manifest() {
    assert!(problem(r#"{"schemaVersion":1,"fsLayers":[]}"#, "application/json").starts_with("schema version 1"));
    assert!(problem("", "application/vnd.docker.distribution.manifest.v1+prettyjws").starts_with("schema version 1"));
    assert!(problem(" \n<html>", "").starts_with("an HTML page"));
    assert!(problem(&manifest(Some(OCI), ""), "text/html; charset=utf-8").starts_with("an HTML page"));
    assert_eq!(problem("", OCI), "it is not a JSON object");
    assert_eq!(problem(&format!(r#"[2,"{OCI}",null,null,null,null]"#), OCI), "it is not a JSON object");
    assert_eq!(problem("{}", OCI), "it is malformed");
    let artifact = "application/vnd.oci.artifact.manifest.v1+json";
    assert_eq!(problem(&manifest(Some(artifact), ""), ""), format!("media type {artifact:?} is neither a manifest nor an index"));
    let bad = manifest(Some(OCI), "").replace(DIGEST, "sha256:../../etc/passwd");
    assert_eq!(problem(&bad, OCI), "it names a blob by something else than a digest");
    let bad = manifest(Some(OCI), "").replace("\"size\":9", "\"size\":-9");
    assert_eq!(problem(&bad, OCI), format!("it gives {DIGEST} a size of -9"));
}

#[test]
fn an_index() {
    let attestation = format!(
        r#"{{"mediaType":"{OCI}","digest":"{DIGEST}","size":3,"platform":{{"os":"unknown","architecture":"unknown"}},
        "annotations":{{"vnd.docker.reference.type":"attestation-manifest"}}}}"#
    );
    let entries = [
        entry(1, r#"{"os":"linux","architecture":"arm","variant":"v7"}"#),
        entry(2, r#"{"os":"windows","architecture":"amd64","os.version":"10.0.1"}"#),
        attestation,
        format!(r#"{{"mediaType":"{OCI}","digest":"{DIGEST}","size":4}}"#),
    ];
    let Document::Index(entries) = parse(index(&entries.join(",")).as_bytes(), OCI_INDEX).unwrap() else { panic!() };
    let shown = |entry: &Entry| (entry.size, entry.platform.as_ref().map(ToString::to_string), entry.attestation);
    let platform = |text: &str| Some(text.to_owned());
    assert_eq!(
        entries.iter().map(shown).collect::<Vec<_>>(),
        [
            (1, platform("linux/arm/v7"), false),
            (2, platform("windows/amd64"), false),
            (3, platform("unknown/unknown"), true),
            (4, None, false)
        ]
    );
}

/// Which entry, by its size, is chosen for a platform.
fn chosen(offers: &[&str], wanted: &str) -> Option<u64> {
    let entries: Vec<Entry> = offers
        .iter()
        .zip(0..)
        .map(|(offer, size)| Entry {
            media_type: OCI.into(),
            digest: DIGEST.parse().unwrap(),
            size,
            data: None,
            platform: (!offer.is_empty()).then(|| {
                let mut parts = offer.split('/').map(str::to_owned);
                Platform { os: parts.next().unwrap(), architecture: parts.next().unwrap(), variant: parts.next() }
            }),
            attestation: offer.starts_with("unknown"),
        })
        .collect();
    choose(&entries, &wanted.parse().unwrap()).map(|entry| entry.size)
}

#[test]
fn the_best_entry() {
    let usual = ["linux/amd64", "unknown/unknown", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "linux/386", "windows/amd64"];
    assert_eq!(chosen(&usual, "linux/amd64"), Some(0));
    assert_eq!(chosen(&usual, "linux/arm64"), Some(4));
    assert_eq!(chosen(&usual, "linux/arm/v7"), Some(3));
    assert_eq!(chosen(&usual, "linux/arm/v6"), Some(2));
    assert_eq!(chosen(&usual, "linux/arm/v5"), None);
    assert_eq!(chosen(&usual, "linux/s390x"), None);
    assert_eq!(chosen(&usual[..4], "linux/arm64"), Some(3));
    assert_eq!(chosen(&["linux/amd64/v3", "linux/amd64", "linux/amd64/v2"], "linux/amd64"), Some(1));
    assert_eq!(chosen(&["linux/amd64", "linux/amd64/v3", "linux/amd64/v2"], "linux/amd64/v4"), Some(1));
    assert_eq!(chosen(&["windows/amd64", "linux/amd64", "linux/amd64"], "linux/amd64"), Some(1));
    assert_eq!(chosen(&["unknown/unknown", ""], "linux/amd64"), Some(1));
    assert_eq!(chosen(&["unknown/unknown"], "linux/amd64"), None);
    assert_eq!(chosen(&[], "linux/amd64"), None);
}

/// Image-spec, descriptor.md: what is within counts only if it is what the digest and the size say.
#[test]
fn blobs_within() {
    let (text, digest) = ("hello", Digest::sha256(b"hello"));
    let blob = |size: usize, digest: &Digest, data: &str| {
        format!(r#"{{"mediaType":"x","digest":"{digest}","size":{size},"data":"{data}"}}"#)
    };
    let manifest = |blob: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{OCI}","config":{blob},"layers":[{blob},{blob}]}}"#);
    let (good, other) = (blob(5, &digest, "aGVsbG8="), Digest::sha256(b"hallo"));
    let Document::Manifest { config, layers } = parse(manifest(&good).as_bytes(), OCI).unwrap() else { panic!("an index") };
    assert!(layers.iter().chain([&config]).all(|blob| blob.data.as_deref() == Some(text.as_bytes())));
    let Document::Index(entries) = parse(index(&good).as_bytes(), OCI_INDEX).unwrap() else { panic!("a manifest") };
    assert_eq!(entries[0].data.as_deref(), Some(text.as_bytes()));
    for (blob, why) in [
        (blob(5, &digest, "aGVsbG8"), "it is not base64"),
        (blob(5, &digest, "aGVs bG8="), "it is not base64"),
        (blob(4, &digest, "aGVsbG8="), "it has another size"),
        (blob(5, &other, "aGVsbG8="), "it has another digest"),
    ] {
        let which = if why.ends_with("digest") { &other } else { &digest };
        assert_eq!(problem(&manifest(&blob), OCI), format!("its data for {which}: {why}"));
        assert_eq!(problem(&index(&blob), OCI_INDEX), format!("its data for {which}: {why}"));
    }
    // As none.
    let Document::Index(entries) = parse(index(&blob(5, &digest, "")).as_bytes(), OCI_INDEX).unwrap() else { panic!("a manifest") };
    assert_eq!(entries[0].data, None);
}

/// An error is one line, and not the document.
#[test]
fn what_is_wrong_is_said_briefly() {
    let long = "x".repeat(1 << 20);
    let manifest = |media_type: &str, layers: &str| {
        format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{}},"layers":{layers}}}"#)
    };
    for (bytes, came_as) in [
        (manifest(&long, "[]"), ""),
        (manifest(&long, "[]"), OCI),
        (manifest(OCI, &format!("\"{long}\"")), OCI),
        (index(&entry(1, &format!("\"{long}\""))), OCI_INDEX),
        (index(&format!(r#"{{"mediaType":"{OCI}","digest":"{long}","size":1}}"#)), OCI_INDEX),
        (format!(r#"{{"schemaVersion":"{long}"}}"#), ""),
    ] {
        let said = crate::registry::chain(&parse(bytes.as_bytes(), came_as).unwrap_err());
        assert!(said.len() < 1000, "{} bytes: {}", said.len(), said.chars().take(100).collect::<String>());
    }
}
