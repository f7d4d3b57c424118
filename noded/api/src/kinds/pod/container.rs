//! Containers.

use std::collections::BTreeMap;

use crate::names;
use crate::quantity::Quantity;
use crate::schema::types;
use crate::values::IntOrString;

types! {
    /// A container that runs in a pod.
    Container = "io.k8s.api.core.v1.Container" {
        /// Arguments of the program, instead of those of the image.
        args = "args": Vec<String>;
        /// The program, instead of the image's entry point.
        command = "command": Vec<String>;
        /// Environment variables.
        env = "env": Vec<EnvVar> [by(&["name"])];
        /// Objects whose keys all become environment variables.
        env_from = "envFrom": Vec<EnvFromSource>;
        /// The image's reference.
        image = "image": String;
        /// When the image is pulled.
        image_pull_policy = "imagePullPolicy": String [one_of(&["Always", "IfNotPresent", "Never"])];
        /// What is run after the start and before the end.
        lifecycle = "lifecycle": Option<Lifecycle>;
        /// A check that restarts the container when it fails.
        liveness_probe = "livenessProbe": Option<Probe>;
        /// The name, unique in the pod.
        name = "name": String [required, format(names::dns_label)];
        /// Ports that the container listens on.
        ports = "ports": Vec<ContainerPort> [keyed(&["containerPort", "protocol"]), merged("containerPort")];
        /// A check that decides whether the container gets traffic.
        readiness_probe = "readinessProbe": Option<Probe>;
        /// What happens to resources when they change while the container runs.
        resize_policy = "resizePolicy": Vec<ContainerResizePolicy>;
        /// Computing resources that it needs and may use.
        resources = "resources": Option<ResourceRequirements> [or_empty];
        /// For an init container: Always makes it run beside the others.
        restart_policy = "restartPolicy": String [one_of(&["Always", "OnFailure", "Never"])];
        /// With which rights it runs.
        security_context = "securityContext": Option<SecurityContext>;
        /// A check that must succeed before the other checks begin.
        startup_probe = "startupProbe": Option<Probe>;
        /// Standard input is kept open.
        stdin = "stdin": bool;
        /// Standard input is closed when the first client goes.
        stdin_once = "stdinOnce": bool;
        /// The file in which the program may leave its last words.
        termination_message_path = "terminationMessagePath": String [or_text("/dev/termination-log")];
        /// Whether logs stand in for missing last words.
        termination_message_policy = "terminationMessagePolicy": String [or_text("File"), one_of(&["File", "FallbackToLogsOnError"])];
        /// The program gets a terminal.
        tty = "tty": bool;
        /// Block devices of the pod.
        volume_devices = "volumeDevices": Vec<VolumeDevice> [by(&["devicePath"])];
        /// Where the pod's volumes appear.
        volume_mounts = "volumeMounts": Vec<VolumeMount> [by(&["mountPath"])];
        /// The working directory.
        working_dir = "workingDir": String;
    }

    /// A container that is added to a running pod for looking into it.
    EphemeralContainer = "io.k8s.api.core.v1.EphemeralContainer" {
        /// Arguments of the program.
        args = "args": Vec<String>;
        /// The program.
        command = "command": Vec<String>;
        /// Environment variables.
        env = "env": Vec<EnvVar> [by(&["name"])];
        /// Objects whose keys all become environment variables.
        env_from = "envFrom": Vec<EnvFromSource>;
        /// The image's reference.
        image = "image": String;
        /// When the image is pulled.
        image_pull_policy = "imagePullPolicy": String [one_of(&["Always", "IfNotPresent", "Never"])];
        /// The name, unique in the pod.
        name = "name": String [required, format(names::dns_label)];
        /// Computing resources; none may be set.
        resources = "resources": Option<ResourceRequirements>;
        /// With which rights it runs.
        security_context = "securityContext": Option<SecurityContext>;
        /// Standard input is kept open.
        stdin = "stdin": bool;
        /// Standard input is closed when the first client goes.
        stdin_once = "stdinOnce": bool;
        /// The container whose processes it sees.
        target_container_name = "targetContainerName": String;
        /// The file for last words.
        termination_message_path = "terminationMessagePath": String [or_text("/dev/termination-log")];
        /// Whether logs stand in for missing last words.
        termination_message_policy = "terminationMessagePolicy": String [or_text("File"), one_of(&["File", "FallbackToLogsOnError"])];
        /// The program gets a terminal.
        tty = "tty": bool;
        /// Where the pod's volumes appear.
        volume_mounts = "volumeMounts": Vec<VolumeMount> [by(&["mountPath"])];
        /// The working directory.
        working_dir = "workingDir": String;
    }

    /// An environment variable.
    EnvVar = "io.k8s.api.core.v1.EnvVar" {
        /// Its name.
        name = "name": String [required, format(names::env_name)];
        /// Its value; $(NAME) stands for another variable.
        value = "value": String;
        /// Where the value comes from.
        value_from = "valueFrom": Option<EnvVarSource>;
    }

    /// Where a variable's value comes from.
    EnvVarSource = "io.k8s.api.core.v1.EnvVarSource" {
        /// A key of a ConfigMap.
        config_map_key_ref = "configMapKeyRef": Option<ConfigMapKeySelector>;
        /// A field of the pod.
        field_ref = "fieldRef": Option<ObjectFieldSelector>;
        /// A resource of a container.
        resource_field_ref = "resourceFieldRef": Option<ResourceFieldSelector>;
        /// A key of a Secret.
        secret_key_ref = "secretKeyRef": Option<SecretKeySelector>;
    }

    /// A key of a ConfigMap.
    ConfigMapKeySelector = "io.k8s.api.core.v1.ConfigMapKeySelector" {
        /// The key.
        key = "key": String [required];
        /// The object's name.
        name = "name": String;
        /// It may be missing.
        optional = "optional": Option<bool>;
    }

    /// A key of a Secret.
    SecretKeySelector = "io.k8s.api.core.v1.SecretKeySelector" {
        /// The key.
        key = "key": String [required];
        /// The object's name.
        name = "name": String;
        /// It may be missing.
        optional = "optional": Option<bool>;
    }

    /// A field of the pod.
    ObjectFieldSelector = "io.k8s.api.core.v1.ObjectFieldSelector" {
        /// The version that the path is written for.
        api_version = "apiVersion": String [or_text("v1")];
        /// The path, such as status.podIP.
        field_path = "fieldPath": String [required];
    }

    /// A resource of a container.
    ResourceFieldSelector = "io.k8s.api.core.v1.ResourceFieldSelector" {
        /// The container, where it is not the one that asks.
        container_name = "containerName": String;
        /// The unit that the value is given in.
        divisor = "divisor": Option<Quantity>;
        /// The resource, such as limits.cpu.
        resource = "resource": String [required];
    }

    /// An object whose keys become environment variables.
    EnvFromSource = "io.k8s.api.core.v1.EnvFromSource" {
        /// A ConfigMap.
        config_map_ref = "configMapRef": Option<OptionalReference>;
        /// What is put before each name.
        prefix = "prefix": String;
        /// A Secret.
        secret_ref = "secretRef": Option<OptionalReference>;
    }

    /// An object by name that may be missing.
    OptionalReference = "io.k8s.api.core.v1.ConfigMapEnvSource" {
        /// The object's name.
        name = "name": String;
        /// It may be missing.
        optional = "optional": Option<bool>;
    }

    /// What is run at a container's start and end.
    Lifecycle = "io.k8s.api.core.v1.Lifecycle" {
        /// Right after the start.
        post_start = "postStart": Option<LifecycleHandler>;
        /// Before the container is told to end.
        pre_stop = "preStop": Option<LifecycleHandler>;
        /// The signal that ends the container.
        stop_signal = "stopSignal": String;
    }

    /// One thing to run.
    LifecycleHandler = "io.k8s.api.core.v1.LifecycleHandler" {
        /// A program in the container.
        exec = "exec": Option<ExecAction>;
        /// A request by HTTP.
        http_get = "httpGet": Option<HttpGetAction>;
        /// Waiting.
        sleep = "sleep": Option<SleepAction>;
        /// A connection; not done any more.
        tcp_socket = "tcpSocket": Option<TcpSocketAction>;
    }

    /// A program in the container.
    ExecAction = "io.k8s.api.core.v1.ExecAction" {
        /// Program and arguments; no shell is used.
        command = "command": Vec<String>;
    }

    /// Waiting.
    SleepAction = "io.k8s.api.core.v1.SleepAction" {
        /// How long.
        seconds = "seconds": i64 [required];
    }

    /// A request by HTTP.
    HttpGetAction = "io.k8s.api.core.v1.HTTPGetAction" {
        /// The host; the pod's address by default.
        host = "host": String;
        /// Headers of the request.
        http_headers = "httpHeaders": Vec<HttpHeader>;
        /// The path.
        path = "path": String [or_text("/")];
        /// The port by number or name.
        port = "port": Option<IntOrString> [required];
        /// HTTP or HTTPS.
        scheme = "scheme": String [or_text("HTTP"), one_of(&["HTTP", "HTTPS"])];
    }

    /// A header of a request.
    HttpHeader = "io.k8s.api.core.v1.HTTPHeader" {
        /// Its name.
        name = "name": String [required];
        /// Its value.
        value = "value": String;
    }

    /// A connection by TCP.
    TcpSocketAction = "io.k8s.api.core.v1.TCPSocketAction" {
        /// The host; the pod's address by default.
        host = "host": String;
        /// The port by number or name.
        port = "port": Option<IntOrString> [required];
    }

    /// A health check by gRPC.
    GrpcAction = "io.k8s.api.core.v1.GRPCAction" {
        /// The port.
        port = "port": i32 [required, within(1, 65535)];
        /// The service's name in the request.
        service = "service": String;
    }

    /// A check of a container.
    Probe = "io.k8s.api.core.v1.Probe" {
        /// A program that must end with 0.
        exec = "exec": Option<ExecAction>;
        /// So many failures in a row make it fail.
        failure_threshold = "failureThreshold": i32 [or_number(3), within(1, i64::MAX)];
        /// A health check by gRPC.
        grpc = "grpc": Option<GrpcAction>;
        /// A request that must be answered with 200 to 399.
        http_get = "httpGet": Option<HttpGetAction>;
        /// Seconds after the start until the first check.
        initial_delay_seconds = "initialDelaySeconds": i32 [within(0, i64::MAX)];
        /// Seconds between checks.
        period_seconds = "periodSeconds": i32 [or_number(10), within(1, i64::MAX)];
        /// So many successes in a row make it succeed.
        success_threshold = "successThreshold": i32 [or_number(1), within(1, i64::MAX)];
        /// A connection that must come about.
        tcp_socket = "tcpSocket": Option<TcpSocketAction>;
        /// How long the container may take to end when this check fails.
        termination_grace_period_seconds = "terminationGracePeriodSeconds": Option<i64> [within(1, i64::MAX)];
        /// Seconds after which a check has failed.
        timeout_seconds = "timeoutSeconds": i32 [or_number(1), within(1, i64::MAX)];
    }

    /// A port of a container.
    ContainerPort = "io.k8s.api.core.v1.ContainerPort" {
        /// The port in the pod.
        container_port = "containerPort": i32 [required, within(1, 65535)];
        /// The host's address for hostPort.
        host_ip = "hostIP": String [format(names::ip)];
        /// A port of the host that leads here.
        host_port = "hostPort": i32 [within(0, 65535)];
        /// A name by which services find it.
        name = "name": String [format(names::port_name)];
        /// The protocol.
        protocol = "protocol": String [or_text("TCP"), one_of(&["TCP", "UDP", "SCTP"])];
    }

    /// What happens when a resource changes while the container runs.
    ContainerResizePolicy = "io.k8s.api.core.v1.ContainerResizePolicy" {
        /// The resource.
        resource_name = "resourceName": String [required, one_of(&["cpu", "memory"])];
        /// Whether the container is restarted.
        restart_policy = "restartPolicy": String [required, one_of(&["NotRequired", "RestartContainer"])];
    }

    /// Computing resources that are needed and that may be used.
    ResourceRequirements = "io.k8s.api.core.v1.ResourceRequirements" {
        /// Claims that the container uses.
        claims = "claims": Vec<ResourceClaim> [keyed(&["name"])];
        /// The most that may be used.
        limits = "limits": BTreeMap<String, Quantity>;
        /// What is kept for it; the limits by default.
        requests = "requests": BTreeMap<String, Quantity>;
    }

    /// A claim of the pod.
    ResourceClaim = "io.k8s.api.core.v1.ResourceClaim" {
        /// The claim's name in the pod.
        name = "name": String [required];
        /// One of the claim's requests.
        request = "request": String;
    }

    /// With which rights a container runs.
    SecurityContext = "io.k8s.api.core.v1.SecurityContext" {
        /// A process may gain rights that its parent has not.
        allow_privilege_escalation = "allowPrivilegeEscalation": Option<bool>;
        /// The AppArmor profile.
        app_armor_profile = "appArmorProfile": Option<AppArmorProfile>;
        /// Capabilities beyond or below the usual ones.
        capabilities = "capabilities": Option<Capabilities>;
        /// Nearly all rights of the host.
        privileged = "privileged": Option<bool>;
        /// How /proc is shown.
        proc_mount = "procMount": String [one_of(&["Default", "Unmasked"])];
        /// The root file system cannot be written.
        read_only_root_filesystem = "readOnlyRootFilesystem": Option<bool>;
        /// The group of the first process.
        run_as_group = "runAsGroup": Option<i64> [within(0, 2_147_483_647)];
        /// The container is refused if it would run as root.
        run_as_non_root = "runAsNonRoot": Option<bool>;
        /// The user of the first process.
        run_as_user = "runAsUser": Option<i64> [within(0, 2_147_483_647)];
        /// The SELinux label.
        se_linux_options = "seLinuxOptions": Option<SeLinuxOptions>;
        /// The filter of system calls.
        seccomp_profile = "seccompProfile": Option<SeccompProfile>;
    }

    /// Capabilities beyond or below the usual ones.
    Capabilities = "io.k8s.api.core.v1.Capabilities" {
        /// Given in addition.
        add = "add": Vec<String>;
        /// Taken away.
        drop = "drop": Vec<String>;
    }

    /// A filter of system calls.
    SeccompProfile = "io.k8s.api.core.v1.SeccompProfile" {
        /// A profile's file on the node.
        localhost_profile = "localhostProfile": String;
        /// Which kind of profile.
        kind = "type": String [required, one_of(&["Localhost", "RuntimeDefault", "Unconfined"])];
    }

    /// A profile of AppArmor.
    AppArmorProfile = "io.k8s.api.core.v1.AppArmorProfile" {
        /// A profile's name on the node.
        localhost_profile = "localhostProfile": String;
        /// Which kind of profile.
        kind = "type": String [required, one_of(&["Localhost", "RuntimeDefault", "Unconfined"])];
    }

    /// A label of SELinux.
    SeLinuxOptions = "io.k8s.api.core.v1.SELinuxOptions" {
        /// The level.
        level = "level": String;
        /// The role.
        role = "role": String;
        /// The type.
        kind = "type": String;
        /// The user.
        user = "user": String;
    }

    /// Where a volume appears in a container.
    VolumeMount = "io.k8s.api.core.v1.VolumeMount" {
        /// The path in the container.
        mount_path = "mountPath": String [required];
        /// Whether mounts below it are shared with the host.
        mount_propagation = "mountPropagation": String [one_of(&["None", "HostToContainer", "Bidirectional"])];
        /// The volume's name.
        name = "name": String [required];
        /// It cannot be written.
        read_only = "readOnly": bool;
        /// Mounts below it cannot be written either.
        recursive_read_only = "recursiveReadOnly": String [one_of(&["Disabled", "IfPossible", "Enabled"])];
        /// A path in the volume.
        sub_path = "subPath": String;
        /// The same with variables in it.
        sub_path_expr = "subPathExpr": String;
    }

    /// Where a block device appears in a container.
    VolumeDevice = "io.k8s.api.core.v1.VolumeDevice" {
        /// The path in the container.
        device_path = "devicePath": String [required];
        /// The claim's name in the pod.
        name = "name": String [required];
    }
}
