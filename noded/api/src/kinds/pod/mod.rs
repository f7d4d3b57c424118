//! Pods.

mod actions;
pub mod container;
mod ephemeral;
mod mounts;
pub mod placement;
mod qos;
mod refused;
mod resize;
mod resolving;
mod rules;
mod security;
pub mod status;
mod table;
pub mod volume;

use std::collections::BTreeMap;

use super::{Kind, Subresource, proxy};
use crate::meta::ObjectMeta;
use crate::names;
use crate::quantity::Quantity;
use crate::schema::types;
use container::{AppArmorProfile, Container, EphemeralContainer, ResourceRequirements, SeLinuxOptions, SeccompProfile};
use placement::{Affinity, Toleration, TopologySpreadConstraint};
use serde_json::Value;
use volume::{LocalObjectReference, Volume};

pub use ephemeral::validate_added;
pub use resize::{RESIZED, take_resources, validate_resized};
pub use rules::{default_template, validate_template};

types! {
    /// Containers that run on one node and share its network and volumes.
    Pod = "io.k8s.api.core.v1.Pod" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What is desired.
        spec = "spec": PodSpec [required];
        /// What is.
        status = "status": status::PodStatus;
    }

    /// The pods that a controller makes.
    PodTemplateSpec = "io.k8s.api.core.v1.PodTemplateSpec" {
        /// Labels and annotations of the pods.
        metadata = "metadata": ObjectMeta;
        /// What they do.
        spec = "spec": PodSpec;
    }

    /// What a pod does.
    PodSpec = "io.k8s.api.core.v1.PodSpec" {
        /// After so many seconds the pod has failed.
        active_deadline_seconds = "activeDeadlineSeconds": Option<i64> [within(1, i64::MAX)];
        /// Where it may run.
        affinity = "affinity": Option<Affinity>;
        /// The service account's token is put into the containers.
        automount_service_account_token = "automountServiceAccountToken": Option<bool>;
        /// The containers.
        containers = "containers": Vec<Container> [required, by(&["name"])];
        /// How names are resolved.
        dns_config = "dnsConfig": Option<PodDnsConfig>;
        /// Whose resolver is used.
        dns_policy = "dnsPolicy": String [or_text("ClusterFirst"), one_of(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])];
        /// Variables with the services' addresses are set.
        enable_service_links = "enableServiceLinks": Option<bool> [or_flag(true)];
        /// Containers for looking into the pod.
        ephemeral_containers = "ephemeralContainers": Vec<EphemeralContainer> [by(&["name"])];
        /// Lines of /etc/hosts.
        host_aliases = "hostAliases": Vec<HostAlias> [by(&["ip"])];
        /// It shares the node's IPC namespace.
        host_ipc = "hostIPC": bool;
        /// It uses the node's network.
        host_network = "hostNetwork": bool;
        /// It shares the node's processes.
        host_pid = "hostPID": bool;
        /// It shares the node's user ids.
        host_users = "hostUsers": Option<bool>;
        /// The host name; the pod's name by default.
        hostname = "hostname": String [format(names::dns_label)];
        /// The host name whole, with its domain.
        hostname_override = "hostnameOverride": String [format(names::dns_subdomain)];
        /// Secrets for pulling images.
        image_pull_secrets = "imagePullSecrets": Vec<LocalObjectReference> [by(&["name"])];
        /// Containers that end, one after another, before the others start.
        init_containers = "initContainers": Vec<Container> [by(&["name"])];
        /// The node; set by the scheduler.
        node_name = "nodeName": String;
        /// Labels that the node must have.
        node_selector = "nodeSelector": BTreeMap<String, String> [atomic];
        /// The operating system that it needs.
        os = "os": Option<PodOs>;
        /// What the pod costs beside its containers.
        overhead = "overhead": BTreeMap<String, Quantity>;
        /// Whether it pushes others away.
        preemption_policy = "preemptionPolicy": String [one_of(&["PreemptLowerPriority", "Never"])];
        /// How important it is; the server sets it by the class.
        priority = "priority": Option<i32>;
        /// The name of its importance.
        priority_class_name = "priorityClassName": String;
        /// Conditions that must be true before it gets traffic.
        readiness_gates = "readinessGates": Vec<PodReadinessGate>;
        /// Claims that the containers use.
        resource_claims = "resourceClaims": Vec<Value>;
        /// Resources of the pod as a whole.
        resources = "resources": Option<ResourceRequirements>;
        /// What happens when a container ends.
        restart_policy = "restartPolicy": String [or_text("Always"), one_of(&["Always", "OnFailure", "Never"])];
        /// Which runtime runs it.
        runtime_class_name = "runtimeClassName": String;
        /// Who finds its node.
        scheduler_name = "schedulerName": String [or_text("default-scheduler")];
        /// It is not placed while there are any.
        scheduling_gates = "schedulingGates": Vec<PodSchedulingGate> [by(&["name"])];
        /// With which rights its containers run.
        security_context = "securityContext": Option<PodSecurityContext> [or_empty];
        /// Former name of serviceAccountName.
        service_account = "serviceAccount": String;
        /// The account by which it speaks to the API.
        service_account_name = "serviceAccountName": String;
        /// The host name is the whole name with its domain.
        set_hostname_as_fqdn = "setHostnameAsFQDN": Option<bool>;
        /// The containers see each other's processes.
        share_process_namespace = "shareProcessNamespace": Option<bool>;
        /// The middle of its whole name.
        subdomain = "subdomain": String [format(names::dns_label)];
        /// How long it may take to end, in seconds.
        termination_grace_period_seconds = "terminationGracePeriodSeconds": Option<i64> [or_number(30), within(0, i64::MAX)];
        /// Taints that it bears.
        tolerations = "tolerations": Vec<Toleration>;
        /// How evenly it is spread among its like.
        topology_spread_constraints = "topologySpreadConstraints": Vec<TopologySpreadConstraint> [keyed(&["topologyKey", "whenUnsatisfiable"]), merged("topologyKey")];
        /// Volumes that its containers can mount.
        volumes = "volumes": Vec<Volume> [by(&["name"]), retain_keys];
    }

    /// How names are resolved.
    PodDnsConfig = "io.k8s.api.core.v1.PodDNSConfig" {
        /// Servers.
        nameservers = "nameservers": Vec<String>;
        /// Options of the resolver.
        options = "options": Vec<PodDnsConfigOption>;
        /// Domains that are tried.
        searches = "searches": Vec<String>;
    }

    /// An option of the resolver.
    PodDnsConfigOption = "io.k8s.api.core.v1.PodDNSConfigOption" {
        /// Its name.
        name = "name": String;
        /// Its value.
        value = "value": Option<String>;
    }

    /// A line of /etc/hosts.
    HostAlias = "io.k8s.api.core.v1.HostAlias" {
        /// The names.
        hostnames = "hostnames": Vec<String>;
        /// The address.
        ip = "ip": String [required];
    }

    /// An operating system.
    PodOs = "io.k8s.api.core.v1.PodOS" {
        /// Its name.
        name = "name": String [required, one_of(&["linux"])];
    }

    /// A condition that must be true before the pod gets traffic.
    PodReadinessGate = "io.k8s.api.core.v1.PodReadinessGate" {
        /// The condition.
        condition_type = "conditionType": String [required];
    }

    /// Something that holds up the placing of a pod.
    PodSchedulingGate = "io.k8s.api.core.v1.PodSchedulingGate" {
        /// Its name.
        name = "name": String [required];
    }

    /// With which rights the containers of a pod run.
    PodSecurityContext = "io.k8s.api.core.v1.PodSecurityContext" {
        /// The AppArmor profile.
        app_armor_profile = "appArmorProfile": Option<AppArmorProfile>;
        /// The group that volumes belong to.
        fs_group = "fsGroup": Option<i64> [within(0, 2_147_483_647)];
        /// When volumes are given to that group.
        fs_group_change_policy = "fsGroupChangePolicy": String [one_of(&["OnRootMismatch", "Always"])];
        /// The group of the first processes.
        run_as_group = "runAsGroup": Option<i64> [within(0, 2_147_483_647)];
        /// Containers that would run as root are refused.
        run_as_non_root = "runAsNonRoot": Option<bool>;
        /// The user of the first processes.
        run_as_user = "runAsUser": Option<i64> [within(0, 2_147_483_647)];
        /// How volumes are labelled.
        se_linux_change_policy = "seLinuxChangePolicy": String;
        /// The SELinux label.
        se_linux_options = "seLinuxOptions": Option<SeLinuxOptions>;
        /// The filter of system calls.
        seccomp_profile = "seccompProfile": Option<SeccompProfile>;
        /// Further groups.
        supplemental_groups = "supplementalGroups": Vec<i64>;
        /// Whether the image's own groups count.
        supplemental_groups_policy = "supplementalGroupsPolicy": String [one_of(&["Merge", "Strict"])];
        /// Kernel settings of the pod's namespaces.
        sysctls = "sysctls": Vec<Sysctl>;
    }

    /// A kernel setting.
    Sysctl = "io.k8s.api.core.v1.Sysctl" {
        /// Its name.
        name = "name": String [required];
        /// Its value.
        value = "value": String;
    }

}

