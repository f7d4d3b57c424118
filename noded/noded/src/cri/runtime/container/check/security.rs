//! Users, privileges and profiles.

use std::path::PathBuf;

use cri::security_profile::ProfileType;
use cri::{LinuxContainerSecurityContext, PodSandboxConfig, SecurityProfile, SupplementalGroupsPolicy};
use engine::{GroupPolicy, Security, SystemPaths};

use crate::cri::{Answer, check, status::invalid};

/// The largest id of a user or group: `int` of the C library (CVE-2024-40635).
const MAX_ID: i64 = i32::MAX as i64;

/// The filter of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cri::runtime::container) enum Seccomp {
    /// The runtime's own, or none: the request says which.
    Own,
    /// That in a file of the host.
    File(PathBuf),
}

/// What the container may do.
pub(super) fn security(pod: &PodSandboxConfig, context: &LinuxContainerSecurityContext) -> Answer<(Security, Seccomp)> {
    let pod = pod.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    if context.privileged && !pod.is_some_and(|pod| pod.privileged) {
        return Err(invalid("privileged: the pod was not made for privileged containers"));
    }
    let capabilities = context.capabilities.clone().unwrap_or_default();
    let (unconfined, seccomp) = seccomp(context)?;
    let security = Security {
        cap_add: capabilities.add_capabilities.iter().map(capability).collect::<Answer<_>>()?,
        cap_drop: capabilities.drop_capabilities.iter().map(capability).collect::<Answer<_>>()?,
        cap_ambient: capabilities.add_ambient_capabilities.iter().map(capability).collect::<Answer<_>>()?,
        privileged: context.privileged,
        no_new_privileges: context.no_new_privs,
        readonly_rootfs: context.readonly_rootfs,
        seccomp_unconfined: unconfined,
        apparmor: apparmor(context)?,
        paths: Some(SystemPaths {
            masked: paths("masked_paths", &context.masked_paths)?,
            readonly: paths("readonly_paths", &context.readonly_paths)?,
        }),
        ..Security::default()
    };
    Ok((security, seccomp))
}

fn capability(name: &String) -> Answer<String> {
    match !name.is_empty() && name.len() < 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        true => Ok(name.clone()),
        false => Err(invalid(format_args!("capabilities: {name:.60?} is none"))),
    }
}

fn paths(what: &str, paths: &[String]) -> Answer<Vec<String>> {
    paths.iter().map(|path| check::absolute(what, path).map(|_| path.clone())).collect()
}

/// Whether there is no filter, and where another one is. Nothing said is no filter; the kubelet says what it wants by default.
fn seccomp(context: &LinuxContainerSecurityContext) -> Answer<(bool, Seccomp)> {
    let Some(profile) = context.seccomp.as_ref().filter(|_| !context.privileged) else { return Ok((true, Seccomp::Own)) };
    match check::one_of("seccomp.profile_type", profile.profile_type)? {
        ProfileType::RuntimeDefault => Ok((false, Seccomp::Own)),
        ProfileType::Unconfined => Ok((true, Seccomp::Own)),
        ProfileType::Localhost => Ok((false, Seccomp::File(check::absolute("seccomp.localhost_ref", &profile.localhost_ref)?))),
    }
}

fn apparmor(context: &LinuxContainerSecurityContext) -> Answer<Option<String>> {
    let Some(SecurityProfile { profile_type, localhost_ref }) = context.apparmor.as_ref().filter(|_| !context.privileged) else {
        return Ok(None);
    };
    match check::one_of("apparmor.profile_type", *profile_type)? {
        ProfileType::RuntimeDefault => Ok(None),
        ProfileType::Unconfined => Ok(Some("unconfined".to_owned())),
        ProfileType::Localhost => {
            let name = localhost_ref.strip_prefix("localhost/").unwrap_or(localhost_ref);
            check::name("apparmor.localhost_ref", name)?;
            Ok(Some(name.to_owned()))
        }
    }
}

/// `user[:group]`; none to leave it to the image.
pub(super) fn user(context: &LinuxContainerSecurityContext) -> Answer<Option<String>> {
    let number = |what: &str, value: i64| match value {
        0..=MAX_ID => Ok(value.to_string()),
        value => Err(invalid(format_args!("{what}: {value} is not from 0 to {MAX_ID}"))),
    };
    let by_number = context.run_as_user.as_ref().map(|user| number("run_as_user", user.value)).transpose()?;
    let by_name = Some(&context.run_as_username).filter(|name| !name.is_empty());
    if let Some(name) = by_name {
        check::name("run_as_username", name)?;
        if name.contains(':') {
            return Err(invalid(format_args!("run_as_username: {name:.100?} is no name of a user")));
        }
    }
    let group = context.run_as_group.as_ref().map(|group| number("run_as_group", group.value)).transpose()?;
    match (by_number.or(by_name.cloned()), group) {
        (user, None) => Ok(user),
        (Some(user), Some(group)) => Ok(Some(format!("{user}:{group}"))),
        (None, Some(_)) => Err(invalid("run_as_group: it needs run_as_user or run_as_username")),
    }
}

/// Further groups, and whether the image's count.
pub(super) fn groups(context: &LinuxContainerSecurityContext) -> Answer<(Vec<String>, GroupPolicy)> {
    let policy = match check::one_of("supplemental_groups_policy", context.supplemental_groups_policy)? {
        SupplementalGroupsPolicy::Merge => GroupPolicy::Merge,
        SupplementalGroupsPolicy::Strict => GroupPolicy::Strict,
    };
    let number = |group: &i64| match *group {
        0..=MAX_ID => Ok(group.to_string()),
        group => Err(invalid(format_args!("supplemental_groups: {group} is not from 0 to {MAX_ID}"))),
    };
    Ok((context.supplemental_groups.iter().map(number).collect::<Answer<_>>()?, policy))
}
