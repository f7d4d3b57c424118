//! What a node says about a pod.

use std::collections::BTreeMap;

use serde_json::Value;

use super::container::ResourceRequirements;
use crate::meta::Time;
use crate::names;
use crate::quantity::Quantity;
use crate::schema::types;

types! {
    /// What became of a pod.
    PodStatus = "io.k8s.api.core.v1.PodStatus" {
        /// States of the pod.
        conditions = "conditions": Vec<PodCondition> [by(&["type"])];
        /// States of the containers.
        container_statuses = "containerStatuses": Vec<ContainerStatus>;
        /// States of the ephemeral containers.
        ephemeral_container_statuses = "ephemeralContainerStatuses": Vec<ContainerStatus>;
        /// The node's address.
        host_ip = "hostIP": String [format(names::ip)];
        /// All of the node's addresses.
        host_ips = "hostIPs": Vec<HostIp> [merged("ip")];
        /// States of the init containers.
        init_container_statuses = "initContainerStatuses": Vec<ContainerStatus>;
        /// Words for a person.
        message = "message": String;
        /// A node that the pod waits for, where others make room.
        nominated_node_name = "nominatedNodeName": String;
        /// The generation that the node has seen.
        observed_generation = "observedGeneration": Option<i64>;
        /// Pending, Running, Succeeded, Failed or Unknown.
        phase = "phase": String [one_of(&["Pending", "Running", "Succeeded", "Failed", "Unknown"])];
        /// The pod's address.
        pod_ip = "podIP": String [format(names::ip)];
        /// All of the pod's addresses.
        pod_ips = "podIPs": Vec<PodIp> [by(&["ip"])];
        /// How its memory is protected: Guaranteed, Burstable or BestEffort.
        qos_class = "qosClass": String;
        /// One word for a program.
        reason = "reason": String;
        /// State of a change of resources.
        resize = "resize": String;
        /// When the node took it on.
        start_time = "startTime": Option<Time>;
    }

    /// A state of a pod.
    PodCondition = "io.k8s.api.core.v1.PodCondition" {
        /// When it was last looked at.
        last_probe_time = "lastProbeTime": Option<Time>;
        /// When it last became what it is.
        last_transition_time = "lastTransitionTime": Option<Time>;
        /// Words for a person.
        message = "message": String;
        /// The generation that it is about.
        observed_generation = "observedGeneration": Option<i64>;
        /// One word for a program.
        reason = "reason": String;
        /// True, False or Unknown.
        status = "status": String [required];
        /// Which state.
        kind = "type": String [required];
    }

    /// An address of a pod.
    PodIp = "io.k8s.api.core.v1.PodIP" {
        /// The address.
        ip = "ip": String [required, format(names::ip)];
    }

    /// An address of a node.
    HostIp = "io.k8s.api.core.v1.HostIP" {
        /// The address.
        ip = "ip": String [required, format(names::ip)];
    }

    /// The state of a container.
    ContainerStatus = "io.k8s.api.core.v1.ContainerStatus" {
        /// Resources that are kept for it.
        allocated_resources = "allocatedResources": BTreeMap<String, Quantity>;
        /// The container's id on the node, with the runtime's name before it.
        container_id = "containerID": String;
        /// The image as it was asked for.
        image = "image": String;
        /// The image's id.
        image_id = "imageID": String;
        /// How it ended before.
        last_state = "lastState": Option<ContainerState>;
        /// Its name.
        name = "name": String [required];
        /// It gets traffic.
        ready = "ready": bool;
        /// The resources it has.
        resources = "resources": Option<ResourceRequirements>;
        /// How often it was started again.
        restart_count = "restartCount": i32 [within(0, i64::MAX)];
        /// Its startup check has succeeded.
        started = "started": Option<bool>;
        /// What it does now.
        state = "state": Option<ContainerState>;
        /// The user of its first process.
        user = "user": Option<Value>;
        /// Its mounts.
        volume_mounts = "volumeMounts": Vec<Value>;
    }

    /// What a container does: one of three.
    ContainerState = "io.k8s.api.core.v1.ContainerState" {
        /// It runs.
        running = "running": Option<ContainerStateRunning>;
        /// It has ended.
        terminated = "terminated": Option<ContainerStateTerminated>;
        /// It does not run yet.
        waiting = "waiting": Option<ContainerStateWaiting>;
    }

    /// A container that runs.
    ContainerStateRunning = "io.k8s.api.core.v1.ContainerStateRunning" {
        /// Since when.
        started_at = "startedAt": Option<Time>;
    }

    /// A container that does not run yet.
    ContainerStateWaiting = "io.k8s.api.core.v1.ContainerStateWaiting" {
        /// Words for a person.
        message = "message": String;
        /// One word for a program.
        reason = "reason": String;
    }

    /// A container that has ended.
    ContainerStateTerminated = "io.k8s.api.core.v1.ContainerStateTerminated" {
        /// The container's id on the node.
        container_id = "containerID": String;
        /// With which code.
        exit_code = "exitCode": Option<i32>;
        /// When.
        finished_at = "finishedAt": Option<Time>;
        /// Words for a person.
        message = "message": String;
        /// One word for a program.
        reason = "reason": String;
        /// By which signal.
        signal = "signal": Option<i32>;
        /// Since when it had run.
        started_at = "startedAt": Option<Time>;
    }
}
