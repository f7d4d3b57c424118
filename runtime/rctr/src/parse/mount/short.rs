//! `-v [SOURCE:]TARGET[:OPTIONS]`.

use engine::{Access, Mount, MountSource, Propagation};

use super::{host, named, plain, target};

const FORM: &str = "the form is [NAME:|/HOST/PATH:]/CONTAINER/PATH[:OPTION,...]";
const OPTIONS: &str = "ro, rro, rw, nocopy, private, rprivate, slave, rslave, shared, rshared, U, idmap[=...], z, Z";

/// A folder or file of the host, or a volume.
pub(crate) fn volume(text: &str) -> Result<Mount, String> {
    parse(text).map_err(|why| format!("{text:?}: {why}; {FORM}"))
}

fn parse(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, place, options) = match parts[..] {
        [place] => ("", place, ""),
        [source, place] => (source, place, ""),
        [source, place, options] => (source, place, options),
        _ => return Err("it has more than three parts".to_owned()),
    };
    if parts.len() > 1 && source.is_empty() {
        return Err("the source is empty".to_owned());
    }
    let target = target(place)?;
    let source = match host(source)? {
        Some(path) => MountSource::Bind { path, create: true, recursive: true, part: None },
        None => {
            if !source.is_empty() {
                engine::check_volume_name(source).map_err(|error| error.to_string())?;
            }
            named(source)
        }
    };
    let mut mount = plain(target, source);
    let mut groups = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let group = set(&mut mount, option)?;
        if groups.contains(&group) {
            return Err(format!("there are two options about {group}"));
        }
        groups.push(group);
    }
    mount.mode = options.to_owned();
    Ok(mount)
}

/// Sets one option, and says what it is about: there can be one of each.
fn set(mount: &mut Mount, option: &str) -> Result<&'static str, String> {
    let of_volume = matches!(mount.source, MountSource::Volume { .. });
    if let Ok(propagation) = option.parse::<Propagation>() {
        if of_volume {
            return Err(format!("{option} is for a folder of the host, not for a volume"));
        }
        mount.propagation = Some(propagation);
        return Ok("propagation");
    }
    match option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value))) {
        // What is mounted below becomes read-only, too: since Docker 25 both mean the same.
        ("ro" | "rro", None) => mount.access = Access::Read,
        ("rw", None) => mount.access = Access::Write,
        // Labels of SELinux: like Docker on a host without it.
        ("z" | "Z", None) => return Ok("labels"),
        // Of Docker on a Mac.
        ("consistent" | "cached" | "delegated", None) => return Ok("consistency"),
        ("U", None) => {
            mount.chown = true;
            return Ok("owners");
        }
        ("idmap", value) => {
            mount.idmap = Some(value.unwrap_or_default().to_owned());
            return Ok("ids");
        }
        ("nocopy", None) => match &mut mount.source {
            MountSource::Volume { copy, .. } => {
                *copy = false;
                return Ok("copying");
            }
            _ => return Err("nocopy is for a volume, not for a folder of the host".to_owned()),
        },
        _ => return Err(format!("unknown option {option:?}: there are {OPTIONS}")),
    }
    Ok("writing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> (String, String, Access) {
        let mount = volume(text).unwrap();
        let MountSource::Bind { path, create: true, recursive: true, part: None } = &mount.source else { panic!("{mount:?}") };
        (path.display().to_string(), mount.target.display().to_string(), mount.access)
    }

    fn of_volume(text: &str) -> (String, bool, bool, String) {
        let mount = volume(text).unwrap();
        let MountSource::Volume { name, anonymous, copy, .. } = &mount.source else { panic!("{mount:?}") };
        (name.clone(), *anonymous, *copy, mount.target.display().to_string())
    }

    #[test]
    fn all_forms() {
        assert_eq!(bind("/a:/b"), ("/a".into(), "/b".into(), Access::Write));
        assert_eq!(bind("/a:/b/:ro"), ("/a".into(), "/b".into(), Access::Read));
        assert_eq!(bind("/a:/b:rro,z").2, Access::Read);
        assert!(bind("./a:/b").0.starts_with('/'));
        assert_eq!(of_volume("/b"), (String::new(), true, true, "/b".into()));
        assert_eq!(of_volume("data:/b"), ("data".into(), false, true, "/b".into()));
        assert_eq!(of_volume("data:/b:nocopy,ro"), ("data".into(), false, false, "/b".into()));
        let mount = volume("/a:/b:rshared,U,idmap=uids=0-1-10;gids=0-1-10,Z").unwrap();
        assert_eq!((mount.propagation, mount.chown), (Some(Propagation::RShared), true));
        assert_eq!(mount.idmap.as_deref(), Some("uids=0-1-10;gids=0-1-10"));
        assert_eq!(mount.mode, "rshared,U,idmap=uids=0-1-10;gids=0-1-10,Z");
    }

    #[test]
    fn what_makes_no_sense() {
        for (text, why) in [
            ("", "below the container's root"),
            ("a", "below the container's root"),
            ("/a:b", "below the container's root"),
            ("/a:/", "below the container's root"),
            ("/a:/../b", "below the container's root"),
            ("/a:ro", "below the container's root"),
            (":/b", "the source is empty"),
            ("/a:/b:xx", "unknown option \"xx\""),
            ("/a:/b:ro:x", "more than three parts"),
            ("/a:/b:ro,rw", "two options about writing"),
            ("/a:/b:shared,rslave", "two options about propagation"),
            ("/a:/b:nocopy", "nocopy is for a volume"),
            ("data:/b:rshared", "not for a volume"),
        ] {
            let error = volume(text).unwrap_err();
            assert!(error.contains(why) && error.contains("/CONTAINER/PATH"), "{text}: {error}");
        }
    }
}
