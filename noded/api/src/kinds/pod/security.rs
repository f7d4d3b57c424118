//! Rules of users, rights and profiles, and of what a pod with users of its own may share.

use serde_json::json;

use super::container::{AppArmorProfile, SeccompProfile, SecurityContext};
use super::{PodSpec, mounts};
use crate::errors::{FieldError, FieldErrors};

/// Checks what a pod says for all of its containers.
pub(super) fn validate(spec: &PodSpec, path: &str, errors: &mut FieldErrors) {
    if spec.host_users == Some(false) {
        for (shared, field) in [(spec.host_network, "hostNetwork"), (spec.host_pid, "hostPID"), (spec.host_ipc, "hostIPC")] {
            if shared {
                errors.push(FieldError::forbidden(format!("{path}.{field}"), "when `hostUsers` is false"));
            }
        }
    }
    let security = spec.security_context.clone().unwrap_or_default();
    let at = format!("{path}.securityContext");
    for (number, group) in security.supplemental_groups.iter().enumerate() {
        if !(0..=i64::from(i32::MAX)).contains(group) {
            let field = format!("{at}.supplementalGroups[{number}]");
            errors.push(FieldError::invalid(field, &json!(group), "must be between 0 and 2147483647, inclusive".into()));
        }
    }
    profiles(security.seccomp_profile.as_ref(), security.app_armor_profile.as_ref(), &at, errors);
    for (list, name) in [(&spec.init_containers, "initContainers"), (&spec.containers, "containers")] {
        for (number, container) in list.iter().enumerate() {
            of_container(container.security_context.as_ref(), spec, &format!("{path}.{name}[{number}]"), errors);
        }
    }
    for (number, added) in spec.ephemeral_containers.iter().enumerate() {
        of_container(added.security_context.as_ref(), spec, &format!("{path}.ephemeralContainers[{number}]"), errors);
    }
}

fn of_container(security: Option<&SecurityContext>, spec: &PodSpec, path: &str, errors: &mut FieldErrors) {
    let Some(security) = security else { return };
    let at = format!("{path}.securityContext");
    profiles(security.seccomp_profile.as_ref(), security.app_armor_profile.as_ref(), &at, errors);
    if security.proc_mount == "Unmasked" && spec.host_users != Some(false) {
        let why = "`hostUsers` must be false to use `Unmasked`";
        errors.push(FieldError::invalid(format!("{at}.procMount"), &json!(security.proc_mount), why.into()));
    }
    if security.allow_privilege_escalation != Some(false) {
        return;
    }
    let adds = |name: &str| security.capabilities.as_ref().is_some_and(|of| of.add.iter().any(|added| added == name));
    let mut impossible = |with: &str| {
        let why = format!("cannot set `allowPrivilegeEscalation` to false and {with}");
        errors.push(FieldError::invalid(at.clone(), &json!({"allowPrivilegeEscalation": false}), why));
    };
    if security.privileged == Some(true) {
        impossible("`privileged` to true");
    }
    if adds("CAP_SYS_ADMIN") || adds("SYS_ADMIN") {
        impossible("`capabilities.Add` CAP_SYS_ADMIN");
    }
}

/// A profile of the node is named, and leads to nowhere but into the folder of those.
fn profiles(seccomp: Option<&SeccompProfile>, apparmor: Option<&AppArmorProfile>, path: &str, errors: &mut FieldErrors) {
    for (what, profile) in [
        ("seccomp", seccomp.map(|of| (&of.kind, &of.localhost_profile))),
        ("appArmor", apparmor.map(|of| (&of.kind, &of.localhost_profile))),
    ] {
        let Some((kind, name)) = profile else { continue };
        let field = format!("{path}.{what}Profile.localhostProfile");
        match (kind.as_str(), name.as_str()) {
            ("Localhost", "") => {
                let why = format!("must be set when {} type is Localhost", what.to_lowercase());
                errors.push(FieldError::required(field, &why));
            }
            ("Localhost", name) => mounts::descending(name, field, errors),
            (_, "") => {}
            (_, name) => {
                let why = format!("can only be set when {} type is Localhost", what.to_lowercase());
                errors.push(FieldError::invalid(field, &json!(name), why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn errors(spec: Value) -> Vec<String> {
        let mut errors = FieldErrors::new();
        validate(&serde_json::from_value(spec).unwrap(), "s", &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn users_of_its_own_share_no_more_of_the_host() {
        let mut spec = json!({"hostUsers": false, "hostNetwork": true, "hostPID": true, "hostIPC": true});
        let fields = ["hostNetwork", "hostPID", "hostIPC"];
        assert_eq!(errors(spec.clone()), fields.map(|field| format!("s.{field}: Forbidden: when `hostUsers` is false")));
        spec["hostUsers"] = true.into();
        assert_eq!(errors(spec), [""; 0]);
        let proc = |host_users: bool| {
            errors(json!({"hostUsers": host_users, "containers": [{"name": "a", "securityContext": {"procMount": "Unmasked"}}]}))
        };
        assert_eq!((proc(false).len(), proc(true).len()), (0, 1));
    }

    #[test]
    fn profiles_stay_in_their_folder() {
        let seccomp = |profile: Value| errors(json!({"securityContext": {"seccompProfile": profile}}));
        let field = "s.securityContext.seccompProfile.localhostProfile";
        for (profile, why) in [
            (json!({"type": "Localhost"}), "Required value: must be set when seccomp type is Localhost"),
            (
                json!({"type": "Localhost", "localhostProfile": "/etc/shadow"}),
                "Invalid value: \"/etc/shadow\": must be a relative path",
            ),
            (json!({"type": "Localhost", "localhostProfile": "../../x"}), "Invalid value: \"../../x\": must not contain '..'"),
            (
                json!({"type": "Unconfined", "localhostProfile": "a"}),
                "Invalid value: \"a\": can only be set when seccomp type is Localhost",
            ),
        ] {
            assert_eq!(seccomp(profile.clone()), [format!("{field}: {why}")], "{profile}");
        }
        assert_eq!(seccomp(json!({"type": "Localhost", "localhostProfile": "a/b.json"})), [""; 0]);
        let apparmor = json!({"containers": [{"name": "a", "securityContext": {"appArmorProfile": {"type": "Localhost"}}}]});
        assert_eq!(errors(apparmor).len(), 1);
    }

    #[test]
    fn rights_are_not_both_given_and_kept_back() {
        let with = |mut security: Value| {
            security["allowPrivilegeEscalation"] = false.into();
            errors(json!({"containers": [{"name": "a", "securityContext": security}]})).len()
        };
        assert_eq!(
            (with(json!({"privileged": true})), with(json!({"capabilities": {"add": ["SYS_ADMIN"]}})), with(json!({}))),
            (1, 1, 0)
        );
    }
}
