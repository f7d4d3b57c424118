//! What of a pod's volumes a container sees, and where.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use api::kinds::pod::container::VolumeMount;
use cri::{ImageSpec, Mount, MountPropagation};

use super::environment::filled;

/// What is behind a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Backing {
    /// A path of this host.
    Path(PathBuf),
    /// The files of an image, by its reference.
    Image(String),
}

/// A mount, and the part of the volume that is meant if not all of it is. `volumes` is what is behind the pod's volumes, by name.
pub(super) fn mount(
    mount: &VolumeMount,
    volumes: &BTreeMap<String, Backing>,
    environment: &[(String, String)],
) -> Result<(Mount, Option<PathBuf>), String> {
    let backing = volumes.get(&mount.name).ok_or_else(|| format!("volumeMounts: there is no volume {:?}", mount.name))?;
    let part = part(mount, environment)?;
    let path = match backing {
        Backing::Image(image) => return Ok((of_image(mount, image, part), None)),
        Backing::Path(path) => path,
    };
    let propagation = match mount.mount_propagation.as_str() {
        "HostToContainer" => MountPropagation::PropagationHostToContainer,
        "Bidirectional" => MountPropagation::PropagationBidirectional,
        _ => MountPropagation::PropagationPrivate,
    };
    let recursive = matches!(mount.recursive_read_only.as_str(), "Enabled" | "IfPossible") && mount.read_only;
    let made = Mount {
        container_path: place(&mount.mount_path),
        host_path: path.display().to_string(),
        readonly: mount.read_only,
        recursive_read_only: recursive,
        propagation: propagation.into(),
        ..Mount::default()
    };
    Ok((made, part))
}

/// Images cannot be written, whether that is said or not.
fn of_image(mount: &VolumeMount, image: &str, part: Option<PathBuf>) -> Mount {
    let image = ImageSpec { image: image.to_owned(), user_specified_image: image.to_owned(), ..ImageSpec::default() };
    Mount {
        container_path: place(&mount.mount_path),
        readonly: true,
        image: Some(image),
        image_sub_path: part.map(|part| part.display().to_string()).unwrap_or_default(),
        ..Mount::default()
    }
}

/// A place that is not absolute is one below the root.
fn place(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// `subPath`, or `subPathExpr` with its variables: only what has come of those says where it leads.
fn part(mount: &VolumeMount, environment: &[(String, String)]) -> Result<Option<PathBuf>, String> {
    let wrong = |field: &str, why: String| format!("volumeMounts: {}: {field}: {why}", mount.mount_path);
    let (field, text) = match mount.sub_path_expr.as_str() {
        "" => ("subPath", mount.sub_path.clone()),
        text => {
            ("subPathExpr", filled(text, environment).map_err(|name| wrong("subPathExpr", format!("missing value for {name:?}")))?)
        }
    };
    if text.is_empty() {
        return if mount.sub_path_expr.is_empty() { Ok(None) } else { Err(wrong(field, "it is empty".to_owned())) };
    }
    match Path::new(&text) {
        path if path.is_absolute() => Err(wrong(field, format!("{text:?} must not be an absolute path"))),
        path if path.components().any(|part| part == Component::ParentDir) => {
            Err(wrong(field, format!("{text:?} must not contain '..'")))
        }
        _ if text.contains('\0') => Err(wrong(field, format!("{text:?} is no path"))),
        path => Ok(Some(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(mut fields: Value) -> Result<(Mount, Option<PathBuf>), String> {
        fields["name"] = "v".into();
        fields["mountPath"] = "/v".into();
        let path = fields.get("image").is_none();
        let backing = if path { Backing::Path("/disk/v".into()) } else { Backing::Image("reg/files:1".to_owned()) };
        let volumes = BTreeMap::from([("v".to_owned(), backing)]);
        let environment = ["A=one", "UP=../x", "ROOT=/etc", "NONE="].map(|text| text.split_once('=').unwrap());
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        mount(&serde_json::from_value(fields).unwrap(), &volumes, &environment)
    }

    #[test]
    fn a_part_of_a_volume() {
        let part = |fields| of(fields).map(|(_, part)| part.map(|part| part.display().to_string()));
        assert_eq!(part(json!({})), Ok(None));
        assert_eq!(part(json!({"subPath": "a/b"})), Ok(Some("a/b".to_owned())));
        assert_eq!(part(json!({"subPathExpr": "logs/$(A)"})), Ok(Some("logs/one".to_owned())));
        for (fields, why) in [
            (json!({"subPath": "/etc"}), "absolute"),
            (json!({"subPath": "a/../../b"}), "'..'"),
            (json!({"subPathExpr": "$(UP)"}), "'..'"),
            (json!({"subPathExpr": "$(ROOT)"}), "absolute"),
            (json!({"subPathExpr": "a/$(WHAT)"}), "missing value for \"WHAT\""),
            (json!({"subPathExpr": "$(NONE)"}), "empty"),
        ] {
            assert!(part(fields.clone()).unwrap_err().contains(why), "{fields}");
        }
    }

    #[test]
    fn how_it_is_mounted() {
        let with = |fields| of(fields).unwrap().0;
        assert_eq!(with(json!({})).propagation(), MountPropagation::PropagationPrivate);
        assert_eq!(with(json!({"mountPropagation": "Bidirectional"})).propagation(), MountPropagation::PropagationBidirectional);
        let read = with(json!({"readOnly": true, "recursiveReadOnly": "Enabled"}));
        assert!(read.readonly && read.recursive_read_only);
        assert!(!with(json!({"readOnly": true})).recursive_read_only);
    }

    #[test]
    fn images_are_only_read() {
        let (mount, part) = of(json!({"image": true, "subPathExpr": "a/$(A)"})).unwrap();
        assert_eq!((mount.image.unwrap().image.as_str(), mount.image_sub_path.as_str(), part), ("reg/files:1", "a/one", None));
        assert!(mount.readonly && mount.host_path.is_empty());
        assert!(of(json!({"image": true, "subPathExpr": "$(UP)"})).unwrap_err().contains("'..'"));
    }
}
