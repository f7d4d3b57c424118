//! The whole client against a small server on loopback.

mod auth;
mod blobs;
mod content;
mod hosts;
mod login;
mod manifests;
mod mirrors;
mod policy;
mod pulls;
mod server;
mod tls;
mod uploads;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;

use super::error::{Error, chain};
use super::retry::Patience;
use super::{Credentials, Registries, Registry};
use crate::Digest;
use crate::pull::{Event, Progress};

/// A minimal manifest.
const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest as a registry sends it.
fn manifest() -> server::Answer {
    server::Answer::new(200, MANIFEST).with("content-type", MANIFEST_TYPE)
}

/// Never sleeps, but knows for how long it would have.
#[derive(Clone)]
struct Clock {
    patience: Patience,
    slept: Arc<Mutex<Vec<Duration>>>,
}

impl Clock {
    fn new() -> Self {
        let slept = Arc::new(Mutex::new(Vec::new()));
        let patience = Patience { stall: Duration::from_secs(20), slept: Some(slept.clone()), ..Patience::default() };
        Clock { patience, slept }
    }

    fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap().clone()
    }
}

/// Retries that were told.
#[derive(Default)]
struct Retries(Mutex<Vec<String>>);

impl Progress for Retries {
    fn event(&self, event: Event<'_>) {
        if let Event::Retrying { what, why, .. } = event {
            self.0.lock().unwrap().push(format!("{what}: {why}"));
        }
    }
}

fn registry(reference: &str, clock: &Clock) -> Registry<'static> {
    with(reference, &Registries::default(), &Credentials::default(), clock)
}

fn with(reference: &str, registries: &Registries, credentials: &Credentials, clock: &Clock) -> Registry<'static> {
    Registry::patient(&reference.parse().unwrap(), registries, credentials, &(), clock.patience.clone()).unwrap()
}

async fn download(registry: &Registry<'_>, digest: &Digest, size: usize) -> Result<Vec<u8>, Error> {
    let stream = registry.blob(digest, size as u64, 0).await?;
    stream
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
}

/// As the command line prints it.
fn line(error: Error) -> String {
    chain(&error)
}

/// A file with a text, in a folder that goes with the returned guard.
fn file(name: &str, text: &str) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, vec![path])
}

fn credentials(text: &str) -> Credentials {
    let (_folder, files) = file("config.json", text);
    Credentials::load(&files).unwrap()
}

fn registries(text: &str) -> Registries {
    let (_folder, files) = file("registries.conf", text);
    Registries::load(&files).unwrap()
}
