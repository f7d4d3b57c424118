//! Searching for repositories: an interface of Docker Hub's, from before there was a distribution-spec. Few other registries have it.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::attempts::Attempts;
use super::auth::Access;
use super::endpoint::Endpoint;
use super::error::Failure;
use super::registries::{Place, Purpose};
use super::retry::Patience;
use super::{Credentials, Error, Registries, Registry};
use crate::Reference;
use crate::manifest;

/// A repository that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Without the registry.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// What its owner says of it.
    #[serde(deserialize_with = "text")]
    pub description: String,
    /// How many people like it.
    #[serde(rename = "star_count")]
    pub stars: u64,
    /// It is one of the registry's own.
    #[serde(rename = "is_official")]
    pub official: bool,
    /// The registry builds it. None is any more.
    #[serde(rename = "is_automated")]
    pub automated: bool,
}

#[derive(Deserialize)]
struct Answer {
    results: Option<Vec<Found>>,
}

/// Text of strangers that is shown on terminals.
fn text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = Option::<String>::deserialize(from)?.unwrap_or_default();
    Ok(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

/// Where Docker Hub is searched.
const HUB: &str = "index.docker.io";

/// At most `limit` repositories of the registry that `any` is in which have to do with `term`.
pub(crate) async fn search(
    any: &Reference,
    term: &str,
    limit: u32,
    registries: &Registries,
    credentials: &Credentials,
) -> Result<Vec<Found>, Error> {
    let known = registries.places(any, Purpose::Enter)?.pop().filter(|place| place.registry == any.registry());
    let place = known.unwrap_or_else(|| Place::plain(any.registry(), ""));
    let registry = if any.registry() == "docker.io" { HUB.to_owned() } else { any.registry().to_owned() };
    let mut place = Place { repository: String::new(), registry, ..place };
    place.reach.path = Some("/v1".to_owned());
    let endpoints = Endpoint::of(&place, &Access::Enter, credentials);
    let registry = Registry::at(any, endpoints, &registries.proxies, &(), Patience::default());
    let mut attempts = Attempts::new(registry.inner.clone(), format!("search for {term:?}"), false);
    loop {
        match ask(&registry, attempts.endpoint(), term, limit).await {
            Ok(found) => return Ok(found),
            Err(failure) => attempts.failed(failure).await?,
        }
    }
}

async fn ask(registry: &Registry<'_>, endpoint: &Endpoint, term: &str, limit: u32) -> Result<Vec<Found>, Failure> {
    let http = &registry.inner.http;
    let response = endpoint.request(http, Method::GET, &format!("search?{}", query(term, limit)), &HeaderMap::new()).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST => {
            return Err(Failure::Protocol(format!("it cannot be searched: /v1/search answers {}", response.status().as_u16())));
        }
        _ => return Err(http.refusal(response).await),
    }
    let body = http.body(response, manifest::LIMIT).await?;
    // A web page, such as that of a proxy.
    let none = |_| Failure::Protocol("it cannot be searched: what /v1/search answers is no list of repositories".into());
    let answer: Answer = serde_json::from_slice(&body).map_err(none)?;
    Ok(answer.results.unwrap_or_default())
}

fn query(term: &str, limit: u32) -> String {
    let url = Url::parse_with_params("http://any/", [("q", term), ("n", &limit.to_string())]);
    url.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_cannot_be_more_than_a_term() {
        assert_eq!(query("a b&n=9/é", 25), "q=a+b%26n%3D9%2F%C3%A9&n=25");
    }

    #[test]
    fn what_the_hub_answers() {
        let text = r#"{"num_pages":1,"results":[{"name":"a/b","description":null,"star_count":3,"is_official":true,"x":1},{"name":"c","description":"\u001b[2Jd"}]}"#;
        let found = serde_json::from_str::<Answer>(text).unwrap().results.unwrap();
        let first = Found { name: "a/b".to_owned(), stars: 3, official: true, ..Found::default() };
        assert_eq!(found, [first, Found { name: "c".to_owned(), description: " [2Jd".to_owned(), ..Found::default() }]);
    }
}
