//! One request: who asks, what for, and which function answers.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response};
use serde_json::json;

use super::Shared;
use super::incoming::Source;
use super::refusal::{Code, Refusal};
use super::reply::{Body, Outcome, Reply, refused};
use super::route::{self, Query, Route};

/// By which Docker knows that this is a registry.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));

/// Answers a request.
///
/// The work is a task of its own: whoever goes away in the middle of an upload must not leave it half noted.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let notice = shared.notice.clone();
    let outcome = tokio::spawn(async move { shared.outcome(request).await }).await;
    let mut response = match outcome.unwrap_or_else(|_| Err(Code::Internal.into())) {
        Ok(reply) => reply.into_response(),
        Err(refusal) => {
            if let Some(cause) = &refusal.cause {
                notice(&asked, cause);
            }
            refused(&refusal)
        }
    };
    response.headers_mut().insert(VERSION.0, VERSION.1);
    Ok(response)
}

impl Shared {
    async fn outcome(&self, request: Request<Incoming>) -> Outcome {
        if let Some(accounts) = &self.accounts
            && !accounts.admit(request.headers().get(AUTHORIZATION)).await
        {
            let challenge = HeaderValue::from_static("Basic realm=\"registry\", charset=\"UTF-8\"");
            return Err(Refusal::from(Code::Unauthorized).with(WWW_AUTHENTICATE, challenge));
        }
        let route = route::parse(request.uri().path())?;
        let query = Query::of(request.uri());
        let (parts, body) = request.into_parts();
        let rights = match (self.read_only, &self.mirror) {
            (true, _) => Rights::Read,
            (false, Some(_)) => Rights::Forget,
            (false, None) => Rights::Write,
        };
        let allowed = allowed(&route, rights);
        if !allowed.contains(&parts.method) {
            let list = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            let list = HeaderValue::from_str(&list).map_err(|_| Refusal::from(Code::Internal))?;
            let message = match rights {
                Rights::Read => "this registry is read-only",
                Rights::Forget => "this registry has what another one has: push it there",
                Rights::Write => "there is no such method here",
            };
            return Err(Refusal::new(Code::Unsupported, message).with(ALLOW, list));
        }
        let (method, headers) = (parts.method, parts.headers);
        let body = Source::new(body, self.limits.idle);
        match route {
            Route::Base => Ok(Reply::json(&json!({}))),
            Route::Catalog => self.catalog(&query).await,
            Route::Tags(repository) => self.tags(repository, &query).await,
            Route::Referrers(repository, subject) => self.referrers(repository, subject, &query).await,
            Route::Manifest(repository, what) => match method {
                Method::PUT => self.put_manifest(repository, what, &query, &headers, body).await,
                Method::DELETE => self.delete_manifest(repository, what).await,
                _ => self.manifest(repository, what, &headers).await,
            },
            Route::Blob(repository, digest) => match method {
                Method::DELETE => self.delete_blob(repository, digest).await,
                method => self.blob(repository, digest, &headers, method == Method::HEAD).await,
            },
            Route::Uploads(repository) => self.begin(repository, &query, body).await,
            Route::Upload(repository, id) => match method {
                Method::PATCH => self.patch(repository, &id, &headers, body).await,
                Method::PUT => self.put(repository, &id, &query, &headers, body).await,
                Method::DELETE => self.cancel(&repository, &id).await,
                _ => self.how_far(&repository, &id).await,
            },
        }
    }
}

/// What clients may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    Read,
    /// And delete: a mirror fetches it again.
    Forget,
    Write,
}

/// The methods of a resource.
fn allowed(route: &Route, rights: Rights) -> &'static [Method] {
    const READ: &[Method] = &[Method::GET, Method::HEAD];
    const FORGET: &[Method] = &[Method::GET, Method::HEAD, Method::DELETE];
    match (route, rights) {
        (Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..), _) => READ,
        (Route::Manifest(..) | Route::Blob(..), Rights::Read) => READ,
        (Route::Uploads(_) | Route::Upload(..), Rights::Read | Rights::Forget) => &[],
        (Route::Manifest(..), Rights::Forget) | (Route::Blob(..), Rights::Forget | Rights::Write) => FORGET,
        (Route::Manifest(..), Rights::Write) => &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
        (Route::Uploads(_), Rights::Write) => &[Method::POST],
        (Route::Upload(..), Rights::Write) => &[Method::GET, Method::PATCH, Method::PUT, Method::DELETE],
    }
}
