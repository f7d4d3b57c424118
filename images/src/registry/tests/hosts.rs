//! What files of the administrator say about single registries.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::server::Server;
use super::*;
use crate::RegistryError;
use crate::registry::Proxies;

/// An authority.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, key.public_key_pem());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = params.self_signed(&key).unwrap();
        Authority { certificate: made.der().clone(), pem: made.pem(), params, key }
    }

    /// A certificate for `name`, and its key.
    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = leaf.signed_by(&key, &Issuer::new(self.params.clone(), &self.key)).unwrap();
        (certificate, key)
    }

    /// A server on loopback. With `clients` it wants certificates that this authority signed.
    fn server(&self, clients: bool) -> ServerConfig {
        let (certificate, key) = self.sign("127.0.0.1");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

async fn pull(reference: &str, registries: &Registries) -> Result<(), String> {
    let registry = Registry::patient(&reference.parse().unwrap(), registries, &Credentials::default(), &(), Clock::new().patience);
    let pulled: Result<_, RegistryError> = async { registry?.manifest("latest").await }.await;
    pulled.map(drop).map_err(line)
}

fn folder_of(folder: &tempfile::TempDir) -> Registries {
    Registries::default().with_folders(vec![folder.path().to_owned()])
}

#[tokio::test]
async fn an_authority_of_one_registry() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::start_tls(authority.server(false), |_| manifest()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(server.host()).join("ca.crt");
    write(&file, &authority.pem);
    pull(&format!("{}/a", server.host()), &folder_of(&folder)).await.unwrap();
    // Of another authority; not for another registry; and no certificate at all.
    write(&file, &other.pem);
    let error = pull(&format!("{}/a", server.host()), &folder_of(&folder)).await.unwrap_err();
    assert!(error.contains("nobody this host trusts"), "{error}");
    write(&file, "");
    let error = pull(&format!("{}/a", server.host()), &folder_of(&folder)).await.unwrap_err();
    assert!(error.ends_with("ca.crt: there is no certificate in it"), "{error}");
    assert_eq!(server.paths().len(), 1);
}

/// Whoever vouches for one registry does not vouch for the host that it redirects to.
#[tokio::test]
async fn an_authority_of_one_registry_only() {
    let authority = Authority::new();
    let trap = Server::start_tls(authority.server(false), |_| manifest()).await;
    let to = format!("https://127.0.0.1:{}/", trap.host().split(':').nth(1).unwrap());
    let (certificate, key) = authority.sign("localhost");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let server = Server::start_tls(config, move |_| server::Answer::new(307, "").with("location", to.clone())).await;
    let host = server.host().replace("127.0.0.1", "localhost");
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(&host).join("ca.crt"), &authority.pem);
    let error = pull(&format!("{host}/a"), &folder_of(&folder)).await.unwrap_err();
    assert!(error.contains("nobody this host trusts") || error.contains("no CA certificates"), "{error}");
    assert_eq!((server.paths().len(), trap.paths().len()), (1, 0));
}

#[tokio::test]
async fn a_registry_that_asks_who_we_are() {
    let authority = Authority::new();
    let server = Server::start_tls(authority.server(true), |_| manifest()).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(server.host()).join(name);
    write(&at("ca.crt"), &authority.pem);
    let name = format!("{}/a", server.host());
    let error = pull(&name, &folder_of(&folder)).await.unwrap_err();
    assert!(error.contains("CertificateRequired") || error.contains("certificate required") || error.contains("lost"), "{error}");
    let (certificate, key) = authority.sign("me");
    write(&at("client.cert"), &certificate.pem());
    let error = pull(&name, &folder_of(&folder)).await.unwrap_err();
    assert!(error.ends_with("client.cert: its key is not beside it: NAME.cert needs NAME.key"), "{error}");
    write(&at("client.key"), &key.serialize_pem());
    pull(&name, &folder_of(&folder)).await.unwrap();
}

