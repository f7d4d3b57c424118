//! kubeconfig files: where the API is, and who we are there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The largest file that is read.
const MOST: usize = 1 << 20;

/// What a file says about its current context.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kubeconfig {
    pub(crate) server: String,
    /// PEM.
    pub(crate) authority: Vec<u8>,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) token: Option<String>,
}

/// The file, as far as it is looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    clusters: Vec<Named<Cluster>>,
    users: Vec<Named<User>>,
    contexts: Vec<Named<Context>>,
    current_context: String,
}

#[derive(Debug, Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "user", alias = "context")]
    value: T,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

/// Reads a file.
pub(crate) fn load(path: &Path) -> Result<Kubeconfig> {
    let read = || -> Result<Kubeconfig> {
        let bytes = sys::fs::read_all(std::fs::File::open(path)?, MOST)?;
        parse(std::str::from_utf8(&bytes).context("it is no text")?, path.parent().unwrap_or(Path::new("/")))
    };
    read().with_context(|| format!("read {}", path.display()))
}

/// Files that it names are looked for in `folder`.
fn parse(text: &str, folder: &Path) -> Result<Kubeconfig> {
    // The first line says what is wrong; the others show the place, which may be a key.
    let wrong = |error: serde_saphyr::Error| anyhow!("{}", error.to_string().lines().next().unwrap_or_default());
    let file: File = serde_saphyr::from_str(text).map_err(wrong)?;
    let context = named("contexts", file.contexts, &file.current_context)?;
    let cluster = named("clusters", file.clusters, &context.cluster)?;
    let user = named("users", file.users, &context.user)?;
    let server = cluster.server;
    ensure!(server.starts_with("https://"), "server: {server:?} is not of the form https://HOST:PORT");
    ensure!(!cluster.insecure_skip_tls_verify, "insecure-skip-tls-verify: whoever comes needs to know whom it trusts");
    let data = |name, text, file| data(name, text, file, folder);
    Ok(Kubeconfig {
        server,
        authority: data("certificate-authority", cluster.certificate_authority_data, cluster.certificate_authority)?,
        certificate: data("client-certificate", user.client_certificate_data, user.client_certificate)?,
        key: data("client-key", user.client_key_data, user.client_key)?,
        token: user.token.filter(|token| !token.is_empty()),
    })
}

fn named<T>(list: &str, all: Vec<Named<T>>, name: &str) -> Result<T> {
    let found = all.into_iter().find(|entry| entry.name == name);
    found.map(|entry| entry.value).with_context(|| format!("{list} has no {name:?}"))
}

/// A value that is in the file, or in another one.
fn data(name: &str, text: Option<String>, file: Option<PathBuf>, folder: &Path) -> Result<Vec<u8>> {
    match (text, file) {
        (Some(text), _) => STANDARD.decode(text).with_context(|| format!("{name}-data is not base64")),
        (None, Some(file)) => std::fs::read(folder.join(&file)).with_context(|| format!("{name}: {}", file.display())),
        (None, None) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\napiVersion: v1\nkind: Config\nclusters:\n- name: a\n  cluster:\n    server: https://10.0.0.1:6443\n    certificate-authority-data: Y2E=\n\
        users:\n  - name: \"me\"\n    user:\n      token: t\n      client-key-data: a2V5\ncontexts:\n- context: {cluster: a, user: me}\n  name: c\ncurrent-context: c\npreferences: {}\n";

    #[test]
    fn a_file_is_read() {
        let expected = Kubeconfig {
            server: "https://10.0.0.1:6443".to_owned(),
            authority: b"ca".to_vec(),
            certificate: Vec::new(),
            key: b"key".to_vec(),
            token: Some("t".to_owned()),
        };
        assert_eq!(parse(FILE, Path::new("/")).unwrap(), expected);
        let json = r#"{"clusters": [{"name": "a", "cluster": {"server": "https://cp:1", "certificate-authority": "ca.crt"}}],
            "users": [{"name": "me", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "a", "user": "me"}}], "current-context": "c"}"#;
        let folder = tempfile::tempdir().unwrap();
        let missing = format!("{:#}", parse(json, folder.path()).unwrap_err());
        assert!(missing.starts_with("certificate-authority: ca.crt: No such file"), "{missing}");
        std::fs::write(folder.path().join("ca.crt"), "ca").unwrap();
        assert_eq!(parse(json, folder.path()).unwrap().authority, b"ca");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is() {
        let error = |from: &str, to: &str| {
            let changed = FILE.replace(from, to);
            assert_ne!(changed, FILE);
            let error = format!("{:#}", parse(&changed, Path::new("/")).unwrap_err());
            assert!(!error.contains("a2V5") && !error.contains('\n'), "{error}");
            error
        };
        assert!(error("current-context: c", "current-context: d").contains("contexts has no \"d\""));
        assert!(error("https://", "http://").contains("not of the form https"));
        assert!(error("Y2E=", "Y2E_").contains("certificate-authority-data is not base64"));
        assert!(error("    server:", "    insecure-skip-tls-verify: true\n    server:").contains("insecure-skip-tls-verify"));
        assert!(error("current-context: c\n", "").contains("current-context"));
        assert!(error("client-key-data: a2V5", "client-key-data: [a2V5]").contains("line"));
    }

    #[test]
    fn what_is_read_is_bounded() {
        assert!(parse(&"- ".repeat(100_000), Path::new("/")).is_err());
        let bomb: String = (0..40).map(|n| format!("a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)).collect();
        assert!(parse(&format!("a0: &a0 x\n{bomb}{FILE}"), Path::new("/")).is_err());
    }
}
