//! The annotation `dev.rctr.landlock`: rights that the container's processes do without, whoever they are (landlock(7)).
//!
//! ```json
//! {
//!   "abi": 6,
//!   "handled": ["write", "execute"],
//!   "paths": [{"path": "/usr", "allow": ["execute"]}, {"path": "/tmp", "allow": ["write"]}],
//!   "ports": {"bind": [8080], "connect": [5432, 443]},
//!   "scoped": ["signal", "abstract_unix_socket"]
//! }
//! ```
//!
//! `abi` says which version of the kernel's rules it is written for: it means the same on each kernel, and one that is older is an error.
//! `handled` are the rights to files that are forbidden where no path allows them; without it all that the ABI has. A right is called
//! as in landlock(7), in lower case and without its prefix; `read` and `write` mean several. A path is one of the container and must
//! be there; a link in the image is followed. `bind` or `connect`, where given, forbid all TCP ports that they do not list (ABI 4).
//! `scoped` keeps signals and abstract sockets inside (ABI 6). What is misspelt is an error.

use std::collections::HashMap;
use std::path::PathBuf;

use launch::Landlock;
use serde::Deserialize;

use crate::{Error, Host};

/// The annotation.
pub(crate) const ANNOTATION: &str = "dev.rctr.landlock";

/// `LANDLOCK_ACCESS_FS_*` from bit 0, with the ABI that brought each.
const RIGHTS: [(&str, u32); 16] = [
    ("execute", 1),
    ("write_file", 1),
    ("read_file", 1),
    ("read_dir", 1),
    ("remove_dir", 1),
    ("remove_file", 1),
    ("make_char", 1),
    ("make_dir", 1),
    ("make_reg", 1),
    ("make_sock", 1),
    ("make_fifo", 1),
    ("make_block", 1),
    ("make_sym", 1),
    ("refer", 2),
    ("truncate", 3),
    ("ioctl_dev", 5),
];
const READ: &[&str] = &["read_file", "read_dir"];
const WRITE: &[&str] =
    &["write_file", "truncate", "remove_dir", "remove_file", "make_dir", "make_reg", "make_sock", "make_fifo", "make_sym", "refer"];
