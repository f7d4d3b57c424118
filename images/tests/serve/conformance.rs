//! The distribution specification, section by section.

use images::Digest;
use serde_json::{Value, json};

use crate::host::{Host, INDEX, MANIFEST};

fn other(bytes: &[u8]) -> Digest {
    format!("sha512:{}", "0".repeat(128)).parse::<Digest>().unwrap().same_kind(bytes)
}

#[test]
fn what_it_is() {
    let host = Host::new();
    for path in ["/v2/", "/v2"] {
        let answer = host.get(path);
        assert_eq!((answer.status, answer.header("docker-distribution-api-version")), (200, "registry/2.0"));
    }
    let answer = host.get("/v1/search");
    assert_eq!((answer.status, answer.header("docker-distribution-api-version")), (404, "registry/2.0"));
    let answer = host.send("POST", "/v2/_catalog", &[], b"");
    assert_eq!((answer.refusal(), answer.header("allow")), ((405, "UNSUPPORTED".into()), "GET, HEAD"));
}

#[test]
fn a_blob_at_once() {
    let host = Host::new();
    let digest = Digest::sha256(b"hello");
    let begun = host.send("POST", "/v2/a/b/blobs/uploads/", &[], b"");
    assert_eq!((begun.status, begun.header("range"), begun.header("content-length")), (202, "0-0", "0"));
    let location = begun.header("location");
    assert!(location.starts_with("/v2/a/b/blobs/uploads/") && location.ends_with(begun.header("docker-upload-uuid")));
    let stored = host.send("PUT", &format!("{location}?digest={digest}"), &[], b"hello");
    assert_eq!(stored.status, 201);
    assert_eq!(stored.header("location"), format!("/v2/a/b/blobs/{digest}"));
    assert_eq!(stored.header("docker-content-digest"), digest.as_str());
    assert_eq!(
        host.send("PUT", &format!("{location}?digest={digest}"), &[], b"hello").refusal(),
        (404, "BLOB_UPLOAD_UNKNOWN".into())
    );

    let path = format!("/v2/a/b/blobs/{digest}");
    let whole = host.get(&path);
    assert_eq!((whole.status, whole.body.as_slice(), whole.header("content-length")), (200, &b"hello"[..], "5"));
    assert_eq!(whole.header("docker-content-digest"), digest.as_str());
    let head = host.send("HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "5", 0));
    assert_eq!(host.get(&format!("/v2/a/c/blobs/{digest}")).refusal(), (404, "BLOB_UNKNOWN".into()), "another repository has it");
    let same = host.send("GET", &path, &[("if-none-match", whole.header("etag"))], b"");
    assert_eq!((same.status, same.body.len()), (304, 0));
}

#[test]
fn a_part_of_a_blob() {
    let host = Host::new();
    let digest = host.push_blob("a", b"0123456789");
    let path = format!("/v2/a/blobs/{digest}");
    let part = |range: &str| host.send("GET", &path, &[("range", range)], b"");
    let middle = part("bytes=2-4");
    assert_eq!((middle.status, middle.body.as_slice(), middle.header("content-range")), (206, &b"234"[..], "bytes 2-4/10"));
    assert_eq!((part("bytes=7-").body, part("bytes=-2").body), (b"789".to_vec(), b"89".to_vec()));
    let behind = part("bytes=10-");
    assert_eq!((behind.refusal(), behind.header("content-range")), ((416, "RANGE_INVALID".into()), "bytes */10"));
    let changed = host.send("GET", &path, &[("range", "bytes=2-4"), ("if-range", "\"other\"")], b"");
    assert_eq!((changed.status, changed.body.len()), (200, 10));
}

#[test]
fn a_blob_in_pieces() {
    let host = Host::new();
    let begun = host.send("POST", "/v2/a/blobs/uploads/", &[("content-length", "0")], b"");
    let location = begun.header("location").to_owned();
    let patch = |range: &str, bytes: &[u8]| host.send("PATCH", &location, &[("content-range", range)], bytes);
    let first = patch("0-3", b"0123");
    assert_eq!((first.status, first.header("range"), first.header("location")), (202, "0-3", location.as_str()));
    let far = patch("5-6", b"56");
    assert_eq!(
        (far.refusal(), far.header("range"), far.header("location")),
        ((416, "RANGE_INVALID".into()), "0-3", location.as_str())
    );
    assert_eq!(patch("0-3", b"0123").status, 416, "the same piece again");
    assert_eq!(patch("4-9", b"45").refusal(), (400, "SIZE_INVALID".into()));
    assert_eq!(patch("x", b"45").refusal(), (400, "BLOB_UPLOAD_INVALID".into()));
    // As docker does it: all in one request of no known length.
    let chunked = host.send("PATCH", &location, &[("transfer-encoding", "chunked")], b"2\r\n45\r\n0\r\n\r\n");
    assert_eq!((chunked.status, chunked.header("range")), (202, "0-5"));
    let so_far = host.get(&location);
    assert_eq!((so_far.status, so_far.header("range"), so_far.header("location")), (204, "0-5", location.as_str()));
    let digest = Digest::sha256(b"01234567");
    let last = host.send("PUT", &format!("{location}?digest={digest}"), &[("content-range", "6-7")], b"67");
    assert_eq!(last.status, 201);
    assert_eq!(host.get(&format!("/v2/a/blobs/{digest}")).body, b"01234567");
    assert_eq!(host.get(&location).refusal(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
}

#[test]
fn an_upload_that_is_given_up() {
    let host = Host::new();
    let location = host.send("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    host.send("PATCH", &location, &[], b"some");
    assert_eq!(host.files().len(), 1);
    assert_eq!(host.get(&location.replace("/v2/a/", "/v2/b/")).status, 404, "of another repository");
    assert_eq!(host.send("DELETE", &location, &[], b"").status, 204);
    assert_eq!(host.send("DELETE", &location, &[], b"").refusal(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
    assert_eq!(host.files(), [] as [String; 0]);
}

#[test]
fn a_wrong_digest() {
    let host = Host::new();
    let wrong = Digest::sha256(b"other");
    let location = host.send("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    let answer = host.send("PUT", &format!("{location}?digest={wrong}"), &[], b"hello");
    assert_eq!(answer.refusal(), (400, "DIGEST_INVALID".into()));
    assert_eq!(host.send("POST", &format!("/v2/a/blobs/uploads/?digest={wrong}"), &[], b"hello").code(), "DIGEST_INVALID");
    let location = host.send("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    for query in ["", "?digest=", "?digest=md5:0", "?digest=../../x"] {
        assert_eq!(host.send("PUT", &format!("{location}{query}"), &[], b"").refusal(), (400, "DIGEST_INVALID".into()), "{query}");
    }
    host.send("DELETE", &location, &[], b"");
    let manifest = host.image("a", b"layer");
    let answer = host.put_manifest("a", wrong.as_str(), &manifest);
    assert_eq!(answer.refusal(), (400, "DIGEST_INVALID".into()));
    assert!(host.files().iter().all(|file| !file.contains(wrong.hex()) && !file.starts_with("uploads/")));
}

#[test]
fn other_digests() {
    let host = Host::new();
    let digest = other(b"hello");
    let answer = host.send("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"hello");
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, digest.as_str()));
    assert_eq!(host.get(&format!("/v2/a/blobs/{digest}")).body, b"hello");
    let manifest = host.image("a", b"layer");
    let by = other(manifest.to_string().as_bytes());
    assert_eq!(host.put_manifest("a", by.as_str(), &manifest).header("docker-content-digest"), by.as_str());
    assert_eq!(host.get(&format!("/v2/a/manifests/{by}")).json(), manifest);
}

#[test]
fn from_another_repository() {
    let host = Host::new();
    let digest = host.push_blob("a/b", b"shared");
    let mounted = host.send("POST", &format!("/v2/c/blobs/uploads/?mount={digest}&from=a/b"), &[], b"");
    assert_eq!((mounted.status, mounted.header("location")), (201, format!("/v2/c/blobs/{digest}").as_str()));
    assert_eq!(host.get(&format!("/v2/c/blobs/{digest}")).body, b"shared");
    // Not there: an ordinary upload.
    let unknown = Digest::sha256(b"unknown");
    for query in [format!("mount={unknown}&from=a/b"), format!("mount={digest}&from=z"), format!("mount={unknown}")] {
        let answer = host.send("POST", &format!("/v2/d/blobs/uploads/?{query}"), &[], b"");
        assert_eq!(answer.status, 202, "{query}");
        host.send("DELETE", answer.header("location"), &[], b"");
    }
    // Without `from` the registry looks for itself.
    assert_eq!(host.send("POST", &format!("/v2/e/blobs/uploads/?mount={digest}"), &[], b"").status, 201);
    assert_eq!(host.files().iter().filter(|file| file.starts_with("blobs/")).count(), 1, "kept once");
}

#[test]
fn a_manifest() {
    let host = Host::new();
    let manifest = host.image("a", b"layer");
    let text = manifest.to_string();
    let digest = Digest::sha256(text.as_bytes());
    let answer = host.put_manifest("a", "v1", &manifest);
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, digest.as_str()));
    assert_eq!(answer.header("location"), format!("/v2/a/manifests/{digest}"));
    assert_eq!(answer.header("oci-subject"), "");
    for what in ["v1", digest.as_str()] {
        let path = format!("/v2/a/manifests/{what}");
        let got = host.get(&path);
        assert_eq!((got.status, got.header("content-type"), got.body.as_slice()), (200, MANIFEST, text.as_bytes()));
        assert_eq!(got.header("docker-content-digest"), digest.as_str());
        let head = host.send("HEAD", &path, &[], b"");
        assert_eq!((head.status, head.header("content-length")), (200, text.len().to_string().as_str()));
        assert_eq!(head.header("docker-content-digest"), digest.as_str());
        let etag = got.header("etag");
        assert_eq!(host.send("GET", &path, &[("if-none-match", etag)], b"").status, 304);
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        assert_eq!(host.send("GET", &path, &[("accept", docker)], b"").refusal(), (404, "MANIFEST_UNKNOWN".into()));
        assert_eq!(host.send("GET", &path, &[("accept", docker), ("accept", MANIFEST)], b"").status, 200);
    }
    assert_eq!(host.get("/v2/a/manifests/v2").refusal(), (404, "MANIFEST_UNKNOWN".into()));
    assert_eq!(host.get("/v2/b/manifests/v1").refusal(), (404, "MANIFEST_UNKNOWN".into()));
}

#[test]
fn further_tags() {
    let host = Host::new();
    let manifest = host.image("a", b"layer");
    let digest = Digest::sha256(manifest.to_string().as_bytes());
    let answer = host.put_manifest("a", &format!("{digest}?tag=v1&tag=v2"), &manifest);
    assert_eq!((answer.status, answer.header("oci-tag")), (201, "v2"));
    assert_eq!(host.get("/v2/a/tags/list").json()["tags"], json!(["v1", "v2"]));
    assert_eq!(host.put_manifest("a", &format!("{digest}?tag=../x"), &manifest).status, 400);
}

#[test]
fn what_is_no_manifest() {
    let host = Host::new();
    let manifest = host.image("a", b"layer");
    let put =
        |body: &str, media_type: &str| host.send("PUT", "/v2/a/manifests/v1", &[("content-type", media_type)], body.as_bytes());
    let confused = put(&manifest.to_string(), INDEX);
    assert_eq!(confused.refusal(), (400, "MANIFEST_INVALID".into()));
    for (body, media_type) in [
        ("", MANIFEST),
        ("[]", MANIFEST),
        ("<html>", MANIFEST),
        ("{\"schemaVersion\":1}", MANIFEST),
        ("{\"schemaVersion\":2}", MANIFEST),
        ("{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", INDEX),
        ("{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"digest\":\"sha256:0\",\"size\":1},\"layers\":[]}", MANIFEST),
        // Nothing but the header says what it is: the next client would be told something else.
        ("{\"schemaVersion\":2,\"manifests\":[]}", "application/vnd.docker.distribution.manifest.list.v2+json"),
    ] {
        assert_eq!(put(body, media_type).refusal(), (400, "MANIFEST_INVALID".into()), "{body}");
    }
    let mut subject = manifest.clone();
    subject["subject"] = json!({"digest": "../../x"});
    assert_eq!(put(&subject.to_string(), MANIFEST).refusal(), (400, "MANIFEST_INVALID".into()));
    for (member, at) in [("config", "/config/digest"), ("layer", "/layers/0/digest")] {
        let mut missing = manifest.clone();
        *missing.pointer_mut(at).unwrap() = json!(Digest::sha256(b"unknown"));
        assert_eq!(put(&missing.to_string(), MANIFEST).refusal(), (400, "MANIFEST_BLOB_UNKNOWN".into()), "{member}");
    }
    let mut foreign = manifest;
    foreign["layers"] = json!([{"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": Digest::sha256(b"w"), "size": 1}]);
    assert_eq!(put(&foreign.to_string(), MANIFEST).status, 201, "a layer that may not be given away");
    assert_eq!(host.get("/v2/a/tags/list").json()["tags"], json!(["v1"]));
}

#[test]
fn an_index() {
    let host = Host::new();
    let image = host.push("a", "amd64", b"layer");
    let entry = |digest: &Digest| json!({"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry(&image)]});
    assert_eq!(host.put_manifest("a", "all", &index).status, 201);
    assert_eq!(host.get("/v2/a/manifests/all").header("content-type"), INDEX);
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry(&image), entry(&Digest::sha256(b"x"))]});
    assert_eq!(host.put_manifest("a", "all", &index).refusal(), (400, "MANIFEST_BLOB_UNKNOWN".into()));
}

#[test]
fn lists_of_tags() {
    let host = Host::new();
    let manifest = host.image("a/b", b"layer");
    for tag in ["z", "B", "a.1", "a", "_x"] {
        assert_eq!(host.put_manifest("a/b", tag, &manifest).status, 201);
    }
    assert_eq!(host.get("/v2/a/b/tags/list").json(), json!({"name": "a/b", "tags": ["B", "_x", "a", "a.1", "z"]}));
    let page = host.get("/v2/a/b/tags/list?n=2");
    assert_eq!(
        (page.json()["tags"].clone(), page.header("link")),
        (json!(["B", "_x"]), "</v2/a/b/tags/list?n=2&last=_x>; rel=\"next\"")
    );
    let page = host.get("/v2/a/b/tags/list?n=3&last=_x");
    assert_eq!((page.json()["tags"].clone(), page.header("link")), (json!(["a", "a.1", "z"]), ""));
    assert_eq!(host.get("/v2/a/b/tags/list?n=0").json()["tags"], json!([]));
    assert_eq!(host.get("/v2/a/b/tags/list?last=zz").json()["tags"], json!([]));
    assert_eq!(host.get("/v2/a/b/tags/list?n=x").refusal(), (400, "PAGINATION_NUMBER_INVALID".into()));
    assert_eq!(host.get("/v2/a/tags/list").refusal(), (404, "NAME_UNKNOWN".into()));
}

#[test]
fn lists_of_repositories() {
    let host = Host::new();
    for repository in ["a/b", "a-b", "a", "z/y/x"] {
        host.push(repository, "v1", b"layer");
    }
    host.push_blob("only/a/blob", b"layer");
    assert_eq!(host.get("/v2/_catalog").json(), json!({"repositories": ["a", "a-b", "a/b", "z/y/x"]}));
    let page = host.get("/v2/_catalog?n=3");
    assert_eq!(page.header("link"), "</v2/_catalog?n=3&last=a%2Fb>; rel=\"next\"");
    assert_eq!(host.get("/v2/_catalog?n=3&last=a%2Fb").json(), json!({"repositories": ["z/y/x"]}));
}

/// A signature, bill of materials or the like.
fn artifact(host: &Host, subject: &Digest, kind: &str, note: &str) -> (Value, Digest) {
    let mut manifest = host.image("a", b"{}");
    manifest["artifactType"] = json!(kind);
    manifest["subject"] = json!({"mediaType": MANIFEST, "digest": subject, "size": 1});
    manifest["annotations"] = json!({"note": note});
    let digest = Digest::sha256(manifest.to_string().as_bytes());
    (manifest, digest)
}

#[test]
fn referrers() {
    let host = Host::new();
    let subject = host.push("a", "v1", b"layer");
    let path = format!("/v2/a/referrers/{subject}");
    assert_eq!((host.get(&path).status, host.get(&path).json()["manifests"].clone()), (200, json!([])));
    let (signature, first) = artifact(&host, &subject, "application/vnd.sig", "1");
    let (bill, second) = artifact(&host, &subject, "application/vnd.bom+json", "2");
    for (manifest, digest) in [(&signature, &first), (&bill, &second)] {
        let answer = host.put_manifest("a", digest.as_str(), manifest);
        assert_eq!((answer.status, answer.header("oci-subject")), (201, subject.as_str()));
    }
    let all = host.get(&path);
    assert_eq!((all.header("content-type"), all.header("oci-filters-applied")), (INDEX, ""));
    assert_eq!(all.json()["manifests"].as_array().unwrap().len(), 2);
    let filtered = host.get(&format!("{path}?artifactType=application%2Fvnd.bom%2Bjson"));
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let size = bill.to_string().len();
    let expected = json!([{"mediaType": MANIFEST, "digest": second, "size": size, "artifactType": "application/vnd.bom+json", "annotations": {"note": "2"}}]);
    assert_eq!(filtered.json()["manifests"], expected);
    let page = host.get(&format!("{path}?n=1"));
    let link = page.header("link").trim_start_matches('<').split('>').next().unwrap().to_owned();
    let next = host.get(&link);
    let digests: Vec<Value> = [page, next].iter().map(|page| page.json()["manifests"][0]["digest"].clone()).collect();
    let mut both = [json!(first), json!(second)];
    both.sort_by_key(Value::to_string);
    assert_eq!(digests, both);
    // The subject may come later, or never.
    let unknown = Digest::sha256(b"later");
    let (early, digest) = artifact(&host, &unknown, "application/vnd.sig", "3");
    host.put_manifest("a", digest.as_str(), &early);
    assert_eq!(host.get(&format!("/v2/a/referrers/{unknown}")).json()["manifests"][0]["digest"], json!(digest));
    host.send("DELETE", &format!("/v2/a/manifests/{digest}"), &[], b"");
    assert_eq!(host.get(&format!("/v2/a/referrers/{unknown}")).json()["manifests"], json!([]));
    assert_eq!(host.get("/v2/a/referrers/sha256:0").refusal(), (400, "DIGEST_INVALID".into()));
}

#[test]
fn deletion() {
    let host = Host::new();
    let digest = host.push("a", "v1", b"layer");
    let manifest = host.get("/v2/a/manifests/v1").json();
    host.put_manifest("a", "v2", &manifest);
    let delete = |path: &str| host.send("DELETE", path, &[], b"");
    assert_eq!(delete("/v2/a/manifests/v1").status, 202);
    assert_eq!(delete("/v2/a/manifests/v1").refusal(), (404, "MANIFEST_UNKNOWN".into()));
    assert_eq!(host.get("/v2/a/manifests/v2").status, 200, "a tag goes alone");
    assert_eq!(delete(&format!("/v2/a/manifests/{digest}")).status, 202);
    assert_eq!(delete(&format!("/v2/a/manifests/{digest}")).refusal(), (404, "MANIFEST_UNKNOWN".into()));
    assert_eq!(host.get("/v2/a/manifests/v2").status, 404, "a manifest goes with its tags");
    for blob in ["/config/digest", "/layers/0/digest"] {
        let path = format!("/v2/a/blobs/{}", manifest.pointer(blob).unwrap().as_str().unwrap());
        assert_eq!(delete(&path).status, 202);
        assert_eq!(delete(&path).refusal(), (404, "BLOB_UNKNOWN".into()));
    }
    assert_eq!(host.files(), [] as [String; 0]);
}

#[test]
fn a_blob_that_others_have_stays() {
    let host = Host::new();
    let digest = host.push_blob("a", b"shared");
    host.push_blob("b", b"shared");
    assert_eq!(host.send("DELETE", &format!("/v2/a/blobs/{digest}"), &[], b"").status, 202);
    assert_eq!(host.get(&format!("/v2/a/blobs/{digest}")).status, 404);
    assert_eq!(host.get(&format!("/v2/b/blobs/{digest}")).body, b"shared");
}

#[test]
fn read_only() {
    let host = Host::new();
    let digest = host.push("a", "v1", b"layer");
    let host = Host::over(host.end(), |options| options.read_only = true);
    assert_eq!(host.get("/v2/a/manifests/v1").status, 200);
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("PUT", "/v2/a/manifests/v1".to_owned()),
        ("DELETE", "/v2/a/manifests/v1".to_owned()),
        ("DELETE", format!("/v2/a/blobs/{digest}")),
    ] {
        assert_eq!(host.send(method, &path, &[], b"").refusal(), (405, "UNSUPPORTED".into()), "{method} {path}");
    }
}
