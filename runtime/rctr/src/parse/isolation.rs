//! Limits of processes, settings, devices, and what is shared.

use engine::{Device, DeviceRule, Sharing, Ulimit};

/// `NAME=SOFT[:HARD]`, with -1 for no limit.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, String> {
    let wrong = || format!("{text:?} is no limit: the form is NAME=SOFT[:HARD], such as nofile=1024:4096");
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| match text {
        "unlimited" => Ok(-1),
        text => text.parse::<i64>().ok().filter(|number| *number >= -1).ok_or_else(wrong),
    };
    if name.is_empty() {
        return Err(wrong());
    }
    Ok(Ulimit { name: name.to_owned(), soft: number(soft)?, hard: number(hard)? })
}

/// `KEY=VALUE`.
pub(crate) fn sysctl(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| is_setting(key));
    let (key, value) =
        pair.ok_or_else(|| format!("{text:?} is no setting: the form is KEY=VALUE, such as net.core.somaxconn=1024"))?;
    Ok((key.replace('/', "."), value.to_owned()))
}

/// A path below `/proc/sys`, with dots or slashes between its parts (sysctl(8)).
fn is_setting(key: &str) -> bool {
    key.contains(['.', '/']) && key.chars().all(|letter| letter.is_ascii_graphic())
}

fn is_access(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.chars().all(|letter| "rwm".contains(letter))
}

/// `/HOST[:/CONTAINER][:ACCESS]`.
pub(super) fn device(text: &str) -> Result<Device, String> {
    let wrong = || format!("{text:?} is no device: the form is /HOST[:/CONTAINER][:rwm], such as /dev/fuse");
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, access) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, access] if is_access(access) => (host, host, access),
        [host, container] => (host, container, "rwm"),
        [host, container, access] if is_access(access) => (host, container, access),
        _ => return Err(wrong()),
    };
    if [host, container].iter().any(|path| !path.starts_with('/') || path.split('/').any(|part| part == "..")) {
        return Err(wrong());
    }
    Ok(Device { host: host.into(), container: container.into(), access: access.to_owned() })
}

/// `KIND MAJOR:MINOR ACCESS`, with a star for all numbers.
pub(crate) fn device_rule(text: &str) -> Result<DeviceRule, String> {
    let wrong = || format!("{text:?} is no rule: the form is a|b|c MAJOR:MINOR rwm, such as \"c 189:* rmw\"");
    let words: Vec<&str> = text.split_whitespace().collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = words[..] else { return Err(wrong()) };
    let number = |text: &str| match text {
        "*" => Ok(None),
        text => text.parse::<u32>().map(|number| Some(i64::from(number))).map_err(|_| wrong()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
    if !is_access(access) {
        return Err(wrong());
    }
    Ok(DeviceRule {
        kind: kind.chars().next().unwrap_or('a'),
        major: number(major)?,
        minor: number(minor)?,
        access: access.to_owned(),
    })
}

/// What `--ipc` takes. As with Podman, others may join what says nothing.
pub(crate) fn ipc(text: &str) -> Result<Sharing, String> {
    match text {
        "private" => Ok(Sharing::Private),
        "none" => Ok(Sharing::Nothing),
        "shareable" => Ok(Sharing::Own),
        _ => {
            sharing(text).map_err(|_| format!("no namespace {text:?}: there are none, private, shareable, host and container:NAME"))
        }
    }
}

/// What `--pid` takes.
pub(crate) fn sharing(text: &str) -> Result<Sharing, String> {
    match (text, text.strip_prefix("container:")) {
        ("" | "private", _) => Ok(Sharing::Own),
        ("host", _) => Ok(Sharing::Host),
        (_, Some(name)) if !name.is_empty() => Ok(Sharing::Container(name.to_owned())),
        _ => Err(format!("no namespace {text:?}: there are private, host and container:NAME")),
    }
}

/// What `--uts` and `--cgroupns` take.
pub(crate) fn own_or_host(text: &str) -> Result<Sharing, String> {
    match text {
        "" | "private" => Ok(Sharing::Own),
        "host" => Ok(Sharing::Host),
        _ => Err(format!("no namespace {text:?}: there are private and host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_settings() {
        let limit = |name: &str, soft, hard| Ok(Ulimit { name: name.into(), soft, hard });
        assert_eq!(ulimit("nofile=5:6"), limit("nofile", 5, 6));
        assert_eq!(ulimit("core=0"), limit("core", 0, 0));
        assert_eq!(ulimit("memlock=-1:-1"), limit("memlock", -1, -1));
        for text in ["", "nofile", "nofile=", "nofile=x", "nofile=1:2:3", "=1", "nofile=-2"] {
            assert!(ulimit(text).is_err(), "{text}");
        }
        assert_eq!(sysctl("net/a=1 2"), Ok(("net.a".into(), "1 2".into())));
        assert!(sysctl("a").is_err() && sysctl("=1").is_err());
    }

    #[test]
    fn devices_and_rules() {
        let made = |host: &str, container: &str, access: &str| {
            Ok(Device { host: host.into(), container: container.into(), access: access.into() })
        };
        assert_eq!(device("/dev/a"), made("/dev/a", "/dev/a", "rwm"));
        assert_eq!(device("/dev/a:r"), made("/dev/a", "/dev/a", "r"));
        assert_eq!(device("/dev/a:/dev/b"), made("/dev/a", "/dev/b", "rwm"));
        assert_eq!(device("/dev/a:/dev/b:rm"), made("/dev/a", "/dev/b", "rm"));
        for text in ["", "a", "/dev/a:b", "/dev/a:/dev/b:x", "/dev/a:/dev/b:r:w", "/dev/../a", "/dev/a:"] {
            assert!(device(text).is_err(), "{text}");
        }
        let rule = device_rule("c 189:* rmw").unwrap();
        assert_eq!((rule.kind, rule.major, rule.minor, rule.access.as_str()), ('c', Some(189), None, "rmw"));
        for text in ["", "c 1:2", "d 1:2 r", "c 1 r", "c 1:-2 r", "c 1:2 x", "c 1:2 r w"] {
            assert!(device_rule(text).is_err(), "{text}");
        }
    }

    #[test]
    fn namespaces() {
        assert_eq!(sharing("container:a"), Ok(Sharing::Container("a".into())));
        assert_eq!((sharing("host"), sharing("")), (Ok(Sharing::Host), Ok(Sharing::Own)));
        assert_eq!((ipc("private"), ipc("none"), ipc("shareable")), (Ok(Sharing::Private), Ok(Sharing::Nothing), Ok(Sharing::Own)));
        assert!(
            ipc("x").is_err()
                && sharing("shareable").is_err()
                && sharing("container:").is_err()
                && sharing("x").is_err()
                && own_or_host("container:a").is_err()
        );
    }
}
