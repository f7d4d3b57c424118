//! A container in the shape of Docker's API.

use std::collections::BTreeMap;

use engine::{Container, Engine, NetworkMode, Port, Status, signal_name};
use serde_json::{Map, Value, json};

use super::mounts;
use crate::output::amount::rfc3339;
use crate::verbs::ps::state;

/// The value that templates and scripts read.
pub(super) fn shape(engine: &Engine, container: &Container) -> Value {
    let record = &container.record;
    let folder = engine.config().root.join("containers").join(&record.id);
    let args = record.args();
    json!({
        "Id": record.id,
        "Created": rfc3339(record.created),
        "Path": args.first(),
        "Args": args.get(1..).unwrap_or_default(),
        "State": state_of(&container.status),
        "Image": record.image.id,
        "LogPath": folder.join("log/current"),
        "Name": format!("/{}", record.name),
        "RestartCount": 0,
        "Driver": "overlay",
        "Platform": "linux",
        "Mounts": mounts::shape(engine, record),
        "GraphDriver": { "Name": "overlay", "Data": { "UpperDir": folder.join("upper"), "WorkDir": folder.join("work") } },
        "HostConfig": host(container),
        "Config": config(container),
        "NetworkSettings": network(container),
    })
}

fn state_of(status: &Status) -> Value {
    let (pid, started) = match status {
        Status::Running { pid, since, .. } | Status::Paused { pid, since, .. } => (*pid, *since),
        Status::Exited(exit) => (0, exit.started),
        Status::Created => (0, 0),
    };
    let exit = match status {
        Status::Exited(exit) => exit.clone(),
        _ => engine::Exit::default(),
    };
    let paused = matches!(status, Status::Paused { .. });
    json!({
        "Status": state(status),
        "Running": paused || matches!(status, Status::Running { .. }),
        "Paused": paused,
        "Restarting": false,
        "OOMKilled": exit.oom,
        "Dead": false,
        "Pid": pid,
        "ExitCode": exit.code,
        "Error": exit.error.unwrap_or_default(),
        "StartedAt": rfc3339(started),
        "FinishedAt": rfc3339(exit.finished),
    })
}

fn config(container: &Container) -> Value {
    let record = &container.record;
    let exposed: BTreeMap<String, Value> =
        record.exposed.iter().cloned().chain(record.ports.iter().map(key)).map(|port| (port, json!({}))).collect();
    json!({
        "Hostname": record.hostname,
        "Domainname": "",
        "User": record.user,
        "Tty": record.tty,
        "OpenStdin": record.stdin,
        "ExposedPorts": exposed,
        "Env": record.env,
        "Cmd": record.cmd,
        "Entrypoint": record.entrypoint,
        "Image": record.image.name,
        "WorkingDir": record.workdir,
        "Labels": record.labels,
        "StopSignal": signal_name(record.stop_signal),
    })
}

fn host(container: &Container) -> Value {
    let (record, security) = (&container.record, &container.record.security);
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges");
    }
    if security.seccomp_unconfined {
        options.push("seccomp=unconfined");
    }
    json!({
        "Binds": mounts::binds(record),
        "Tmpfs": mounts::tmpfs(record),
        "VolumesFrom": mounts::volumes_from(record),
        "ShmSize": record.shm_size.unwrap_or(64 << 20),
        "NetworkMode": record.network,
        "PortBindings": bindings(&record.ports),
        "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 },
        "AutoRemove": record.remove,
        "CapAdd": security.cap_add,
        "CapDrop": security.cap_drop,
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.readonly_rootfs,
        "SecurityOpt": options,
        "Memory": record.resources.memory.unwrap_or(0),
        "NanoCpus": record.resources.nano_cpus.unwrap_or(0),
        "CpuShares": record.resources.cpu_shares.unwrap_or(0),
        "PidsLimit": record.resources.pids,
        "LogConfig": { "Type": "local", "Config": { "max-size": "10m", "max-file": "3" } },
    })
}

fn network(container: &Container) -> Value {
    let record = &container.record;
    let Some(state) = &container.network else {
        let name = if record.network == NetworkMode::Bridge { None } else { Some(record.network) };
        let networks: Map<String, Value> = name
            .and_then(|name| json!(name).as_str().map(|name| (name.to_owned(), json!({ "IPAddress": "" }))))
            .into_iter()
            .collect();
        return json!({ "IPAddress": "", "Gateway": "", "MacAddress": "", "Ports": {}, "Networks": networks });
    };
    let mac = state.mac.map(|byte| format!("{byte:02x}")).join(":");
    let address = json!({
        "IPAddress": state.address, "IPPrefixLen": state.prefix, "Gateway": state.gateway, "MacAddress": mac,
    });
    json!({
        "IPAddress": state.address, "IPPrefixLen": state.prefix, "Gateway": state.gateway, "MacAddress": mac,
        "Bridge": "", "Ports": bindings(&state.ports), "Networks": { "bridge": address },
    })
}

fn key(port: &Port) -> String {
    format!("{}/{}", port.container_port, port.protocol)
}

fn bindings(ports: &[Port]) -> Map<String, Value> {
    let mut map = Map::new();
    for port in ports {
        let ip = port.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
        let binding = json!({ "HostIp": ip, "HostPort": port.host_port.to_string() });
        if let Value::Array(all) = map.entry(key(port)).or_insert_with(|| json!([])) {
            all.push(binding);
        }
    }
    map
}
