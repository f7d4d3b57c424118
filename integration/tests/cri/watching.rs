//! Events, figures and metrics.

use cri::{
    ContainerEventResponse, ContainerEventType, ContainerStatsRequest, GetEventsRequest, ListContainerStatsRequest,
    ListMetricDescriptorsRequest, ListPodSandboxMetricsRequest, ListPodSandboxStatsRequest, PodSandboxStatsRequest,
    RemoveContainerRequest, StreamContainerStatsRequest, StreamPodSandboxMetricsRequest, StreamPodSandboxStatsRequest,
};
use tonic::{Code, Streaming};

use super::asking::*;
use super::images::pull;
use super::known::left_out;
use super::node::Node;

integration::tests![what_happens_is_told, figures_of_containers, figures_of_pods, metrics_are_described];

fn next(n: &Node, events: &mut Streaming<ContainerEventResponse>) -> ContainerEventResponse {
    n.wait(events.message()).expect("no error").expect("an event")
}

fn what_happens_is_told() {
    let n = Node::own("");
    pull(&n, BUSYBOX);
    let mut events = n.ok(n.containers().get_container_events(GetEventsRequest {}));
    let pod_config = pod_config(&n, "events");
    let pod = run(&n, &pod_config);
    let id = create(&n, &pod, &config("main", "sleep 0.3; exit 6"), &pod_config);
    start(&n, &id);
    use ContainerEventType::{
        ContainerCreatedEvent as Made, ContainerDeletedEvent as Gone, ContainerStartedEvent as Began,
        ContainerStoppedEvent as Ended,
    };
    for (of, kind) in [(&pod, Made), (&pod, Began), (&id, Made), (&id, Began)] {
        let event = next(&n, &mut events);
        assert_eq!((&event.container_id, event.container_event_type), (of, i32::from(kind)));
        assert_eq!(event.pod_sandbox_status.expect("a pod").id, pod);
        assert!(event.created_at > 0);
    }
    let event = next(&n, &mut events);
    assert_eq!((&event.container_id, event.container_event_type), (&id, i32::from(Ended)));
    // How it ended is known with it.
    assert_eq!(event.containers_statuses.iter().map(|status| status.exit_code).collect::<Vec<_>>(), [6]);
    n.ok(n.containers().remove_container(RemoveContainerRequest { container_id: id.clone() }));
    let event = next(&n, &mut events);
    assert_eq!((&event.container_id, event.container_event_type), (&id, i32::from(Gone)));
    stop_pod(&n, &pod);
    remove_pod(&n, &pod);
    for kind in [Ended, Gone] {
        let event = next(&n, &mut events);
        assert_eq!((&event.container_id, event.container_event_type), (&pod, i32::from(kind)));
    }
    // A daemon that stops ends the stream, and does not wait for it.
    let mut n = n;
    n.stop().code(0);
}

fn figures_of_containers() {
    let n = Node::start();
    let (pod, id) = started(&n, "figures", "echo x > /written; while :; do :; done");
    let one =
        |n: &Node| n.ok(n.containers().container_stats(ContainerStatsRequest { container_id: id.clone() })).stats.expect("figures");
    n.env.soon("it has used processor time", || {
        one(&n).cpu.and_then(|cpu| cpu.usage_core_nano_seconds).is_some_and(|used| used.value > 0)
    });
    let stats = one(&n);
    assert_eq!(stats.attributes.as_ref().map(|attributes| attributes.id.as_str()), Some(id.as_str()));
    let memory = stats.memory.expect("memory");
    assert!(memory.timestamp > 0 && memory.working_set_bytes.is_some_and(|bytes| bytes.value > 0), "{memory:?}");
    n.env.soon("its writable layer is known", || {
        let layer = one(&n).writable_layer.unwrap_or_default();
        let [bytes, inodes] = [layer.used_bytes, layer.inodes_used].map(|number| number.unwrap_or_default().value);
        layer.timestamp > 0 && bytes > 0 && inodes > 0
    });
    n.env.soon("its rate is known", || one(&n).cpu.and_then(|cpu| cpu.usage_nano_cores).is_some_and(|rate| rate.value > 0));
    let listed = n.ok(n.containers().list_container_stats(ListContainerStatsRequest { filter: None })).stats;
    assert!(listed.iter().any(|stats| stats.attributes.as_ref().is_some_and(|attributes| attributes.id == id)));
    if let Some(parts) = n.stream(n.containers().stream_container_stats(StreamContainerStatsRequest { filter: None })) {
        assert_eq!(parts.into_iter().flat_map(|part| part.container_stats).count(), listed.len());
    }
    n.fails(Code::NotFound, n.containers().container_stats(ContainerStatsRequest { container_id: "0".repeat(64) }));
    stop(&n, &id, 0);
    let listed = n.ok(n.containers().list_container_stats(ListContainerStatsRequest { filter: None })).stats;
    let has = listed.iter().any(|stats| stats.attributes.as_ref().is_some_and(|attributes| attributes.id == id));
    assert!(left_out("stats", has) || !has);
    remove_pod(&n, &pod);
}

