//! Settings of the kernel that a pod asks for.

use api::kinds::pod::Pod;

/// Those that every node allows: they are of the pod's own namespaces, and nobody else is the worse for them. The list is Kubernetes' own.
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Why a pod may not have what it asks for. `allowed` are further names, or beginnings of names with `*` at the end.
pub(in super::super) fn forbidden(pod: &Pod, allowed: &[String]) -> Option<String> {
    let (spec, all) = (&pod.spec, pod.spec.security_context.iter().flat_map(|security| &security.sysctls));
    let why = |name: &str| {
        let is_of = |beginnings: &[&str]| beginnings.iter().any(|beginning| name.starts_with(beginning));
        if spec.host_network && is_of(&["net."]) {
            return Some("not allowed with host net enabled");
        }
        if spec.host_ipc && is_of(&["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."]) {
            return Some("not allowed with host ipc enabled");
        }
        let named = |pattern: &String| pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning));
        (!SAFE.contains(&name) && !allowed.iter().any(named)).then_some("not allowlisted")
    };
    // Both `net.core.x` and `net/core/x` are written.
    let names = all.map(|one| one.name.replace('/', "."));
    names.into_iter().find_map(|name| Some(format!("forbidden sysctl: {name:?} {}", why(&name)?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_hurt_others_is_allowed_by_name() {
        let of = |name: &str, host: bool, allowed: &[&str]| {
            let spec = json!({ "hostNetwork": host, "securityContext": { "sysctls": [{ "name": name, "value": "1" }] } });
            let allowed: Vec<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
            forbidden(&serde_json::from_value(json!({ "spec": spec })).unwrap(), &allowed)
        };
        assert_eq!(of("net.ipv4.tcp_syncookies", false, &[]), None);
        assert_eq!(of("net/ipv4/tcp_syncookies", false, &[]), None);
        let said = |why: &str| Some(format!("forbidden sysctl: {why}"));
        assert_eq!(of("net.core.somaxconn", false, &[]), said("\"net.core.somaxconn\" not allowlisted"));
        for allowed in ["net.core.somaxconn", "net.core.*"] {
            assert_eq!(of("net.core.somaxconn", false, &[allowed]), None);
        }
        assert!(of("net.core.somaxconn", false, &["net.core"]).is_some());
        let host = of("net.ipv4.tcp_syncookies", true, &["*"]);
        assert_eq!(host, said("\"net.ipv4.tcp_syncookies\" not allowed with host net enabled"));
    }
}
