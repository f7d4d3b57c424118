//! HTTP requests, and what their failures mean.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use oci_distribution::errors::{OciEnvelope, OciErrorCode};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use super::dns::{self, NoAnswer, NoSuchHost, Resolver};
use super::error::Failure;
use super::hosts::Identity;
use super::proxies::Proxies;
use super::tls::{self, Trust};

/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// More redirects than any registry needs.
const REDIRECTS: usize = 5;
/// How much longer a registry may take for an answer to a whole blob.
const DIGESTING: u32 = 10;
const AGENT: &str = concat!("rctr/", env!("CARGO_PKG_VERSION"));

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A host whose certificate is verified.
    Remote,
    /// A host whose certificate is not.
    Unverified,
    /// This host: no proxy between.
    Loopback,
}

/// The clients, made when they are first needed.
#[derive(Default)]
pub(super) struct Http {
    resolver: Resolver,
    clients: [Clients; 3],
    /// How long nothing may come before a request is given up.
    stall: Duration,
    proxies: Proxies,
    pub(super) trust: Trust,
}

/// The clients for one kind of peer.
#[derive(Default)]
struct Clients {
    /// Goes wherever it is sent.
    open: OnceLock<Client>,
    /// Goes nowhere else.
    home: OnceLock<Client>,
}

/// A registry for which there are certificates, and its clients.
pub(super) struct Known {
    /// With the port.
    host: String,
    identity: Identity,
    clients: Clients,
}

impl Known {
    /// `None`: there are none.
    pub(super) fn of(host: &str, identity: &Identity) -> Option<Self> {
        let known = || Known { host: host.to_owned(), identity: identity.clone(), clients: Clients::default() };
        (!identity.is_empty()).then(known)
    }

    pub(super) fn is(&self, host: &str) -> bool {
        self.host == host
    }
}

impl Http {
    pub(super) fn new(stall: Duration, proxies: Proxies) -> Self {
        Http { stall, proxies, ..Http::default() }
    }

    /// The same with clients of its own.
    pub(super) fn anew(&self) -> Self {
        Http { trust: self.trust.clone(), ..Http::new(self.stall, self.proxies.clone()) }
    }

    /// The client for such a peer, or for this one registry.
    pub(super) fn client<'a>(&'a self, peer: Peer, known: Option<&'a Known>) -> Result<&'a Client, Failure> {
        let cell = &self.clients(peer, known).open;
        self.kept(cell, peer, known, redirect)
    }

    /// One that is not sent to other hosts: for requests whose body is a secret, which would be sent there once more (RFC 9110,
    /// section 15.4.8).
    pub(super) fn client_at_home<'a>(&'a self, peer: Peer, known: Option<&'a Known>) -> Result<&'a Client, Failure> {
        let cell = &self.clients(peer, known).home;
        self.kept(cell, peer, known, redirect_at_home)
    }

    fn clients<'a>(&'a self, peer: Peer, known: Option<&'a Known>) -> &'a Clients {
        known.map_or(&self.clients[peer as usize], |known| &known.clients)
    }