/// Pods.
pub static POD: Kind = Kind {
    short: &["po"],
    categories: &["all"],
    columns: table::COLUMNS,
    row: table::row,
    defaults: rules::defaults,
    validate: rules::validate,
    validate_update: rules::validate_update,
    selectable: &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ],
    has_status: true,
    has_generation: true,
    subresources: &[
        Subresource { name: "attach", response: ("", "v1", "PodAttachOptions"), verbs: &["create", "get"] },
        Subresource { name: "binding", response: ("", "v1", "Binding"), verbs: &["create"] },
        Subresource { name: "ephemeralcontainers", response: ("", "v1", "Pod"), verbs: &["get", "patch", "update"] },
        Subresource { name: "eviction", response: ("policy", "v1", "Eviction"), verbs: &["create"] },
        Subresource { name: "exec", response: ("", "v1", "PodExecOptions"), verbs: &["create", "get"] },
        Subresource { name: "log", response: ("", "v1", "Pod"), verbs: &["get"] },
        Subresource { name: "portforward", response: ("", "v1", "PodPortForwardOptions"), verbs: &["create", "get"] },
        proxy("PodProxyOptions"),
        Subresource { name: "resize", response: ("", "v1", "Pod"), verbs: &["get", "patch", "update"] },
    ],
    ..Kind::new("Pod", "pods", "pod", Pod::TABLE)
};

impl Pod {
    /// The state of this condition, if it is there.
    pub fn condition(&self, kind: &str) -> Option<&status::PodCondition> {
        self.status.conditions.iter().find(|c| c.kind == kind)
    }

    /// It gets traffic.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|c| c.status == "True")
    }

    /// It has ended and will not run again.
    pub fn is_done(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}
