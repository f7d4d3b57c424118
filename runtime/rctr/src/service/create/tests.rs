use serde_json::json;

use super::*;

fn read_json(body: Value) -> Result<Asked, String> {
    let Value::Object(body) = body else { panic!("no object") };
    read(&body, Some("app")).map_err(|Refusal(why)| why)
}

/// What Docker's command sends for `docker run busybox`.
fn plain() -> Value {
    let text = r#"{
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": true, "AttachStderr": true, "Tty": false,
        "OpenStdin": false, "StdinOnce": false, "Env": null, "Cmd": null, "Image": "busybox", "Volumes": {}, "WorkingDir": "",
        "Entrypoint": null, "OnBuild": null, "Labels": {},
        "HostConfig": {
            "Binds": null, "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": {}}, "NetworkMode": "bridge", "PortBindings": {},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": false, "VolumeDriver": "", "VolumesFrom": null,
            "ConsoleSize": [24, 80], "CapAdd": null, "CapDrop": null, "CgroupnsMode": "", "Dns": [], "DnsOptions": [], "DnsSearch": [],
            "ExtraHosts": null, "GroupAdd": null, "IpcMode": "", "Cgroup": "", "Links": null, "OomScoreAdj": 0, "PidMode": "",
            "Privileged": false, "PublishAllPorts": false, "ReadonlyRootfs": false, "SecurityOpt": null, "UTSMode": "",
            "UsernsMode": "", "ShmSize": 0, "Isolation": "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "",
            "BlkioWeight": 0, "BlkioWeightDevice": [], "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [], "BlkioDeviceReadIOps": [],
            "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0,
            "CpusetCpus": "", "CpusetMems": "", "Devices": [], "DeviceCgroupRules": null, "DeviceRequests": null,
            "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": -1, "OomKillDisable": false, "PidsLimit": 0, "Ulimits": [],
            "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0, "MaskedPaths": null, "ReadonlyPaths": null
        },
        "NetworkingConfig": {"EndpointsConfig": {"default": null}}
    }"#;
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_nobody_has_asked_for_is_nothing() {
    let asked = read_json(plain()).unwrap();
    assert_eq!((asked.image.as_str(), asked.size, asked.more), ("busybox", Some((24, 80)), More::default()));
    let Line { create } =
        Line::try_parse_from(["--name=app", "--network=bridge", "--restart=no", "--log-driver=json-file", "--", "busybox"])
            .unwrap();
    assert_eq!(format!("{:?}", asked.args), format!("{create:?}"));
}

/// The flags that stand for a body with this one part.
fn flags(part: &str, value: Value) -> Result<String, String> {
    let mut body = json!({ "Image": "i" });
    body[part] = value;
    read_json(body).map(|asked| format!("{:?}", asked.args))
}

fn line(words: &[&str]) -> String {
    let kept = if words.iter().any(|word| word.starts_with("--log-driver")) { None } else { Some("--log-driver=json-file") };
    let words = ["--name=app"].into_iter().chain(kept).chain(words.iter().copied()).chain(["--", "i"]);
    format!("{:?}", Line::try_parse_from(words).unwrap().create)
}

