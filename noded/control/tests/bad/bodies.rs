//! Bodies that make no sense, and bombs.

use serde_json::json;

use super::{JSON, MAPS, MASTER, Plane};

const YAML: &str = "application/yaml";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const OPERATIONS: &str = "application/json-patch+json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_make_no_sense() {
    let plane = Plane::start().await;
    let post = format!("POST {MAPS}");
    let strict = format!("POST {MAPS}?fieldValidation=Strict");
    let deep = "[".repeat(100_000);
    let laughs = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, at| {
        let all = vec![format!("*a{}", at - 1); 9].join(", ");
        format!("{text}a{at}: &a{at} [{all}]\n")
    });
    let cases: &[(&str, &str, &str, u16, &str)] = &[
        (&post, JSON, "", 400, "the body is not JSON: EOF while parsing a value"),
        (&post, JSON, "{\"metadata\":", 400, "the body is not JSON: EOF while parsing"),
        (&post, JSON, "\u{7f}ELF", 400, "the body is not JSON: expected value"),
        (&post, JSON, "null", 400, "the body is not an object"),
        (&post, JSON, "[]", 400, "the body is not an object"),
        (&post, JSON, "\"text\"", 400, "the body is not an object"),
        (&post, JSON, &deep, 400, "recursion limit exceeded"),
        (&post, JSON, "{\"metadata\": 7}", 400, "cannot unmarshal number into Go struct field ConfigMap.metadata"),
        (
            &post,
            JSON,
            "{\"metadata\": {\"labels\": [\"a\"]}}",
            400,
            "cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            &post,
            JSON,
            "{\"metadata\": {\"name\": \"a\"}, \"data\": {\"a\": 1}}",
            400,
            "cannot unmarshal number into Go struct field ConfigMap.data",
        ),
        (&post, JSON, "{\"metadata\": {\"name\": \"a\"}, \"binaryData\": {\"a\": \"no base64!\"}}", 400, "illegal base64 data"),
        (
            &post,
            JSON,
            "{\"kind\": \"Secret\", \"metadata\": {\"name\": \"a\"}}",
            400,
            "the kind in the data (Secret) does not match the expected kind (ConfigMap)",
        ),
        (
            &post,
            JSON,
            "{\"apiVersion\": \"v2\", \"metadata\": {\"name\": \"a\"}}",
            400,
            "the API version in the data (v2) does not match",
        ),
        (
            &post,
            JSON,
            "{\"metadata\": {\"name\": \"a\", \"namespace\": \"b\"}}",
            400,
            "does not match the namespace sent on the request",
        ),
        (&post, JSON, "{\"metadata\": {\"name\": \"../../etc\"}}", 422, "metadata.name: Invalid value: \"../../etc\""),
        (
            &strict,
            JSON,
            "{\"metadata\": {\"name\": \"a\"}, \"dta\": {}, \"data\": {\"k\": \"v\", \"k\": \"w\"}}",
            400,
            "strict decoding error: unknown field \"dta\", duplicate field \"data.k\"",
        ),
        (&strict, YAML, "metadata: {name: a}\ndata: {k: v, k: w}\n", 400, "strict decoding error: duplicate field \"data.k\""),
        (&post, YAML, "metadata: {name: a}\ndata: [k]\n", 400, "cannot unmarshal array into Go struct field ConfigMap.data"),
        (&post, YAML, "metadata: {name: a", 400, "the body is not YAML"),
        (&post, YAML, "metadata: {name: a}\n---\nmetadata: {name: b}\n", 400, "the body is not YAML"),
        (&post, YAML, &laughs, 400, "the body is not YAML"),
        (&post, YAML, &deep, 400, "the body is not YAML"),
        (&post, "text/plain", "{}", 415, "the body of the request was in an unknown format"),
        (&post, "application/x-www-form-urlencoded", "a=b", 415, "found: application/x-www-form-urlencoded"),
    ];
    for (what, media, body, code, words) in cases {
        plane.refused(MASTER, what, media, (*body).to_owned(), (*code, *words)).await;
    }
    for (query, words) in [
        ("fieldValidation=Perhaps", "fieldValidation: Unsupported value: \"Perhaps\""),
        ("dryRun=Some", "dryRun: Unsupported value: \"Some\""),
        ("fieldManager=%00", "fieldManager: Invalid value"),
    ] {
        let body = json!({"metadata": {"name": "a"}, "unknown": 1}).to_string();
        plane.refused(MASTER, &format!("{post}?{query}"), JSON, body, (422, words)).await;
    }
    // bytes that are no text, protobuf that is none
    plane.refused(MASTER, &post, JSON, vec![b'"', 0xff, 0xfe, b'"'], (400, "the body is not JSON")).await;
    plane.refused(MASTER, &post, "application/vnd.kubernetes.protobuf", b"k8s\0\xff\xff\xff\xff".to_vec(), (400, "")).await;
    assert_eq!(plane.ask(&format!("GET {MAPS}/a"), "", "").await.code, 404, "nothing was made");
    // YAML that makes sense
    let made = plane.ask(&post, YAML, "# a note\nmetadata: {name: a}\ndata:\n  k: |\n    two\n    lines\n").await;
    assert_eq!((made.code, &made.json()["data"]["k"]), (201, &json!("two\nlines\n")));
    let applied =
        plane.ask(&format!("PATCH {MAPS}/a?fieldManager=me"), APPLY, "apiVersion: v1\nkind: ConfigMap\ndata:\n  l: m\n").await;
    assert_eq!((applied.code, &applied.json()["data"]), (200, &json!({"k": "two\nlines\n", "l": "m"})));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_too_big() {
    let plane = Plane::start().await;
    let post = format!("POST {MAPS}");
    let map = |bytes: usize| json!({"metadata": {"name": "big"}, "data": {"a": "x".repeat(bytes)}}).to_string();
    plane.refused(MASTER, &post, JSON, map(3 << 20), (413, "Request entity too large: limit is 3145728")).await;
    plane.refused(MASTER, &post, JSON, map(2 << 20), (422, "Too long: may not be more than 1048576 bytes")).await;
    assert_eq!(plane.ask(&post, JSON, map((1 << 20) - 1)).await.code, 201);
    let patch = format!("PATCH {MAPS}/big");
    plane.refused(MASTER, &patch, MERGE, map(3 << 20), (413, "Request entity too large")).await;
    // a short patch that makes much out of little
    let copy = json!({"op": "copy", "from": "/data", "path": "/data/x"});
    let copies = serde_json::Value::Array(vec![copy; 40]).to_string();
    let bomb = plane.ask(&patch, OPERATIONS, copies).await;
    assert!(matches!(bomb.code, 413 | 422), "{} {}", bomb.code, bomb.message());
    let many = serde_json::Value::Array(vec![json!({"op": "test", "path": "/kind", "value": "ConfigMap"}); 10_001]).to_string();
    plane.refused(MASTER, &patch, OPERATIONS, many, (413, "too large")).await;
    let notes = json!({"metadata": {"annotations": {"a": "x".repeat(300_000)}}}).to_string();
    plane.refused(MASTER, &patch, MERGE, notes, (422, "metadata.annotations: Too long")).await;
    assert_eq!(plane.ask("GET /readyz", "", "").await.code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_that_conflict_or_make_no_sense() {
    let plane = Plane::start().await;
    let made = plane.ask(&format!("POST {MAPS}"), JSON, json!({"metadata": {"name": "a"}, "data": {"k": "v"}}).to_string()).await;
    let version = made.json()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let patch = format!("PATCH {MAPS}/a");
    let apply = format!("PATCH {MAPS}/a?fieldManager=me");
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"k": "w"}}).to_string();
    let put = json!({"metadata": {"name": "a", "resourceVersion": "1"}, "data": {"k": "w"}}).to_string();
    let forged = put.replace("\"1\"", "\"forged\"");
    let other = json!({"metadata": {"uid": "another"}}).to_string();
    let cases: &[(&str, &str, &str, u16, &str)] = &[
        (&patch, "application/foo-patch+json", "{}", 415, "application/strategic-merge-patch+json"),
        (&patch, JSON, "{}", 415, "accepted media types include: application/json-patch+json"),
        (&patch, OPERATIONS, "{}", 400, ""),
        (&patch, OPERATIONS, "[{\"op\":\"jump\",\"path\":\"/a\"}]", 400, ""),
        (&patch, OPERATIONS, "[{\"op\":\"test\",\"path\":\"/data/k\",\"value\":\"x\"}]", 422, ""),
        (&patch, OPERATIONS, "[{\"op\":\"remove\",\"path\":\"/data/none\"}]", 422, ""),
        (&patch, OPERATIONS, "[{\"op\":\"replace\",\"path\":\"\",\"value\":7}]", 400, ""),
        (
            &patch,
            OPERATIONS,
            "[{\"op\":\"replace\",\"path\":\"/metadata/name\",\"value\":\"b\"}]",
            400,
            "does not match the name on the URL",
        ),
        (&patch, MERGE, "[]", 400, "a merge patch must be an object"),
        (&patch, MERGE, "{\"data\":[1]}", 400, "cannot unmarshal array"),
        (&patch, MERGE, &stale, 409, "the object has been modified"),
        (&patch, MERGE, &other, 409, "Precondition failed: UID in precondition: another"),
        (&patch, STRATEGIC, "{\"$patch\":\"explode\"}", 422, ""),
        (&format!("PUT {MAPS}/a"), JSON, &put, 409, "the object has been modified"),
        (&format!("PUT {MAPS}/a"), JSON, &forged, 409, "the object has been modified"),
        (&format!("PUT {MAPS}/b"), JSON, "{\"metadata\":{\"name\":\"b\"}}", 404, "configmaps \"b\" not found"),
        (
            &format!("POST {MAPS}"),
            JSON,
            "{\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"5\"}}",
            400,
            "resourceVersion should not be set on objects to be created",
        ),
        (&patch, APPLY, "{\"data\":{}}", 422, "fieldManager: Required value: is required for apply patch"),
        (&apply, APPLY, "{\"metadata\":{\"managedFields\":[]}}", 400, "metadata.managedFields must be nil"),
        (&apply, APPLY, "{\"data\":{\"k\":\"w\"}}", 409, "Apply failed with 1 conflict: conflict with"),
        (&apply, APPLY, "data: *nobody", 400, "the body is not YAML"),
    ];
    for (what, media, body, code, words) in cases {
        plane.refused(MASTER, what, media, (*body).to_owned(), (*code, *words)).await;
    }
    let now = plane.ask(&format!("GET {MAPS}/a"), "", "").await.json();
    assert_eq!((&now["data"], now["metadata"]["resourceVersion"].as_str()), (&json!({"k": "v"}), Some(version.as_str())));
}

/// Whoever changes something else is not lost, however many come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_at_once_are_all_there() {
    let plane = Plane::start().await;
    assert_eq!(plane.ask(&format!("POST {MAPS}"), JSON, json!({"metadata": {"name": "a"}}).to_string()).await.code, 201);
    let patch = format!("PATCH {MAPS}/a");
    let all = (0..12).map(|at| plane.ask(&patch, MERGE, json!({"data": {format!("k{at}"): "v"}}).to_string()));
    let answers = futures_util::future::join_all(all).await;
    let good = answers.iter().filter(|answer| answer.code == 200).count();
    assert!(answers.iter().all(|answer| matches!(answer.code, 200 | 409)), "{answers:?}");
    let now = plane.ask(&format!("GET {MAPS}/a"), "", "").await.json();
    assert_eq!(now["data"].as_object().unwrap().len(), good, "whoever was told so is there");
    assert!(good >= 8, "{good}");
}
