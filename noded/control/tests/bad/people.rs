//! People who are not who they say: each line is a way in, and all are shut.

use control::auth::{Claims, ISSUER, TokenSigner};
use control::certs::{Authority, Use};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Certificate, JSON, MAPS, MASTER, Plane};

const HOUR: Duration = Duration::from_secs(3600);

fn with_key(der: Vec<u8>, key: &KeyPair) -> Certificate {
    (der.into(), PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))
}

/// The administrator's certificate, signed by the authority of a folder, good for this time.
fn signed(folder: &Path, from: SystemTime, to: SystemTime) -> Certificate {
    signed_as(("kubernetes-admin", "system:masters"), folder, from, to)
}

/// The certificate of a name and a group.
pub(crate) fn signed_as((name, group): (&str, &str), folder: &Path, from: SystemTime, to: SystemTime) -> Certificate {
    let read = |name: &str| std::fs::read_to_string(folder.join("pki").join(name)).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.crt"), KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (from.into(), to.into());
    let key = KeyPair::generate().unwrap();
    with_key(params.signed_by(&key, &issuer).unwrap().der().to_vec(), &key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_are_not_good() {
    let plane = Plane::start().await;
    let ask = async |certificate: Certificate| {
        let request = Request::builder().uri(MAPS).header("host", "localhost").body(Full::new(Bytes::new())).unwrap();
        plane.send(Some(certificate), request).await.map(|answer| answer.code).map_err(|error| error.to_string())
    };
    let now = SystemTime::now();
    assert_eq!(ask(signed(plane.folder(), now - HOUR, now + HOUR)).await, Ok(200), "a good one");
    // the server breaks off: nothing that is asked is answered
    assert!(ask(signed(plane.folder(), now - 2 * HOUR, now - HOUR)).await.is_err(), "expired");
    assert!(ask(signed(plane.folder(), now + HOUR, now + 2 * HOUR)).await.is_err(), "not good yet");
    let other = tempfile::tempdir().unwrap();
    Authority::open(other.path()).unwrap();
    assert!(ask(signed(other.path(), now - HOUR, now + HOUR)).await.is_err(), "of another authority");
    let server = Authority::open(plane.folder()).unwrap().issue("system:masters", &Use::Server(&[]), HOUR).unwrap();
    assert!(ask(with_key(server.der.to_vec(), &server.key)).await.is_err(), "a server's");
}

/// A connection is no way to live longer than one's certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_ends_while_it_is_used() {
    let plane = Plane::start().await;
    let now = SystemTime::now();
    let mut connection = plane.connect(Some(signed(plane.folder(), now - HOUR, now + Duration::from_secs(5)))).await.unwrap();
    let mut codes = Vec::new();
    while codes.last() != Some(&401) {
        let request = Request::builder().uri(MAPS).header("host", "localhost").body(Full::new(Bytes::new())).unwrap();
        codes.push(connection.send(request).await.unwrap().code);
        assert!(now.elapsed().unwrap() < Duration::from_secs(600), "{codes:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(codes[0], 200, "at first it is good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_not_good() {
    let plane = Plane::start().await;
    let path = "/api/v1/namespaces/default/serviceaccounts/default";
    let account = plane.ask(&format!("GET {path}"), "", "").await.json()["metadata"]["uid"].clone();
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}).to_string();
    let pods = "/api/v1/namespaces/default/pods";
    let pod = plane.ask(&format!("POST {pods}"), JSON, pod).await.json()["metadata"]["uid"].clone();
    let now = jiff::Timestamp::now().as_second();
    let good = Claims {
        iss: ISSUER.into(),
        sub: "system:serviceaccount:default:default".into(),
        aud: vec![ISSUER.into()],
        exp: now + 600,
        nbf: now - 5,
        iat: now - 5,
        bound: json!({"namespace": "default", "serviceaccount": {"name": "default", "uid": account}}),
    };
    let of_pod = |uid: &serde_json::Value| {
        let mut claims = good.clone();
        claims.bound["pod"] = json!({"name": "p", "uid": uid});
        claims
    };
    let ours = TokenSigner::new(&Authority::open(plane.folder()).unwrap().token_key).unwrap();
    let other = tempfile::tempdir().unwrap();
    let theirs = TokenSigner::new(&Authority::open(other.path()).unwrap().token_key).unwrap();
    let code = async |token: String| plane.ask_as(&token, &format!("GET {MAPS}"), "", "").await.code;
    let sign = |claims: &Claims| ours.sign(claims).unwrap();
    // known, but without rights
    assert_eq!((code(sign(&good)).await, code(sign(&of_pod(&pod))).await), (403, 403));
    let mut stranger = good.clone();
    stranger.bound["serviceaccount"]["uid"] = "of one that was deleted".into();
    let bad = [
        ("expired", sign(&Claims { exp: now - 1, ..good.clone() })),
        ("for later", sign(&Claims { nbf: now + 60, ..good.clone() })),
        ("for others", sign(&Claims { aud: vec!["vault".into()], ..good.clone() })),
        ("of another issuer", sign(&Claims { iss: "https://elsewhere".into(), ..good.clone() })),
        ("of another key", theirs.sign(&good).unwrap()),
        ("of another account of that name", sign(&stranger)),
        ("of another pod of that name", sign(&of_pod(&"another".into()))),
        ("of a person", sign(&Claims { sub: "kubernetes-admin".into(), ..good.clone() })),
        ("of nobody", sign(&Claims { sub: "system:serviceaccount:default:nobody".into(), ..good.clone() })),
        ("cut", sign(&good)[..40].to_owned()),
        ("long", "x".repeat(10_000)),
    ];
    for (which, token) in bad {
        assert_eq!(code(token).await, 401, "{which}");
    }
    // one that was stolen from a pod is worth nothing when the pod is gone
    let stolen = sign(&of_pod(&pod));
    assert_eq!(plane.ask(&format!("DELETE {pods}/p"), "", "").await.code, 200);
    assert_eq!(code(stolen).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_hears_nothing_but_that_the_server_is_well() {
    let plane = Plane::start().await;
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(plane.ask_as("", &format!("GET {path}"), "", "").await.code, 200, "{path}");
    }
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/apps/v1",
        "/openapi/v3",
        "/openapi/v3/api/v1",
        "/version",
        "/metrics",
        "/logs",
        "/debug/pprof",
        "/api/v1/namespaces",
        "/api/v1/secrets",
        "/noded/connection",
        "/api/v1/namespaces/default/pods/x/exec",
        "/apis/metrics.k8s.io/v1beta1/nodes",
    ] {
        let answer = plane.ask_as("", &format!("GET {path}"), "", "").await;
        assert_eq!((answer.code, answer.message().as_str()), (401, "Unauthorized"), "{path}");
    }
    let basic = Request::builder().uri(MAPS).header("host", "localhost").header("authorization", "Basic YW5uOmFubg==");
    assert_eq!(plane.send(None, basic.body(Full::new(Bytes::new())).unwrap()).await.unwrap().code, 401);
    assert_eq!(plane.ask_as("guessed", "GET /version", "", "").await.code, 401);
    assert_eq!(plane.ask_as("token-of-bob", "GET /version", "", "").await.code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_becomes_more_than_they_are() {
    let plane = Plane::start().await;
    let with = async |headers: &[(&str, &str)]| {
        let mut request = Request::builder().uri(MAPS).header("host", "localhost").header("authorization", "Bearer token-of-bob");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = plane.send(None, request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
        (answer.code, answer.message())
    };
    assert_eq!(with(&[]).await.0, 403);
    assert!(with(&[("impersonate-user", "ann")]).await.1.contains("User \"bob\" cannot impersonate resource \"users\""));
    assert_eq!(with(&[("impersonate-user", "bob"), ("impersonate-group", "system:masters")]).await.0, 403);
    assert_eq!(with(&[("impersonate-group", "system:masters")]).await.0, 400);
    // roles may be written by who may write roles, but hold no more than they do
    let rule = json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["*"]}, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let verbs = json!(["create", "update", "patch", "get"]);
    let mut rules = rule.clone();
    rules[0]["verbs"] = verbs;
    let role = json!({"metadata": {"name": "roles"}, "rules": rules}).to_string();
    assert_eq!(plane.ask(&format!("POST {rbac}/clusterroles"), JSON, role).await.code, 201);
    let binding = |role: &str| {
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
        let bob = json!({"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"});
        json!({"metadata": {"generateName": "b-"}, "roleRef": role, "subjects": [bob]}).to_string()
    };
    let bind = format!("POST {rbac}/clusterrolebindings");
    assert_eq!(plane.ask(&bind, JSON, binding("roles")).await.code, 201);
    let granting = "attempting to grant RBAC permissions not currently held";
    let post = format!("POST {rbac}/clusterroles");
    let wide =
        json!({"metadata": {"name": "wide"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}).to_string();
    let all = json!({"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{}]}}).to_string();
    let added = json!({"metadata": {"name": "more", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]})
    .to_string();
    let more = json!({"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}).to_string();
    let mine = format!("PATCH {rbac}/clusterroles/roles");
    for (what, media, body) in [
        (&post, JSON, wide),
        (&post, JSON, all.clone()),
        (&post, JSON, added),
        (&mine, "application/merge-patch+json", more.clone()),
        (&mine, "application/merge-patch+json", all.replace("\"name\":\"all\"", "\"name\":\"roles\"")),
        (&format!("{mine}?fieldManager=x&force=true"), "application/apply-patch+yaml", more),
        (&bind, JSON, binding("cluster-admin")),
        (&bind, JSON, binding("edit")),
    ] {
        plane.refused("token-of-bob", what, media, body, (403, granting)).await;
    }
    let less = json!({"metadata": {"name": "less"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]})
        .to_string();
    assert_eq!(plane.ask_as("token-of-bob", &post, JSON, less).await.code, 201, "what they have they may give");
    assert_eq!(plane.ask_as(MASTER, &format!("GET {rbac}/clusterroles/wide"), "", "").await.code, 404);
}
