//! Logging in to one repository of one registry.
//!
//! ```text
//! request ──401, challenges──> token from the realm (Bearer), or name and password (Basic) ──> the same request once more
//! ```
//!
//! Tokens are kept until shortly before they expire, and requests of one repository wait for one token together.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::challenge::Challenge;
use super::credentials::{Credentials, Login};
use super::error::Failure;
use super::http::{self, Http, Known, Peer};

/// Tokens live this long unless their registry says otherwise (distribution's token specification).
const LIFETIME: u64 = 60;
/// Largest answer of a token service in bytes.
const LIMIT: u64 = 256 << 10;
const CLIENT: &str = "rctr";

/// What somebody wants to do.
#[derive(Debug, Clone)]
pub(super) enum Access {
    /// Read the repository.
    Pull,
    /// Write to it, and read these others of the same registry.
    Push { from: Vec<String> },
    /// Only get in.
    Enter,
}

/// What it takes to get into a repository.
pub(super) struct Auth {
    /// As the user calls it: what credentials are kept under.
    registry: String,
    repository: String,
    access: Access,
    pub(super) peer: Peer,
    known: Option<Arc<Known>>,
    credentials: Credentials,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The way in, once one is known.
    challenge: Option<Challenge>,
    header: Option<HeaderValue>,
    expires: Option<Instant>,
    /// The outer one: whether it was looked up.
    login: Option<Option<Login>>,
}

impl Auth {
    pub(super) fn new(
        registry: &str,
        repository: &str,
        access: &Access,
        peer: Peer,
        known: Option<Arc<Known>>,
        credentials: &Credentials,
    ) -> Self {
        // The Hub always asks for a token of this service: asking for it at once saves a round trip.
        let hub = || Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: Some("registry.docker.io".into()),
            scope: None,
        };
        let state = State { challenge: (registry == "docker.io").then(hub), ..State::default() };
        Auth {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            access: access.clone(),
            peer,
            known,
            credentials: credentials.clone(),
            state: Mutex::new(state),
        }
    }

    /// The header for a request, with a new token if the last one has expired.
    pub(super) async fn header(&self, http: &Http) -> Result<Option<HeaderValue>, Failure> {
        let mut state = self.state.lock().await;
        let expired = state.expires.is_some_and(|expires| expires <= Instant::now());
        if expired || (state.header.is_none() && state.challenge.is_some()) {
            self.enter(http, &mut state).await?;
        }
        Ok(state.header.clone())
    }

    /// As if the token's time were over.
    #[cfg(test)]
    pub(super) async fn expire(&self) {
        self.state.lock().await.expires = Some(Instant::now());
    }

    /// Whether the registry asked who it is.
    pub(super) async fn was_asked(&self) -> bool {
        self.state.lock().await.header.is_some()
    }

    /// A header after a 401 to a request with the header `refused`; `None` if there is none that could help.
    pub(super) async fn after(
        &self,
        http: &Http,
        refused: Option<&HeaderValue>,
        challenges: Vec<Challenge>,
    ) -> Result<Option<HeaderValue>, Failure> {
        let mut state = self.state.lock().await;
        if state.header.as_ref() != refused {
            // Another request was faster.
            return Ok(state.header.clone());
        }
        let mut first = None;
        for challenge in challenges {
            state.challenge = Some(challenge);
            // Another way in may be open.
            if let Err(failure) = self.enter(http, &mut state).await {
                first.get_or_insert(failure);
            }
            if state.header.as_ref().is_some_and(|header| Some(header) != refused) {
                return Ok(state.header.clone());
            }
        }
        first.map_or(Ok(None), Err)
    }

    /// What a 401 or 403 means that stays.
    pub(super) async fn denied(&self, status: u16) -> Failure {
        let state = self.state.lock().await;
        match &state.login {
            Some(Some(login)) => Failure::Denied { status, user: login.user().to_owned() },
            _ => Failure::Login { status },
        }
    }

    /// Answers the challenge; without a login for Basic there is no header.
    async fn enter(&self, http: &Http, state: &mut State) -> Result<(), Failure> {
        (state.header, state.expires) = (None, None);
        if state.login.is_none() {
            state.login = Some(self.credentials.login(&self.registry, &self.repository).await?);
        }
        let login = state.login.as_ref().and_then(Option::as_ref);
        match (&state.challenge, login) {
            (None, _) | (Some(Challenge::Basic), None | Some(Login::Identity(_))) => {}
            (Some(_), Some(Login::Bearer(token))) => state.header = Some(bearer(token)?),
            (Some(Challenge::Basic), Some(Login::Password { user, password })) => state.header = Some(basic(user, password)?),
            (Some(Challenge::Bearer { realm, service, scope }), login) => {
                let scopes = self.access.scopes(&self.repository, scope.as_deref());
                let realm = self.realm(realm)?;
                let host = host(&realm);
                // Our certificate is for the registry, and for nobody else whom it may name.
                let known = self.known.as_deref().filter(|known| known.is(&host));
                let peer = if known.is_some() { self.peer } else { self.peer_of(&host) };
                let ask = Ask { peer, known, realm, service: service.as_deref(), scopes, login };
                let token = ask.token(http).await.map_err(|source| Failure::Token { host, source: Box::new(source) })?;
                state.header = Some(bearer(token.text()?)?);
                state.expires = Some(token.expires());
            }
        }
        Ok(())
    }

    /// Who gives out tokens: a registry that needs no certificate needs none for its own tokens either.
    fn peer_of(&self, host: &str) -> Peer {
        match self.peer {
            _ if http::is_loopback(host) => Peer::Loopback,
            Peer::Unverified if host == self.registry => Peer::Unverified,
            _ => Peer::Remote,
        }
    }

    /// Where tokens come from. No registry may make us send a password in the clear, but one on this host to this host, and one
    /// that the user calls insecure.
    fn realm(&self, realm: &str) -> Result<Url, Failure> {
        let url: Url = realm.parse().map_err(|_| Failure::Protocol("its token service has no valid address".into()))?;
        let may = match (url.scheme(), self.peer) {
            ("https", _) | ("http", Peer::Unverified) => true,
            ("http", Peer::Loopback) => http::is_loopback(&host(&url)),
            _ => false,
        };
        if may { Ok(url) } else { Err(Failure::Protocol(format!("its token service {} is not encrypted", host(&url)))) }
    }
}

