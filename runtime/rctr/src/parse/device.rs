//! `--device` and `--gpus`: nodes of the host, and devices that have names.

use engine::Device;

/// What `--device` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A node, or a folder of them.
    Node(Device),
    /// `vendor.com/class=name`.
    Named(String),
}

/// A path, or a name.
pub(crate) fn device(text: &str) -> Result<Wanted, String> {
    if text.starts_with('/') || !text.contains('=') {
        return super::isolation::device(text).map(Wanted::Node);
    }
    let wrong = || format!("{text:?} is no device: the form is /HOST[:/CONTAINER][:rwm], or VENDOR/CLASS=NAME");
    let word = |text: &str, more: &str| {
        let fine = |letter: char| letter.is_ascii_alphanumeric() || more.contains(letter);
        text.chars().next().is_some_and(|first| first.is_ascii_alphanumeric()) && text.chars().all(fine)
    };
    let (kind, name) = text.split_once('=').ok_or_else(wrong)?;
    let (vendor, class) = kind.split_once('/').ok_or_else(wrong)?;
    if word(vendor, "_-.") && word(class, "_-.") && word(name, "_-.:") { Ok(Wanted::Named(text.to_owned())) } else { Err(wrong()) }
}

/// `--gpus`: `all`, a number of them, or `device=NAME,...`, of NVIDIA, as Docker and Podman have it.
pub(crate) fn gpus(text: &str) -> Result<Vec<String>, String> {
    let named = |name: &str| format!("nvidia.com/gpu={name}");
    let text = text.trim_matches('"');
    match (text, text.strip_prefix("device="), text.parse::<u16>()) {
        ("all" | "-1", ..) => Ok(vec![named("all")]),
        (_, Some(names), _) if names.split(',').all(|name| device(&named(name)).is_ok()) => {
            Ok(names.split(',').map(named).collect())
        }
        (_, None, Ok(count @ 1..=1024)) => Ok((0..count).map(|number| named(&number.to_string())).collect()),
        _ => Err(format!("{text:?}: the form is all, a number, or device=NAME[,NAME...]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_paths_or_names() {
        assert!(matches!(device("/dev/null:r"), Ok(Wanted::Node(_))));
        assert_eq!(device("vendor.com/class=a:0"), Ok(Wanted::Named("vendor.com/class=a:0".into())));
        for text in ["vendor.com=a", "v/c=", "v/c=a b", "v/=a", "v/c/d=a", "-v/c=a"] {
            assert!(device(text).is_err(), "{text}");
        }
    }

    #[test]
    fn gpus_are_devices_with_names() {
        let named = |names: &[&str]| Ok(names.iter().map(|name| format!("nvidia.com/gpu={name}")).collect::<Vec<_>>());
        assert_eq!((gpus("all"), gpus("2")), (named(&["all"]), named(&["0", "1"])));
        assert_eq!(gpus("\"device=1,GPU-ab\""), named(&["1", "GPU-ab"]));
        for text in ["", "0", "device=", "some", "driver=nvidia", "device=a b"] {
            assert!(gpus(text).is_err(), "{text}");
        }
    }
}
