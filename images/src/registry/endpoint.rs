//! One place where a repository may be, and authenticated requests to it.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};

use super::auth::Auth;
use super::challenge::challenges;
use super::credentials::Credentials;
use super::error::Failure;
use super::http::{Http, Peer, is_html, is_loopback, is_unknown_name};
use super::registries::{Place, PullFrom};

/// A repository at one host, over one scheme.
pub(super) struct Endpoint {
    scheme: &'static str,
    /// With the port.
    pub(super) host: String,
    pub(super) repository: String,
    peer: Peer,
    pub(super) pull: PullFrom,
    auth: Auth,
    /// It could not be reached: do not try again for this image.
    pub(super) down: AtomicBool,
}

impl Endpoint {
    /// How to reach a place: this host over plain http, an insecure one over TLS with any certificate and then plain http.
    pub(super) fn of(place: &Place, credentials: &Credentials) -> Vec<Endpoint> {
        let ways: &[(&'static str, Peer)] = match (is_loopback(&place.registry), place.insecure) {
            (true, _) => &[("http", Peer::Loopback)],
            (false, true) => &[("https", Peer::Unverified), ("http", Peer::Unverified)],
            (false, false) => &[("https", Peer::Remote)],
        };
        let host = if place.registry == "docker.io" { "registry-1.docker.io" } else { &place.registry };
        let endpoint = |(scheme, peer): &(&'static str, Peer)| Endpoint {
            scheme,
            host: host.to_owned(),
            repository: place.repository.clone(),
            peer: *peer,
            pull: place.pull,
            auth: Auth::new(&place.registry, &place.repository, *peer, credentials),
            down: AtomicBool::new(false),
        };
        ways.iter().map(endpoint).collect()
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
        let url = format!("{}://{}/v2/{}/{path}", self.scheme, self.host, self.repository);
        let client = http.client(self.peer)?;
        let mut header = self.auth.header(http).await?;
        let mut again = true;
        loop {
            let mut request = client.request(method.clone(), &url).headers(headers.clone());
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

    /// Whether a redirect led to another host: nobody there gets our credentials, whatever it asks for.
    fn is_foreign(&self, response: &Response) -> bool {
        let url = response.url();
        let here = format!("{}://{}/", self.scheme, self.host);
        here.parse::<reqwest::Url>().map_or(true, |here| here.origin() != url.origin())
    }

    /// What an answer means that is no success. `missing` says what a 404 means.
    pub(super) async fn refusal(&self, http: &Http, response: Response, missing: &str) -> Failure {
        match response.status().as_u16() {
            status @ (401 | 403) if !self.is_foreign(&response) => self.auth.denied(status).await,
            404 if !is_html(response.headers()) => {
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