    /// The client in `cell`, which is made if there is none.
    fn kept<'a>(
        &self,
        cell: &'a OnceLock<Client>,
        peer: Peer,
        known: Option<&Known>,
        redirect: fn(Attempt<'_>) -> reqwest::redirect::Action,
    ) -> Result<&'a Client, Failure> {
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let setup = |error: &dyn StdError| Failure::Connect(format!("set up the client: {}", innermost(error)));
        let trust = if peer == Peer::Unverified { Trust::Anybody } else { self.trust.clone() };
        let tls = match known {
            None => tls::config(trust).map_err(|error| setup(&error))?,
            Some(Known { host, identity, .. }) => tls::config_for(trust, name(host), identity).map_err(Failure::Tls)?,
        };
        let builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(self.resolver.clone())
            .redirect(Policy::custom(redirect))
            .referer(false)
            .connect_timeout(CONNECT)
            .user_agent(AGENT);
        let local = peer == Peer::Loopback || known.is_some_and(|known| is_loopback(&known.host));
        let builder = if local { builder.no_proxy() } else { self.proxies.add(builder)? };
        let client = builder.build().map_err(|error| setup(&error))?;
        Ok(cell.get_or_init(|| client))
    }

    /// Sends a request; the answer may have any status.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let answer = tokio::time::timeout(self.stall, request.send()).await;
        answer.map_err(|_| Failure::Timeout(self.stall))?.map_err(|error| failure(&error))
    }

    /// The same for a request with a large body: it is given up when nothing goes out for too long. Once all is out, the
    /// registry has more time, in which it hashes and stores.
    pub(super) async fn send_body(&self, request: RequestBuilder, size: u64, sent: &AtomicU64) -> Result<Response, Failure> {
        let mut answer = std::pin::pin!(request.send());
        loop {
            let before = sent.load(Ordering::Relaxed);
            let patience = if before >= size { self.stall * DIGESTING } else { self.stall };
            match tokio::time::timeout(patience, &mut answer).await {
                Ok(answer) => return answer.map_err(|error| failure(&error)),
                Err(_) if sent.load(Ordering::Relaxed) == before => return Err(Failure::Timeout(patience)),
                Err(_) => {}
            }
        }
    }

    /// The next piece of an answer's body; `None` at its end.
    pub(super) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, Failure> {
        let piece = tokio::time::timeout(self.stall, response.chunk()).await;
        piece.map_err(|_| Failure::Timeout(self.stall))?.map_err(|error| failure(&error))
    }

    /// What an error says about itself; nothing if that cannot be read.
    pub(super) async fn small_body(&self, response: Response) -> Bytes {
        self.body(response, 64 << 10).await.unwrap_or_default()
    }

    /// The whole body, unless it is larger than `limit` bytes.
    pub(super) async fn body(&self, mut response: Response, limit: u64) -> Result<Bytes, Failure> {
        if length(response.headers()).is_some_and(|length| length > limit) {
            return Err(Failure::TooLarge { limit });
        }
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece(&mut response).await? {
            if (body.len() + piece.len()) as u64 > limit {
                return Err(Failure::TooLarge { limit });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// What an answer means that is no success, and is about neither a name nor a login.
    pub(super) async fn refusal(&self, response: Response) -> Failure {
        let status = response.status();
        let after = retry_after(response.headers(), SystemTime::now());
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Failure::RateLimited {
                limit: limit(response.headers()).map(Box::new),
                counted: counted(response.headers()).map(String::into_boxed_str),
                after,
            };
        }
        let html = is_html(response.headers());
        let body = self.small_body(response).await;
        let message = if html { "an HTML page: is this the address of a registry?".to_owned() } else { message(&body) };
        Failure::Status { status: status.as_u16(), message, after }
    }
}

/// A host's name or address without its port.
fn name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether a host is this machine. `host` may have a port.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = name(host);
    name.parse::<IpAddr>().map_or_else(|_| dns::is_local(name), |address| address.is_loopback())
}

/// reqwest takes `Authorization` off where a redirect leads to another host, port or scheme; a CDN's signed URL would not
/// work with it either. Here is only decided whether to follow.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from = attempt.previous().last();
    match from.is_none_or(|from| may_lead(from, attempt.url())) && attempt.previous().len() <= REDIRECTS {
        true => attempt.follow(),
        false => {
            let to = attempt.url().origin().ascii_serialization();
            attempt.error(NotFollowed(to))
        }
    }
}

/// The same for a request that only its own host may have.
fn redirect_at_home(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    match attempt.previous().last().is_none_or(|from| from.origin() == attempt.url().origin()) {
        true => redirect(attempt),
        false => {
            let to = attempt.url().origin().ascii_serialization();
            attempt.error(NotFollowed(to))
        }
    }
}

/// What came encrypted must not go on in the clear.
pub(super) fn may_lead(from: &Url, to: &Url) -> bool {
    matches!((from.scheme(), to.scheme()), (_, "https") | ("http", "http"))
}

#[derive(Debug, thiserror::Error)]
#[error("not followed")]
struct NotFollowed(String);

/// The length of a body if the answer says so.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(super) fn is_html(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"text/html"))
}

/// `RateLimit-Limit` as Docker Hub sends it: `100;w=21600` are 100 pulls in six hours.
fn limit(headers: &HeaderMap) -> Option<(u64, Duration)> {
    let (most, window) = headers.get("ratelimit-limit")?.to_str().ok()?.split_once(';')?;
    let window = window.trim().strip_prefix("w=")?.parse().ok()?;
    Some((most.trim().parse().ok()?, Duration::from_secs(window)))
}

/// `Docker-RateLimit-Source` as Docker Hub sends it: the address, or the user, whose pulls are counted. Nothing that could be anything else.
fn counted(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("docker-ratelimit-source")?.to_str().ok()?.trim();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_/".contains(&byte);
    ((1..=64).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}

/// `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3). Docker Hub gives the seconds since 1970.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let until = |moment: u64| Some(Duration::from_secs(moment.saturating_sub(since_1970)));
    match text.parse::<u64>() {
        Ok(moment) if moment > 1_000_000_000 => until(moment),
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => until(u64::try_from(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second()).ok()?),
    }
}

/// Whether an error is about the repository rather than what is asked for in it.
pub(super) fn is_unknown_name(body: &[u8]) -> bool {
    let envelope = serde_json::from_slice::<OciEnvelope>(body);
    envelope.is_ok_and(|envelope| envelope.errors.iter().any(|error| error.code == OciErrorCode::NameUnknown))
}

