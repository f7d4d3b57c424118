//! What runs: the fields beside `HostConfig`.

use engine::HealthRequest;
use serde_json::{Map, Value};

use super::More;
use super::words::{Field, Refusal, Table, Words, texts};

pub(super) const TABLE: Table = &[
    ("Hostname", Field::Flag("hostname")),
    ("Domainname", Field::Flag("domainname")),
    ("User", Field::Flag("user")),
    // What its client listens to is said when it attaches.
    ("AttachStdin", Field::Fine),
    ("AttachStdout", Field::Fine),
    ("AttachStderr", Field::Fine),
    // Input ends with the client who has fed it from the start on.
    ("StdinOnce", Field::Fine),
    ("ExposedPorts", Field::Own(exposed)),
    ("Tty", Field::Flag("tty")),
    ("OpenStdin", Field::Flag("interactive")),
    ("WorkingDir", Field::Flag("workdir")),
    ("MacAddress", Field::Flag("mac-address")),
    ("Labels", Field::Flag("label")),
    ("StopSignal", Field::Flag("stop-signal")),
    ("StopTimeout", Field::Own(stop_timeout)),
    ("Volumes", Field::Fine),
    ("Env", Field::Fine),
    ("Cmd", Field::Fine),
    ("Entrypoint", Field::Fine),
    ("Healthcheck", Field::Fine),
    ("Image", Field::Fine),
    ("HostConfig", Field::Fine),
    ("NetworkingConfig", Field::Fine),
    // Of Windows.
    ("ArgsEscaped", Field::Fine),
    // The image's own, as Docker's command sends it back.
    ("OnBuild", Field::Fine),
];

fn keys(value: &Value) -> Result<impl Iterator<Item = &String>, String> {
    Ok(value.as_object().ok_or("it is no object")?.keys())
}

fn exposed(value: &Value, words: &mut Words) -> Result<(), String> {
    keys(value)?.for_each(|port| words.flag("expose", port));
    Ok(())
}

/// Volumes of its own, but where `HostConfig` mounts something: Compose names such places here as well.
pub(super) fn volumes(body: &Map<String, Value>, host: &Map<String, Value>, words: &mut Words) -> Result<(), Refusal> {
    let Some(own) = body.get("Volumes").filter(|value| !value.is_null()) else { return Ok(()) };
    let list = |key: &str| host.get(key).and_then(Value::as_array).into_iter().flatten();
    let bound = list("Binds").filter_map(|bind| bind.as_str()?.split(':').nth(1));
    let mounted = list("Mounts").filter_map(|mount| mount.get("Target")?.as_str());
    let memory = host.get("Tmpfs").and_then(Value::as_object).into_iter().flatten().map(|(path, _)| path.as_str());
    let taken: Vec<&str> = bound.chain(mounted).chain(memory).map(|path| path.trim_end_matches('/')).collect();
    let free = |path: &&String| !taken.contains(&path.trim_end_matches('/'));
    let own = keys(own).map_err(|why| Refusal(format!("Volumes: {why}")))?;
    own.filter(free).for_each(|path| words.flag("volume", path));
    Ok(())
}

/// A 0 is no time at all, and not nothing.
fn stop_timeout(value: &Value, words: &mut Words) -> Result<(), String> {
    words.flag("stop-timeout", super::words::text(value)?);
    Ok(())
}

/// What no flag can say.
pub(super) fn more(body: &Map<String, Value>, more: &mut More) -> Result<(), Refusal> {
    let list = |key: &str| -> Result<Option<Vec<String>>, Refusal> {
        let value = body.get(key).filter(|value| !value.is_null());
        // Old clients write one word as a text.
        let texts = |value: &Value| value.as_str().map_or_else(|| texts(value), |text| Ok(vec![text.to_owned()]));
        value.map(texts).transpose().map_err(|why| Refusal(format!("{key}: {why}")))
    };
    more.entrypoint = match list("Entrypoint")? {
        // An empty word clears it, and nothing leaves it as it is.
        Some(words) if words == [""] => Some(Vec::new()),
        words => words.filter(|words| !words.is_empty()),
    };
    more.cmd = list("Cmd")?.unwrap_or_default();
    let env = list("Env")?.unwrap_or_default();
    more.env = crate::parse::environment(&[], &env, |_| None).map_err(|error| Refusal(format!("Env: {error}")))?;
    if let Some(check) = body.get("Healthcheck").filter(|value| !value.is_null()) {
        more.health = health(check).map_err(|why| Refusal(format!("Healthcheck: {why}")))?;
    }
    Ok(())
}

/// A check of its health; 0 and empty mean: as the image has it.
fn health(value: &Value) -> Result<Option<HealthRequest>, String> {
    let object = value.as_object().ok_or("it is no object")?;
    super::words::only(object, &["Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"])?;
    let test = texts(object.get("Test").unwrap_or(&Value::Null)).map_err(|why| format!("Test: {why}"))?;
    let number = |key: &str| match object.get(key).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => {
            value.as_u64().map(|number| Some(number).filter(|number| *number > 0)).ok_or(format!("{key}: {value} is no number"))
        }
    };
    let retries = number("Retries")?.map(|number| u32::try_from(number).map_err(|_| "Retries: it is too much")).transpose()?;
    match test.first().map(String::as_str) {
        None | Some("NONE" | "CMD" | "CMD-SHELL") => {}
        Some(other) => return Err(format!("Test: {other:?} is none of NONE, CMD and CMD-SHELL")),
    }
    let none = test.first().is_some_and(|kind| kind == "NONE");
    let request = HealthRequest {
        none,
        test: if none { Vec::new() } else { test },
        interval: number("Interval")?,
        timeout: number("Timeout")?,
        start_period: number("StartPeriod")?,
        start_interval: number("StartInterval")?,
        retries,
        ..HealthRequest::default()
    };
    Ok(Some(request).filter(|request| *request != HealthRequest::default()))
}
