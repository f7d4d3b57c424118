"""What the issue's commands do with kubectl, with the Python client: argv[1] is a kubeconfig."""

import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

config.load_kube_config(sys.argv[1])
core, apps, batch, rbac = client.CoreV1Api(), client.AppsV1Api(), client.BatchV1Api(), client.RbacAuthorizationV1Api()
LABELS = {"app": "web"}


def refused(code, call, *words, **more):
    """The call is refused with this code; the reason."""
    try:
        call(*words, **more)
    except ApiException as error:
        assert error.status == code, f"{call.__name__}: {error.status} instead of {code}: {error.body}"
        return error.body
    raise AssertionError(f"{call.__name__}: not refused")


def pods_until(count):
    """Watches pods until there are so many."""
    seen = set()
    feed = watch.Watch()
    for event in feed.stream(core.list_namespaced_pod, "default", label_selector="app=web", timeout_seconds=60):
        name = event["object"].metadata.name
        (seen.discard if event["type"] == "DELETED" else seen.add)(name)
        if len(seen) == count:
            feed.stop()
    assert len(seen) == count, seen


def deployment(image):
    container = client.V1Container(name="web", image=image, ports=[client.V1ContainerPort(container_port=8080)])
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=LABELS), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(replicas=3, selector=client.V1LabelSelector(match_labels=LABELS), template=template)
    return client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec)


made = apps.create_namespaced_deployment("default", deployment("smlinux/nodeinfo:v1"), field_manager="python")
assert made.spec.strategy.type == "RollingUpdate" and made.metadata.generation == 1
assert "already exists" in refused(409, apps.create_namespaced_deployment, "default", deployment("x"))
pods_until(3)

ports = [client.V1ServicePort(port=80, target_port=8080)]
service = client.V1Service(metadata=client.V1ObjectMeta(name="web"), spec=client.V1ServiceSpec(selector=LABELS, ports=ports))
assert core.create_namespaced_service("default", service).spec.cluster_ip

apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 10}})
assert apps.read_namespaced_deployment_scale("web", "default").spec.replicas == 10
pods_until(10)

page = core.list_namespaced_pod("default", limit=4)
names = [pod.metadata.name for pod in page.items]
while page.metadata._continue:
    page = core.list_namespaced_pod("default", limit=4, _continue=page.metadata._continue)
    names += [pod.metadata.name for pod in page.items]
assert len(names) == len(set(names)) == 10, names

stale = apps.read_namespaced_deployment("web", "default")
apps.patch_namespaced_deployment("web", "default", deployment("smlinux/nodeinfo:v2"))
stale.metadata.labels = {"a": "b"}
assert "the object has been modified" in refused(409, apps.replace_namespaced_deployment, "web", "default", stale)
revisions = apps.list_namespaced_replica_set("default", label_selector="app=web")
assert revisions.items[0].metadata.owner_references[0].name == "web"

bad = deployment("x")
bad.spec.replicas = -1
assert "must be greater than or equal to 0" in refused(422, apps.replace_namespaced_deployment, "web", "default", bad)
assert "not found" in refused(404, core.read_namespaced_pod_log, "nobody", "default")
dry = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="dry"), data={"a": "b"})
core.create_namespaced_config_map("default", dry, dry_run="All")
refused(404, core.read_namespaced_config_map, "dry", "default")

secret = client.V1Secret(metadata=client.V1ObjectMeta(generate_name="s-"), string_data={"k": "v"})
assert core.create_namespaced_secret("default", secret).data == {"k": "dg=="}
assert {space.metadata.name for space in core.list_namespace().items} >= {"default", "kube-system"}
assert rbac.read_cluster_role("cluster-admin").rules[0].verbs == ["*"]
assert core.list_node().items == [] and core.list_event_for_all_namespaces().items is not None
assert client.VersionApi().get_code().major == "1"
assert "apps" in {group.name for group in client.ApisApi().get_api_versions().groups}

apps.delete_namespaced_deployment("web", "default", propagation_policy="Background")
while core.list_namespaced_pod("default", label_selector="app=web").items:
    for _ in watch.Watch().stream(core.list_namespaced_pod, "default", label_selector="app=web", timeout_seconds=1):
        pass
print("done")