/// What a registry says about an error, for people: on one line, without control characters, not too long.
pub(super) fn message(body: &[u8]) -> String {
    let envelope = serde_json::from_slice::<OciEnvelope>(body).ok();
    let text = match envelope.as_ref().and_then(|envelope| envelope.errors.first()) {
        Some(error) if !error.message.is_empty() => error.message.clone(),
        Some(error) => serde_json::to_value(&error.code).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    let words: Vec<String> = text.split_whitespace().map(|word| word.chars().filter(|c| !c.is_control()).collect()).collect();
    words.join(" ").chars().take(200).collect()
}

/// What a failed request means.
fn failure(error: &reqwest::Error) -> Failure {
    if let Some(NotFollowed(to)) = find(error) {
        return Failure::Redirect(to.clone());
    }
    if find::<NoSuchHost>(error).is_some() {
        return Failure::NoSuchHost;
    }
    if let Some(NoAnswer(why)) = find(error) {
        return Failure::Lookup(why.clone());
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return Failure::Tls(trust(tls));
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => Failure::Refused,
        _ if error.is_timeout() => Failure::Timeout(CONNECT),
        _ if error.is_connect() => Failure::Connect(innermost(error)),
        _ if error.is_builder() => Failure::Protocol(innermost(error)),
        _ => Failure::Lost(innermost(error)),
    }
}

/// What to do about a TLS error that is not clear by itself.
fn trust(error: &rustls::Error) -> String {
    use rustls::{CertificateError, Error};
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "nobody this host trusts made the registry's certificate: install its CA certificate".to_owned()
        }
        Error::InvalidMessage(_) => "the registry does not speak TLS: is it one for plain http (insecure = true)?".to_owned(),
        Error::Other(other) => other.0.to_string(),
        error => error.to_string(),
    }
}

/// A cause of a certain type. An [`io::Error`] hides what it carries from `source`.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| find(inner as &(dyn StdError + 'static))) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn innermost(mut error: &dyn StdError) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "r.localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["docker.io", "128.0.0.1", "localhost.example:80", "[::2]:5000", "10.0.0.1", "127.0.0.1.example"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn encrypted_stays_encrypted() {
        let may = |from: &str, to: &str| may_lead(&from.parse().unwrap(), &to.parse().unwrap());
        assert!(may("https://a/", "https://b/") && may("http://a/", "https://b/") && may("http://a/", "http://b/"));
        assert!(!may("https://a/", "http://b/") && !may("https://a/", "http://127.0.0.1/") && !may("https://a/", "ftp://b/"));
    }

    #[test]
    fn when_to_come_again() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let after = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, now).map(|after| after.as_secs())
        };
        assert_eq!(after("7"), Some(7));
        assert_eq!(after("1700000060"), Some(60));
        assert_eq!(after("Tue, 14 Nov 2023 22:14:20 GMT"), Some(60));
        assert_eq!(after("Tue, 14 Nov 2000 22:14:20 GMT"), Some(0));
        assert_eq!((after("soon"), after("-1")), (None, None));
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn how_many_pulls_are_allowed() {
        let said = |text: &str| limit(&HeaderMap::from_iter([("ratelimit-limit".parse().unwrap(), text.parse().unwrap())]));
        assert_eq!(said("100;w=21600"), Some((100, Duration::from_secs(21600))));
        assert_eq!((said("100"), said("x;w=1"), said("1;w=x"), said("1;x=1")), (None, None, None, None));
        let limited = |counted: Option<&str>| {
            let counted = counted.map(Box::from);
            Failure::RateLimited { limit: said("100;w=21600").map(Box::new), counted, after: None }.to_string()
        };
        let text = "429: rate limit reached (100 pulls in 6 h): log in for a higher limit, or try again later";
        assert_eq!(limited(None), text);
        assert_eq!(limited(Some("192.0.2.1")), text.replace("6 h)", "6 h, counted for 192.0.2.1)"));
        let counted =
            |text: &str| counted(&HeaderMap::from_iter([("docker-ratelimit-source".parse().unwrap(), text.parse().unwrap())]));
        for whole in ["192.0.2.1", "2001:db8::1", "2001:db8::/64", "f0e1d2c3-a4b5-4678-9abc-def012345678"] {
            assert_eq!(counted(whole).as_deref(), Some(whole));
        }
        assert_eq!((counted(""), counted("a b"), counted(&"a".repeat(65))), (None, None, None));
    }

    #[test]
    fn what_registries_say() {
        let said = |body: &str| message(body.as_bytes());
        assert_eq!(said(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#), "manifest unknown");
        assert_eq!(said(r#"{"errors":[{"code":"DENIED"}]}"#), "DENIED");
        assert_eq!(said("upstream\r\n\tgone\u{1b}[31m"), "upstream gone[31m");
        assert_eq!(said(&"x".repeat(5000)).len(), 200);
        assert_eq!(said(""), "");
    }
}
