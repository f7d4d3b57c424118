//! `NAME.container`: a service whose main process is the container's monitor.

use super::keys::{How, Keys};
use super::syntax::Unit;
use super::units::Making;
use super::words;

const SELINUX: &str = "containers get no SELinux labels from rctr";
const NOTES: &str = "rctr keeps the last five results of health checks in the container's state";
const PODS: &str = "rctr has no pods; containers of one NAME.network find each other by name";

/// In the order of `rctr run --help`.
const TABLE: &[(&str, How)] = &[
    ("Label", How::Words("--label")),
    ("Entrypoint", How::Last("--entrypoint")),
    ("Environment", How::Words("--env")),
    ("EnvironmentFile", How::Own),
    ("WorkingDir", How::Last("--workdir")),
    ("Timezone", How::Last("--tz")),
    ("User", How::Own),
    ("Group", How::Own),
    ("StopSignal", How::Last("--stop-signal")),
    ("Network", How::Own),
    ("NetworkAlias", How::Each("--network-alias")),
    ("IP", How::Last("--ip")),
    ("IP6", How::Last("--ip6")),
    ("PublishPort", How::Each("--publish")),
    ("ExposeHostPort", How::Each("--expose")),
    ("HostName", How::Last("--hostname")),
    ("DNS", How::Each("--dns")),
    ("DNSSearch", How::Each("--dns-search")),
    ("DNSOption", How::Each("--dns-option")),
    ("AddHost", How::Each("--add-host")),
    ("Volume", How::Own),
    ("Mount", How::Own),
    ("Tmpfs", How::Each("--tmpfs")),
    ("ShmSize", How::Last("--shm-size")),
    ("Memory", How::Last("--memory")),
    ("PidsLimit", How::Last("--pids-limit")),
    ("AddCapability", How::Words("--cap-add")),
    ("DropCapability", How::Words("--cap-drop")),
    ("NoNewPrivileges", How::Switch(&["--security-opt", "no-new-privileges"])),
    ("SeccompProfile", How::Prefixed("--security-opt", "seccomp=")),
    ("AppArmor", How::Prefixed("--security-opt", "apparmor=")),
    ("SecurityLabelDisable", How::Switch(&["--security-opt", "label=disable"])),
    ("SecurityLabelFileType", How::Never(SELINUX)),
    ("SecurityLabelLevel", How::Never(SELINUX)),
    ("SecurityLabelNested", How::Never(SELINUX)),
    ("SecurityLabelType", How::Never(SELINUX)),
    ("Mask", How::Prefixed("--security-opt", "mask=")),
    ("Unmask", How::Prefixed("--security-opt", "unmask=")),
    ("Secret", How::Words("--secret")),
    ("ReadOnly", How::Switch(&["--read-only"])),
    ("ReadOnlyTmpfs", How::Own),
    ("StopTimeout", How::Last("--stop-timeout")),
    ("HealthCmd", How::Last("--health-cmd")),
    ("HealthInterval", How::Last("--health-interval")),
    ("HealthTimeout", How::Last("--health-timeout")),
    ("HealthStartPeriod", How::Last("--health-start-period")),
    ("HealthRetries", How::Last("--health-retries")),
    ("HealthOnFailure", How::Last("--health-on-failure")),
    ("HealthStartupCmd", How::Last("--health-startup-cmd")),
    ("HealthStartupInterval", How::Last("--health-startup-interval")),
    ("HealthStartupTimeout", How::Last("--health-startup-timeout")),
    (
        "HealthStartupRetries",
        How::Only("0", "a unit's container goes at its end; Notify=healthy, TimeoutStartSec= and Restart= start another"),
    ),
    ("HealthStartupSuccess", How::Last("--health-startup-success")),
    ("HealthLogDestination", How::Never(NOTES)),
    ("HealthMaxLogCount", How::Never(NOTES)),
    ("HealthMaxLogSize", How::Never(NOTES)),
    ("RunInit", How::Switch(&["--init"])),
    ("Ulimit", How::Each("--ulimit")),
    ("Sysctl", How::Words("--sysctl")),
    ("GroupAdd", How::Each("--group-add")),
    ("Annotation", How::Words("--annotation")),
    ("AddDevice", How::Own),
    ("LogDriver", How::Own),
    ("LogOpt", How::Each("--log-opt")),
    ("UserNS", How::Last("--userns")),
    ("UIDMap", How::Each("--uidmap")),
    ("GIDMap", How::Each("--gidmap")),
    ("SubUIDMap", How::Never("rctr has UserNS=auto, which takes ids of \"containers\" in /etc/subuid")),
    ("SubGIDMap", How::Never("rctr has UserNS=auto, which takes ids of \"containers\" in /etc/subgid")),
    ("Pull", How::Last("--pull")),
    ("Image", How::Own),
    ("Rootfs", How::Own),
    ("Exec", How::Own),
    ("ContainerName", How::Own),
    ("Notify", How::Own),
    ("ReloadCmd", How::Own),
    ("ReloadSignal", How::Own),
    ("CgroupsMode", How::Only("split", "the container's processes are those of its unit")),
    ("AutoUpdate", How::Never("rctr does not replace a container when its image changes: pull and restart the unit from a timer")),
    ("EnvironmentHost", How::Only("false", "a container gets only the variables that are named")),
    ("HttpProxy", How::Only("false", "a container gets only the variables that are named")),
    ("ImageVolume", How::Only("anonymous", "volumes of an image are volumes")),
    ("Pod", How::Never(PODS)),
    ("StartWithPod", How::Never(PODS)),
];

