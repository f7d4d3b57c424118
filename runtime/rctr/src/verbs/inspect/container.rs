//! A container in the shape of Docker's API.

use std::collections::BTreeMap;

use engine::{
    Container, Endpoint, EndpointState, Engine, Health, HostEntry, NetworkMode, NetworkState, Policy, Port, Record, Status,
    signal_name,
};
use serde_json::{Map, Value, json};

use super::{host, mounts};
use crate::output::amount::{mac, rfc3339};
use crate::verbs::ps::state;

/// The value that templates and scripts read.
pub(crate) fn shape(engine: &Engine, container: &Container) -> Value {
    let record = &container.record;
    let folder = engine.config().root.join("containers").join(&record.id);
    let args = record.args();
    let mut shape = json!({
        "Id": record.id,
        "Created": rfc3339(record.created),
        "Path": args.first(),
        "Args": args.get(1..).unwrap_or_default(),
        "State": state_of(container),
        "Image": record.image.id,
        "LogPath": folder.join("log/current"),
        "Name": format!("/{}", record.name),
        "RestartCount": container.restarts,
        "Driver": "overlay",
        "Platform": "linux",
        "AppArmorProfile": engine::apparmor_profile(&record.security),
        "Mounts": mounts::shape(engine, record),
        "GraphDriver": { "Name": "overlay", "Data": { "UpperDir": folder.join("upper"), "WorkDir": folder.join("work") } },
        "HostConfig": host(container),
        "Config": config(container),
        "NetworkSettings": network(engine, container),
    });
    // As Podman has it: there is no image.
    if let Some(own) = &record.rootfs {
        (shape["Rootfs"], shape["Image"]) = (json!(own.path), json!(""));
    }
    shape
}

fn state_of(container: &Container) -> Value {
    let status = &container.status;
    let (pid, started) = match status {
        Status::Running { pid, since, .. } | Status::Paused { pid, since, .. } => (*pid, *since),
        Status::Exited(exit) | Status::Restarting { exit, .. } => (0, exit.started),
        Status::Created => (0, 0),
    };
    let exit = match status {
        Status::Exited(exit) | Status::Restarting { exit, .. } => exit.clone(),
        _ => engine::Exit::default(),
    };
    let paused = matches!(status, Status::Paused { .. });
    let mut value = json!({
        "Status": state(status),
        "Running": container.is_running(),
        "Paused": paused,
        "Restarting": container.is_restarting(),
        "OOMKilled": exit.oom,
        "Dead": false,
        "Pid": pid,
        "ExitCode": exit.code,
        "Error": exit.error.unwrap_or_default(),
        "StartedAt": rfc3339(started),
        "FinishedAt": rfc3339(exit.finished),
    });
    if let Some(health) = &container.health {
        value["Health"] = self::health(health);
    }
    value
}

fn health(health: &Health) -> Value {
    let log = health.log.iter().map(|probe| {
        json!({
            "Start": rfc3339(probe.start), "End": rfc3339(probe.end), "ExitCode": probe.code, "Output": probe.output,
        })
    });
    json!({ "Status": health.state, "FailingStreak": health.failing, "Log": log.collect::<Vec<_>>() })
}

fn policy(policy: Policy) -> Value {
    let (name, most) = match policy {
        Policy::No => ("no", 0),
        Policy::Always => ("always", 0),
        Policy::UnlessStopped => ("unless-stopped", 0),
        Policy::OnFailure(most) => ("on-failure", most),
    };
    json!({ "Name": name, "MaximumRetryCount": most })
}

fn config(container: &Container) -> Value {
    let record = &container.record;
    let exposed: BTreeMap<String, Value> =
        record.exposed.iter().cloned().chain(record.ports.iter().map(key)).map(|port| (port, json!({}))).collect();
    let mut value = json!({
        "Hostname": record.hostname,
        "Domainname": record.tuning.domainname.clone().unwrap_or_default(),
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
    });
    // Docker leaves out what was not given.
    if let Some(timeout) = record.stop_timeout {
        value["StopTimeout"] = json!(timeout);
    }
    if let Some(umask) = record.tuning.umask {
        value["Umask"] = json!(format!("{umask:04o}"));
    }
    if let Some(zone) = &record.tuning.timezone {
        value["Timezone"] = json!(zone.strip_prefix("/usr/share/zoneinfo").unwrap_or(zone));
    }
    if record.tuning.entries.is_some() {
        value["Passwd"] = json!(true);
    }
    if let Some(health) = &record.health {
        let mut health = json!(health);
        // Podman has the two beside each other.
        if let Some(startup) = health.as_object_mut().and_then(|health| health.remove("Startup")) {
            value["StartupHealthCheck"] = startup;
        }
        value["Healthcheck"] = health;
    }
    value
}

