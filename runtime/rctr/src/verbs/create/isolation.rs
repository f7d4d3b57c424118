//! What the container shares with others, and what is set for it alone.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use engine::{CreateRequest, DeviceRule, LogConfig, Namespaces, Sharing, Tuning, Ulimit};

use crate::parse;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Run a first process that passes signals on and reaps orphans
    #[arg(long)]
    init: bool,
    /// The program of the host that this is, such as /usr/bin/tini; it is called with -- and the command
    #[arg(long, value_name = "FILE", requires = "init")]
    init_path: Option<PathBuf>,
    /// Domain name
    #[arg(long, value_name = "NAME", value_parser = parse::host_name)]
    domainname: Option<String>,
    /// Limit of processes: NAME=SOFT[:HARD], such as nofile=1024:4096
    #[arg(long, value_name = "LIMIT", value_parser = parse::ulimit)]
    ulimit: Vec<Ulimit>,
    /// Setting of its namespaces: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::sysctl)]
    sysctl: Vec<(String, String)>,
    /// Further group, by name or number
    #[arg(long, value_name = "GROUP", value_parser = parse::group)]
    group_add: Vec<String>,
    /// How soon it is killed when memory runs out, from -1000 to 1000
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    oom_score_adj: Option<i32>,
    /// Add a note for tools: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::label)]
    annotation: Vec<(String, String)>,
    /// Read labels from a file, one per line
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Give it a device of the host: /HOST[:/CONTAINER][:rwm], or one that a file in /etc/cdi or /var/run/cdi describes: VENDOR/CLASS=NAME
    #[arg(long, value_name = "DEVICE", value_parser = parse::device)]
    device: Vec<parse::Wanted>,
    /// Give it GPUs of NVIDIA, as such files describe them: all, a number, or device=NAME[,NAME...]
    #[arg(long, value_name = "GPUS", value_parser = parse::gpus)]
    gpus: Vec<Vec<String>>,
    /// Let it use devices that may come: a|b|c MAJOR:MINOR rwm
    #[arg(long, value_name = "RULE", value_parser = parse::device_rule)]
    device_cgroup_rule: Vec<DeviceRule>,
    /// Namespace of shared memory: none, private, shareable, host or container:NAME
    #[arg(long, value_name = "NAMESPACE", default_value = "", hide_default_value = true, value_parser = parse::ipc)]
    ipc: Sharing,
    /// Namespace of processes: private, host or container:NAME
    #[arg(long, value_name = "NAMESPACE", default_value = "", hide_default_value = true, value_parser = parse::sharing)]
    pid: Sharing,
    /// Namespace of the host name: private or host
    #[arg(long, value_name = "NAMESPACE", default_value = "", hide_default_value = true, value_parser = parse::own_or_host)]
    uts: Sharing,
    /// Namespace of cgroups: private or host
    #[arg(long, value_name = "NAMESPACE", default_value = "", hide_default_value = true, value_parser = parse::own_or_host)]
    cgroupns: Sharing,
    /// The cgroup above its own, such as /services
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
    /// What runs it: rctr itself, under the names that scripts give: rctr, runc, crun, or the path of one of them
    #[arg(long, value_name = "RUNTIME", value_parser = runtime)]
    runtime: Option<String>,
    /// How its output is kept: local, json-file, journald or none
    #[arg(long, value_name = "DRIVER", default_value = "local", value_parser = ["local", "json-file", "journald", "none"])]
    log_driver: String,
    /// Option of that: max-size=BYTES and max-file=NUMBER of files; tag=TEMPLATE, labels=KEY,... and env=KEY,... of json-file and journald
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<String>,
}

