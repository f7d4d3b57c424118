//! One place where a repository may be, and authenticated requests to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::auth::{Access, Auth};
use super::challenge::challenges;
use super::credentials::Credentials;
use super::error::Failure;
use super::hosts::own_host;
use super::http::{Http, Known, Peer, is_html, is_loopback, is_unknown_name, may_lead};
use super::registries::{Place, PullFrom};

/// A request with a body.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// Bytes of the body.
    pub(super) size: u64,
    pub(super) body: Body,
}

/// A repository at one host, over one scheme; or one file, wherever it is.
pub(super) struct Endpoint {
    scheme: &'static str,
    /// With the port.
    pub(super) host: String,
    pub(super) repository: String,
    peer: Peer,
    /// Its own certificates, or ours for it.
    known: Option<Arc<Known>>,
    /// The path before the repository.
    base: String,
    /// The registry that a mirror stands in for.
    namespace: Option<String>,
    /// Sent with each request.
    headers: HeaderMap,
    pub(super) pull: PullFrom,
    pub(super) auth: Auth,
    /// The address of a file that is in no repository. Whatever is asked for is that file, and its host is never told who asks.
    file: Option<Url>,
    /// It could not be reached: do not try again for this image.
    pub(super) down: AtomicBool,
}

impl Endpoint {
    /// How to reach a place: this host over plain http, an insecure one over TLS with any certificate and then plain http.
    pub(super) fn of(place: &Place, access: &Access, credentials: &Credentials) -> Vec<Endpoint> {
        let reach = &place.reach;
        let local = is_loopback(&place.registry);
        let ways: &[(&'static str, Peer)] = match (reach.scheme, local, place.insecure) {
            (Some("http"), true, _) => &[("http", Peer::Loopback)],
            (Some("http"), false, _) => &[("http", Peer::Unverified)],
            (Some(_), _, true) => &[("https", Peer::Unverified)],
            (Some(_), _, false) => &[("https", Peer::Remote)],
            // Who has certificates for it has them because it speaks TLS.
            (None, true, false) if !reach.identity.is_empty() => &[("https", Peer::Remote)],
            (None, true, _) => &[("http", Peer::Loopback)],
            (None, false, true) => &[("https", Peer::Unverified), ("http", Peer::Unverified)],
            (None, false, false) => &[("https", Peer::Remote)],
        };
        let host = own_host(&place.registry);
        let known = Known::of(host, &reach.identity).map(Arc::new);
        let endpoint = |(scheme, peer): &(&'static str, Peer)| Endpoint {
            scheme,
            host: host.to_owned(),
            repository: place.repository.clone(),
            peer: *peer,
            pull: place.pull,
            auth: Auth::new(&place.registry, &place.repository, access, *peer, known.clone(), credentials),
            known: known.clone(),
            base: reach.path.clone().unwrap_or_else(|| "/v2".to_owned()),
            namespace: reach.namespace.clone(),
            headers: headers(&reach.headers),
            file: None,
            down: AtomicBool::new(false),
        };
        ways.iter().map(endpoint).collect()
    }

    /// A file at an address of http or https.
    pub(super) fn file(address: Url) -> Endpoint {
        let scheme = if address.scheme() == "http" { "http" } else { "https" };
        let host = address.host_str().unwrap_or_default();
        let host = address.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let peer = if is_loopback(&host) { Peer::Loopback } else { Peer::Remote };
        Endpoint {
            scheme,
            host,
            repository: String::new(),
            peer,
            pull: PullFrom::All,
            // Of no registry, and so without a name and password.
            auth: Auth::new("", "", &Access::Pull, peer, None, &Credentials::default()),
            known: None,
            base: String::new(),
            namespace: None,
            headers: HeaderMap::new(),
            file: Some(address),
            down: AtomicBool::new(false),
        }
    }

    /// As if the host were another one than this.
    #[cfg(test)]
    pub(super) fn speak_tls(&mut self, peer: Peer) {
        (self.scheme, self.peer, self.auth.peer) = ("https", peer, peer);
    }

    /// For messages.
    pub(super) fn name(&self) -> String {
        match (self.peer, self.scheme) {
            // Both ways are tried: say which one failed.
            (Peer::Unverified, scheme) => format!("{scheme}://{}", self.host),
            _ => self.host.clone(),
        }
    }

    /// Sends a request for `path` below the repository, logging in if it has to.
    pub(super) async fn request(&self, http: &Http, method: Method, path: &str, headers: &HeaderMap) -> Result<Response, Failure> {
        let url = self.url(path);
        let client = http.client(self.peer, self.known.as_deref())?;
        let mut header = self.auth.header(http).await?;
        let mut again = true;
        loop {
            let mut request = client.request(method.clone(), &url).headers(self.headers.clone()).headers(headers.clone());
            // Some servers compress what they send: the digest is that of the bytes as they were stored.
            request = request.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if let Some(header) = &header {
                request = request.header(AUTHORIZATION, header);
            }
            let response = http.send(request).await?;
            if response.status() != StatusCode::UNAUTHORIZED || !again || self.is_foreign(&response) {
                return Ok(response);
            }
            again = false;
            match self.auth.after(http, header.as_ref(), challenges(response.headers())).await? {
                None => return Ok(response),
                other => header = other,
            }
        }
    }

    /// Sends a request with a body, which goes out once only: whoever hears that the connection was lost begins anew. `sent`
    /// counts the bytes that left. The address may be one that the registry gave.
    pub(super) async fn send(&self, http: &Http, request: Outgoing, sent: &AtomicU64) -> Result<Response, Failure> {
        let Outgoing { method, url, headers, size, body } = request;
        let ours = self.is_here(&url);
        let header = if ours { self.auth.header(http).await? } else { None };
        let mut request = http
            .client(self.peer, self.known.as_deref())?
            .request(method, url)
            .headers(headers)
            .header(CONTENT_LENGTH, size)
            .body(body);
        if let Some(header) = &header {
            request = request.header(AUTHORIZATION, header);
        }
        let response = http.send_body(request, size, sent).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && ours
            && self.auth.after(http, header.as_ref(), challenges(response.headers())).await?.is_some()
        {
            return Err(Failure::Lost("the login expired".into()));
        }
        Ok(response)
    }

    /// The address of `path` below the repository.
    pub(super) fn url(&self, path: &str) -> String {
        let Endpoint { scheme, host, base, repository, file, .. } = self;
        if let Some(file) = file {
            return file.to_string();
        }
        let between = if repository.is_empty() { "" } else { "/" };
        let mut url = format!("{scheme}://{host}{base}/{repository}{between}{path}");
        if let Some(namespace) = &self.namespace {
            url += if url.contains('?') { "&ns=" } else { "?ns=" };
            url += namespace;
        }
        url
    }

    /// Where to go on with an upload: `Location` of an answer, which may be relative.
    pub(super) fn location(&self, response: &Response) -> Result<Url, Failure> {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let missing = || Failure::Protocol("it does not say where to upload to".into());
        let mut url = response.url().join(location.ok_or_else(missing)?).map_err(|_| missing())?;
        // A registry behind a proxy that does TLS for it may not know how it is reached.
        if self.scheme == "https" && url.scheme() == "http" && url.host_str() == response.url().host_str() {
            let _ = url.set_scheme("https");
            let _ = url.set_port(response.url().port());
        }
        match may_lead(response.url(), &url) {
            true => Ok(url),
            false => Err(Failure::Redirect(url.origin().ascii_serialization())),
        }
    }

    fn is_here(&self, url: &Url) -> bool {
        format!("{}://{}/", self.scheme, self.host).parse::<Url>().is_ok_and(|here| here.origin() == url.origin())
    }

    /// Whether it is not the registry that answers, as a redirect led to another host: nobody there gets our credentials, whatever it asks
    /// for.
    fn is_foreign(&self, response: &Response) -> bool {
        self.file.is_some() || !self.is_here(response.url())
    }

    /// What an answer means that is no success. `missing` says what a 404 means.
    pub(super) async fn refusal(&self, http: &Http, response: Response, missing: &str) -> Failure {
        match response.status().as_u16() {
            status @ (401 | 403) if !self.is_foreign(&response) => self.auth.denied(status).await,
            404 if !is_html(response.headers()) && self.file.is_none() => {
                let no_repository = is_unknown_name(&http.small_body(response).await);
                let what = if no_repository { "no" } else { &format!("{missing} in") };
                Failure::Unknown { status: 404, missing: format!("{what} repository {}: check the name", self.repository) }
            }
            _ => http.refusal(response).await,
        }
    }

    /// Notes that the endpoint does not work, if that is what the failure means.
    pub(super) fn note(&self, failure: &Failure) {
        if failure.is_of_endpoint() {
            self.down.store(true, Ordering::Relaxed);
        }
    }
}

/// Headers from a file; those that are none are left out.
fn headers(pairs: &[(String, String)]) -> HeaderMap {
    let valid = pairs.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    });
    valid.collect()
}
