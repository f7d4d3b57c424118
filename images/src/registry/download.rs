//! A file from any web server, as `ADD` takes it: with this crate's resolver, trust and time-outs.

use std::fs::File;
use std::io::{Seek, Write};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, LAST_MODIFIED};
use sys::Call;

use super::http::{Http, Peer, is_loopback};
use super::{Failure, Proxies};
use crate::archive::nameless;
use crate::error::{Doing, Error, Result};
use crate::store::Store;
use crate::unpack::hash::{Algorithm, Hasher};

/// How long nothing may come before a download is given up.
const STALL: Duration = Duration::from_secs(60);

/// A file that was fetched.
#[derive(Debug)]
pub struct Downloaded {
    /// Its bytes, read from the beginning; the file has no name.
    pub file: File,
    /// What the address calls it; nothing if that ends with a slash.
    pub name: Option<String>,
    /// When the server says that it was changed, in seconds since 1970.
    pub modified: Option<i64>,
    /// The digest of its bytes.
    pub digest: crate::Digest,
}

/// Fetches `address`, of http or https.
///
/// # Errors
/// [`Error::Download`] says why not.
pub fn download(store: &Store, address: &str, proxies: &Proxies) -> Result<Downloaded> {
    let failed = |source| Error::Download { address: address.to_owned(), source };
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| failed(Failure::Connect("it is no address of http or https".to_owned())))?;
    let name = url.path_segments().and_then(|mut parts| parts.next_back()).filter(|name| !name.is_empty()).map(str::to_owned);
    let http = Http::new(STALL, proxies.clone());
    let peer = if url.host_str().is_some_and(is_loopback) { Peer::Loopback } else { Peer::Remote };
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let mut file = nameless(store)?;
    let fetched = runtime.block_on(async {
        let client = http.client(peer, None).map_err(failed)?;
        let mut response = http.send(client.get(url)).await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(failed(http.refusal(response).await));
        }
        let modified = modified(response.headers());
        let mut hasher = Hasher::new(Algorithm::Sha256);
        while let Some(piece) = http.piece(&mut response).await.map_err(failed)? {
            hasher.update(&piece);
            let written = file.write_all(&piece).call(|| "write()");
            written.map_err(|source| store.full_or(source, || format!("fetch {address}")))?;
        }
        Ok((modified, hasher.finish()))
    });
    runtime.shutdown_background();
    let (modified, digest) = fetched?;
    file.rewind().call(|| "lseek(0)").doing(|| format!("fetch {address}"))?;
    let digest = digest.parse().map_err(|_| Error::Damaged { what: digest })?;
    Ok(Downloaded { file, name, modified, digest })
}

fn modified(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get(LAST_MODIFIED)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second())
}
