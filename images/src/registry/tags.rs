//! The tags of a repository (distribution-spec, "Listing Tags").

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::attempts::Attempts;
use super::endpoint::Endpoint;
use super::error::Failure;
use super::referrers::next_query;
use super::{Error, Inner, Registry};
use crate::manifest;
use crate::reference::check_tag;

/// Pages that are read: a registry that never ends is left.
const PAGES: usize = 1000;
/// Bytes of all pages.
const BYTES: usize = 64 << 20;

#[derive(Deserialize)]
struct Page {
    /// `null` where there is none.
    tags: Option<Vec<String>>,
}

impl Registry<'_> {
    /// All tags, in the registry's order.
    pub(crate) async fn tags(&self) -> Result<Vec<String>, Error> {
        let what = format!("tags of {}", self.inner.reference.familiar_name());
        let mut attempts = Attempts::new(self.inner.clone(), what, false);
        loop {
            match self.inner.tags(attempts.endpoint()).await {
                Ok(tags) => return Ok(tags),
                Err(failure) => attempts.failed(failure).await?,
            }
        }
    }
}

impl Inner<'_> {
    async fn tags(&self, endpoint: &Endpoint) -> Result<Vec<String>, Failure> {
        let mut tags = Vec::new();
        let mut path = "tags/list".to_owned();
        let mut bytes = 0;
        for _ in 0..PAGES {
            let response = endpoint.request(&self.http, Method::GET, &path, &HeaderMap::new()).await?;
            if response.status() != StatusCode::OK {
                return Err(endpoint.refusal(&self.http, response, "no tags").await);
            }
            let next = response.headers().get(LINK).and_then(|link| next_query(link.to_str().ok()?));
            let body = self.http.body(response, manifest::LIMIT).await?;
            bytes += body.len();
            if bytes > BYTES {
                break;
            }
            let page: Page = serde_json::from_slice(&body).map_err(|_| Failure::Protocol("the list of tags is no JSON".into()))?;
            // What cannot be asked for is of no use, and may be written for terminals.
            tags.extend(page.tags.unwrap_or_default().into_iter().filter(|tag| check_tag(tag).is_ok()));
            match next {
                Some(query) => path = format!("tags/list?{query}"),
                None => return Ok(tags),
            }
        }
        Err(Failure::Protocol("its list of tags does not end".into()))
    }
}
