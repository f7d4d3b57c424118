//! Debian's docker-registry as a child process on a free port of loopback, and pushing to it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::debian::cache;
use crate::http;
use crate::layer::Data;
use crate::oci::{Blob, Bundle, Document};

/// The only account of a registry that asks for one.
pub const USER: &str = "tester";
/// Its password.
pub const PASSWORD: &str = "open sesame";
/// The two as an htpasswd line; docker-registry takes bcrypt only.
const HTPASSWD: &str = "tester:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";

/// A running registry. It ends with this value, and with this process.
#[derive(Debug)]
pub struct Registry {
    /// `127.0.0.1:PORT`.
    pub address: String,
    child: Child,
    _config: tempfile::TempDir,
}

impl Registry {
    /// Starts a registry over the cache's storage, as [`Registry::start_in`] does over another folder.
    ///
    /// # Errors
    /// When docker-registry is missing or does not come up.
    pub fn start(login: bool) -> Result<Self> {
        Self::start_in(&cache().join("registry"), login)
    }

    /// Starts a registry that keeps its content in `storage`. With `login` it wants [`USER`] and [`PASSWORD`].
    ///
    /// Call it from the main thread: the child is bound to the life of the thread that starts it
    /// (`PR_SET_PDEATHSIG`, prctl(2)).
    ///
    /// # Errors
    /// When docker-registry is missing or does not come up.
    pub fn start_in(storage: &Path, login: bool) -> Result<Self> {
        let config = tempfile::tempdir()?;
        fs::create_dir_all(storage)?;
        let path = config.path().join("config.yml");
        fs::write(&path, configuration(storage, config.path(), login)?)?;
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("run setpriv docker-registry (apt-get install docker-registry)")?;
        let log = child.stderr.take().context("no log")?;
        let address = match listening(log) {
            Ok(address) => address,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self { address, child, _config: config })
    }

    /// [`push`]es a bundle here.
    ///
    /// # Errors
    /// When the registry refuses.
    pub fn push(&self, name: &str, bundle: &Bundle) -> Result<()> {
        push(&self.address, name, bundle)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pushes a bundle to the registry at `address` as `name` (`repository:tag`) unless the tag already names the same bytes.
///
/// # Errors
/// When the registry refuses.
pub fn push(address: &str, name: &str, bundle: &Bundle) -> Result<()> {
    let (repository, tag) = name.split_once(':').with_context(|| format!("{name} has no tag"))?;
    let push = Push { address, repository };
    if push.has(tag, bundle.top())? {
        return Ok(());
    }
    for blob in &bundle.blobs {
        push.blob(blob).with_context(|| format!("push {name}: {}", blob.digest))?;
    }
    for document in &bundle.documents {
        push.document(&document.digest, document)?;
    }
    push.document(tag, bundle.top())
}

fn configuration(storage: &Path, folder: &Path, login: bool) -> Result<String> {
    let mut text = format!(
        "version: 0.1\nlog:\n  accesslog:\n    disabled: true\n  level: info\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n",
        storage.display()
    );
    if login {
        let accounts = folder.join("htpasswd");
        fs::write(&accounts, HTPASSWD)?;
        write!(text, "auth:\n  htpasswd:\n    realm: integration\n    path: {}\n", accounts.display())?;
    }
    Ok(text)
}

/// Reads the log up to the line that tells the port, and goes on reading it in a thread so that it never fills up.
fn listening(log: impl Read + Send + 'static) -> Result<String> {
    let mut log = BufReader::new(log);
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        if log.read_line(&mut line)? == 0 {
            bail!("docker-registry ended:\n{seen}");
        }
        if let Some((_, rest)) = line.split_once("listening on ") {
            let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).unwrap_or(rest.len());
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return Ok(rest[..end].to_owned());
        }
        seen += &line;
    }
}

struct Push<'a> {
    address: &'a str,
    repository: &'a str,
}

impl Push<'_> {
    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &mut dyn Read, len: u64) -> Result<http::Response> {
        http::request(self.address, method, path, headers, body, len)
    }

    fn has(&self, tag: &str, document: &Document) -> Result<bool> {
        let path = format!("/v2/{}/manifests/{tag}", self.repository);
        let answer = self.call("HEAD", &path, &[("Accept", &document.media_type)], &mut std::io::empty(), 0)?;
        Ok(answer.status == 200 && answer.header("docker-content-digest") == Some(&document.digest))
    }

    fn blob(&self, blob: &Blob) -> Result<()> {
        let path = format!("/v2/{}/blobs/{}", self.repository, blob.digest);
        if self.call("HEAD", &path, &[], &mut std::io::empty(), 0)?.status == 200 {
            return Ok(());
        }
        let start = format!("/v2/{}/blobs/uploads/", self.repository);
        let answer = self.call("POST", &start, &[], &mut std::io::empty(), 0)?;
        let location = answer.header("location").with_context(|| format!("upload refused: {} {}", answer.status, answer.text()))?;
        // docker-registry answers with an absolute address of its own
        let path = location.find("/v2/").map_or(location, |at| &location[at..]);
        let path = format!("{path}{}digest={}", if path.contains('?') { "&" } else { "?" }, blob.digest);
        let mut body: Box<dyn Read> = match &blob.data {
            Data::Bytes(bytes) => Box::new(bytes.as_slice()),
            Data::File(path) => Box::new(File::open(path).with_context(|| format!("open {}", path.display()))?),
        };
        let kind = [("Content-Type", "application/octet-stream")];
        let answer = self.call("PUT", &path, &kind, &mut body, blob.size)?;
        if answer.status != 201 {
            bail!("upload refused: {} {}", answer.status, answer.text());
        }
        Ok(())
    }

    fn document(&self, what: &str, document: &Document) -> Result<()> {
        let path = format!("/v2/{}/manifests/{what}", self.repository);
        let kind = [("Content-Type", document.media_type.as_str())];
        let answer = self.call("PUT", &path, &kind, &mut document.bytes.as_slice(), document.bytes.len() as u64)?;
        if answer.status != 201 {
            bail!("push {}:{what}: {} {}", self.repository, answer.status, answer.text());
        }
        Ok(())
    }
}

/// The text of a registries.conf that lets Docker Hub's names be served by the registry at `address`.
#[must_use]
pub fn mirror_of_docker_hub(address: &str) -> String {
    format!(
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\n\n\
         [[registry.mirror]]\nlocation = \"{address}\"\ninsecure = true\n\n\
         [[registry]]\nlocation = \"{address}\"\ninsecure = true\n"
    )
}
