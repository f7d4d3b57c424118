//! `--secret` of a container, as Podman has it.

use std::path::PathBuf;

use engine::{SecretPlace, SecretUse};

use super::mount::csv::fields;
use super::mount::target;

/// Where secrets are that say nothing else.
const FOLDER: &str = "/run/secrets";

/// `NAME[,type=mount|env][,target=…][,uid=…][,gid=…][,mode=…]`.
pub(crate) fn secret(text: &str) -> Result<SecretUse, String> {
    let wrong = |why: &str| {
        format!(
            "{text:?}: {why}; the form is NAME[,type=mount|env][,target=PATH or VARIABLE][,uid=NUMBER][,gid=NUMBER][,mode=OCTAL]"
        )
    };
    let all = fields(text).map_err(|why| wrong(&why))?;
    let (first, rest) = all.split_first().ok_or_else(|| wrong("it names no secret"))?;
    let name = first.strip_prefix("source=").unwrap_or(first);
    if name.is_empty() || name.contains(['=', '/']) {
        return Err(wrong("it names no secret"));
    }
    let (mut kind, mut place, mut uid, mut gid, mut mode) = ("mount", None, None, None, None);
    let number = |value: &str, base| u32::from_str_radix(value, base).map_err(|_| wrong(&format!("{value:?} is no number")));
    for field in rest {
        match field.split_once('=') {
            Some(("type", value @ ("mount" | "env"))) => kind = value,
            Some(("target", value)) if !value.is_empty() => place = Some(value),
            Some(("uid", value)) => uid = Some(number(value, 10)?),
            Some(("gid", value)) => gid = Some(number(value, 10)?),
            Some(("mode", value)) => mode = Some(number(value, 8).map(|mode| mode & 0o7777)?),
            _ => return Err(wrong(&format!("{field:?} is no part of a secret"))),
        }
    }
    let place = match kind {
        "env" if uid.or(gid).or(mode).is_some() => return Err(wrong("a variable has no owner and no mode")),
        "env" => {
            let variable = place.unwrap_or(name);
            if variable.contains('=') {
                return Err(wrong("a variable's name has no ="));
            }
            SecretPlace::Variable(variable.to_owned())
        }
        _ => {
            let path = PathBuf::from(FOLDER).join(place.unwrap_or(name));
            let target = target(&path.display().to_string()).map_err(|why| wrong(&why))?;
            SecretPlace::File { target, uid: uid.unwrap_or(0), gid: gid.unwrap_or(0), mode: mode.unwrap_or(0o444) }
        }
    };
    Ok(SecretUse { name: name.to_owned(), file: None, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets() {
        let file = |target: &str, uid, gid, mode| SecretPlace::File { target: target.into(), uid, gid, mode };
        for (text, place) in [
            ("db", file("/run/secrets/db", 0, 0, 0o444)),
            ("db,target=pw,mode=400", file("/run/secrets/pw", 0, 0, 0o400)),
            ("source=db,type=mount,target=/etc/pw,uid=1,gid=2", file("/etc/pw", 1, 2, 0o444)),
            ("db,type=env", SecretPlace::Variable("db".into())),
            ("db,type=env,target=PW", SecretPlace::Variable("PW".into())),
        ] {
            assert_eq!(secret(text), Ok(SecretUse { name: "db".into(), file: None, place }), "{text}");
        }
        for text in ["", "a/b", "type=env", "a,x=1", "a,type=file", "a,mode=9", "a,type=env,uid=1", "a,target=../../etc", "a,uid=x"]
        {
            assert!(secret(text).is_err(), "{text}");
        }
    }
}
