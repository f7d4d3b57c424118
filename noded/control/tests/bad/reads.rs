//! Reads: revisions that are forged or gone, selectors that make no sense, and answers that are big.

use std::io::Read;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde_json::json;

use super::{JSON, MAPS, MASTER, Plane};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_that_are_forged() {
    let plane = Plane::start().await;
    let of = |query: &str| format!("GET {MAPS}?{query}");
    for (query, code, words) in [
        ("resourceVersion=abc", 400, "must be a number"),
        ("resourceVersion=-1", 400, "must be a number"),
        ("resourceVersion=99999999999999999999", 400, "must be a number"),
        ("resourceVersion=18446744073709551615", 504, "Too large resource version"),
        ("resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "is forbidden for resourceVersion \"0\""),
        ("resourceVersion=5&resourceVersionMatch=About", 422, "Unsupported value: \"About\""),
        ("limit=many", 400, "limit: Invalid value: \"many\""),
        ("watch=1&timeoutSeconds=soon", 400, "timeoutSeconds: Invalid value: \"soon\""),
        ("continue=nonsense", 400, "continue key is not valid"),
        // {"rv":18446744073709551615,"after":""}, {"rv":0,"after":"x"}, and something else
        ("limit=1&continue=eyJydiI6MTg0NDY3NDQwNzM3MDk1NTE2MTUsImFmdGVyIjoiIn0", 400, "continue key is not valid"),
        ("continue=eyJydiI6MCwiYWZ0ZXIiOiJ4In0", 410, "too old"),
        ("continue=e30", 400, "continue key is not valid"),
        ("watch=1&resourceVersion=abc", 400, "Invalid resource version"),
        ("watch=1&resourceVersion=18446744073709551615", 504, "Too large resource version"),
        ("watch=1&resourceVersionMatch=NotOlderThan", 422, "forbidden for watch unless sendInitialEvents is provided"),
        ("watch=1&sendInitialEvents=true", 422, "requires resourceVersionMatch set to NotOlderThan"),
        ("labelSelector=a%20in", 400, ""),
        ("labelSelector=%3D%3D", 400, ""),
        ("fieldSelector=spec.nodeName%3Dn", 400, "field label not supported: spec.nodeName"),
    ] {
        plane.refused(MASTER, &of(query), "", "", (code, words)).await;
    }
    for (path, code) in [
        ("/api/v1/namespaces/default/configmaps/../secrets", 404),
        ("/api/v1/namespaces/default%2Fconfigmaps", 404),
        ("/apis/apps/v9/deployments", 404),
        ("/api/v1/nonsense", 404),
        ("/api/v1/namespaces/default/configmaps/x/y/z", 404),
    ] {
        assert_eq!(plane.ask(&format!("GET {path}"), "", "").await.code, code, "{path}");
    }
    assert_eq!(plane.ask(&format!("PUT {MAPS}"), JSON, "{}").await.code, 405);
    assert_eq!(plane.ask("POST /readyz", JSON, "{}").await.code, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn big_answers_are_compressed_for_those_who_take_it() {
    let plane = Plane::start().await;
    let map = json!({"metadata": {"name": "big"}, "data": {"a": "x".repeat(200_000)}});
    assert_eq!(plane.ask(&format!("POST {MAPS}"), JSON, map.to_string()).await.code, 201);
    let ask = async |path: &str, accepts: &str| {
        let request = Request::builder().uri(path).header("host", "localhost").header("authorization", format!("Bearer {MASTER}"));
        let request = request.header("accept-encoding", accepts).body(Full::new(Bytes::new())).unwrap();
        plane.send(None, request).await.unwrap()
    };
    let plain = ask(MAPS, "identity").await;
    assert!(plain.headers.get("content-encoding").is_none() && plain.body.len() > 200_000);
    assert!(ask(MAPS, "gzip;q=0").await.headers.get("content-encoding").is_none());
    let packed = ask(MAPS, "deflate, gzip").await;
    assert_eq!(
        (packed.headers["content-encoding"].as_bytes(), packed.headers["vary"].as_bytes()),
        (&b"gzip"[..], &b"Accept-Encoding"[..])
    );
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut text).unwrap();
    assert!(packed.body.len() < 20_000 && text == plain.body);
    assert!(ask("/api", "gzip").await.headers.get("content-encoding").is_none(), "it is not worth it for little");
}
