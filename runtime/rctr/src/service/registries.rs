//! What is fetched from registries, and sent to them.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::HeaderMap;
use images::{Credentials, Given, ImportOptions, Platform, PullOptions, PushOptions, Reference};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Output, json as document, lines};
use super::call::Call;
use super::images::changes;
use super::progress::{self, LOAD, PULL, PUSH};
use super::refused::bad;
use crate::output::told;
use crate::verbs::{pull, push as pushing, search as searching, sync};

/// A login as clients send it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
    serveraddress: String,
}

/// Of `X-Registry-Auth`; nothing when it says nothing.
fn login(headers: &HeaderMap, reference: &Reference) -> Result<Option<Credentials>> {
    let Some(text) = headers.get("X-Registry-Auth").and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let wrong = |why: &str| bad(format!("X-Registry-Auth: {why}"));
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    // Some clients use the other alphabet.
    let text = text.replace('+', "-").replace('/', "_");
    let bytes = GeneralPurpose::new(&URL_SAFE, lenient).decode(text).map_err(|_| wrong("it is no base64"))?;
    let login: Login = serde_json::from_slice(&bytes).map_err(|_| wrong("it is no login"))?;
    if [&login.username, &login.auth, &login.identitytoken, &login.registrytoken].iter().all(|text| text.is_empty()) {
        return Ok(None);
    }
    let given = Given {
        username: login.username,
        password: login.password,
        auth: login.auth,
        identity_token: login.identitytoken,
        registry_token: login.registrytoken,
    };
    Credentials::given(reference.registry(), given).map(Some).map_err(wrong)
}

fn platform(call: &Call) -> Result<Option<Platform>> {
    call.query.parsed("platform", |text| text.parse::<Platform>().map_err(|error| error.to_string()))
}

/// `POST /images/create`: a pull, or an import.
pub(super) fn create(call: &mut Call) -> Result<Answer> {
    match (call.query.get("fromImage").map(str::to_owned), call.query.get("fromSrc")) {
        (Some(name), None) => fetch(call, &name),
        (None, Some("-")) => import(call),
        (None, Some(_)) => Err(bad("fromSrc: addresses are not fetched: send the archive itself, and say -")),
        _ => Err(bad("fromImage: a name is needed")),
    }
}

fn fetch(call: &Call, name: &str) -> Result<Answer> {
    let service = Arc::clone(&call.service);
    let whole = match call.query.get("tag") {
        Some(tag) if tag.contains(':') => format!("{name}@{tag}"),
        Some(tag) => format!("{name}:{tag}"),
        None => name.to_owned(),
    };
    let reference = service.context.registries()?.reference(&whole)?;
    let mut options: PullOptions = service.context.pull_options(platform(call)?)?;
    options.credentials = login(&call.headers, &reference)?.unwrap_or(options.credentials);
    lines(move |out| {
        let tag = reference.tag().unwrap_or_default();
        out.document(&json!({ "status": format!("Pulling from {}", reference.familiar_name()), "id": tag }))?;
        let pulled =
            progress::for_client(out, PULL, &options.stop, |progress| pull::fetch(&service.engine, &reference, &options, progress));
        let pulled = match pulled {
            Ok(pulled) => pulled,
            Err(error) => return Ok(out.document(&progress::failed(&error))?),
        };
        if pulled.fresh {
            let _ = sync::behind(&service.context);
        }
        let what = if pulled.fresh { "Downloaded newer image for" } else { "Image is up to date for" };
        out.document(&json!({ "status": format!("Digest: {}", pulled.digest) }))?;
        Ok(out.document(&json!({ "status": format!("Status: {what} {}", reference.familiar()) }))?)
    })
}

fn import(call: &mut Call) -> Result<Answer> {
    let service = Arc::clone(&call.service);
    let name = match (call.query.get("repo"), call.query.get("tag")) {
        (None, _) => None,
        (Some(name), None) => Some(name.parse()?),
        (Some(name), Some(tag)) => Some(format!("{name}:{tag}").parse()?),
    };
    let message = call.query.get("message").unwrap_or("Imported from -").to_owned();
    let options = ImportOptions { name, platform: platform(call)?, changes: changes(&call.query)?, message };
    let archive = call.spooled()?;
    lines(move |out| {
        let made = progress::apart(&mut |_| Ok(()), LOAD, |progress| {
            Ok(images::import(service.engine.images(), archive, &options, progress)?)
        });
        match made {
            Ok(image) => {
                told::image(&service.engine, "import", image.id.as_str(), image.id.as_str());
                out.document(&json!({ "status": image.id }))?;
                sync::behind(&service.context)
            }
            Err(error) => Ok(out.document(&progress::failed(&error))?),
        }
    })
}

