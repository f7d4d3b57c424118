//! One call of a list: what each plugin is given, and in which order.

use std::path::Path;

use net::Port;
use serde_json::{Map, Value, json};

use super::list::{List, Plugin};
use super::{Cni, INTERFACE, result, run};
use crate::Error;
use crate::pod::{PodNetwork, PodRecord};

/// What plugins are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Check,
    Delete,
    Status,
}

impl Verb {
    /// `CNI_COMMAND`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Verb::Add => "ADD",
            Verb::Check => "CHECK",
            Verb::Delete => "DEL",
            Verb::Status => "STATUS",
        }
    }
}

/// A call of all plugins of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) verb: Verb,
    pub(super) list: &'a List,
    /// None for what is about no pod.
    pub(super) pod: Option<&'a PodRecord>,
    /// Where its network namespace is pinned; empty when it is gone.
    pub(super) netns: &'a Path,
    /// What was answered when it was added.
    pub(super) result: Option<&'a Value>,
    /// Subnets of pods, for plugins that are told.
    pub(super) ranges: &'a [String],
}

impl Call<'_> {
    /// ADD: each plugin is given the answer of the one before; answers that of the last one.
    pub(super) fn chain(&self, cni: &Cni) -> Result<Value, Error> {
        let mut before = None;
        for plugin in &self.list.plugins {
            let answer = self.ask(cni, plugin, before.as_ref())?;
            before = Some(result::parse(self.list, plugin.program(), &answer)?);
        }
        before.ok_or_else(|| Error::Cni { what: self.list.name.clone(), why: "no plugin has answered".to_owned() })
    }

    /// One after the other, up to the first that fails.
    pub(super) fn each(&self, cni: &Cni) -> Result<(), Error> {
        self.list.plugins.iter().try_for_each(|plugin| self.ask(cni, plugin, self.result).map(drop))
    }

    /// DEL: from the last one to the first. All of them are asked: each lets go of what it has. The first failure counts.
    pub(super) fn back(&self, cni: &Cni) -> Result<(), Error> {
        let asked = self.list.plugins.iter().rev().map(|plugin| self.ask(cni, plugin, self.result).map(drop));
        asked.fold(Ok(()), Result::and)
    }

    fn ask(&self, cni: &Cni, plugin: &Plugin, before: Option<&Value>) -> Result<Vec<u8>, Error> {
        run::run(cni, plugin.program(), self.verb, &self.environment(), &self.input(plugin, before).to_string())
    }

    /// Beside `CNI_COMMAND` and `CNI_PATH`.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let Some(pod) = self.pod else { return Vec::new() };
        let request = &pod.request;
        // In this form by convention; a value with a ';' would be two.
        let word = |text: &str| text.replace([';', '='], "_");
        let args = [
            ("IgnoreUnknown", "1".to_owned()),
            ("K8S_POD_NAMESPACE", word(&request.namespace)),
            ("K8S_POD_NAME", word(&request.name)),
            ("K8S_POD_INFRA_CONTAINER_ID", pod.id.clone()),
            ("K8S_POD_UID", word(&request.uid)),
        ];
        let args: Vec<String> = args.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            ("CNI_CONTAINERID", pod.id.clone()),
            ("CNI_NETNS", self.netns.display().to_string()),
            ("CNI_IFNAME", INTERFACE.to_owned()),
            ("CNI_ARGS", args.join(";")),
        ]
    }

    /// The plugin's own configuration, with what it is told by the runtime.
    fn input(&self, plugin: &Plugin, before: Option<&Value>) -> Value {
        let mut input = plugin.0.clone();
        input.remove("capabilities");
        input.insert("name".to_owned(), self.list.name.clone().into());
        input.insert("cniVersion".to_owned(), self.list.version.clone().into());
        if let Some(pod) = self.pod {
            let told = self.told(plugin, pod);
            if !told.is_empty() {
                input.insert("runtimeConfig".to_owned(), Value::Object(told));
            }
        }
        if let Some(before) = before {
            input.insert("prevResult".to_owned(), before.clone());
        }
        Value::Object(input)
    }

    /// What a plugin is capable of, and this pod has.
    fn told(&self, plugin: &Plugin, pod: &PodRecord) -> Map<String, Value> {
        let ports = match &pod.request.network {
            PodNetwork::Own { ports } => ports.iter().map(mapping).collect(),
            PodNetwork::Host => Vec::new(),
        };
        let ranges: Vec<Value> = self.ranges.iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
        let all = [
            ("portMappings", (!ports.is_empty()).then_some(Value::Array(ports))),
            ("bandwidth", bandwidth(&pod.request.annotations)),
            ("ipRanges", (!ranges.is_empty()).then_some(Value::Array(ranges))),
            ("io.kubernetes.cri.pod-annotations", Some(json!(pod.request.annotations))),
        ];
        let told = all.into_iter().filter(|(key, _)| plugin.is_capable(key));
        told.filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

fn mapping(port: &Port) -> Value {
    let ip = port.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
    json!({
        "hostPort": port.host_port, "containerPort": port.container_port, "protocol": port.protocol.to_string(), "hostIP": ip,
    })
}

/// Bits in a second, by the annotations that Kubernetes has for it. What is no number counts as not said.
fn bandwidth(annotations: &std::collections::BTreeMap<String, String>) -> Option<Value> {
    let mut told = Map::new();
    for way in ["ingress", "egress"] {
        let rate = annotations.get(&format!("kubernetes.io/{way}-bandwidth")).and_then(|text| bits(text));
        if let Some(rate) = rate {
            told.insert(format!("{way}Rate"), rate.into());
            told.insert(format!("{way}Burst"), u32::MAX.into());
        }
    }
    (!told.is_empty()).then_some(Value::Object(told))
}

/// A quantity of Kubernetes, such as `10M` or `512Ki`.
fn bits(text: &str) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let units =
        [("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("Ki", 1024.0), ("Mi", 1048576.0), ("Gi", 1073741824.0)];
    let factor = units.iter().find(|(known, _)| *known == unit)?.1;
    let rate = number.parse::<f64>().ok()? * factor;
    (rate >= 1.0).then_some(rate as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PodRequest;

    fn pod() -> PodRecord {
        let port = Port { host_ip: None, host_port: 8080, container_port: 80, protocol: net::Protocol::Tcp };
        let annotations = [("kubernetes.io/ingress-bandwidth".to_owned(), "10M".to_owned())].into();
        let network = PodNetwork::Own { ports: vec![port] };
        let request = PodRequest { name: "web;x=y".to_owned(), annotations, network, ..PodRequest::default() };
        PodRecord { id: "7".repeat(64), created: 0, request }
    }

    fn list(plugin: Value) -> List {
        let Value::Object(plugin) = plugin else { panic!("no object") };
        List { name: "net".to_owned(), version: "1.0.0".to_owned(), disable_check: false, plugins: vec![Plugin(plugin)] }
    }

    #[test]
    fn a_plugin_is_told_what_it_asks_for() {
        let capable = list(json!({
            "type": "x", "mtu": 9000, "capabilities": { "portMappings": true, "bandwidth": true, "ipRanges": true, "dns": true },
        }));
        let (pod, ranges, before) = (pod(), ["10.1.0.0/16".to_owned()], json!({ "ips": [] }));
        let call = Call { verb: Verb::Add, list: &capable, pod: Some(&pod), netns: Path::new("/n"), result: None, ranges: &ranges };
        let input = call.input(&capable.plugins[0], Some(&before));
        let expected = json!({
            "type": "x", "mtu": 9000, "name": "net", "cniVersion": "1.0.0", "prevResult": { "ips": [] },
            "runtimeConfig": {
                "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "" }],
                "bandwidth": { "ingressRate": 10_000_000, "ingressBurst": u32::MAX },
                "ipRanges": [[{ "subnet": "10.1.0.0/16" }]],
            },
        });
        assert_eq!(input, expected);
        let environment = call.environment();
        let value = |key: &str| environment.iter().find(|(own, _)| *own == key).unwrap().1.clone();
        assert_eq!((value("CNI_NETNS").as_str(), value("CNI_IFNAME").as_str()), ("/n", "eth0"));
        assert!(value("CNI_ARGS").contains("K8S_POD_NAME=web_x_y;"), "{}", value("CNI_ARGS"));
        let plain = list(json!({ "type": "x" }));
        assert!(Call { list: &plain, ..call }.input(&plain.plugins[0], None).get("runtimeConfig").is_none());
    }

    #[test]
    fn quantities() {
        let all = ["10M", "512Ki", "1.5k", "7", "", "M", "-1", "1Zi"].map(bits);
        assert_eq!(all, [Some(10_000_000), Some(524_288), Some(1500), Some(7), None, None, None, None]);
    }
}
