//! What a request is about, from its path and query.

use std::borrow::Cow;

use api::kinds::{self, Kind};
use api::status::Status;
use percent_encoding::percent_decode_str;

/// A resource that a path names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: String,
    pub(super) resource: String,
    pub(super) name: String,
    pub(super) part: String,
    /// What follows the part, as it came: the path on a server behind this one.
    pub(super) rest: String,
}

impl Target {
    /// The kind, if it is served.
    pub(super) fn kind(&self) -> Option<&'static Kind> {
        kinds::find(&self.group, &self.version, &self.resource)
    }
}

/// Reads a path below `/api` or `/apis`; nothing for one that names no resource.
pub(super) fn parse(path: &str) -> Option<Target> {
    let (path, rest) = proxied(path);
    let mut parts = path.trim_matches('/').split('/').map(decoded);
    let mut target = Target { rest: rest.into(), ..Default::default() };
    match parts.next()?.as_str() {
        "api" => target.version = parts.next()?,
        "apis" => (target.group, target.version) = (parts.next()?, parts.next()?),
        _ => return None,
    }
    let rest: Vec<String> = parts.collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let (namespace, rest) = match rest.as_slice() {
        // a namespace is an object too: its own parts have names of their own
        ["namespaces", name, "status" | "finalize"] => ("", ["namespaces", *name, rest[2]].to_vec()),
        ["namespaces", space, resource, more @ ..] => (*space, [&[*resource], more].concat()),
        other => ("", other.to_vec()),
    };
    target.namespace = namespace.into();
    match rest.as_slice() {
        [resource] => target.resource = (*resource).into(),
        [resource, name] => (target.resource, target.name) = ((*resource).into(), (*name).into()),
        [resource, name, part] => {
            (target.resource, target.name, target.part) = ((*resource).into(), (*name).into(), (*part).into())
        }
        _ => return None,
    }
    (!target.resource.is_empty()).then_some(target)
}

/// Parts a path to a pod's or a service's own server from the path there.
fn proxied(path: &str) -> (&str, &str) {
    // /api/v1/namespaces/SPACE/pods/NAME/proxy
    const PARTS: usize = 7;
    let end = path.match_indices('/').nth(PARTS).map_or(path.len(), |(at, _)| at);
    let is_one =
        path[..end].ends_with("/proxy") && path.starts_with("/api/v1/namespaces/") && path[..end].matches('/').count() == PARTS;
    if is_one { path.split_at(end) } else { (path, "") }
}

/// The parts of a query, decoded; where one is wanted, the last one of a name counts.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what is behind the question mark.
    pub fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// All values of a name.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.all(name).next_back()
    }

    /// A value; empty without one.
    pub fn text(&self, name: &str) -> &str {
        self.last(name).unwrap_or("")
    }

    /// Whether a value says yes.
    pub fn flag(&self, name: &str) -> bool {
        self.last(name).is_some_and(|v| matches!(v, "" | "1" | "t" | "true" | "True" | "TRUE"))
    }

    /// A value that is a number; 0 without one, and for what is less.
    ///
    /// # Errors
    /// That it is no number.
    pub fn number(&self, name: &str) -> Result<u64, Status> {
        let text = self.text(name);
        let bad = |_| Status::bad_request(format!("{name}: Invalid value: {text:?}: must be a number"));
        let number = if text.is_empty() { 0 } else { text.parse::<i64>().map_err(bad)? };
        Ok(u64::try_from(number).unwrap_or(0))
    }
}

/// Takes the percent signs out; what is no text stays as it is.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.into(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str) -> Option<String> {
        parse(path).map(|t| [t.group, t.version, t.namespace, t.resource, t.name, t.part].join("|"))
    }

    #[test]
    fn paths_name_resources() {
        for (path, target) in [
            ("/api/v1/pods", "|v1||pods||"),
            ("/api/v1/namespaces", "|v1||namespaces||"),
            ("/api/v1/namespaces/a", "|v1||namespaces|a|"),
            ("/api/v1/namespaces/a/status", "|v1||namespaces|a|status"),
            ("/api/v1/namespaces/a/pods/b/log", "|v1|a|pods|b|log"),
            ("/apis/apps/v1/namespaces/a/deployments/", "apps|v1|a|deployments||"),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "rbac.authorization.k8s.io|v1||clusterroles|system:node|",
            ),
        ] {
            assert_eq!(shown(path).as_deref(), Some(target), "{path}");
        }
        let proxied = |path: &str| parse(path).map(|target| (target.resource, target.name, target.part, target.rest)).unwrap();
        let own = |rest: &str| ("services".to_owned(), "web:80".to_owned(), "proxy".to_owned(), rest.to_owned());
        for rest in ["", "/", "/a/b%2Fc//d/"] {
            assert_eq!(proxied(&format!("/api/v1/namespaces/a/services/web:80/proxy{rest}")), own(rest));
        }
        assert_eq!(shown("/api/v1/namespaces/a/services/proxy").as_deref(), Some("|v1|a|services|proxy|"));
        assert_eq!(shown("/api/v1/namespaces/a/pods/b/log/proxy"), None);
        for path in ["/api", "/api/v1", "/apis/apps/v1", "/version", "/api/v1/pods/a/b/c", "/"] {
            assert_eq!(shown(path), None, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("a=b%3Dc+d&watch=true&limit=5&e&f=%");
        assert_eq!(
            (query.text("a"), query.flag("watch"), query.flag("e"), query.flag("x"), query.number("limit").ok(), query.text("f")),
            ("b=c d", true, true, false, Some(5), "%")
        );
    }
}
