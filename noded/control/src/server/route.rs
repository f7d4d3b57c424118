//! From a request to an answer.

use std::sync::Arc;

use api::kinds::Kind;
use api::selector::FieldSelector;
use api::status::Status;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use hyper::{Method, Request, Response};

use super::answer::{self, Body};
use super::peer::Watching;
use super::target::{self, Query, Target};
use super::{Server, certificate, documents, metrics, node, parts, pods, read, review, watch, write};
use crate::auth::User;
use crate::auth::policy::Action;
use crate::{join, tunnel};

/// One request about a resource, understood.
pub(super) struct Call<'a> {
    pub(super) server: &'a Arc<Server>,
    pub(super) user: User,
    pub(super) target: Target,
    pub(super) kind: &'static Kind,
    pub(super) query: Query,
    pub(super) accept: String,
    pub(super) media: String,
    pub(super) agent: String,
}

impl Call<'_> {
    /// What the client says that it sends, without how.
    pub(super) fn media(&self) -> &str {
        self.media.split(';').next().unwrap_or("").trim()
    }
}

/// Answers a request, whatever it is.
pub(super) async fn answer(server: &Arc<Server>, certificate: Option<User>, request: Request<Incoming>) -> Response<Body> {
    if wants_newest(server, &request)
        && let Err(why) = server.objects.store().fresh().await
    {
        return answer::status(&Status::unavailable(why.to_string()));
    }
    let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_string();
    let authorization = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let Some(user) = server.user(certificate, authorization) else { return answer::status(&Status::unauthorized()) };
    let user = match acting_as(server, user, request.headers()) {
        Ok(user) => user,
        Err(status) => return answer::status(&status),
    };
    let path = request.uri().path().to_string();
    if path == tunnel::PATH {
        return pods::connect(server, &user, request).unwrap_or_else(|status| answer::status(&status));
    }
    if path == join::PATH {
        return certificate::answer(server, &user, request).await.unwrap_or_else(|status| answer::status(&status));
    }
    let query = Query::parse(request.uri().query().unwrap_or(""));
    let accepted = header(ACCEPT_ENCODING);
    let outcome = match target::parse(&path) {
        Some(target) => {
            let (accept, media, agent) = (header(ACCEPT), header(CONTENT_TYPE), header(USER_AGENT));
            resource(server, user, target, query, (accept, media, agent), request).await
        }
        None => plain(server, &user, &path, &request),
    };
    answer::compressed(outcome.unwrap_or_else(|status| answer::status(&status)), &accepted).await
}

/// Whether this must be answered from what all hosts have written. Lists and watches that say since when are content with less.
fn wants_newest(server: &Server, request: &Request<Incoming>) -> bool {
    if !request.uri().path().starts_with("/api") {
        return false;
    }
    let query = Query::parse(request.uri().query().unwrap_or(""));
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = query.text("resourceVersion").parse::<u64>().ok().filter(|_| is_read && query.text("continue").is_empty());
    known.is_none_or(|known| known > server.objects.store().revision())
}

/// Who may impersonate others acts with their rights, and with theirs alone.
fn acting_as(server: &Server, user: User, headers: &hyper::HeaderMap) -> Result<User, Status> {
    let all =
        |name: &str| -> Vec<String> { headers.get_all(name).iter().filter_map(|v| v.to_str().ok().map(String::from)).collect() };
    let (names, groups) = (all("impersonate-user"), all("impersonate-group"));
    let Some(name) = names.first() else {
        let none = groups.is_empty() && all("impersonate-uid").is_empty();
        return if none { Ok(user) } else { Err(Status::bad_request("requested groups without impersonating a user")) };
    };
    let policy = server.policy();
    let account = name.strip_prefix("system:serviceaccount:").and_then(|n| n.split_once(':'));
    let may = |resource: &str, name: &str, namespace: &str| {
        let action = Action { verb: "impersonate", resource, name, namespace, ..Default::default() };
        let why = format!("User {:?} cannot impersonate resource {resource:?} in API group \"\" at the cluster scope", user.name);
        if policy.allows(&user, &action) { Ok(()) } else { Err(refused(&user, Some(("", resource, name)), &why)) }
    };
    match account {
        Some((namespace, name)) => may("serviceaccounts", name, namespace)?,
        None => may("users", name, "")?,
    }
    groups.iter().try_for_each(|g| may("groups", g, ""))?;
    let own = account
        .filter(|_| groups.is_empty())
        .map(|(space, _)| ["system:serviceaccounts".into(), format!("system:serviceaccounts:{space}")]);
    Ok(User::new(name.clone(), groups.into_iter().chain(own.into_iter().flatten())))
}

