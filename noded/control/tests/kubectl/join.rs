//! How hosts become nodes.

use api::kinds::node::NODE;
use control::auth::from_certificate;
use control::certs::{Life, Wanted};
use control::join::{Token, secret, secret_name};
use control::objects::Context;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use super::rights::with_token;
use super::{Cluster, Said};

/// A token that is good for so many seconds, in the cluster.
fn token(c: &Cluster, seconds: i64) -> Token {
    let token = Token::make();
    let end = Timestamp::now() + SignedDuration::from_secs(seconds);
    let said = c.feed(&["apply", "-f", "-"], &secret(&token, Some(end), "").to_string());
    assert_eq!(said.code, 0, "{said:?}");
    token
}

/// Asks for the certificate of a node.
fn ask(c: &Cluster, token: &str, node: &str, key: &str) -> Said {
    let file = c.folder().join("request.pem");
    std::fs::write(&file, Wanted::make("anything", key).unwrap()).unwrap();
    with_token(c, token, &format!("create --raw /noded/certificate?node={node} -f {}", file.display()))
}

fn node_of(said: &Said) -> String {
    assert_eq!(said.code, 0, "{said:?}");
    let life = Life::of(&said.out).unwrap();
    let at = |hours: u64| std::time::SystemTime::now() + std::time::Duration::from_secs(hours * 3600);
    assert!(life.covers(at(0)) && life.covers(at(23)) && !life.covers(at(25)));
    let certificate = CertificateDer::from_pem_slice(said.out.as_bytes()).unwrap();
    from_certificate(&certificate).unwrap().node().unwrap().to_string()
}

#[test]
fn a_token_makes_nodes_and_nothing_else() {
    let Some(c) = Cluster::start("a_token_makes_nodes_and_nothing_else") else { return };
    let (good, key) = (token(&c, 3600), Wanted::key().unwrap());
    assert_eq!(node_of(&ask(&c, &good.text(), "n9", &key)), "n9");
    assert!(with_token(&c, &good.text(), "get pods").err.contains("forbidden"));
    let expired = token(&c, -1);
    let unknown = Token::make();
    for stolen in [expired.text(), unknown.text(), format!("{}.{}", good.id, "0".repeat(16)), "stolen".into()] {
        let said = ask(&c, &stolen, "n8", &key);
        assert!(said.code != 0 && said.err.contains("nauthorized"), "{said:?}");
    }
    c.ok(&format!("delete secret -n kube-system {}", secret_name(&good.id)));
    assert!(ask(&c, &good.text(), "n8", &key).err.contains("nauthorized"));
    let said = with_token(&c, &token(&c, 60).text(), "create --raw /noded/certificate?node=n8 -f /dev/null");
    assert!(said.err.contains("no request for a certificate"), "{said:?}");
    assert!(ask(&c, &token(&c, 60).text(), "N_8", &key).err.contains("Invalid value"));
}

#[test]
fn a_name_belongs_to_its_key() {
    let Some(c) = Cluster::start("a_name_belongs_to_its_key") else { return };
    let (token, first, other) = (token(&c, 3600), Wanted::key().unwrap(), Wanted::key().unwrap());
    assert_eq!(node_of(&ask(&c, &token.text(), "n9", &first)), "n9");
    let node = json!({"metadata": {"name": "n9"}});
    let context = Context { manager: "node".into(), ..Default::default() };
    c.runtime().block_on(c.plane.objects.create(&NODE, "", node, &context)).unwrap();
    let said = ask(&c, &token.text(), "n9", &other);
    assert!(said.err.contains("node \"n9\" is there already, and has another key"), "{said:?}");
    assert_eq!(
        node_of(&ask(&c, &token.text(), "n9", &first)),
        "n9",
        "a node whose certificate has run out comes back with its key"
    );
    c.ok("delete node n9");
    assert_eq!(node_of(&ask(&c, &token.text(), "n9", &other)), "n9");
}

#[test]
fn a_node_renews_its_own_certificate_and_no_other() {
    let Some(c) = Cluster::start("a_node_renews_its_own_certificate_and_no_other") else { return };
    for _ in 0..2 {
        assert_eq!(node_of(&ask(&c, "token-of-n1", "n1", &Wanted::key().unwrap())), "n1");
    }
    let key = Wanted::key().unwrap();
    assert!(ask(&c, "token-of-n1", "n2", &key).err.contains("gets no certificate of node \"n2\""));
    assert!(ask(&c, "token-of-ann", "n1", &key).err.contains("forbidden"));
    // only a node is connected, and only as itself: the path has no name
    assert!(with_token(&c, "token-of-ann", "get --raw /noded/connection").err.contains("User \"ann\" is not a node"));
    assert!(with_token(&c, "token-of-n1", "get --raw /noded/connection").err.contains("an upgrade to noded-node/1 is needed"));
}
