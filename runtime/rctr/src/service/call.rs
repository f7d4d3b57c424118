//! One request: what it is about, its query, its headers, and its body.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::Service;
use super::refused::bad;

/// No document is longer.
const DOCUMENT: u64 = 16 << 20;

/// What is asked. Its body is read as it comes, by the thread of the handler.
pub(super) struct Call {
    pub(super) service: Arc<Service>,
    /// The parts of the path that vary.
    pub(super) names: Vec<String>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    /// The connection may be taken over, as `Upgrade: tcp` asks for.
    pub(super) upgrades: bool,
    pub(super) body: Input,
}

impl Call {
    /// The first part of the path that varies.
    pub(super) fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The body as a document; without one the empty object.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn document<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut text = Vec::new();
        self.body.by_ref().take(DOCUMENT + 1).read_to_end(&mut text).context("read the request")?;
        if text.len() as u64 > DOCUMENT {
            return Err(bad(format!("a document of more than {DOCUMENT} bytes")));
        }
        let text = if text.trim_ascii().is_empty() { b"{}" } else { text.as_slice() };
        serde_json::from_slice(text).map_err(|error| bad(format!("the body is no JSON as it should be: {error}")))
    }

    /// The body as a file without a name, as long as it may be: to be read in any order.
    ///
    /// # Errors
    /// It breaks off; there is no room.
    pub(super) fn spooled(&mut self) -> Result<File> {
        crate::verbs::build::spooled(&self.service.engine, &mut self.body).context("read the request")
    }

    /// The same where it must be an object.
    pub(super) fn object(&mut self) -> Result<Map<String, Value>> {
        self.document()
    }
}

/// A body as it comes.
pub(super) struct Input {
    body: Option<Incoming>,
    rest: Bytes,
}

impl Input {
    pub(super) fn new(body: Incoming) -> Input {
        Input { body: Some(body), rest: Bytes::new() }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.rest.has_remaining() {
            let Some(body) = &mut self.body else { return Ok(0) };
            match Handle::current().block_on(body.frame()) {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => self.body = None,
            }
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// What is behind the question mark.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Query {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value; an empty one is none.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(own, value)| own == key && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    /// As Docker reads a truth: what is neither nothing nor one of these words.
    pub(super) fn is(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "0" | "no" | "false" | "none"))
    }

    /// The same for what is true unless it is said.
    pub(super) fn is_or(&self, key: &str, default: bool) -> bool {
        if self.get(key).is_some() { self.is(key) } else { default }
    }

    /// A number, or whatever else can be read.
    ///
    /// # Errors
    /// It cannot.
    pub(super) fn parsed<T>(&self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>> {
        self.get(key).map(|text| read(text).map_err(|why| bad(format!("{key}: {why}")))).transpose()
    }

    /// `filters`, each as the command line has it: `KEY=VALUE`. Old clients write `{"KEY":{"VALUE":true}}`, newer ones `{"KEY":["VALUE"]}`.
    ///
    /// # Errors
    /// They are neither, or `read` does not know one.
    pub(super) fn filters<T>(&self, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>> {
        let Some(text) = self.get("filters") else { return Ok(Vec::new()) };
        let wrong = || bad(format!("filters: {text:?}: the form is {{\"KEY\":[\"VALUE\"]}}"));
        let all: Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong())?;
        let mut found = Vec::new();
        for (key, values) in &all {
            let values: Vec<&str> = match values {
                Value::Array(values) => values.iter().map(|value| value.as_str().ok_or_else(wrong)).collect::<Result<_>>()?,
                Value::Object(values) => values.iter().filter(|(_, on)| **on == true).map(|(value, _)| value.as_str()).collect(),
                _ => return Err(wrong()),
            };
            for value in values {
                found.push(read(&format!("{key}={value}")).map_err(|why| bad(format!("filters: {why}")))?);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let query = Query::parse("a=1&b=x%20y+z&c=false&d=&e&a=2&f=%zz%4");
        assert_eq!(
            (query.get("a"), query.get("b"), query.get("d"), query.get("f")),
            (Some("1"), Some("x y z"), None, Some("%zz%4"))
        );
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(query.is("a") && !query.is("c") && !query.is("d") && !query.is("nothing"));
        assert!(query.is_or("nothing", true) && !query.is_or("c", true));
        assert!(query.parsed("b", |text| text.parse::<u8>().map_err(|error| error.to_string())).is_err());
    }

    #[test]
    fn both_forms_of_filters() {
        let read = |text: &str| Ok(text.to_owned());
        let filters = |json: &str| Query(vec![("filters".into(), json.into())]).filters(read).ok();
        assert_eq!(filters(r#"{"label":["a=b","c"]}"#), Some(vec!["label=a=b".into(), "label=c".into()]));
        assert_eq!(filters(r#"{"name":{"x":true,"y":false}}"#), Some(vec!["name=x".into()]));
        assert_eq!(Query::default().filters(read).ok(), Some(vec![]));
        for wrong in ["[]", "x", r#"{"a":1}"#, r#"{"a":[1]}"#] {
            assert_eq!(filters(wrong), None, "{wrong}");
        }
    }
}