fn figures_of_pods() {
    let n = Node::start();
    let (pod, id) = started(&n, "pod-figures", SLEEP);
    let stats =
        n.ok(n.containers().pod_sandbox_stats(PodSandboxStatsRequest { pod_sandbox_id: pod.clone() })).stats.expect("figures");
    let linux = stats.linux.expect("figures");
    assert_eq!(linux.containers.len(), 1);
    assert_eq!(linux.containers[0].attributes.as_ref().map(|attributes| attributes.id.clone()), Some(id));
    let network = linux.network.and_then(|network| network.default_interface).expect("an interface");
    assert!(!network.name.is_empty() && network.rx_bytes.is_some());
    assert!(linux.process.is_some() && linux.cpu.is_some_and(|cpu| cpu.timestamp > 0));
    let listed = n.ok(n.containers().list_pod_sandbox_stats(ListPodSandboxStatsRequest { filter: None })).stats;
    assert!(listed.iter().any(|stats| stats.attributes.as_ref().is_some_and(|attributes| attributes.id == pod)));
    if let Some(parts) = n.stream(n.containers().stream_pod_sandbox_stats(StreamPodSandboxStatsRequest { filter: None })) {
        assert_eq!(parts.into_iter().flat_map(|part| part.pod_sandbox_stats).count(), listed.len());
    }
    n.fails(Code::NotFound, n.containers().pod_sandbox_stats(PodSandboxStatsRequest { pod_sandbox_id: "0".repeat(64) }));
    remove_pod(&n, &pod);
}

/// What cAdvisor measures of containers and pods, and the kubelet passes on (KEP-2371), without the `container_` before it.
const METRICS: &str = "\
    blkio_device_usage_total cpu_cfs_periods_total cpu_cfs_throttled_periods_total cpu_cfs_throttled_seconds_total \
    cpu_system_seconds_total cpu_usage_seconds_total cpu_user_seconds_total file_descriptors fs_inodes_free fs_inodes_total \
    fs_limit_bytes fs_reads_bytes_total fs_reads_total fs_usage_bytes fs_writes_bytes_total fs_writes_total \
    hugetlb_max_usage_bytes hugetlb_usage_bytes last_seen memory_cache memory_failcnt memory_failures_total memory_kernel_usage \
    memory_mapped_file memory_max_usage_bytes memory_rss memory_swap memory_usage_bytes memory_working_set_bytes \
    network_receive_bytes_total network_receive_errors_total network_receive_packets_dropped_total network_receive_packets_total \
    network_transmit_bytes_total network_transmit_errors_total network_transmit_packets_dropped_total \
    network_transmit_packets_total oom_events_total pressure_cpu_stalled_seconds_total pressure_cpu_waiting_seconds_total \
    pressure_io_stalled_seconds_total pressure_io_waiting_seconds_total pressure_memory_stalled_seconds_total \
    pressure_memory_waiting_seconds_total processes sockets spec_cpu_period spec_cpu_quota spec_cpu_shares \
    spec_memory_limit_bytes spec_memory_reservation_limit_bytes spec_memory_swap_limit_bytes start_time_seconds threads \
    threads_max ulimits_soft";

fn metrics_are_described() {
    let n = Node::own("");
    let (pod, id) = started(&n, "metrics", SLEEP);
    let descriptors = n.ok(n.containers().list_metric_descriptors(ListMetricDescriptorsRequest {})).descriptors;
    for name in METRICS.split_whitespace() {
        let descriptor = descriptors.iter().find(|descriptor| descriptor.name == format!("container_{name}"));
        assert!(descriptor.is_some_and(|descriptor| !descriptor.help.is_empty() && !descriptor.label_keys.is_empty()), "{name}");
    }
    let pods = n.ok(n.containers().list_pod_sandbox_metrics(ListPodSandboxMetricsRequest {})).pod_metrics;
    let own = pods.iter().find(|metrics| metrics.pod_sandbox_id == pod).expect("the pod");
    let container = own.container_metrics.iter().find(|metrics| metrics.container_id == id).expect("the container");
    for metric in own.metrics.iter().chain(&container.metrics) {
        let descriptor = descriptors.iter().find(|descriptor| descriptor.name == metric.name).expect("described");
        assert_eq!(metric.label_values.len(), descriptor.label_keys.len(), "{metric:?}");
        assert!(metric.timestamp > 0 && metric.value.is_some(), "{metric:?}");
    }
    for (metrics, name) in [
        (&container.metrics, "container_cpu_usage_seconds_total"),
        (&container.metrics, "container_memory_working_set_bytes"),
        (&container.metrics, "container_start_time_seconds"),
        (&container.metrics, "container_file_descriptors"),
        (&container.metrics, "container_ulimits_soft"),
        (&own.metrics, "container_network_receive_bytes_total"),
    ] {
        assert!(metrics.iter().any(|metric| metric.name == name), "{name}");
    }
    let streamed = n.stream(n.containers().stream_pod_sandbox_metrics(StreamPodSandboxMetricsRequest {})).expect("a stream");
    assert_eq!(streamed.into_iter().flat_map(|part| part.pod_sandbox_metrics).count(), pods.len());
    remove_pod(&n, &pod);
}
