//! A container's mounts in the shape of Docker's API.

use engine::{Access, Engine, Mount, MountSource, Record, VolumesFrom};
use serde_json::{Map, Value, json};

/// `.Mounts`.
pub(crate) fn shape(engine: &Engine, record: &Record) -> Vec<Value> {
    record
        .mounts
        .iter()
        .filter(|mount| !matches!(mount.source, MountSource::Tmpfs { short: true, .. }))
        .map(|mount| one(engine, mount))
        .collect()
}

fn one(engine: &Engine, mount: &Mount) -> Value {
    let mut value = json!({});
    let common = |value: &mut Value, kind: &str, source: Value, propagation: String| {
        value["Type"] = json!(kind);
        value["Source"] = source;
        value["Destination"] = json!(mount.target);
        value["Mode"] = json!(mount.mode);
        value["RW"] = json!(mount.access.writable());
        value["Propagation"] = json!(propagation);
    };
    match &mount.source {
        MountSource::Bind { path, .. } => {
            let propagation = mount.propagation.map_or_else(|| "rprivate".to_owned(), |own| own.to_string());
            common(&mut value, "bind", json!(path), propagation);
        }
        MountSource::Volume { name, anonymous, .. } => {
            let source = engine.volume(name).map(|volume| json!(volume.mountpoint)).unwrap_or_default();
            common(&mut value, "volume", source, String::new());
            if mount.mode.is_empty() && !*anonymous {
                // As Docker has it, whatever the host.
                value["Mode"] = json!("z");
            }
            value["Name"] = json!(name);
            value["Driver"] = json!("local");
        }
        MountSource::Tmpfs { .. } => common(&mut value, "tmpfs", json!(""), String::new()),
        MountSource::Image { name, .. } => common(&mut value, "image", json!(name), String::new()),
    }
    value
}

/// `.HostConfig.Binds`: folders of the host and volumes with names, as they are typed.
pub(super) fn binds(record: &Record) -> Vec<String> {
    let named = |mount: &&Mount| !matches!(mount.source, MountSource::Volume { anonymous: true, .. } | MountSource::Image { .. });
    let typed = |mount: &Mount| {
        let source = source(mount)?;
        let access = if mount.mode.is_empty() && mount.access != Access::Write { "ro" } else { &mount.mode };
        let colon = if access.is_empty() { "" } else { ":" };
        Some(format!("{source}:{}{colon}{access}", mount.target.display()))
    };
    record.mounts.iter().filter(named).filter_map(typed).collect()
}

/// `.HostConfig.Tmpfs`: options by place.
pub(super) fn tmpfs(record: &Record) -> Map<String, Value> {
    let one = |mount: &Mount| match &mount.source {
        MountSource::Tmpfs { options, short: true } => Some((mount.target.display().to_string(), json!(options.join(",")))),
        _ => None,
    };
    record.mounts.iter().filter_map(one).collect()
}

/// `.HostConfig.VolumesFrom`.
pub(super) fn volumes_from(record: &Record) -> Vec<String> {
    let typed = |from: &VolumesFrom| format!("{}{}", from.container, if from.readonly { ":ro" } else { "" });
    record.volumes_from.iter().map(typed).collect()
}

/// A path on the host or the name of a volume.
pub(crate) fn source(mount: &Mount) -> Option<String> {
    match &mount.source {
        MountSource::Bind { path, .. } => Some(path.display().to_string()),
        MountSource::Volume { name, .. } | MountSource::Image { name, .. } => Some(name.clone()),
        MountSource::Tmpfs { .. } => None,
    }
}