#[test]
fn each_field_is_its_flag() {
    let bridge = "--network=bridge";
    for (host, words) in [
        (
            json!({"Memory": 67_108_864, "NanoCpus": 500_000_000, "PidsLimit": -1}),
            &["-m", "67108864", "--cpus=0.5", "--pids-limit=-1"][..],
        ),
        (json!({"Binds": ["/a:/b:ro", "vol:/c"]}), &["-v/a:/b:ro", "-vvol:/c"]),
        (json!({"Tmpfs": {"/t": "size=1m"}}), &["--tmpfs=/t:size=1m"]),
        (
            json!({"Mounts": [{"Type": "bind", "Source": "/a,b", "Target": "/x", "ReadOnly": true, "BindOptions": {"Propagation": "rslave"}}]}),
            &["--mount=type=bind,\"source=/a,b\",target=/x,readonly,bind-propagation=rslave"],
        ),
        (
            json!({"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o1770}}]}),
            &["--mount=type=tmpfs,target=/x,tmpfs-size=1024,tmpfs-mode=1770"],
        ),
        (
            json!({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": ""}], "53/udp": [{"HostPort": "0"}]}}),
            &["-p", "8080:80/tcp", "-p", "[::1]::80/tcp", "-p", "53/udp"],
        ),
        (json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}), &["--restart=on-failure:3"]),
        (json!({"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 6}]}), &["--ulimit=nofile=5:6"]),
        (
            json!({"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]}),
            &["--device=/dev/null:/dev/x:r"],
        ),
        (json!({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}), &["--gpus=all"]),
        (
            json!({"SecurityOpt": ["no-new-privileges"], "MaskedPaths": [], "ReadonlyPaths": []}),
            &["--security-opt=no-new-privileges", "--security-opt=systempaths=unconfined"],
        ),
        (
            json!({"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}),
            &["--log-driver=json-file", "--log-opt=max-size=1m"],
        ),
        (json!({"Sysctls": {"net.core.somaxconn": "9"}, "Init": true}), &["--sysctl=net.core.somaxconn=9", "--init"]),
        (
            json!({"CapAdd": ["NET_ADMIN"], "Privileged": true, "AutoRemove": true}),
            &["--cap-add=NET_ADMIN", "--privileged", "--rm"],
        ),
    ] {
        let words: Vec<_> = words.iter().copied().chain([bridge]).collect();
        let said = flags("HostConfig", host.clone());
        // A map has no order of its own, but all others have that of the body.
        let sorted = |text: &str| text.split(", ").map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(said.as_deref().map(sorted), Ok(sorted(&line(&words))), "{host}");
    }
    assert_eq!(flags("StopTimeout", json!(0)), Ok(line(&["--stop-timeout=0", bridge])));
    assert_eq!(flags("Volumes", json!({"/data": {}})), Ok(line(&["-v/data", bridge])));
    let both = json!({ "Image": "i", "Volumes": {"/a": {}, "/b/": {}, "/c": {}, "/d": {}},
        "HostConfig": {"Binds": ["vol:/a:rw"], "Mounts": [{"Type": "volume", "Source": "wol", "Target": "/b"}], "Tmpfs": {"/c": ""}} });
    let said = format!("{:?}", read_json(both).unwrap().args);
    assert_eq!(said, line(&["-vvol:/a:rw", "--mount=type=volume,source=wol,target=/b", "--tmpfs=/c", "-v/d", bridge]));
    assert_eq!(flags("Labels", json!({"a": "b=c"})), Ok(line(&["--label=a=b=c", bridge])));
}

#[test]
fn what_no_flag_can_say() {
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#;
    let asked = read_json(json!({
        "Image": "i", "Entrypoint": ["sh", "-c"], "Cmd": ["--x"], "Env": ["A=1", "PATH"],
        "Healthcheck": {"Test": ["CMD", "check", "it"], "Interval": 5_000_000, "Retries": 2},
        "HostConfig": {"SecurityOpt": [format!("seccomp={profile}")]},
    }))
    .unwrap();
    let request = asked.more.apply(CreateRequest::default());
    assert_eq!(request.entrypoint, Some(vec!["sh".into(), "-c".into()]));
    assert_eq!((request.cmd, request.env), (vec!["--x".to_owned()], vec!["A=1".to_owned(), "PATH".to_owned()]));
    assert_eq!(
        (request.health.test.join(" "), request.health.interval, request.health.retries),
        ("CMD check it".into(), Some(5_000_000), Some(2))
    );
    assert_eq!(request.security.seccomp_profile.as_deref(), Some(profile));
    let entrypoint = |value: Value| read_json(json!({"Image": "i", "Entrypoint": value})).unwrap().more.entrypoint;
    assert_eq!(
        (entrypoint(json!([""])), entrypoint(json!([])), entrypoint(json!("sh"))),
        (Some(vec![]), None, Some(vec!["sh".into()]))
    );
    let health = |value: Value| read_json(json!({"Image": "i", "Healthcheck": value})).unwrap().more.health;
    assert!(health(json!({"Test": ["NONE"]})).unwrap().none && health(json!({"Test": null, "Interval": 0})).is_none());
}

#[test]
fn networks_have_their_wishes() {
    let networks = |mode: &str, ends: Value| {
        read_json(json!({"Image": "i", "HostConfig": {"NetworkMode": mode}, "NetworkingConfig": {"EndpointsConfig": ends}}))
            .map(|asked| format!("{:?}", asked.args))
    };
    let end = json!({"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.1.2.3"}, "NetworkID": "x", "GwPriority": 0});
    assert_eq!(
        networks("web", json!({"web": end, "other": {}})),
        Ok(line(&["--network=web:alias=db,ip=10.1.2.3", "--network=other"]))
    );
    assert_eq!(networks("host", json!({"host": {}})), Ok(line(&["--network=host"])));
    assert_eq!(networks("container:a", json!({})), Ok(line(&["--network=container:a"])));
    let error = networks("web", json!({"web": {"Links": ["a"]}})).unwrap_err();
    assert_eq!(error, "NetworkingConfig.EndpointsConfig.web.Links: it is not supported");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (host, why) in [
        (json!({"CpuRealtimeRuntime": 5}), "HostConfig.CpuRealtimeRuntime: it is not supported"),
        (json!({"Links": ["a:b"]}), "HostConfig.Links: it is not supported"),
        (json!({"Runtime": "kata"}), "HostConfig.Runtime: \"kata\" is none of"),
        (json!({"VolumeDriver": "nfs"}), "HostConfig.VolumeDriver"),
        (json!({"Memory": "much"}), "--memory"),
        (json!({"Binds": "/a:/b:what"}), "--volume"),
        (
            json!({"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "ClusterOptions": {"a": 1}}]}),
            "HostConfig.Mounts: ClusterOptions",
        ),
        (json!({"SecurityOpt": ["seccomp=/etc/shadow"]}), "no profile in JSON"),
        (json!({"ReadonlyPaths": ["/x"]}), "ReadonlyPaths"),
        (json!({"CapAdd": ["--privileged"]}), "--cap-add"),
        (json!({"Ulimits": 3}), "HostConfig.Ulimits: it is no list of objects"),
    ] {
        let error = flags("HostConfig", host.clone()).unwrap_err();
        assert!(error.contains(why) && !error.contains('\n'), "{host}: {error}");
    }
    assert!(read_json(json!({})).unwrap_err().starts_with("Image"));
    assert!(flags("Shell", json!(["sh"])).is_err() && flags("Env", json!(["=x"])).is_err());
    assert!(flags("Healthcheck", json!({"Test": ["maybe"]})).is_err());
}

#[test]
fn changes_are_read_the_same() {
    let change = |value: Value| change(value.as_object().unwrap()).map_err(|Refusal(why)| why);
    let update =
        change(json!({"Memory": 1_048_576, "RestartPolicy": {"Name": "always"}, "CpuRealtimePeriod": 0, "Devices": []})).unwrap();
    assert_eq!((update.resources.memory, update.restart), (Some(1 << 20), Some(engine::Policy::Always)));
    assert!(change(json!({"Devices": [{"PathOnHost": "/dev/null"}]})).unwrap_err().starts_with("Devices: "));
}

#[test]
fn networks_are_made_of_flags() {
    let network = |value: Value| network(value.as_object().unwrap()).map_err(|Refusal(why)| why);
    let made = network(json!({
        "Name": "web", "CheckDuplicate": true, "Driver": "bridge", "Internal": true, "EnableIPv6": false, "ConfigOnly": false,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.1.2.0/24", "Gateway": "10.1.2.9", "AuxiliaryAddresses": {"a": "10.1.2.3"}}]},
        "Options": {"com.docker.network.driver.mtu": "1400"}, "Labels": {"a": "b"}, "ConfigFrom": {"Network": ""},
    }))
    .unwrap();
    assert_eq!(
        (made.name.as_str(), made.internal, made.subnets.len(), made.gateways.len(), made.reserved.len()),
        ("web", true, 1, 1, 1)
    );
    assert_eq!((made.labels.len(), made.options.len()), (1, 1));
    for (wrong, why) in [
        (json!({}), "Name"),
        (json!({"Name": "a", "Driver": "overlay"}), "--driver"),
        (json!({"Name": "a", "ConfigOnly": true}), "ConfigOnly: it is not supported"),
        (json!({"Name": "a", "IPAM": {"Config": [{"Subnet": "x"}]}}), "--subnet"),
    ] {
        let error = network(wrong.clone()).unwrap_err();
        assert!(error.contains(why), "{wrong}: {error}");
    }
}
