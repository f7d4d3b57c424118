//! Who this node is to the API: its key and certificate, how it gets them with a token, and how it gets new ones.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use control::certs::{Authority, Life, Wanted};
use control::join::{Pin, Pinned, Token};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::api::{Api, Refused};
use crate::cli::JoinArgs;
use crate::host::log::{self, Level, say};

/// How soon a renewal that did not work is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// The longest pause between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(3600);

/// Where a node's certificates come from.
pub(super) enum Identity {
    /// From the control plane in this process.
    Own(Arc<Authority>),
    /// From the API, and kept in this folder.
    Joined(PathBuf),
}

/// Key and certificate of a node, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) certificate: String,
}

/// What a node has of its cluster.
#[derive(Debug)]
struct Kept {
    pair: Pair,
    /// PEM.
    authority: String,
}

/// The file with the servers that the API has listed, one a line: by them a node that is started again finds it, also when those are gone that it was
/// told first.
const SERVERS: &str = "servers";

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// Joins a cluster as `node`, or finds that it has. `folder` is where key and certificate are kept.
pub(super) async fn join(folder: &Path, node: &str, server: &str, args: &JoinArgs) -> Result<Api> {
    super::servers::check(server)?;
    let pin = match &args.ca_hash {
        Some(text) => Some(Pin::parse(text).with_context(|| format!("--ca-hash: {text:?} is not of the form sha256:HEX"))?),
        None => None,
    };
    let kept = kept(folder).with_context(|| format!("read {}", folder.display()))?;
    let life = kept.as_ref().and_then(|kept| Life::of(&kept.pair.certificate));
    let is_of = |kept: &Kept| pin.as_ref().is_none_or(|pin| of(&kept.authority).is_some_and(|of| of == *pin));
    if let Some(kept) = kept.as_ref().filter(|kept| is_of(kept) && is_for(&kept.pair, node))
        && life.is_some_and(|life| life.covers(SystemTime::now()))
    {
        let api = Api::joined(server, roots(&kept.authority)?, &kept.pair)?;
        api.servers().list(known(folder).with_context(|| format!("read {}", folder.join(SERVERS).display()))?);
        return Ok(api);
    }
    let (Some(token), Some(pin)) = (&args.token, pin) else {
        let why = if life.is_some() { "the certificate that it had is no longer good" } else { "it has no certificate yet" };
        bail!(
            "node {node} cannot join {server}: {why}; --token and --ca-hash are needed: noded token create, on the control plane, says them"
        );
    };
    ensure!(Token::parse(token).is_some(), "--token: it is not of the form abcdef.0123456789abcdef");
    // Whoever was this node before proves it with the key.
    let key = match kept {
        Some(kept) => kept.pair.key,
        None => Wanted::key().context("make a key")?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = Arc::new(Pinned::new(pin, provider));
    let newcomer = Api::pinned(server, Arc::clone(&pinned), token)?;
    let request = Wanted::make(node, &key).context("make a request for a certificate")?;
    let certificate = newcomer.certificate(node, request).await.with_context(|| format!("join {server}"))?;
    let authority = pinned.authority().context("the server has shown no authority")?;
    // Those of a cluster that it was in before are none of this one.
    match fs::remove_file(folder.join(SERVERS)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context("forget the servers of before"),
        _ => {}
    }
    let kept = Kept { pair: Pair { key, certificate }, authority: pem(&authority) };
    keep(folder, &kept).with_context(|| format!("write {}", folder.display()))?;
    say(Level::Info, &format!("node {node} has its certificate from {server}"), &[]);
    Api::joined(server, roots(&kept.authority)?, &kept.pair)
}

/// The servers that were listed last.
fn known(folder: &Path) -> Result<Vec<String>> {
    let text = match fs::read_to_string(folder.join(SERVERS)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    // What is no address was not written here.
    Ok(text.lines().filter(|line| super::servers::check(line).is_ok()).map(str::to_owned).collect())
}

/// Keeps the servers that the API lists, for ever.
pub(super) async fn remember(folder: Option<PathBuf>, api: Api) {
    let Some(folder) = folder else { return };
    let mut news = api.servers().news();
    while news.changed().await.is_ok() {
        let mut text = api.servers().listed().join("\n");
        text.push('\n');
        if let Err(error) = write(&folder, SERVERS, &text) {
            log::failed(&format!("write {}", folder.join(SERVERS).display()), &error);
        }
    }
}

/// Is a node of the control plane in this process.
pub(super) fn own(authority: &Authority, node: &str, server: &str) -> Result<Api> {
    let pair = signed(authority, node)?;
    Api::joined(server, roots(authority.pem())?, &pair)
}

fn signed(authority: &Authority, node: &str) -> Result<Pair> {
    let key = Wanted::key().context("make a key")?;
    let request = Wanted::make(node, &key).context("make a request for a certificate")?;
    let wanted = Wanted::read(&request).context("read a request of ours")?;
    Ok(Pair { key, certificate: authority.sign_node(node, &wanted, control::certs::NODE)? })
}

/// Gets new certificates for ever, each when two thirds of the life of the one before are over.
pub(super) async fn renew(identity: Identity, api: Api, node: String) {
    let first = match &identity {
        Identity::Joined(folder) => kept(folder).ok().flatten().and_then(|kept| Life::of(&kept.pair.certificate)),
        Identity::Own(_) => None,
    };
    let mut pause = first.map_or(control::certs::NODE * 2 / 3, |life| life.renewal(SystemTime::now()));
    loop {
        while !pause.is_zero() {
            let nap = pause.min(LOOK);
            tokio::time::sleep(nap).await;
            pause -= nap;
        }
        pause = match renewed(&identity, &api, &node).await {
            Ok(life) => life.renewal(SystemTime::now()).max(AGAIN.min(Duration::from_secs(1))),
            Err(error) => {
                log::failed("renew the node's certificate", error.as_ref());
                AGAIN
            }
        };
    }
}

async fn renewed(identity: &Identity, api: &Api, node: &str) -> Result<Life> {
    let pair = match identity {
        Identity::Own(authority) => signed(authority, node)?,
        Identity::Joined(_) => {
            let key = Wanted::key().context("make a key")?;
            let request = Wanted::make(node, &key).context("make a request for a certificate")?;
            Pair { certificate: api.certificate(node, request).await?, key }
        }
    };
    let life = Life::of(&pair.certificate).context("the API has sent no certificate")?;
    if let Identity::Joined(folder) = identity {
        let authority = fs::read_to_string(folder.join("ca.crt")).context("read ca.crt")?;
        keep(folder, &Kept { pair: pair.clone(), authority }).with_context(|| format!("write {}", folder.display()))?;
    }
    api.become_one(&pair)?;
    Ok(life)
}

fn is_for(pair: &Pair, node: &str) -> bool {
    let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).ok();
    der.and_then(|der| control::auth::from_certificate(&der)).is_some_and(|user| user.node() == Some(node))
}

fn of(authority: &str) -> Option<Pin> {
    Pin::of(&CertificateDer::from_pem_slice(authority.as_bytes()).ok()?)
}

fn roots(authority: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.context("ca.crt")?).context("ca.crt")?;
    }
    Ok(roots)
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("{CERTIFICATE}\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// What is kept; nothing on a host that has never joined.
fn kept(folder: &Path) -> Result<Option<Kept>> {
    let read = |name: &str| match fs::read_to_string(folder.join(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    };
    let (Some(node), Some(authority)) = (read("node.pem")?, read("ca.crt")?) else { return Ok(None) };
    let (key, certificate) = node.split_at(node.find(CERTIFICATE).context("node.pem: it has no certificate")?);
    Ok(Some(Kept { pair: Pair { key: key.to_owned(), certificate: certificate.to_owned() }, authority }))
}

/// Writes the authority first: a pair without it is not looked at. Key and certificate are one file, so that they always fit.
fn keep(folder: &Path, kept: &Kept) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    write(folder, "ca.crt", &kept.authority)?;
    write(folder, "node.pem", &format!("{}{}", kept.pair.key, kept.pair.certificate))?;
    fs::File::open(folder)?.sync_all().map_err(Into::into)
}

/// Writes a file of that folder, or leaves it as it was.
fn write(folder: &Path, name: &str, text: &str) -> std::io::Result<()> {
    let part = folder.join(format!("{name}.part"));
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(part, folder.join(name))
}

impl Api {
    /// A certificate for the key that has signed the request.
    async fn certificate(&self, node: &str, request: String) -> Result<String, Refused> {
        self.text(&format!("{}?node={node}", control::join::PATH), request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (state, agent) = (folder.path().join("state"), folder.path().join("agent"));
        fs::create_dir(&state).unwrap();
        assert!(kept(&agent).unwrap().is_none());
        let authority = Authority::open(&state).unwrap();
        let key = Wanted::key().unwrap();
        let wanted = Wanted::read(&Wanted::make("n", &key).unwrap()).unwrap();
        let certificate = authority.sign_node("n", &wanted, Duration::from_secs(3000)).unwrap();
        let pair = Pair { key, certificate };
        keep(&agent, &Kept { pair: pair.clone(), authority: pem(authority.der()) }).unwrap();
        let found = kept(&agent).unwrap().unwrap();
        assert_eq!((&found.pair, of(&found.authority)), (&pair, Pin::of(authority.der())));
        assert!(is_for(&pair, "n") && !is_for(&pair, "m"));
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(agent.join("node.pem")).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        assert!(Api::joined("https://cp:1", roots(&found.authority).unwrap(), &found.pair).is_ok());
    }

    #[tokio::test]
    async fn servers_that_were_learnt_are_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (state, agent) = (folder.path().join("state"), folder.path().join("agent"));
        fs::create_dir(&state).unwrap();
        let authority = Authority::open(&state).unwrap();
        let key = Wanted::key().unwrap();
        let wanted = Wanted::read(&Wanted::make("n", &key).unwrap()).unwrap();
        let certificate = authority.sign_node("n", &wanted, Duration::from_secs(3000)).unwrap();
        keep(&agent, &Kept { pair: Pair { key, certificate }, authority: pem(authority.der()) }).unwrap();
        let args = JoinArgs { token: None, ca_hash: None };
        let again = async || join(&agent, "n", "https://127.0.0.1:1", &args).await.unwrap();
        let first = again().await;
        let own = "https://127.0.0.1:1".to_owned();
        assert_eq!(first.servers().all(), [own.as_str()]);
        let mut news = first.servers().news();
        let remembering = tokio::spawn(remember(Some(agent.clone()), first.clone()));
        tokio::task::yield_now().await;
        first.servers().list(vec!["https://10.0.0.1:6443".to_owned(), "https://10.0.0.2:6443".to_owned()]);
        news.changed().await.unwrap();
        while known(&agent).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        remembering.abort();
        let second = again().await;
        assert_eq!(second.servers().all(), [own.as_str(), "https://10.0.0.1:6443", "https://10.0.0.2:6443"]);
        assert_eq!(second.servers().current(), own, "the first one that is asked is the one it was told");
        fs::write(agent.join(SERVERS), "rubbish\nhttps://10.0.0.3:6443\n\n").unwrap();
        assert_eq!(known(&agent).unwrap(), ["https://10.0.0.3:6443"]);
    }

    #[tokio::test]
    async fn whoever_has_nothing_is_told_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let said = |args: JoinArgs| {
            let folder = folder.path().to_owned();
            async move { format!("{:#}", join(&folder, "n", "https://127.0.0.1:1", &args).await.unwrap_err()) }
        };
        let args =
            |token: Option<&str>, hash: Option<&str>| JoinArgs { token: token.map(Into::into), ca_hash: hash.map(Into::into) };
        assert!(said(args(None, None)).await.contains("--token and --ca-hash are needed"));
        assert!(said(args(Some("abcdef.0123456789abcdef"), None)).await.contains("--token and --ca-hash are needed"));
        assert!(said(args(None, Some("sha1:00"))).await.contains("--ca-hash: \"sha1:00\" is not of the form sha256:HEX"));
        let hash = format!("sha256:{}", "0".repeat(64));
        assert!(said(args(Some("secret"), Some(&hash))).await.contains("--token: it is not of the form"));
        assert!(said(args(Some("abcdef.0123456789abcdef"), Some(&hash))).await.contains("join https://127.0.0.1:1: reach the API"));
    }
}
