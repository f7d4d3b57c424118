//! Nodes that are not nodes any more, and hold on to what they have.

use control::certs::Wanted;
use control::join::{Token, secret};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use rcgen::KeyPair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::people::signed_as;
use super::{Certificate, JSON, Plane};

const HOUR: Duration = Duration::from_secs(3600);
const NODES: &str = "/api/v1/nodes";

async fn make(plane: &Plane, node: &str) {
    assert_eq!(plane.ask(&format!("POST {NODES}"), JSON, format!("{{\"metadata\":{{\"name\":\"{node}\"}}}}")).await.code, 201);
}

fn certificate(plane: &Plane, end: SystemTime) -> Certificate {
    let from = SystemTime::now() - HOUR;
    signed_as(("system:node:n1", "system:nodes"), plane.folder(), from, end)
}

/// Comes as a node, and reads until the server breaks off: what it said first.
async fn come(plane: &Plane, certificate: Certificate) -> (String, impl Future<Output = ()> + use<>) {
    let mut stream = plane.stream(Some(certificate)).await.unwrap();
    let request = "GET /noded/connection HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: noded-node/1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.unwrap();
    let rest = async move {
        let mut rest = Vec::new();
        // an end without goodbye is one, too
        let end = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
        drop(end.expect("the server breaks off"));
    };
    (String::from_utf8_lossy(&line).into_owned(), rest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nodes_connection_ends_with_what_it_stands_on() {
    let plane = Plane::start().await;
    let now = SystemTime::now();
    let refused = |said: &str| said == "HTTP/1.1 404";
    assert!(refused(&come(&plane, certificate(&plane, now + HOUR)).await.0), "there is no such node");
    make(&plane, "n1").await;
    let (said, end) = come(&plane, certificate(&plane, now + Duration::from_secs(3))).await;
    assert_eq!(said, "HTTP/1.1 101");
    end.await;
    assert!(SystemTime::now() >= now + Duration::from_secs(3), "its certificate was good");
    let (said, end) = come(&plane, certificate(&plane, now + HOUR)).await;
    assert_eq!(said, "HTTP/1.1 101");
    assert_eq!(plane.ask(&format!("DELETE {NODES}/n1"), "", "").await.code, 200);
    end.await;
    assert!(refused(&come(&plane, certificate(&plane, now + HOUR)).await.0), "it was deleted");
}

/// A host's certificate for a new key, asked for with a token or with the one that it has.
async fn renewed(plane: &Plane, token: &str, own: Option<&(String, String)>) -> Result<(String, String), u16> {
    let key = Wanted::key().unwrap();
    let mut request = Request::builder().method("POST").uri("/noded/certificate?node=n1").header("host", "localhost");
    if own.is_none() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from(Wanted::make("n1", &key).unwrap()))).unwrap();
    let answer = plane.send(own.map(pair), request).await.unwrap();
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    if answer.code == 201 { Ok((text, key)) } else { Err(answer.code) }
}

fn pair((certificate, key): &(String, String)) -> Certificate {
    let key = KeyPair::from_pem(key).unwrap().serialize_der();
    (CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap(), PrivateKeyDer::try_from(key).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_anothers_is_nobody_elses() {
    let plane = Plane::start().await;
    let token = Token::make();
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let kept = secret(&token, Some(end), "").to_string();
    assert_eq!(plane.ask("POST /api/v1/namespaces/kube-system/secrets", JSON, kept).await.code, 201);
    let token = token.text();
    let code = async |own: &(String, String)| {
        let request = Request::builder().uri(format!("{NODES}/n1")).header("host", "localhost").body(Full::new(Bytes::new()));
        plane.send(Some(pair(own)), request.unwrap()).await.unwrap().code
    };
    let first = renewed(&plane, &token, None).await.unwrap();
    make(&plane, "n1").await;
    assert_eq!(code(&first).await, 200);
    // it has not got the answer, and asks again
    let lost = renewed(&plane, "", Some(&first)).await.unwrap();
    let second = renewed(&plane, "", Some(&first)).await.unwrap();
    assert_eq!((code(&first).await, code(&lost).await, code(&second).await), (200, 401, 200));
    let third = renewed(&plane, "", Some(&second)).await.unwrap();
    assert_eq!((code(&first).await, code(&second).await, code(&third).await), (401, 200, 200));
    // another host takes its place
    assert_eq!(renewed(&plane, &token, None).await.unwrap_err(), 403);
    assert_eq!(plane.ask(&format!("DELETE {NODES}/n1"), "", "").await.code, 200);
    let other = renewed(&plane, &token, None).await.unwrap();
    make(&plane, "n1").await;
    assert_eq!((code(&third).await, code(&other).await), (401, 200));
    assert_eq!(renewed(&plane, "", Some(&third)).await.unwrap_err(), 401);
    // a name without a key is that of the control plane's own node: no token makes another of it
    assert_eq!(plane.ask("DELETE /api/v1/namespaces/kube-system/secrets/node-key-n1", "", "").await.code, 200);
    assert_eq!(renewed(&plane, &token, None).await.unwrap_err(), 403);
}