/// The newest ABI that is known here.
const NEWEST: u32 = 6;
const NET_ABI: u32 = 4;
const BIND: u64 = 1 << 0;
const CONNECT: u64 = 1 << 1;
const SCOPE_ABI: u32 = 6;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    abi: u32,
    handled: Option<Vec<String>>,
    #[serde(default)]
    paths: Vec<Rule>,
    #[serde(default)]
    ports: Ports,
    #[serde(default)]
    scoped: Vec<Scope>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    path: PathBuf,
    allow: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ports {
    bind: Option<Vec<u16>>,
    connect: Option<Vec<u16>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scope {
    AbstractUnixSocket = 1,
    Signal = 2,
}

/// The rules that a configuration's annotations ask for.
pub(super) fn landlock(annotations: Option<&HashMap<String, String>>, host: &Host) -> Result<Option<Landlock>, Error> {
    let Some(text) = annotations.and_then(|annotations| annotations.get(ANNOTATION)) else { return Ok(None) };
    let failed = |why: String| Error::invalid(format!("annotations.{ANNOTATION}"), why);
    let asked: Asked = serde_json::from_str(text).map_err(|error| failed(error.to_string()))?;
    let rules = rules(&asked).map_err(failed)?;
    match host.landlock {
        0 => Err(failed("Landlock is not active in this kernel".to_owned())),
        abi if abi < asked.abi => Err(failed(format!("written for ABI {}, this kernel has {abi}", asked.abi))),
        _ => Ok(Some(rules)),
    }
}

fn rules(asked: &Asked) -> Result<Landlock, String> {
    let abi = asked.abi;
    if !(1..=NEWEST).contains(&abi) {
        return Err(format!("abi {abi} is not between 1 and {NEWEST}"));
    }
    let fs = match &asked.handled {
        Some(names) => names.iter().try_fold(0, |all, name| Ok::<_, String>(all | rights(name, abi)?))?,
        None => (0..RIGHTS.len()).filter(|at| RIGHTS[*at].1 <= abi).fold(0, |all, at| all | 1 << at),
    };
    let (net, ports) = ports(&asked.ports, abi)?;
    if abi < SCOPE_ABI && !asked.scoped.is_empty() {
        return Err(format!("scoped needs abi {SCOPE_ABI}"));
    }
    let scoped = asked.scoped.iter().fold(0, |all, scope| all | *scope as u64);
    let paths = asked.paths.iter().map(|rule| path(rule, fs, abi)).collect::<Result<_, _>>()?;
    match fs | net | scoped {
        0 => Err("nothing is handled".to_owned()),
        _ => Ok(Landlock { fs, net, scoped, paths, ports }),
    }
}

/// The bits of a name. A name for several means those that the ABI has.
fn rights(name: &str, abi: u32) -> Result<u64, String> {
    let group = match name {
        "read" => READ,
        "write" => WRITE,
        _ => &[],
    };
    if !group.is_empty() {
        return Ok(group.iter().filter_map(|one| rights(one, abi).ok()).fold(0, |all, bit| all | bit));
    }
    match RIGHTS.iter().position(|(known, _)| *known == name) {
        None => Err(format!("{name:?} is no right to a file")),
        Some(at) if RIGHTS[at].1 > abi => Err(format!("{name:?} needs abi {}", RIGHTS[at].1)),
        Some(at) => Ok(1 << at),
    }
}

fn path(rule: &Rule, handled: u64, abi: u32) -> Result<(PathBuf, u64), String> {
    let shown = rule.path.display();
    if !rule.path.is_absolute() {
        return Err(format!("{shown} is not an absolute path"));
    }
    let mut access = 0;
    for name in &rule.allow {
        let bits = rights(name, abi)? & handled;
        if bits == 0 {
            return Err(format!("{shown}: {name:?} is not handled"));
        }
        access |= bits;
    }
    match access {
        0 => Err(format!("{shown}: nothing is allowed there, which needs no rule")),
        _ => Ok((rule.path.clone(), access)),
    }
}

fn ports(asked: &Ports, abi: u32) -> Result<(u64, Vec<(u16, u64)>), String> {
    let (mut net, mut ports) = (0, Vec::new());
    for (bit, list) in [(BIND, &asked.bind), (CONNECT, &asked.connect)] {
        let Some(list) = list else { continue };
        net |= bit;
        ports.extend(list.iter().map(|port| (*port, bit)));
    }
    if net != 0 && abi < NET_ABI { Err(format!("ports needs abi {NET_ABI}")) } else { Ok((net, ports)) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &Value) -> Result<Landlock, String> {
        rules(&serde_json::from_value(text.clone()).map_err(|error| error.to_string())?)
    }

    #[test]
    fn rules_are_read() {
        let all = read(&json!({"abi": 6})).unwrap();
        assert_eq!((all.fs, all.net, all.scoped, all.paths.len()), (0xffff, 0, 0, 0));
        assert_eq!(read(&json!({"abi": 1})).unwrap().fs, 0x1fff);
        let own = read(&json!({
            "abi": 6, "handled": ["write", "execute"],
            "paths": [{"path": "/usr", "allow": ["execute"]}, {"path": "/tmp", "allow": ["write", "execute"]}],
            "ports": {"bind": [80], "connect": []}, "scoped": ["signal", "abstract_unix_socket"],
        }));
        let own = own.unwrap();
        assert_eq!((own.fs, own.net, own.scoped), (0x77b3, 3, 3));
        assert_eq!(own.paths, [("/usr".into(), 1), ("/tmp".into(), 0x77b3)]);
        assert_eq!(own.ports, [(80, BIND)]);
        // Truncation and renaming came later.
        assert_eq!(read(&json!({"abi": 1, "handled": ["write"]})).unwrap().fs, 0x17b2);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            (json!({}), "missing field `abi`"),
            (json!({"abi": 0}), "abi 0 is not between 1 and 6"),
            (json!({"abi": 99}), "abi 99 is not between 1 and 6"),
            (json!({"abi": 1, "path": []}), "unknown field `path`"),
            (json!({"abi": 1, "handled": []}), "nothing is handled"),
            (json!({"abi": 1, "handled": ["exec"]}), "\"exec\" is no right to a file"),
            (json!({"abi": 2, "handled": ["truncate"]}), "\"truncate\" needs abi 3"),
            (json!({"abi": 3, "ports": {"bind": [80]}}), "ports needs abi 4"),
            (json!({"abi": 4, "ports": {"bind": [65536]}}), "invalid value: integer `65536`"),
            (json!({"abi": 4, "ports": {"listen": [1]}}), "unknown field `listen`"),
            (json!({"abi": 5, "scoped": ["signal"]}), "scoped needs abi 6"),
            (json!({"abi": 6, "scoped": ["signals"]}), "unknown variant `signals`"),
            (json!({"abi": 1, "paths": [{"path": "usr", "allow": ["read"]}]}), "usr is not an absolute path"),
            (json!({"abi": 1, "paths": [{"path": "/usr", "allow": []}]}), "/usr: nothing is allowed there"),
            (json!({"abi": 1, "paths": [{"path": "/usr"}]}), "missing field `allow`"),
            (
                json!({"abi": 1, "handled": ["execute"], "paths": [{"path": "/usr", "allow": ["read"]}]}),
                "/usr: \"read\" is not handled",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