fn host(container: &Container) -> Value {
    let (record, security) = (&container.record, &container.record.security);
    let mut value = json!({
        "Binds": mounts::binds(record),
        "Tmpfs": mounts::tmpfs(record),
        "VolumesFrom": mounts::volumes_from(record),
        "StorageOpt": record.tuning.size.map(|size| json!({ "size": size.to_string() })),
        "ShmSize": record.shm_size.unwrap_or(64 << 20),
        "NetworkMode": mode(record),
        "Dns": record.dns.servers,
        "DnsSearch": record.dns.search,
        "DnsOptions": record.dns.options,
        "ExtraHosts": extra_hosts(record),
        "PortBindings": bindings(&record.ports),
        "PublishAllPorts": record.publish_all,
        "RestartPolicy": policy(record.restart),
        "AutoRemove": record.remove,
        "CapAdd": security.cap_add,
        "CapDrop": security.cap_drop,
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.readonly_rootfs,
        "SecurityOpt": host::security(security),
    });
    for more in [host::isolation(record), host::resources(&record.resources), host::log(&record.tuning.log)] {
        if let (Value::Object(all), Value::Object(more)) = (&mut value, more) {
            all.extend(more);
        }
    }
    value
}

fn extra_hosts(record: &Record) -> Option<Vec<String>> {
    let line = |entry: &HostEntry| {
        format!("{}:{}", entry.name, entry.address.map_or_else(|| "host-gateway".to_owned(), |address| address.to_string()))
    };
    Some(record.dns.hosts.iter().map(line).collect()).filter(|lines: &Vec<_>| !lines.is_empty())
}

/// Docker's one word for how a container is connected.
fn mode(record: &Record) -> String {
    match &record.network {
        NetworkMode::Bridge => record.networks.first().map_or("bridge", |end| &end.network).to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Container(id) => format!("container:{id}"),
        NetworkMode::Pod(id) => format!("pod:{id}"),
    }
}

fn network(engine: &Engine, container: &Container) -> Value {
    let (record, none) = (&container.record, NetworkState::default());
    let state = container.network.as_ref().unwrap_or(&none);
    let mut networks = Map::new();
    for name in names(record, state) {
        let running = state.networks.iter().find(|end| end.network == name);
        let asked = record.networks.iter().find(|end| end.network == name);
        networks.insert(name.clone(), endpoint(engine, &record.id, &name, running, asked));
    }
    // Of the default network, as Docker had it before there were others.
    let of_bridge = |key: &str| networks.get("bridge").map_or_else(|| json!(""), |end| end[key].clone());
    json!({
        "Bridge": "",
        "SandboxID": "",
        "IPAddress": of_bridge("IPAddress"), "IPPrefixLen": networks.get("bridge").map_or(json!(0), |end| end["IPPrefixLen"].clone()),
        "Gateway": of_bridge("Gateway"), "MacAddress": of_bridge("MacAddress"),
        "Ports": all_ports(&state.ports, if state.networks.is_empty() { &[] } else { &record.exposed }), "Networks": networks,
    })
}

/// The networks that a container is in, or is to be in when it runs.
pub(crate) fn names(record: &Record, state: &NetworkState) -> Vec<String> {
    if !state.networks.is_empty() {
        return state.networks.iter().map(|end| end.network.clone()).collect();
    }
    match &record.network {
        NetworkMode::Bridge if record.networks.is_empty() => vec!["bridge".to_owned()],
        NetworkMode::Bridge => record.networks.iter().map(|end| end.network.clone()).collect(),
        NetworkMode::Host => vec!["host".to_owned()],
        NetworkMode::None => vec!["none".to_owned()],
        NetworkMode::Container(_) | NetworkMode::Pod(_) => Vec::new(),
    }
}

fn endpoint(engine: &Engine, id: &str, name: &str, running: Option<&EndpointState>, asked: Option<&Endpoint>) -> Value {
    let text = |value: Option<String>| value.unwrap_or_default();
    let config = asked.filter(|asked| asked.ip.is_some() || asked.ip6.is_some()).map(|asked| {
        json!({ "IPv4Address": text(asked.ip.map(|ip| ip.to_string())), "IPv6Address": text(asked.ip6.map(|ip| ip.to_string())) })
    });
    json!({
        "IPAMConfig": config,
        "Links": null,
        "Aliases": asked.map(|asked| &asked.aliases).filter(|aliases| !aliases.is_empty()),
        "DriverOpts": null,
        "NetworkID": text(engine.network(name).ok().map(|network| network.id)),
        "EndpointID": running.map(|_| super::endpoint_id(id, name)).unwrap_or_default(),
        "Gateway": text(running.and_then(|end| end.gateway).map(|ip| ip.to_string())),
        "IPAddress": text(running.map(|end| end.address.to_string())),
        "IPPrefixLen": running.map_or(0, |end| end.prefix),
        "IPv6Gateway": text(running.and_then(|end| end.gateway6).map(|ip| ip.to_string())),
        "GlobalIPv6Address": text(running.and_then(|end| end.address6).map(|ip| ip.to_string())),
        "GlobalIPv6PrefixLen": running.map_or(0, |end| end.prefix6),
        "MacAddress": text(running.map(|end| mac(&end.mac))),
        "DNSNames": running.map(|end| &end.names).filter(|names| !names.is_empty()),
    })
}

/// `80/tcp`.
pub(crate) fn key(port: &Port) -> String {
    format!("{}/{}", port.container_port, port.protocol)
}

/// Published ports, and with nothing those that are only listened on.
fn all_ports(ports: &[Port], exposed: &[String]) -> Map<String, Value> {
    let mut map = bindings(ports);
    for key in exposed {
        map.entry(key.clone()).or_insert(Value::Null);
    }
    map
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
