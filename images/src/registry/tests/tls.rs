use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::super::http::Peer;
use super::super::tls::Trust;
use super::server::{Answer, Server};
use super::*;

/// An authority's certificate, and a server's certificate by it for `name`.
fn certificates(name: &str) -> (String, rustls::ServerConfig) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Two authorities of one name would differ in the signature only.
    params.distinguished_name.push(DnType::CommonName, ca_key.public_key_pem());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    (ca, config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap())
}

/// What comes of a manifest over TLS, with a password at hand.
async fn pull(server: &Server, peer: Peer, trust: Trust) -> Result<(), String> {
    let me = credentials(&format!(r#"{{"auths":{{"{}":{{"username":"me","password":"x"}}}}}}"#, server.host()));
    let mut registry = with(&format!("{}/a/b", server.host()), &Registries::default(), &me, &Clock::new());
    let inner = Arc::get_mut(&mut registry.inner).unwrap();
    inner.endpoints[0].speak_tls(peer);
    inner.http.trust = trust;
    let pulled = registry.manifest("latest").await;
    pulled.map(|_| ()).map_err(|error| line(error).replace(&server.host(), "HOST"))
}

#[tokio::test]
async fn an_authority_that_is_trusted() {
    let (ca, config) = certificates("127.0.0.1");
    let (_folder, files) = file("ca.pem", &ca);
    let server = Server::start_tls(config, |_| manifest()).await;
    pull(&server, Peer::Remote, Trust::File(files[0].clone())).await.unwrap();
    assert_eq!(server.paths().len(), 1);
}

#[tokio::test]
async fn an_authority_that_is_not() {
    let (_, config) = certificates("127.0.0.1");
    let server = Server::start_tls(config, |_| manifest()).await;
    let (ca, _) = certificates("127.0.0.1");
    let (_folder, files) = file("ca.pem", &ca);
    let error = pull(&server, Peer::Remote, Trust::File(files[0].clone())).await.unwrap_err();
    let expected = "TLS: nobody this host trusts made the registry's certificate: install its CA certificate";
    assert!(error.ends_with(expected), "{error}");
    assert_eq!(server.paths(), [] as [String; 0]);
}

#[tokio::test]
async fn the_certificate_of_another_host() {
    let (ca, config) = certificates("registry.example");
    let (_folder, files) = file("ca.pem", &ca);
    let server = Server::start_tls(config, |_| manifest()).await;
    let error = pull(&server, Peer::Remote, Trust::File(files[0].clone())).await.unwrap_err();
    assert!(error.contains("TLS: ") && error.contains("registry.example"), "{error}");
    assert_eq!(server.paths(), [] as [String; 0]);
}

#[tokio::test]
async fn a_host_without_certificates() {
    let (_, config) = certificates("127.0.0.1");
    let (_folder, files) = file("ca.pem", "");
    let server = Server::start_tls(config, |_| manifest()).await;
    let error = pull(&server, Peer::Remote, Trust::File(files[0].clone())).await.unwrap_err();
    assert!(error.ends_with("TLS: this host has no CA certificates: install the package ca-certificates"), "{error}");
}

#[tokio::test]
async fn an_insecure_registry() {
    let (_, config) = certificates("registry.example");
    let server = Server::start_tls(config, |_| manifest()).await;
    pull(&server, Peer::Unverified, Trust::default()).await.unwrap();
}

#[tokio::test]
async fn plain_http_where_tls_should_be() {
    let server = Server::start(|_| manifest()).await;
    let error = pull(&server, Peer::Remote, Trust::default()).await.unwrap_err();
    assert!(error.ends_with("TLS: the registry does not speak TLS: is it one for plain http (insecure = true)?"), "{error}");
}

/// Neither a redirect nor a token service leads out of the encryption.
#[tokio::test]
async fn encrypted_stays_encrypted() {
    let trap = Server::start(|_| manifest()).await;
    for answer in [
        Answer::new(307, "").with("location", format!("http://{}/", trap.host())),
        Answer::new(401, "").with("www-authenticate", format!("Bearer realm=\"http://{}/\"", trap.host())),
    ] {
        let (ca, config) = certificates("127.0.0.1");
        let (_folder, files) = file("ca.pem", &ca);
        let server = Server::start_tls(config, move |_| answer.clone()).await;
        pull(&server, Peer::Remote, Trust::File(files[0].clone())).await.unwrap_err();
        assert_eq!(server.paths().len(), 1);
    }
    assert_eq!(trap.paths(), [] as [String; 0]);
}
