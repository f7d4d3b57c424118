//! What a client is told when something does not work: the `Status` object.

use serde_json::{Value, json};

use crate::errors::FieldErrors;
use crate::kinds::Kind;

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The HTTP code.
    pub code: u16,
    /// The machine's word.
    pub reason: &'static str,
    /// The person's words.
    pub message: String,
    /// About which object, and what exactly; null for none.
    pub details: Value,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = json!({"name": name, "group": kind.group, "kind": kind.plural});
        self
    }

    /// 400: the request makes no sense.
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", why)
    }

    /// 401: nobody known.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403: known, but not allowed.
    pub fn forbidden(kind: Option<(&str, &str)>, name: &str, why: &str) -> Self {
        let Some((group, plural)) = kind else { return Self::new(403, "Forbidden", format!("forbidden: {why}")) };
        let resource = if group.is_empty() { plural.to_string() } else { format!("{plural}.{group}") };
        let named = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        let mut status = Self::new(403, "Forbidden", format!("{resource}{named} is forbidden: {why}"));
        status.details = json!({"name": name, "group": group, "kind": plural});
        status
    }

    /// 404: no such object.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", kind.resource())).about(kind, name)
    }

    /// 404: no such path.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 404: what it is about is not there.
    pub fn absent(why: impl Into<String>) -> Self {
        Self::new(404, "NotFound", why)
    }

    /// 405: the path does not take this method.
    pub fn not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 406: nothing of what the client takes can be given.
    pub fn not_acceptable() -> Self {
        Self::new(406, "NotAcceptable", "only the following media types are accepted: application/json")
    }

    /// 409: the name is taken.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", kind.resource())).about(kind, name)
    }

    /// 409: someone else was faster.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.resource()))
            .about(kind, name)
    }

    /// 409: the object was changed since the client read it.
    pub fn modified(kind: &Kind, name: &str) -> Self {
        Self::conflict(kind, name, "the object has been modified; please apply your changes to the latest version and try again")
    }

    /// 409: other managers own fields that are to be applied: manager and field each.
    pub fn apply_conflict(conflicts: &[(String, String)]) -> Self {
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|(manager, field)| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": field}))
            .collect();
        let message = match conflicts {
            [(manager, field)] => format!("Apply failed with 1 conflict: conflict with {manager}: {field}"),
            several => {
                let lines: Vec<String> =
                    several.iter().map(|(manager, field)| format!("conflict with {manager}: {field}")).collect();
                format!("Apply failed with {} conflicts: {}", several.len(), lines.join("\n"))
            }
        };
        let mut status = Self::new(409, "Conflict", message);
        status.details = json!({"causes": causes});
        status
    }

    /// 410: the history does not reach back so far.
    pub fn expired(why: impl Into<String>) -> Self {
        Self::new(410, "Expired", why)
    }

    /// 413: too much.
    pub fn too_large() -> Self {
        Self::new(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
    }

    /// 415: the body is of none of the forms that are taken.
    pub fn unsupported_media(found: &str, taken: &[&str]) -> Self {
        let taken = taken.join(", ");
        let why =
            format!("the body of the request was in an unknown format - accepted media types include: {taken}; found: {found}");
        Self::new(415, "UnsupportedMediaType", why)
    }

    /// 422: the object breaks rules.
    pub fn invalid(kind: &Kind, name: &str, errors: &FieldErrors) -> Self {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let listed = if texts.len() == 1 { texts[0].clone() } else { format!("[{}]", texts.join(", ")) };
        let mut status = Self::new(422, "Invalid", format!("{} {name:?} is invalid: {listed}", kind.qualified()));
        let causes: Vec<Value> =
            errors.iter().map(|e| json!({"reason": e.reason, "message": e.message, "field": e.field})).collect();
        status.details = json!({"name": name, "group": kind.group, "kind": kind.kind, "causes": causes});
        status
    }

    /// 422: a patch that cannot be applied.
    pub fn unprocessable(why: impl Into<String>) -> Self {
        Self::new(422, "Invalid", why)
    }

    /// 429: not now.
    pub fn too_many(why: impl Into<String>, retry_seconds: u32) -> Self {
        let mut status = Self::new(429, "TooManyRequests", why);
        status.details = json!({"retryAfterSeconds": retry_seconds});
        status
    }

    /// 500: our fault.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {why}"))
    }

    /// 503: what is needed for it is away.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", why)
    }

    /// 504: it took too long.
    pub fn timeout(why: impl Into<String>) -> Self {
        Self::new(504, "Timeout", why)
    }

    /// As the object that is sent.
    pub fn object(&self) -> Value {
        let mut object = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code
        });
        if !self.details.is_null() {
            object["details"] = self.details.clone();
        }
        object
    }

    /// The object that says that a deletion is done.
    pub fn deleted(kind: &Kind, name: &str, uid: &str) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": name, "group": kind.group, "kind": kind.plural, "uid": uid}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::FieldError;
    use crate::kinds::deployment::DEPLOYMENT;

    #[test]
    fn messages_are_those_that_users_know() {
        let one = Status::invalid(&DEPLOYMENT, "web", &vec![FieldError::required("spec.selector", "")]);
        assert_eq!(one.message, "Deployment.apps \"web\" is invalid: spec.selector: Required value");
        assert_eq!(Status::not_found(&DEPLOYMENT, "x").message, "deployments.apps \"x\" not found");
        assert_eq!(one.object()["details"]["causes"][0]["reason"], "FieldValueRequired");
        let two = Status::apply_conflict(&[("\"a\"".into(), ".spec.replicas".into()), ("\"b\"".into(), ".x".into())]);
        assert!(two.message.starts_with("Apply failed with 2 conflicts: "));
    }
}
