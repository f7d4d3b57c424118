//! `-v SOURCE:TARGET[:OPTIONS]`.

use std::path::{Component, Path, PathBuf};

use engine::Bind;

/// A folder or file of the host in the container.
pub(crate) fn bind(text: &str) -> Result<Bind, String> {
    parse(text).map_err(|why| format!("{text:?}: {why}; the form is /HOST/PATH:/CONTAINER/PATH[:ro]"))
}

fn parse(text: &str) -> Result<Bind, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err("it needs a source and a target".to_owned()),
    };
    let mut readonly = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        readonly = match option {
            "ro" => true,
            "rw" => false,
            other => return Err(format!("unknown option {other:?}")),
        };
    }
    let source = if source.starts_with("./") || source.starts_with("../") || source == "." || source == ".." {
        std::path::absolute(source).map_err(|error| format!("{source:?}: {error}"))?
    } else {
        PathBuf::from(source)
    };
    if !source.is_absolute() {
        return Err(format!("{:?} is no absolute path, and named volumes are not supported", source.display().to_string()));
    }
    let target = Path::new(target);
    let plain = target.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !target.is_absolute() || !plain || target == Path::new("/") {
        return Err(format!("{:?} is no absolute path below the container's root folder", target.display().to_string()));
    }
    Ok(Bind { source, target: target.to_owned(), readonly })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        let made = |source: &str, target: &str, readonly| Ok(Bind { source: source.into(), target: target.into(), readonly });
        assert_eq!(bind("/a:/b"), made("/a", "/b", false));
        assert_eq!(bind("/a:/b:ro"), made("/a", "/b", true));
        assert!(bind("./a:/b").is_ok_and(|bind| bind.source.is_absolute()));
        for text in ["", "/a", "a:/b", "/a:b", "/a:/", "/a:/../b", "/a:/b:xx", "/a:/b:ro:x"] {
            assert!(bind(text).is_err(), "{text}");
        }
    }
}
