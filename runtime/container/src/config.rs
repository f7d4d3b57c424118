//! Reading configurations as runc does, which reads them as Go does: `null` is as good as nothing, of two equal keys the later one
//! counts, and a capability that nobody knows is a warning.
//!
//! Crate `oci-spec` is stricter, and misspells two flags. A text that it takes is read once; only one that it refuses is read again,
//! mended.

use oci_spec::runtime::{Capability, Process, Spec};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads a `config.json`; with it what was left out of it, as text for the user.
///
/// # Errors
/// Where the text is no JSON, or which field has a value of the wrong kind.
pub fn spec(bytes: &[u8]) -> serde_json::Result<(Spec, Vec<String>)> {
    let (mut spec, warnings) = read(bytes, |value, warnings| {
        if let Some(own) = value.get_mut("process") {
            process_of(own, warnings);
        }
        if let Some(linux) = value.get_mut("linux").and_then(Value::as_object_mut) {
            // As good as none, for runc.
            let empty = |seccomp: &Value| seccomp.get("defaultAction").is_none() && seccomp.get("syscalls").is_none();
            if linux.get("seccomp").is_some_and(empty) {
                linux.remove("seccomp");
            }
        }
    })?;
    unlimited(&mut spec);
    Ok((spec, warnings))
}

/// Before 1.3 of the specification runtimes took a limit of 0 processes for none, and engines of that time say so (podman 4 with
/// `--pids-limit -1`). Since then it is a limit.
fn unlimited(spec: &mut Spec) {
    let mut numbers = spec.version().split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    if (numbers.next(), numbers.next()) >= (Some(1), Some(3)) {
        return;
    }
    let resources = spec.linux_mut().as_mut().and_then(|linux| linux.resources_mut().as_mut());
    if let Some(resources) = resources
        && resources.pids().as_ref().is_some_and(|pids| pids.limit() == 0)
    {
        resources.set_pids(None);
    }
}

/// Reads the process of a `config.json` and passes over all else, which matters only when a container is made.
///
/// # Errors
/// As [`spec`].
pub fn process_within(bytes: &[u8]) -> serde_json::Result<(Option<Process>, Vec<String>)> {
    #[derive(serde::Deserialize)]
    struct Within {
        process: Option<Process>,
    }
    let (Within { process }, warnings) = read(bytes, |value, warnings| {
        if let Some(own) = value.get_mut("process") {
            process_of(own, warnings);
        }
    })?;
    Ok((process, warnings))
}

/// Reads a process, as `exec --process` takes it.
///
/// # Errors
/// As [`spec`].
pub fn process(bytes: &[u8]) -> serde_json::Result<(Process, Vec<String>)> {
    read(bytes, process_of)
}

fn read<T: DeserializeOwned>(
    bytes: &[u8],
    mend: impl FnOnce(&mut Value, &mut Vec<String>),
) -> serde_json::Result<(T, Vec<String>)> {
    let first = match serde_json::from_slice(bytes) {
        Ok(read) => return Ok((read, Vec::new())),
        Err(error) => error,
    };
    let Ok(before) = serde_json::from_slice::<Value>(bytes) else { return Err(first) };
    let (mut value, mut warnings) = (before.clone(), Vec::new());
    strip(&mut value);
    mend(&mut value, &mut warnings);
    let changed = value != before;
    match serde_json::from_value(value) {
        Ok(read) => Ok((read, warnings)),
        // The first one knows the line, but may be about what was mended.
        Err(second) => Err(if changed { second } else { first }),
    }
}

/// Takes `null` out of objects.
fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(strip);
        }
        Value::Array(elements) => elements.iter_mut().for_each(strip),
        _ => {}
    }
}

fn process_of(value: &mut Value, warnings: &mut Vec<String>) {
    let Some(process) = value.as_object_mut() else { return };
    // Root, without a word on it.
    process.entry("user").or_insert_with(|| Value::Object(Map::new()));
    if let Some(Value::Object(sets)) = process.get_mut("capabilities") {
        capabilities(sets, warnings);
    }
    let flags = process.get_mut("scheduler").and_then(|scheduler| scheduler.get_mut("flags")).and_then(Value::as_array_mut);
    for flag in flags.into_iter().flatten() {
        match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => *flag = "SCHED_RESET_ON_FORK".into(),
            Some("SCHED_FLAG_DL_OVERRUN") => *flag = "SCHED_FLAG_D_L_OVERRUN".into(),
            _ => {}
        }
    }
    if let Some(Value::Object(affinity)) = process.get_mut("execCPUAffinity") {
        for list in affinity.values_mut() {
            if let Some(text) = list.as_str() {
                *list = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",").into();
            }
        }
        affinity.retain(|_, list| list.as_str() != Some(""));
    }
}