pub(super) fn service(making: &mut Making<'_>) -> Result<(), String> {
    let oneshot = match making.unit.last("Service", "Type") {
        None | Some("notify") => false,
        Some("oneshot") => true,
        Some(other) => return Err(format!("Type={other}: a container's service is of type notify or oneshot")),
    };
    if let Some(key) = ["User", "Group", "DynamicUser"].into_iter().find(|key| making.unit.last("Service", key).is_some()) {
        return Err(format!("{key}= in [Service]: rctr runs as root; {key}= in [Container] is for the container"));
    }
    if let Some(mode) = making.unit.last("Service", "KillMode").filter(|mode| !["mixed", "control-group"].contains(mode)) {
        return Err(format!("KillMode={mode}: would leave processes behind; there are mixed and control-group"));
    }
    let unit = making.unit.clone();
    let keys = making.keys(&unit);
    let program = making.program.to_owned();
    let name = keys.last("ContainerName").map_or_else(|| making.resource.clone(), str::to_owned);
    let mut command = keys.command(&program, &["run", "--name", &name, "--replace", "--rm", "--cgroups", "split"], TABLE)?;
    if !oneshot {
        command.extend(["--detach".to_owned(), "--sdnotify".to_owned(), readiness(&keys)?.to_owned()]);
    }
    logging(&keys, oneshot, &mut command);
    isolation(&keys, making, &mut command)?;
    files(&keys, making, &mut command)?;
    for network in keys.all("Network") {
        command.extend(["--network".to_owned(), making.network(network)?]);
    }
    command.extend(keys.words("PodmanArgs")?);
    match (keys.last("Image"), keys.last("Rootfs")) {
        (Some(image), None) => command.push(making.image(image)?),
        (None, Some(folder)) => command.extend(["--rootfs".to_owned(), keys.path(folder)]),
        (Some(_), Some(_)) => return Err("Image= and Rootfs= both say what runs".to_owned()),
        (None, None) => return Err("neither Image= nor Rootfs= says what runs".to_owned()),
    }
    command.extend(keys.words("Exec")?);

    let reload = reload(&keys, &program, &name)?;
    let unit = &mut making.unit;
    let line = |words: &[&str]| keys.line(&program, words).map(|words| words::join(&words));
    // Ends by signals that ask for them are ends as they should be, as systemd has it for processes of its own.
    unit.add_first("Service", &[("SuccessExitStatus", "129 130 141 143")]);
    unit.add_default("Service", "SyslogIdentifier", "%N");
    unit.add_default("Service", "KillMode", "mixed");
    unit.add("Service", "Delegate", "yes");
    unit.add("Service", "ExecStop", &line(&["stop", "--ignore", &name])?);
    unit.add("Service", "ExecStopPost", &format!("-{}", line(&["rm", "--volumes", "--force", "--ignore", &name])?));
    if !oneshot {
        unit.add_default("Service", "Type", "notify");
        unit.add("Service", "NotifyAccess", "all");
    }
    if let Some(reload) = reload {
        unit.add("Service", "ExecReload", &words::join(&reload));
    }
    unit.add("Service", "ExecStart", &words::join(&command));
    Ok(())
}

