//! The table of all that is served.

use anyhow::Result;
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::answer::Answer;
use super::call::Call;
use super::refused::{Refused, bad};
use super::{OLDEST, VERSION, archive, build, containers, events, exec, images, networks, registries, system, volumes};

/// What answers a request. It may wait: it has a thread of its own.
pub(super) type Handler = fn(&mut Call) -> Result<Answer>;

/// Methods and paths without the version. `*` is one part, `**` at least one: names of images have slashes.
const TABLE: &[(&str, &str, Handler)] = &[
    ("GET", "_ping", system::ping),
    ("HEAD", "_ping", system::ping),
    ("GET", "version", system::version),
    ("GET", "info", system::info),
    ("POST", "session", system::no_session),
    ("POST", "grpc", system::no_session),
    ("POST", "containers/create", containers::make::create),
    ("GET", "containers/json", containers::look::list),
    ("POST", "containers/prune", containers::life::prune),
    ("GET", "containers/*/json", containers::look::inspect),
    ("GET", "containers/*/top", containers::look::top),
    ("GET", "containers/*/changes", containers::look::changes),
    ("GET", "containers/*/stats", containers::stats::stats),
    ("GET", "containers/*/logs", containers::logs::logs),
    ("GET", "containers/*/export", archive::export),
    ("GET", "containers/*/archive", archive::get),
    ("HEAD", "containers/*/archive", archive::head),
    ("PUT", "containers/*/archive", archive::put),
    ("POST", "containers/*/start", containers::life::start),
    ("POST", "containers/*/stop", containers::life::stop),
    ("POST", "containers/*/restart", containers::life::restart),
    ("POST", "containers/*/kill", containers::life::kill),
    ("POST", "containers/*/pause", containers::life::pause),
    ("POST", "containers/*/unpause", containers::life::unpause),
    ("POST", "containers/*/rename", containers::life::rename),
    ("POST", "containers/*/update", containers::make::update),
    ("POST", "containers/*/wait", containers::wait::wait),
    ("POST", "containers/*/attach", containers::attach::attach),
    ("POST", "containers/*/resize", containers::attach::resize),
    ("DELETE", "containers/*", containers::life::remove),
    ("POST", "containers/*/exec", exec::create),
    ("POST", "exec/*/start", exec::start),
    ("POST", "exec/*/resize", exec::resize),
    ("GET", "exec/*/json", exec::inspect),
    ("POST", "build", build::build),
    ("POST", "auth", registries::auth),
    ("POST", "commit", images::commit),
    ("POST", "images/create", registries::create),
    ("GET", "images/json", images::list),
    ("GET", "images/search", registries::search),
    ("GET", "images/get", images::save),
    ("POST", "images/load", images::load),
    ("POST", "images/prune", images::prune),
    ("GET", "images/**/json", images::look),
    ("GET", "images/**/history", images::steps),
    ("GET", "images/**/get", images::save),
    ("POST", "images/**/tag", images::tag),
    ("POST", "images/**/push", registries::push),
    ("DELETE", "images/**", images::remove),
    ("GET", "events", events::events),
    ("GET", "system/df", system::usage),
    ("GET", "networks", networks::list),
    ("POST", "networks/create", networks::make),
    ("POST", "networks/prune", networks::prune),
    ("GET", "networks/*", networks::look),
    ("DELETE", "networks/*", networks::remove),
    ("POST", "networks/*/connect", networks::connect),
    ("POST", "networks/*/disconnect", networks::disconnect),
    ("GET", "volumes", volumes::list),
    ("POST", "volumes/create", volumes::make),
    ("POST", "volumes/prune", volumes::prune),
    ("GET", "volumes/*", volumes::look),
    ("DELETE", "volumes/*", volumes::remove),
];

/// What is behind a path.
pub(super) struct Found {
    pub(super) handler: Handler,
    /// The parts that vary.
    pub(super) names: Vec<String>,
}

/// Finds it.
///
/// # Errors
/// The path is not known (404), or not with this method (405); the version is none that is spoken (400).
pub(super) fn find(method: &Method, path: &str) -> Result<Found> {
    let path = path.trim_start_matches('/');
    let rest = match path.split_once('/').and_then(|(first, rest)| Some((version(first)?, rest))) {
        Some((asked, rest)) => spoken(asked).map(|()| rest)?,
        None => path,
    };
    let parts: Vec<String> = rest.trim_end_matches('/').split('/').map(decoded).collect();
    let mut known = false;
    for (own, pattern, handler) in TABLE {
        if let Some(names) = fits(pattern, &parts) {
            if method.as_str() == *own {
                return Ok(Found { handler: *handler, names });
            }
            known = true;
        }
    }
    let status = if known { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::NOT_FOUND };
    let why = if known { "it is not served with this method" } else { "page not found" };
    Err(Refused(status, format!("{method} /{rest}: {why}")).into())
}

/// Without percent signs.
fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// `v1.41`.
fn version(part: &str) -> Option<(u32, u32)> {
    let (major, minor) = part.strip_prefix('v')?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn spoken(asked @ (major, minor): (u32, u32)) -> Result<()> {
    match asked {
        _ if asked < OLDEST => Err(bad(format!(
            "client version {major}.{minor} is too old. Minimum supported API version is {}.{}",
            OLDEST.0, OLDEST.1
        ))),
        _ if asked > VERSION => Err(bad(format!(
            "client version {major}.{minor} is too new. Maximum supported API version is {}.{}",
            VERSION.0, VERSION.1
        ))),
        _ => Ok(()),
    }
}

/// The parts that vary, if the path fits.
fn fits(pattern: &str, parts: &[String]) -> Option<Vec<String>> {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let many = pattern.iter().filter(|part| **part == "**").count();
    let longer = parts.len().checked_sub(pattern.len()).filter(|longer| many > 0 || *longer == 0)?;
    let (mut at, mut names) = (0, Vec::new());
    for part in pattern {
        let length = if part == "**" { 1 + longer } else { 1 };
        let own = parts[at..at + length].join("/");
        at += length;
        match part {
            "*" | "**" if own.is_empty() => return None,
            "*" | "**" => names.push(own),
            _ if own == part => {}
            _ => return None,
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Result<Vec<String>, u16> {
        let found = find(&method.parse().unwrap(), path);
        found.map(|found| found.names).map_err(|error| super::super::refused::status(&error).as_u16())
    }

    #[test]
    fn paths_have_versions_or_none() {
        for path in ["/_ping", "/v1.24/_ping", "/v1.41/_ping/"] {
            assert_eq!(found("GET", path), Ok(vec![]), "{path}");
        }
        assert_eq!(found("GET", "/v1.41/containers/a%20b/json"), Ok(vec!["a b".into()]));
        for (method, path, status) in [
            ("GET", "/", 404),
            ("GET", "/v1.41/nothing", 404),
            ("GET", "/v1.41/containers//json", 404),
            ("PUT", "/containers/json", 405),
            ("GET", "/v1.23/_ping", 400),
            ("GET", "/v1.99/_ping", 400),
            ("GET", "/v2.0/_ping", 400),
        ] {
            assert_eq!(found(method, path), Err(status), "{path}");
        }
    }

    #[test]
    fn names_may_have_slashes() {
        let fits = |pattern, path: &str| fits(pattern, &path.split('/').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(fits("images/**/json", "images/a/b/c/json"), Some(vec!["a/b/c".to_owned()]));
        assert_eq!(fits("images/**/json", "images/json"), None);
        assert_eq!(fits("images/**", "images/a:1"), Some(vec!["a:1".to_owned()]));
    }
}