#[tokio::test]
async fn mirrors_of_hosts_toml() {
    let mirror = Server::start(|_| manifest()).await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "server = 'https://none.invalid'\n[host.'http://{0}/cache']\n[host.'http://{0}/cache'.header]\nx-who = 'me'\n",
        mirror.host()
    );
    write(&folder.path().join("docker.io/hosts.toml"), &text);
    pull("busybox", &folder_of(&folder)).await.unwrap();
    let seen = mirror.seen();
    assert_eq!(mirror.paths(), ["GET /cache/v2/library/busybox/manifests/latest?ns=docker.io"]);
    assert_eq!(seen[0].header("x-who"), Some("me"));
    // A table of registries.conf goes first.
    let own = Server::start(|_| manifest()).await;
    let text = format!("[[registry]]\nprefix = 'docker.io'\nlocation = '{}'", own.host());
    let registries = registries(&text).with_folders(vec![folder.path().to_owned()]);
    pull("busybox", &registries).await.unwrap();
    assert_eq!((own.paths().len(), mirror.paths().len()), (1, 1));
    write(&folder.path().join("docker.io/hosts.toml"), "[host.1]\nx =");
    let error = pull("busybox", &folder_of(&folder)).await.unwrap_err();
    assert!(error.contains("hosts.toml: line 2: "), "{error}");
}

#[tokio::test]
async fn through_a_proxy() {
    let proxy = Server::start(|_| manifest()).await;
    let address = format!("http://me:secret@{}", proxy.host());
    let text = "[[registry]]\nlocation = 'r.invalid'\ninsecure = true";
    let proxies = Proxies { http: Some(address.clone()), https: None, none_for: Some("other.invalid".into()) };
    let insecure = registries(text).with_folders(Vec::new()).with_proxies(proxies.clone());
    pull("r.invalid/a", &insecure).await.unwrap();
    assert_eq!(proxy.paths(), ["GET http://r.invalid/v2/a/manifests/latest"]);
    assert_eq!(proxy.seen()[0].header("proxy-authorization"), Some("Basic bWU6c2VjcmV0"));
    assert!(!format!("{proxies:?}").contains("secret"));
    // Neither what is excepted, nor this host.
    let excepted = registries("[[registry]]\nlocation = 'other.invalid'\ninsecure = true").with_proxies(proxies.clone());
    pull("other.invalid/a", &excepted).await.unwrap_err();
    let own = Server::start(|_| manifest()).await;
    pull(&format!("{}/a", own.host()), &Registries::default().with_proxies(proxies)).await.unwrap();
    assert_eq!((own.paths().len(), proxy.paths().len()), (1, 1));
    let wrong = Proxies { http: Some("http://".into()), ..Proxies::default() };
    let error = pull("r.invalid/a", &registries(text).with_proxies(wrong)).await.unwrap_err();
    assert!(error.contains("the proxy's address"), "{error}");
}

/// A host that takes pushes gets them, with the name of the registry that is meant; pulls go elsewhere.
#[tokio::test]
async fn pushes_go_where_hosts_toml_says() {
    let taking = Server::start(|_| manifest()).await;
    let own = Server::start(|_| manifest()).await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!("server = 'http://{}'\n[host.'http://{}']\ncapabilities = ['push']\n", own.host(), taking.host());
    write(&folder.path().join("r.example/hosts.toml"), &text);
    let registries = folder_of(&folder);
    let reference = "r.example/a".parse().unwrap();
    let credentials = Credentials::default();
    let to = Registry::to_push_patiently(&reference, &registries, &credentials, Vec::new(), &(), Clock::new().patience).unwrap();
    assert!(to.has_manifest(&crate::Digest::sha256(b"x")).await.unwrap());
    assert_eq!((taking.seen().len(), own.seen().len()), (1, 0));
    assert!(taking.seen()[0].path.ends_with("?ns=r.example"), "{:?}", taking.seen()[0].path);
    pull("r.example/a", &registries).await.unwrap();
    assert_eq!((taking.seen().len(), !own.seen().is_empty()), (1, true));
}