fn readiness(keys: &Keys<'_>) -> Result<&'static str, String> {
    match keys.last("Notify") {
        Some("healthy") => Ok("healthy"),
        _ if keys.is_true("Notify")? == Some(true) => Ok("container"),
        _ => Ok("conmon"),
    }
}

/// In the background to the journal, where systemd finds it as the unit's own; in the foreground the output is the service's.
fn logging(keys: &Keys<'_>, oneshot: bool, command: &mut Vec<String>) {
    let flag = |driver: &str| ["--log-driver".to_owned(), driver.to_owned()];
    match keys.last("LogDriver") {
        Some(driver) => command.extend(flag(driver)),
        None if oneshot => {}
        None => {
            command.extend(flag("journald"));
            if !keys.all("LogOpt").iter().any(|option| option.starts_with("tag=")) {
                command.extend(["--log-opt".to_owned(), "tag={{.Name}}".to_owned()]);
            }
        }
    }
}

fn isolation(keys: &Keys<'_>, making: &Making<'_>, command: &mut Vec<String>) -> Result<(), String> {
    match (keys.last("User"), keys.last("Group")) {
        (None, None) => {}
        (Some(user), None) => command.extend(["--user".to_owned(), user.to_owned()]),
        (Some(user), Some(group)) => command.extend(["--user".to_owned(), format!("{user}:{group}")]),
        (None, Some(_)) => return Err("Group= goes with User=".to_owned()),
    }
    // As Podman has it: without a word about them.
    if keys.is_true("ReadOnlyTmpfs")?.unwrap_or(true) && keys.is_true("ReadOnly")? == Some(true) {
        command.push("--read-only-tmpfs".to_owned());
    }
    for device in keys.words("AddDevice")? {
        let (device, optional) = device.strip_prefix('-').map_or((device.as_str(), false), |device| (device, true));
        if !optional || making.exists(device.split(':').next().unwrap_or_default()) {
            command.extend(["--device".to_owned(), device.to_owned()]);
        }
    }
    Ok(())
}

fn files(keys: &Keys<'_>, making: &mut Making<'_>, command: &mut Vec<String>) -> Result<(), String> {
    for file in keys.all("EnvironmentFile") {
        command.extend(["--env-file".to_owned(), keys.path(file)]);
    }
    for volume in keys.all("Volume") {
        let shown = match volume.split_once(':') {
            Some((from, rest)) => format!("{}:{rest}", making.source(keys, from)?),
            None => volume.to_owned(),
        };
        command.extend(["--volume".to_owned(), shown]);
    }
    for mount in keys.all("Mount") {
        command.extend(["--mount".to_owned(), making.mount(keys, mount)?]);
    }
    Ok(())
}

fn reload(keys: &Keys<'_>, program: &str, name: &str) -> Result<Option<Vec<String>>, String> {
    match (keys.words("ReloadCmd")?, keys.last("ReloadSignal")) {
        (words, None) if words.is_empty() => Ok(None),
        (words, None) => Ok(Some([keys.line(program, &["exec", name])?, words].concat())),
        (words, Some(signal)) if words.is_empty() => keys.line(program, &["kill", "--signal", signal, name]).map(Some),
        _ => Err("ReloadCmd= and ReloadSignal= both say how to reload".to_owned()),
    }
}

/// The name that other files know its container by.
pub(super) fn resource(unit: &Unit, stem: &str) -> String {
    match (unit.last("Container", "ContainerName"), stem.contains('@')) {
        (Some(name), _) => name.to_owned(),
        (None, true) => "systemd-%p_%i".to_owned(),
        (None, false) => format!("systemd-{stem}"),
    }
}