/// A capability that is newer than this program, or none at all, is left out.
fn capabilities(sets: &mut Map<String, Value>, warnings: &mut Vec<String>) {
    let mut unknown: Vec<String> = Vec::new();
    for names in sets.values_mut().filter_map(Value::as_array_mut) {
        names.retain(|name| {
            let Some(text) = name.as_str().filter(|_| serde_json::from_value::<Capability>(name.clone()).is_err()) else {
                return true;
            };
            if !unknown.iter().any(|known| known == text) {
                unknown.push(text.to_owned());
            }
            false
        });
    }
    if !unknown.is_empty() {
        warnings.push(format!("process.capabilities: unknown, left out: {}", unknown.join(" ")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn own(value: &Value) -> (Process, Vec<String>) {
        process(value.to_string().as_bytes()).unwrap_or_else(|error| panic!("{value}: {error}"))
    }

    #[test]
    fn what_runc_takes_is_taken() {
        let (read, warnings) = own(&json!({"args": ["x"], "cwd": "/", "env": null, "user": null, "noNewPrivileges": null}));
        assert_eq!((read.user().uid(), read.env(), warnings.len()), (0, &None, 0));
        let (read, warnings) = own(&json!({"cwd": "/", "capabilities": {
            "bounding": ["CAP_CHOWN", "CAP_NEXT"], "effective": ["CAP_NEXT", "CAP_OTHER"], "ambient": null}}));
        assert_eq!(read.capabilities().as_ref().unwrap().bounding().as_ref().unwrap().len(), 1);
        assert_eq!(warnings, ["process.capabilities: unknown, left out: CAP_NEXT CAP_OTHER"]);
        let flags = ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_RECLAIM"];
        let (read, _) = own(&json!({"cwd": "/", "scheduler": {"policy": "SCHED_DEADLINE", "flags": flags}}));
        assert_eq!(read.scheduler().as_ref().unwrap().flags().as_ref().unwrap().len(), 3);
        let (read, _) = own(&json!({"cwd": "/", "execCPUAffinity": {"initial": "0, 2-3,", "final": " "}}));
        let affinity = read.exec_cpu_affinity().as_ref().unwrap();
        assert_eq!((affinity.initial().as_deref(), affinity.cpu_affinity_final()), (Some("0,2-3"), &None));
        let (twice, _) = process(br#"{"cwd": "/a", "cwd": "/b"}"#).unwrap();
        assert_eq!(twice.cwd().to_str(), Some("/b"));
        let (read, _) = spec(br#"{"ociVersion": "1.0.0", "linux": {"seccomp": {}}, "process": {"cwd": "/"}}"#).unwrap();
        assert!(read.linux().as_ref().unwrap().seccomp().is_none() && read.process().is_some());
    }

    #[test]
    fn no_processes_at_all_is_a_limit_since_1_3() {
        let cases =
            [("1.0.2-dev", 0, None), ("1.2.1", 0, None), ("1.2.1", 5, Some(5)), ("1.3.0", 0, Some(0)), ("2.0.0", 0, Some(0))];
        for (version, limit, wanted) in cases {
            let text = json!({"ociVersion": version, "linux": {"resources": {"pids": {"limit": limit}}}}).to_string();
            let (read, _) = spec(text.as_bytes()).unwrap();
            let resources = read.linux().as_ref().unwrap().resources().as_ref().unwrap();
            assert_eq!(resources.pids().as_ref().map(|pids| pids.limit()), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = |text: &str| spec(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("{"), "EOF while parsing an object at line 1 column 1");
        assert!(error("{\n\"ociVersion\": 5}").ends_with("at line 2 column 15"), "{}", error("{\n\"ociVersion\": 5}"));
        let unknown =
            error(r#"{"ociVersion": "1", "process": {"cwd": "/", "rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]}}"#);
        assert!(unknown.starts_with("unknown variant `RLIMIT_X`"), "{unknown}");
        let other = error(r#"{"ociVersion": "1", "process": {"cwd": "/", "scheduler": {"policy": "SCHED_X"}}}"#);
        assert!(other.starts_with("unknown variant `SCHED_X`"), "{other}");
    }
}
