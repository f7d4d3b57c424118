"""What python3-docker does with the service at DOCKER_HOST."""

import io

import docker

client = docker.from_env()
assert client.ping() and client.version()["Os"] == "linux"

image = client.images.pull("test/config", tag="latest")
assert "test/config:latest" in image.tags, image.tags
assert image.id in [one.id for one in client.images.list()]

options = {"entrypoint": "sh", "network_mode": "none", "user": "0"}
said = client.containers.run("test/config", ["-c", "echo out; echo aside >&2"], remove=True, **options)
assert said == b"out\n", said
try:
    client.containers.run("test/config", ["-c", "exit 3"], remove=True, **options)
    raise SystemExit("a failure was passed over")
except docker.errors.ContainerError as error:
    assert error.exit_status == 3

one = client.containers.run(
    "test/config", ["-c", "echo begun; exec sleep 5000"], name="one", detach=True, labels={"a": "b"}, **options
)
assert [found.name for found in client.containers.list(filters={"label": "a=b"})] == ["one"]
assert next(one.logs(stream=True, follow=True)) == b"begun\n"
for _ in range(20):
    # Short ones, of which nothing may be lost with the head of the answer.
    done = one.exec_run(["sh", "-c", "echo in; echo aside >&2; exit 4"], demux=True)
    assert (done.exit_code, done.output) == (4, (b"in\n", b"aside\n")), done
_, pieces = one.exec_run(["sh", "-c", "echo 1; echo 2"], stream=True)
assert b"".join(pieces) == b"1\n2\n"
kept, about = one.get_archive("/etc/hostname")
assert about["name"] == "hostname" and len(b"".join(kept)) >= 1024
one.reload()
assert one.status == "running" and one.attrs["State"]["Pid"] > 0
one.pause()
one.unpause()
one.kill()
assert one.wait()["StatusCode"] == 137
one.remove()
try:
    client.containers.get("one")
    raise SystemExit("it is still there")
except docker.errors.NotFound:
    pass

network = client.networks.create("web", labels={"a": "b"})
assert [found.name for found in client.networks.list(filters={"label": "a"})] == ["web"]
network.remove()
volume = client.volumes.create("data")
assert volume.attrs["Mountpoint"] and [found.name for found in client.volumes.list()] == ["data"]
volume.remove()

built, _ = client.images.build(fileobj=io.BytesIO(b"FROM test/config\nLABEL a=b\n"), tag="built")
assert built.labels["a"] == "b"
client.images.remove("built")
print("all is well")
