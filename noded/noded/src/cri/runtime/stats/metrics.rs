//! ListMetricDescriptors and ListPodSandboxMetrics: what the kubelet passes on in cAdvisor's place (KEP-2371).

use cri::{
    ContainerMetrics, ListMetricDescriptorsRequest, ListMetricDescriptorsResponse, ListPodSandboxMetricsRequest,
    ListPodSandboxMetricsResponse, Metric, MetricDescriptor, PodSandboxMetrics, StreamPodSandboxMetricsRequest, UInt64Value,
};
use engine::{Pod, Stats, Status};

use super::open::Open;
use super::table::{Disk, NETWORK, OF_CGROUP, OF_CONTAINER, Row, Seen};
use super::view::time;
use crate::cri::runtime::container::{self, Member};
use crate::cri::{Answer, status as code};
use crate::node::Node;

/// Labels that every metric has.
const LABELS: [&str; 2] = ["id", "name"];

/// ListMetricDescriptors: always the same ones.
pub(in crate::cri::runtime) fn descriptors(_: &Node, _: ListMetricDescriptorsRequest) -> Answer<ListMetricDescriptorsResponse> {
    let descriptor = |name: &str, help: &str, more: &[&str]| MetricDescriptor {
        name: name.to_owned(),
        help: help.to_owned(),
        label_keys: LABELS.iter().chain(more).map(|label| (*label).to_owned()).collect(),
    };
    let of_cgroup = OF_CGROUP.iter().map(|row| descriptor(row.name, row.help, row.labels));
    let of_container = OF_CONTAINER.iter().map(|row| descriptor(row.name, row.help, row.labels));
    let network = NETWORK.iter().map(|row| descriptor(row.name, row.help, row.labels));
    Ok(ListMetricDescriptorsResponse { descriptors: of_cgroup.chain(of_container).chain(network).collect() })
}

/// ListPodSandboxMetrics.
pub(in crate::cri::runtime) fn metrics(node: &Node, _: ListPodSandboxMetricsRequest) -> Answer<ListPodSandboxMetricsResponse> {
    let pod_metrics = all_metrics(node, StreamPodSandboxMetricsRequest {})?;
    Ok(ListPodSandboxMetricsResponse { pod_metrics })
}

/// Of all pods that are ready, with their running containers.
pub(in crate::cri::runtime) fn all_metrics(node: &Node, _: StreamPodSandboxMetricsRequest) -> Answer<Vec<PodSandboxMetrics>> {
    let pods = super::pod::every(node)?;
    pods.iter().map(|seen| &seen.pod).filter(|pod| pod.ready).map(|pod| of_pod(node, pod)).collect()
}

fn of_pod(node: &Node, pod: &Pod) -> Answer<PodSandboxMetrics> {
    let (engine, id) = (node.engine(), &pod.record.id);
    let at = engine::now();
    let stats = engine.measure_pod(pod).map_err(|error| code::of(&error))?;
    // The pod itself has the name that its infrastructure container has elsewhere.
    let labels = [id.clone(), "POD".to_owned()];
    let mut metrics = all(OF_CGROUP, &stats, at, &labels);
    for interface in engine.interfaces(pod).unwrap_or_default() {
        metrics.extend(all(NETWORK, &interface, at, &labels));
    }
    let members = container::of_pod(node, id)?;
    let running = members.iter().filter(|member| member.container.is_running());
    let container_metrics = running.map(|member| of_container(node, member, at)).collect::<Answer<_>>()?;
    Ok(PodSandboxMetrics { pod_sandbox_id: id.clone(), metrics, container_metrics })
}

fn of_container(node: &Node, member: &Member, at: u64) -> Answer<ContainerMetrics> {
    let stats: Stats = node.engine().measure(&member.container).map_err(|error| code::of(&error))?;
    let name = member.kept.config.metadata.clone().unwrap_or_default().name;
    let labels = [member.id().to_owned(), name];
    let (engine, container) = (node.engine(), &member.container);
    let disk = Disk::of(&engine.config().root);
    let first = match container.status {
        Status::Running { pid, .. } | Status::Paused { pid, .. } => Some(pid),
        _ => None,
    };
    // One that has ended meanwhile has no processes any more.
    let open = Open::of(&engine.processes(member.id()).unwrap_or_default(), first);
    let seen = Seen::new(container, at, engine.taken_by(&container.record).bytes, disk, open);
    let mut metrics = all(OF_CGROUP, &stats, at, &labels);
    metrics.extend(all(OF_CONTAINER, &seen, at, &labels));
    Ok(ContainerMetrics { container_id: member.id().to_owned(), metrics })
}

/// Every row of a table as metrics.
fn all<T>(rows: &[Row<T>], of: &T, at: u64, labels: &[String; 2]) -> Vec<Metric> {
    let metric = |row: &Row<T>, more: Vec<String>, value: u64| Metric {
        name: row.name.to_owned(),
        timestamp: time(at),
        metric_type: row.kind.into(),
        label_values: labels.iter().cloned().chain(more).collect(),
        value: Some(UInt64Value { value }),
    };
    rows.iter().flat_map(|row| (row.values)(of).into_iter().map(move |(more, value)| metric(row, more, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_labels_that_are_described() {
        let mut stats = Stats::default();
        let entry = engine::BlkioEntry { major: 8, minor: 1, op: "Read".to_owned(), value: 7 };
        stats.blkio.io_service_bytes_recursive.push(entry);
        stats.cpu.usage.total = 3_000_000_000;
        let metrics = all(OF_CGROUP, &stats, 1, &["i".to_owned(), "n".to_owned()]);
        for metric in &metrics {
            let row = OF_CGROUP.iter().find(|row| row.name == metric.name).unwrap();
            assert_eq!(metric.label_values.len(), LABELS.len() + row.labels.len(), "{}", metric.name);
        }
        let value = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap().value.unwrap().value;
        assert_eq!(value("container_cpu_usage_seconds_total"), 3);
        assert_eq!(value("container_fs_reads_bytes_total"), 7);
    }

    #[test]
    fn names_are_described_once() {
        let names = OF_CGROUP
            .iter()
            .map(|row| row.name)
            .chain(OF_CONTAINER.iter().map(|row| row.name))
            .chain(NETWORK.iter().map(|row| row.name));
        let names: Vec<&str> = names.collect();
        let once: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), once.len());
    }
}
