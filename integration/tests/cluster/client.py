"""Logs, exec, attach and port-forward with the Python client: argv[1] is a kubeconfig. Pods: `web` serves its name on port 8080; in `two`,
`talk` has said one, two and three, and `typed` answers lines."""

import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

config.load_kube_config(sys.argv[1])
core = client.CoreV1Api()
PATIENCE = 60


def refused(code, call):
    """The call is refused with this code; what is said."""
    try:
        call()
    except ApiException as error:
        # of a stream only the words have it
        assert str(code) in str(error), f"not {code}: {error}"
        return str(error)
    raise AssertionError("not refused")


def run(pod, *command, **more):
    """A program's session."""
    words = {"stdin": False, "stdout": True, "stderr": True, "tty": False, "_preload_content": False, **more}
    return stream(core.connect_get_namespaced_pod_exec, pod, "default", command=list(command), **words)


# what there is, and how it changes
pods = {pod.metadata.name: pod for pod in core.list_namespaced_pod("default", field_selector="status.phase=Running").items}
assert {"web", "two"} <= set(pods), pods
assert core.read_node(pods["web"].spec.node_name).status.node_info.container_runtime_version.startswith("rctr://")
core.patch_namespaced_pod("web", "default", {"metadata": {"labels": {"python": "was-here"}}})
feed = watch.Watch()
for event in feed.stream(core.list_namespaced_pod, "default", label_selector="python=was-here", timeout_seconds=PATIENCE):
    assert event["object"].metadata.name == "web"
    if event["type"] == "ADDED":
        core.patch_namespaced_pod("web", "default", [{"op": "remove", "path": "/metadata/labels/python"}])
    elif event["type"] == "DELETED":
        feed.stop()
assert "python" not in (core.read_namespaced_pod("web", "default").metadata.labels or {})

# logs, whole and followed
assert core.read_namespaced_pod_log("two", "default", container="talk", tail_lines=1) == "three\n"
lines, feed = [], watch.Watch()
for line in feed.stream(core.read_namespaced_pod_log, "two", "default", container="talk"):
    lines.append(line)
    if len(lines) == 3:
        feed.stop()
assert lines == ["one", "two", "three"], lines
assert "a container name must be specified" in refused(400, lambda: core.read_namespaced_pod_log("two", "default"))

# exec: both outputs, the exit code, input
said = run("web", "sh", "-c", "echo out; echo err >&2; exit 3")
said.run_forever(timeout=PATIENCE)
assert (said.read_stdout(timeout=0), said.read_stderr(timeout=0), said.returncode) == ("out\n", "err\n", 3)
typed = run("web", "sh", "-c", "read a; echo got $a", stdin=True)
typed.write_stdin("hello\n")
typed.run_forever(timeout=PATIENCE)
assert (typed.read_stdout(timeout=0), typed.returncode) == ("got hello\n", 0)
whole = stream(core.connect_get_namespaced_pod_exec, "web", "default", command=["hostname"], stdout=True, stderr=True)
assert whole == "web\n", whole
refused(404, lambda: stream(core.connect_get_namespaced_pod_exec, "nobody", "default", command=["true"], stdout=True))

# attach
words = {"container": "typed", "stdin": True, "stdout": True, "stderr": True, "tty": False, "_preload_content": False}
attached = stream(core.connect_get_namespaced_pod_attach, "two", "default", **words)
attached.write_stdin("from python\n")
assert attached.readline_stdout(timeout=PATIENCE) == "got from python"
attached.close()

# port-forward, by the messages of a WebSocket
forward = portforward(core.connect_get_namespaced_pod_portforward, "web", "default", ports="8080")
socket = forward.socket(8080)
socket.settimeout(PATIENCE)
socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
answer = b""
while piece := socket.recv(4096):
    answer += piece
assert answer.endswith(b"web\n") and forward.error(8080) is None, (answer, forward.error(8080))

# the pod's own server, through the API server
assert core.connect_get_namespaced_pod_proxy_with_path("web:8080", "default", "index.html") == "web\n"
print("done")
