//! What is mounted, as the words of `--mount` and `--tmpfs`.

use serde_json::{Map, Value};

use super::words::{Words, objects, only, part, text};

/// Memory: `{"/run": "size=64m"}`.
pub(super) fn tmpfs(value: &Value, words: &mut Words) -> Result<(), String> {
    for (path, options) in value.as_object().ok_or("it is no object")? {
        let options = text(options)?;
        words.flag("tmpfs", if options.is_empty() { path.clone() } else { format!("{path}:{options}") });
    }
    Ok(())
}

/// `Mounts`.
pub(super) fn mounts(value: &Value, words: &mut Words) -> Result<(), String> {
    for mount in objects(value)? {
        let mut fields = Vec::new();
        one(mount, &mut fields)?;
        words.flag("mount", fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(","));
    }
    Ok(())
}

/// A field of a line of comma-separated values (RFC 4180).
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

fn one(mount: &Map<String, Value>, fields: &mut Vec<String>) -> Result<(), String> {
    only(
        mount,
        &["Type", "Source", "Target", "ReadOnly", "Consistency", "BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions"],
    )?;
    for (key, field) in [("Type", "type"), ("Source", "source"), ("Target", "target")] {
        let value = part(mount, key)?;
        if !value.is_empty() {
            fields.push(format!("{field}={value}"));
        }
    }
    let none = Map::new();
    let options = |key: &str| mount.get(key).and_then(Value::as_object).unwrap_or(&none);
    let is = |object: &Map<String, Value>, key: &str| object.get(key).and_then(Value::as_bool) == Some(true);
    if is(mount, "ReadOnly") {
        fields.push("readonly".to_owned());
    }
    let bind = options("BindOptions");
    only(bind, &["Propagation", "NonRecursive", "CreateMountpoint", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive"])?;
    let propagation = part(bind, "Propagation")?;
    if !propagation.is_empty() {
        fields.push(format!("bind-propagation={propagation}"));
    }
    for (key, field) in [
        ("NonRecursive", "bind-recursive=disabled"),
        ("ReadOnlyNonRecursive", "bind-recursive=writable"),
        ("ReadOnlyForceRecursive", "bind-recursive=readonly"),
        ("CreateMountpoint", "bind-create-src"),
    ] {
        if is(bind, key) {
            fields.push(field.to_owned());
        }
    }
    volume(options("VolumeOptions"), fields)?;
    memory(options("TmpfsOptions"), fields)?;
    let image = options("ImageOptions");
    only(image, &["Subpath"])?;
    let subpath = part(image, "Subpath")?;
    if !subpath.is_empty() {
        fields.push(format!("image-subpath={subpath}"));
    }
    Ok(())
}

fn volume(volume: &Map<String, Value>, fields: &mut Vec<String>) -> Result<(), String> {
    only(volume, &["NoCopy", "Labels", "DriverConfig", "Subpath"])?;
    if volume.get("NoCopy").and_then(Value::as_bool) == Some(true) {
        fields.push("volume-nocopy".to_owned());
    }
    for (key, value) in volume.get("Labels").and_then(Value::as_object).into_iter().flatten() {
        fields.push(format!("volume-label={key}={}", text(value)?));
    }
    let subpath = part(volume, "Subpath")?;
    if !subpath.is_empty() {
        fields.push(format!("volume-subpath={subpath}"));
    }
    if let Some(driver) = volume.get("DriverConfig").and_then(Value::as_object) {
        let name = part(driver, "Name")?;
        if !name.is_empty() {
            fields.push(format!("volume-driver={name}"));
        }
        for (key, value) in driver.get("Options").and_then(Value::as_object).into_iter().flatten() {
            fields.push(format!("volume-opt={key}={}", text(value)?));
        }
    }
    Ok(())
}

fn memory(tmpfs: &Map<String, Value>, fields: &mut Vec<String>) -> Result<(), String> {
    only(tmpfs, &["SizeBytes", "Mode"])?;
    let size = part(tmpfs, "SizeBytes")?;
    if !matches!(size.as_str(), "" | "0") {
        fields.push(format!("tmpfs-size={size}"));
    }
    if let Some(mode) = tmpfs.get("Mode").and_then(Value::as_u64).filter(|mode| *mode > 0) {
        fields.push(format!("tmpfs-mode={mode:o}"));
    }
    Ok(())
}