/// `POST /images/NAME/push`.
pub(super) fn push(call: &mut Call) -> Result<Answer> {
    let service = Arc::clone(&call.service);
    let name = call.name();
    let reference: Reference = call.query.get("tag").map_or_else(|| name.to_owned(), |tag| format!("{name}:{tag}")).parse()?;
    service.engine.images().image(&reference.to_string())?;
    let mut options: PushOptions = service.context.push_options(None)?;
    options.credentials = login(&call.headers, &reference)?.unwrap_or(options.credentials);
    lines(move |out: &mut Output| {
        out.document(&json!({ "status": format!("The push refers to repository [{}]", reference.familiar_name()) }))?;
        let pushed = progress::for_client(out, PUSH, &options.stop, |progress| {
            pushing::send(&service.engine, &reference, &options, progress)
        });
        match pushed {
            Ok(pushed) => {
                let (tag, digest, size) = (reference.tag().unwrap_or_default(), &pushed.digest, pushed.size);
                out.document(&json!({ "status": format!("{tag}: digest: {digest} size: {size}") }))?;
                Ok(out.document(&json!({ "progressDetail": {}, "aux": { "Tag": tag, "Digest": digest, "Size": size } }))?)
            }
            Err(error) => Ok(out.document(&progress::failed(&error))?),
        }
    })
}

/// `POST /auth`: whether a registry lets somebody in. Nothing of it stays here.
pub(super) fn auth(call: &mut Call) -> Result<Answer> {
    let asked: Login = call.document()?;
    if asked.username.is_empty() || asked.password.is_empty() {
        return Err(bad("username and password: both are needed"));
    }
    let server = asked.serveraddress.split_once("://").map_or(asked.serveraddress.as_str(), |(_, rest)| rest);
    let server = match server.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" => "docker.io",
        other => other,
    };
    let folder = Folder::make(&call.service.engine.config().run)?;
    images::login(server, &asked.username, &asked.password, &call.service.context.registries()?, &folder.0.join("config.json"))?;
    document(json!({ "Status": "Login Succeeded", "IdentityToken": "" }))
}

/// A folder that only root enters, as long as this lives.
struct Folder(std::path::PathBuf);

impl Folder {
    fn make(run: &std::path::Path) -> Result<Folder> {
        use std::os::unix::fs::DirBuilderExt;
        let path = run.join(format!("login-{}", engine::new_id()?));
        std::fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `GET /images/search`.
pub(super) fn search(call: &mut Call) -> Result<Answer> {
    let term = call.query.get("term").ok_or_else(|| bad("term: a word is needed"))?;
    let limit = call.query.parsed("limit", |text| text.parse::<u32>().map_err(|_| format!("{text:?} is no number")))?;
    let filters = call.query.filters(searching::filter)?;
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(25).min(100);
    let found = searching::found(&call.service.context, term, limit, &filters)?;
    let row = |one: &images::Found| {
        json!({
            "name": one.name, "description": one.description, "star_count": one.stars, "is_official": one.official,
            "is_automated": one.automated,
        })
    };
    document(found.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_read() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("X-Registry-Auth", text.parse().unwrap());
            login(&headers, &"localhost:5000/a".parse().unwrap()).map(|login| login.is_some()).map_err(|error| error.to_string())
        };
        let base64 = |text: &str| base64::engine::general_purpose::URL_SAFE.encode(text);
        assert_eq!(of(&base64(r#"{"username":"ada","password":"x?>","serveraddress":"localhost:5000"}"#)), Ok(true));
        assert_eq!(of(&base64(r#"{"identitytoken":"x"}"#)), Ok(true));
        assert_eq!((of(&base64("{}")), of(base64("{}").trim_end_matches('=')), of("")), (Ok(false), Ok(false), Ok(false)));
        assert!(of("!").is_err() && of(&base64("[1")).is_err());
    }
}