/// Of these each container is made in the same way: by the monitor, with namespaces and cgroups. What isolates it otherwise, such as a
/// virtual machine, would have to be the parent of its processes, which here the monitor is.
fn runtime(text: &str) -> Result<String, String> {
    const SAME: [&str; 5] = ["rctr", "rctr-oci", "runc", "crun", "io.containerd.runc.v2"];
    match SAME.contains(&text.rsplit('/').next().unwrap_or_default()) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?}: containers are run by rctr itself, as runc and crun would; GPUs are given with --gpus")),
    }
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) -> Result<()> {
        for file in &self.label_file {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("--label-file: read the labels in {}", file.display()))?;
            for (number, line) in text.lines().enumerate() {
                let line = line.trim_start();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let label = parse::label(line).map_err(anyhow::Error::msg);
                let (key, value) = label.with_context(|| format!("{}, line {}", file.display(), number + 1))?;
                // What is on the command line wins.
                request.labels.entry(key).or_insert(value);
            }
        }
        request.namespaces = Namespaces { ipc: self.ipc, pid: self.pid, uts: self.uts, cgroup: self.cgroupns, users: None };
        let (mut devices, mut cdi) = (Vec::new(), Vec::new());
        for device in self.device {
            match device {
                parse::Wanted::Node(node) => devices.push(node),
                parse::Wanted::Named(name) => cdi.push(name),
            }
        }
        cdi.extend(self.gpus.into_iter().flatten());
        request.tuning = Tuning {
            init: self.init,
            init_path: self.init_path.as_deref().map(crate::context::absolute).transpose()?,
            domainname: self.domainname,
            ulimits: self.ulimit,
            sysctls: self.sysctl.into_iter().collect(),
            groups: self.group_add,
            oom_score_adj: self.oom_score_adj,
            annotations: self.annotation.into_iter().collect(),
            devices,
            cdi,
            device_rules: self.device_cgroup_rule,
            cgroup_parent: self.cgroup_parent,
            log: log(&self.log_driver, &self.log_opt)?,
            ..std::mem::take(&mut request.tuning)
        };
        Ok(())
    }
}

fn log(driver: &str, options: &[String]) -> Result<LogConfig> {
    let (json, journal) = (driver == "json-file", driver == "journald");
    let list = |keys: &str| keys.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect();
    let mut log = LogConfig { none: driver == "none", json, journal, ..LogConfig::default() };
    for option in options {
        match option.split_once('=') {
            Some(("tag", template)) if json || journal => log.tag = Some(template.to_owned()),
            Some(("labels", keys)) if json || journal => log.labels = list(keys),
            Some(("env", keys)) if json || journal => log.env = list(keys),
            Some(("max-size", size)) if !journal => {
                log.max_size = Some(parse::bytes(size).map_err(anyhow::Error::msg).context("--log-opt max-size")? as u64)
            }
            Some(("max-file", count)) if !journal => {
                let files = count.parse().ok().filter(|files| *files > 0);
                log.max_files = Some(files.with_context(|| format!("--log-opt max-file={count}: give a number above 0"))?);
            }
            _ if journal => bail!("--log-opt {option:?}: with journald there are tag=TEMPLATE, labels=KEY,... and env=KEY,..."),
            _ if json => bail!(
                "--log-opt {option:?}: there are max-size=BYTES, max-file=NUMBER, tag=TEMPLATE, labels=KEY,... and env=KEY,..."
            ),
            _ => bail!("--log-opt {option:?}: there are max-size=BYTES and max-file=NUMBER"),
        }
    }
    if log.none && !options.is_empty() {
        bail!("--log-opt: with --log-driver none there is no log to have options");
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_that_would_do_the_same_are_one() {
        assert!(["runc", "/usr/bin/crun", "rctr"].iter().all(|name| runtime(name).is_ok()));
        assert!(["runsc", "kata", "nvidia", "", "/usr/bin/"].iter().all(|name| runtime(name).is_err_and(|why| why.contains(name))));
    }

    #[test]
    fn options_of_logs() {
        let options = |all: &[&str]| all.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>();
        let made = log("local", &options(&["max-size=1m", "max-file=2"])).unwrap();
        assert_eq!(made, LogConfig { max_size: Some(1 << 20), max_files: Some(2), ..LogConfig::default() });
        for wrong in ["max-size=x", "max-file=0", "labels=a", "x"] {
            assert!(log("local", &options(&[wrong])).is_err(), "{wrong}");
        }
        assert!(log("json-file", &options(&["labels=a,b", "env=C"])).is_ok_and(|log| log.labels == ["a", "b"] && log.env == ["C"]));
        assert!(log("journald", &options(&["tag={{.Name}}"])).is_ok() && log("journald", &options(&["max-size=1m"])).is_err());
        assert!(log("none", &options(&["max-file=1"])).is_err() && log("none", &[]).unwrap().none);
    }
}