/// A request for a token.
struct Ask<'a> {
    realm: Url,
    peer: Peer,
    known: Option<&'a Known>,
    service: Option<&'a str>,
    scopes: Vec<String>,
    login: Option<&'a Login>,
}

impl Ask<'_> {
    /// As Docker does it: a password goes in a GET, a refresh token in a POST, and nothing at all for the public.
    async fn token(&self, http: &Http) -> Result<Token, Failure> {
        let response = match self.login {
            Some(Login::Identity(token)) => {
                let client = http.client_at_home(self.peer, self.known)?;
                let form = self.form(token);
                let request =
                    client.post(self.realm.clone()).header("content-type", "application/x-www-form-urlencoded").body(form);
                http.send(request).await?
            }
            login => {
                let request = http.client(self.peer, self.known)?.get(self.url(login));
                let request = match login {
                    Some(Login::Password { user, password }) => request.header(AUTHORIZATION, basic(user, password)?),
                    _ => request,
                };
                http.send(request).await?
            }
        };
        self.read(http, response).await
    }

    async fn read(&self, http: &Http, response: Response) -> Result<Token, Failure> {
        match (response.status(), self.login) {
            (StatusCode::OK, _) => {
                let body = http.body(response, LIMIT).await?;
                serde_json::from_slice(&body).map_err(|_| Failure::Protocol("what came is no token".into()))
            }
            (status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), Some(login)) => {
                Err(Failure::WrongPassword { status: status.as_u16(), user: login.user().to_owned() })
            }
            (status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), None) => Err(Failure::Login { status: status.as_u16() }),
            _ => Err(http.refusal(response).await),
        }
    }

    fn url(&self, login: Option<&Login>) -> Url {
        let mut url = self.realm.clone();
        let mut query = url.query_pairs_mut();
        query.extend_pairs(self.service.iter().map(|service| ("service", service)));
        query.extend_pairs(self.scopes.iter().map(|scope| ("scope", scope)));
        if let Some(Login::Password { user, .. }) = login {
            query.append_pair("account", user);
        }
        drop(query);
        url
    }

    fn form(&self, token: &str) -> String {
        let mut form = self.realm.clone();
        form.set_query(None);
        let mut pairs = form.query_pairs_mut();
        pairs.append_pair("grant_type", "refresh_token").append_pair("client_id", CLIENT).append_pair("refresh_token", token);
        pairs.append_pair("scope", &self.scopes.join(" "));
        pairs.extend_pairs(self.service.iter().map(|service| ("service", service)));
        drop(pairs);
        form.query().unwrap_or_default().to_owned()
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Token {
    fn text(&self) -> Result<&str, Failure> {
        let texts = [&self.token, &self.access_token].into_iter().flatten();
        texts.map(String::as_str).find(|text| !text.is_empty()).ok_or_else(|| Failure::Protocol("its token is empty".into()))
    }

    /// A tenth of its time before the end, so that no request starts with a token that ends on the way.
    fn expires(&self) -> Instant {
        // Less than a minute is a mistake of old servers.
        let seconds = self.expires_in.unwrap_or(LIFETIME).clamp(LIFETIME, 24 * 3600);
        Instant::now() + Duration::from_secs(seconds * 9 / 10)
    }
}

impl Access {
    /// What the token must be good for, and what the registry itself thinks is needed, which may be another name for it.
    fn scopes(&self, repository: &str, asked: Option<&str>) -> Vec<String> {
        let mut scopes = match self {
            Access::Pull => vec![format!("repository:{repository}:pull")],
            Access::Push { from } => {
                let from = from.iter().filter(|from| *from != repository).map(|from| format!("repository:{from}:pull"));
                from.chain([format!("repository:{repository}:pull,push")]).collect()
            }
            Access::Enter => Vec::new(),
        };
        scopes.extend(asked.unwrap_or_default().split_ascii_whitespace().map(str::to_owned));
        scopes.sort();
        scopes.dedup();
        scopes
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    secret(format!("Bearer {token}"))
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, Failure> {
    secret(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

fn secret(text: String) -> Result<HeaderValue, Failure> {
    let mut value =
        HeaderValue::try_from(text).map_err(|_| Failure::Protocol("its token has characters that no header may have".into()))?;
    value.set_sensitive(true);
    Ok(value)
}