/// Paths that are no resources.
fn plain(server: &Server, user: &User, path: &str, request: &Request<Incoming>) -> Result<Response<Body>, Status> {
    let verb = request.method().as_str().to_ascii_lowercase();
    let action = Action { verb: &verb, path, ..Default::default() };
    // health is for everyone: who asks for it has no rights yet, or lost them
    let is_health = matches!(path, "/healthz" | "/livez" | "/readyz");
    if !is_health && !server.policy().allows(user, &action) {
        return Err(refused(user, None, &format!("User {:?} cannot {verb} path {path:?}", user.name)));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Status::not_allowed());
    }
    documents::answer(server, path, request.headers())
}

/// Nobody known is asked to say who they are; the known are told that they may not.
fn refused(user: &User, resource: Option<(&str, &str, &str)>, why: &str) -> Status {
    match resource {
        _ if !user.is_known() => Status::unauthorized(),
        Some((group, plural, name)) => Status::forbidden(Some((group, plural)), name, why),
        None => Status::forbidden(None, "", why),
    }
}

async fn resource(
    server: &Arc<Server>,
    user: User,
    target: Target,
    query: Query,
    (accept, media, agent): (String, String, String),
    request: Request<Incoming>,
) -> Result<Response<Body>, Status> {
    let verb = verb(request.method(), &target, &query)?;
    authorize(server, &user, verb, &about_one(verb, &target, &query))?;
    let kind = target.kind().ok_or_else(Status::no_such_path)?;
    if !kind.namespaced && !target.namespace.is_empty() {
        return Err(Status::no_such_path());
    }
    let call = Call { server, user, target, kind, query, accept, media, agent };
    node::check(&call, verb)?;
    if !call.target.part.is_empty() && call.target.part != "status" {
        return parts::answer(&call, verb, request).await;
    }
    if call.target.part == "status" && !(kind.has_status && matches!(verb, "get" | "update" | "patch")) {
        return Err(Status::no_such_path());
    }
    if !kind.is_kept() {
        return match verb {
            _ if !kind.allows(verb) => Err(Status::not_allowed()),
            "create" => review::answer(&call, request).await,
            _ => metrics::answer(&call, verb).await,
        };
    }
    if call.target.part.is_empty() && !kind.allows(verb) {
        return Err(Status::not_allowed());
    }
    match verb {
        "get" => read::get(&call),
        "list" => read::list(&call),
        "watch" => {
            let answer = watch::answer(&call)?;
            request.extensions().get::<Watching>().inspect(|watching| watching.begin());
            Ok(answer)
        }
        "create" => write::create(&call, request).await,
        "update" => write::update(&call, request).await,
        "patch" => write::patch(&call, request).await,
        "delete" => write::delete(&call, request).await,
        _ => write::delete_all(&call, request).await,
    }
}

/// Who lists or watches one object by its name needs no right to see others.
fn about_one(verb: &str, target: &Target, query: &Query) -> Target {
    let mut about = target.clone();
    if matches!(verb, "list" | "watch") && about.name.is_empty() {
        let chosen = target.kind().and_then(|kind| FieldSelector::parse(query.text("fieldSelector"), kind).ok());
        about.name = chosen.as_ref().and_then(|chosen| chosen.wanted("metadata.name")).unwrap_or("").to_owned();
    }
    about
}

/// Whether the user may do it, by the policy.
pub(super) fn authorize(server: &Server, user: &User, verb: &str, target: &Target) -> Result<(), Status> {
    let action = Action {
        verb,
        group: &target.group,
        resource: &target.resource,
        subresource: &target.part,
        name: &target.name,
        namespace: &target.namespace,
        path: "",
    };
    if server.policy().allows(user, &action) {
        return Ok(());
    }
    let full = if target.part.is_empty() { target.resource.clone() } else { format!("{}/{}", target.resource, target.part) };
    let place = if target.namespace.is_empty() {
        "at the cluster scope".to_string()
    } else {
        format!("in the namespace {:?}", target.namespace)
    };
    let why = format!("User {:?} cannot {verb} resource {full:?} in API group {:?} {place}", user.name, target.group);
    Err(refused(user, Some((&target.group, &target.resource, &target.name)), &why))
}

fn verb(method: &Method, target: &Target, query: &Query) -> Result<&'static str, Status> {
    let one = !target.name.is_empty();
    Ok(match *method {
        // whoever asks for an upgrade wants to do something, whichever the method
        Method::GET | Method::POST if one && matches!(target.part.as_str(), "exec" | "attach" | "portforward") => "create",
        Method::GET | Method::HEAD if query.flag("watch") && target.part.is_empty() => "watch",
        Method::GET | Method::HEAD if one => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT if one => "update",
        Method::PATCH if one => "patch",
        Method::DELETE if one => "delete",
        Method::DELETE => "deletecollection",
        _ => return Err(Status::not_allowed()),
    })
}
