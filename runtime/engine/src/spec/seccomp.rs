//! A system call filter that the user gives: Docker's form, which says for which capabilities, architectures and kernels its rules are
//! meant, and that of the OCI, which is the same without that.

use container::capabilities::{self, Set};
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};

use crate::Error;

/// The filter of a profile for processes with these capabilities on this host.
pub(super) fn filter(text: &str, granted: Set) -> Result<launch::Seccomp, Error> {
    container::seccomp::compile(&profile(text, granted)?).map_err(|error| Error::Container(container::Error::Seccomp(error)))
}

fn profile(text: &str, granted: Set) -> Result<LinuxSeccomp, Error> {
    let invalid = |why: String| Error::Invalid { what: "--security-opt seccomp".to_owned(), why };
    let mut profile: Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    if !profile.is_object() || profile.get("defaultAction").is_none() {
        return Err(invalid("it is no profile: it says no defaultAction".to_owned()));
    }
    if let Some(Value::Array(maps)) = profile.get("archMap").cloned() {
        let native = format!("SCMP_ARCH_{}", std::env::consts::ARCH.to_uppercase());
        if let Some(map) = maps.iter().find(|map| map["architecture"] == json!(native)) {
            let more = map["subArchitectures"].as_array().cloned().unwrap_or_default();
            profile["architectures"] = [vec![map["architecture"].clone()], more].concat().into();
        }
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let host = Host { granted, kernel: version(&release) };
    if let Some(Value::Array(rules)) = profile.get_mut("syscalls") {
        rules.retain(|rule| host.is_meant(rule));
        for rule in rules {
            // The old form of a rule about one call.
            if let (None, Some(name)) = (rule.get("names"), rule.get("name").cloned()) {
                rule["names"] = json!([name]);
            }
            for part in ["name", "comment", "includes", "excludes"] {
                rule.as_object_mut().map(|rule| rule.remove(part));
            }
            if rule["args"].is_null() {
                rule.as_object_mut().map(|rule| rule.remove("args"));
            }
        }
    }
    profile.as_object_mut().map(|profile| profile.remove("archMap"));
    serde_json::from_value(profile).map_err(|error| invalid(error.to_string()))
}

struct Host {
    granted: Set,
    kernel: (u32, u32),
}

impl Host {
    /// The rule is for hosts and containers like this one.
    fn is_meant(&self, rule: &Value) -> bool {
        let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
        let some = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
        let kernel = |of: &Value| of["minKernel"].as_str().map(version);
        let included = (!some(&includes["arches"]) || self.arch(&includes["arches"]))
            && (!some(&includes["caps"]) || self.all_caps(&includes["caps"]))
            && kernel(includes).is_none_or(|least| self.kernel >= least);
        let excluded = self.arch(&excludes["arches"])
            || some(&excludes["caps"]) && self.any_cap(&excludes["caps"])
            || kernel(excludes).is_some_and(|least| self.kernel >= least);
        included && !excluded
    }

    /// Docker's name of this architecture is in the list.
    fn arch(&self, list: &Value) -> bool {
        let own = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        words(list).any(|word| word == own)
    }

    fn has(&self, name: &str) -> bool {
        capabilities::parse(name).is_some_and(|cap| self.granted & cap == cap)
    }

    fn all_caps(&self, list: &Value) -> bool {
        words(list).all(|name| self.has(name))
    }

    fn any_cap(&self, list: &Value) -> bool {
        words(list).any(|name| self.has(name))
    }
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The first two numbers of a kernel's version.
fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(granted: &[&str]) -> Vec<String> {
        let caps = granted.iter().filter_map(|name| capabilities::parse(name)).fold(0, |all, one| all | one);
        let text = json!({
            "defaultAction": "SCMP_ACT_ERRNO", "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] }],
            "syscalls": [
                { "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {} },
                { "name": "write", "action": "SCMP_ACT_ALLOW", "args": null },
                { "names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } },
                { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": { "caps": ["CAP_SYS_ADMIN"] } },
                { "names": ["later"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "99.0" } },
                { "names": ["s390"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["s390"] } },
            ],
        });
        let profile = profile(&text.to_string(), caps).unwrap();
        profile.syscalls().iter().flatten().flat_map(|rule| rule.names().clone()).collect()
    }

    #[test]
    fn rules_are_for_those_they_name() {
        assert_eq!(names(&[]), ["read", "write", "clone"]);
        assert_eq!(names(&["CAP_SYS_ADMIN"]), ["read", "write", "mount"]);
        assert_eq!((version("6.18.44-fc"), version("x")), ((6, 18), (0, 0)));
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        for text in ["", "[]", "{}", "{\"defaultAction\": \"SCMP_ACT_NOTHING\"}"] {
            assert!(profile(text, 0).unwrap_err().to_string().contains("seccomp"), "{text}");
        }
    }
}
