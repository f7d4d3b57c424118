//! One address and one name for many pods: a client in a pod, the host, and somebody outside.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use integration::env::Running;

use super::base::{BUSYBOX, Cluster, NODE, ask};

integration::tests![services_lead_to_pods];

/// A web server that says its pod's name. It answers for a moment longer than it is asked to end, as servers do that are taken out of a
/// service first.
const WEB: &str =
    "mkdir /w; hostname >/w/index.html; httpd -p 8080 -h /w; trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done";

fn container(script: &str) -> Value {
    json!({ "name": "c", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script] })
}

fn pod(name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["terminationGracePeriodSeconds"] = 5.into();
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": name } }, "spec": spec })
}

fn services_lead_to_pods() {
    let mut c = Cluster::start_at("0.0.0.0");
    let labels = json!({ "app": "web" });
    let template =
        json!({ "metadata": { "labels": labels }, "spec": { "terminationGracePeriodSeconds": 5, "containers": [container(WEB)] } });
    c.apply(&json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": { "replicas": 3, "selector": { "matchLabels": labels }, "template": template } }));
    c.apply(&pod("client", &json!({ "containers": [container("sleep 1000")] })));
    c.kubectl(&["expose", "deployment", "web", "--port=80", "--target-port=8080"]).ok();
    c.kubectl(&["expose", "deployment", "web", "--name=all", "--port=8080", "--cluster-ip=None"]).ok();
    c.kubectl(&["expose", "deployment", "web", "--name=door", "--port=80", "--target-port=8080", "--type=NodePort"]).ok();
    c.kubectl(&["create", "service", "clusterip", "nobody", "--tcp=80"]).ok();
    c.soon("the client runs", || c.addresses("app=client").len() == 1);
    c.soon("three are there", || c.get(&["endpoints", "web"], "{.subsets[*].addresses[*].ip}").split(' ').count() == 3);
    what_is_shown(&c);
    every_replica_answers(&c);
    names_are_known(&c);
    doors_of_the_node(&c);
    nobody_is_refused(&c);
    clients_stay(&c);
    the_api_is_a_service(&c);
    nothing_is_lost_when_it_shrinks(&c);
    the_table_is_ours(&mut c);
}

/// What the client's shell says.
fn shell(c: &Cluster, script: &str) -> String {
    inside(c, script).finish().stdout
}

fn inside(c: &Cluster, script: &str) -> Running {
    c.env.spawn(["exec", &c.container("client"), "sh", "-c", script])
}

fn address(c: &Cluster, service: &str) -> String {
    c.get(&["service", service], "{.spec.clusterIP}")
}

fn what_is_shown(c: &Cluster) {
    let described = c.kubectl(&["describe", "service", "web"]).ok().stdout.clone();
    let ips: BTreeSet<String> = c.addresses("app=web").into_iter().collect();
    assert_eq!(ips.len(), 3);
    assert!(ips.iter().all(|ip| described.contains(&format!("{ip}:8080"))), "{described}");
    assert!(described.contains("TargetPort:") && described.contains("8080/TCP"), "{described}");
    let endpoints = c.kubectl(&["get", "endpoints", "web", "--no-headers"]).ok().stdout.clone();
    assert!(ips.iter().all(|ip| endpoints.contains(&format!("{ip}:8080"))), "{endpoints}");
    let slices = c.kubectl(&["get", "endpointslices", "-l", "kubernetes.io/service-name=web", "--no-headers"]).ok().stdout.clone();
    assert!(slices.contains("IPv4") && ips.iter().all(|ip| slices.contains(ip)), "{slices}");
    let listed = c.kubectl(&["get", "services", "--no-headers"]).ok().stdout.clone();
    assert!(listed.lines().any(|line| line.starts_with("all ") && line.contains("None")), "{listed}");
    assert_eq!(c.get(&["service", "web"], "{.spec.selector.app}"), "web");
}

/// From a pod by name and by address, and from the host.
fn every_replica_answers(c: &Cluster) {
    let names: BTreeSet<String> =
        c.get(&["pods", "-l", "app=web"], "{.items[*].metadata.name}").split(' ').map(str::to_owned).collect();
    let ip = address(c, "web");
    for target in ["web", "web.default.svc.cluster.local", ip.as_str()] {
        c.soon(&format!("all answer at {target}"), || {
            let said = shell(c, &format!("for i in $(seq 40); do wget -q -O- http://{target}/; done"));
            said.lines().map(str::to_owned).collect::<BTreeSet<_>>() == names
        });
    }
    assert!(names.contains(&ask(&ip, 80).expect("an answer for the host")));
    // One that asks itself.
    let own = names.iter().next().expect("a name");
    let script = "for i in $(seq 40); do wget -q -O- http://web/; done | sort -u | wc -l";
    assert_eq!(c.env.rctr(["exec", &c.container(own), "sh", "-c", script]).ok().text().trim(), "3");
}

fn names_are_known(c: &Cluster) {
    let file = shell(c, "cat /etc/resolv.conf");
    assert!(file.contains("search default.svc.cluster.local svc.cluster.local cluster.local"), "{file}");
    assert!(file.contains("ndots:5"), "{file}");
    let found = |name: &str| shell(c, &format!("nslookup -type=a {name}. 2>&1"));
    let ip = address(c, "web");
    assert!(found("web.default.svc.cluster.local").contains(&ip), "{}", found("web.default.svc.cluster.local"));
    let all = found("all.default.svc.cluster.local");
    let pods = c.addresses("app=web");
    assert!(pods.iter().all(|ip| all.contains(ip)), "{all}");
    let dashed = pods[0].replace('.', "-");
    assert!(found(&format!("{dashed}.all.default.svc.cluster.local")).contains(&pods[0]));
    assert!(found(&format!("{dashed}.default.pod.cluster.local")).contains(&pods[0]));
    assert!(found("nothing.default.svc.cluster.local").contains("NXDOMAIN"));
    let nothing = shell(c, "nslookup -type=aaaa web.default.svc.cluster.local. 2>&1");
    assert!(!nothing.contains("NXDOMAIN"), "{nothing}");
    assert!(shell(c, &format!("nslookup {ip} 2>&1")).contains("web.default.svc.cluster.local"));
    let port = shell(c, "nslookup -type=srv _http._tcp.web.default.svc.cluster.local. 2>&1");
    assert!(port.contains("NXDOMAIN"), "its port has no name: {port}");
    assert_eq!(shell(c, "echo $KUBERNETES_SERVICE_HOST").trim(), address(c, "kubernetes"));
}

/// By the node's port from the host, and from another host; not at the loopback interface.
fn doors_of_the_node(c: &Cluster) {
    let port: u16 = c.get(&["service", "door"], "{.spec.ports[0].nodePort}").parse().expect("a port");
    let node = c.get(&["node", NODE], "{.status.addresses[0].address}");
    assert!(ask(&node, port).expect("an answer").starts_with("web-"));
    assert_eq!(ask("127.0.0.1", port), None);
    let outside = Outside::new(c.env.bridge());
    let said = outside.run(&["curl", "-s", "-m", "10", &format!("http://{node}:{port}/")]);
    assert!(said.starts_with("web-"), "{said:?}");
    // Pods are not reached but by a service.
    let pod = &c.addresses("app=web")[0];
    assert_eq!(outside.run(&["curl", "-s", "-m", "1", &format!("http://{pod}:8080/")]), "");
}

/// A host beside this one: a namespace with a link.
struct Outside {
    name: String,
}

impl Outside {
    fn new(bridge: &str) -> Outside {
        let name = format!("{bridge}-out");
        let link = format!("o{}", &bridge[bridge.len().saturating_sub(12)..]);
        for words in [
            format!("netns add {name}"),
            format!("link add {link} type veth peer name eth0 netns {name}"),
            format!("addr add 198.18.77.1/30 dev {link}"),
            format!("link set {link} up"),
            format!("-n {name} addr add 198.18.77.2/30 dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} route add default via 198.18.77.1"),
        ] {
            let done = Command::new("ip").args(words.split(' ')).status().expect("ip (iproute2)");
            assert!(done.success(), "ip {words}");
        }
        Outside { name }
    }

    fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(words);
        Running::start(command).finish().stdout.trim().to_owned()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn nobody_is_refused(c: &Cluster) {
    let said = shell(c, "wget -O- http://nobody/ 2>&1");
    assert!(said.contains("refused"), "{said}");
    let said = shell(c, "wget -O- http://web:81/ 2>&1");
    assert!(said.contains("refused"), "a port that it has not: {said}");
    let to = format!("{}:80", address(c, "nobody")).parse().expect("an address");
    let error = TcpStream::connect_timeout(&to, Duration::from_secs(20)).expect_err("nobody");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

fn clients_stay(c: &Cluster) {
    let ask = "for i in $(seq 20); do wget -q -O- http://web/; done | sort -u";
    c.kubectl(&["patch", "service", "web", "-p", r#"{"spec":{"sessionAffinity":"ClientIP"}}"#]).ok();
    c.soon("the client stays", || shell(c, ask).lines().count() == 1);
    let one = shell(c, ask);
    assert_eq!(shell(c, ask), one);
    c.kubectl(&["patch", "service", "web", "-p", r#"{"spec":{"sessionAffinity":"None"}}"#]).ok();
    c.soon("it is free again", || shell(c, ask).lines().count() > 1);
}

/// By the name that client libraries use, with what is in every container.
fn the_api_is_a_service(c: &Cluster) {
    let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    assert_eq!(shell(c, &format!("cat {folder}/namespace")), "default");
    assert!(shell(c, &format!("cat {folder}/ca.crt")).starts_with("-----BEGIN CERTIFICATE-----"));
    let review = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let token = format!("Authorization: Bearer {}", shell(c, &format!("cat {folder}/token")).trim());
    let authority = c.env.path("ca.crt");
    std::fs::write(&authority, shell(c, &format!("cat {folder}/ca.crt"))).expect("ca.crt");
    // The client's image has no program that knows certificates: the host's is let into its network.
    let pid = c.env.inspect(&c.container("client"), "{{.State.Pid}}");
    let mut command = c.env.command("nsenter");
    command.args(["-t", pid.trim(), "-n", "curl", "-s", "-m", "20", "--cacert"]).arg(&authority);
    command.args(["--resolve", &format!("kubernetes.default.svc:443:{}", address(c, "kubernetes"))]);
    command.args(["-H", &token, "-H", "Content-Type: application/json", "-d", review]);
    command.arg("https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews");
    let said = Running::start(command).finish();
    assert!(said.ok().stdout.contains("system:serviceaccount:default:default"), "{said}");
}

/// Whoever asks all the time hears an answer each time.
fn nothing_is_lost_when_it_shrinks(c: &Cluster) {
    let mut asking = inside(c, "echo begun; for i in $(seq 300); do wget -q -O- http://web/ || echo LOST; done; echo done");
    asking.wait_for("web-");
    c.kubectl(&["scale", "deployment", "web", "--replicas=1"]).ok();
    let said = asking.finish();
    assert!(said.stdout.contains("done") && !said.stdout.contains("LOST"), "{said}");
    c.soon("one is left", || c.addresses("app=web").len() == 1);
}

/// It is put right when others take it away, stays without noded, and goes when the node leaves.
fn the_table_is_ours(c: &mut Cluster) {
    let (table, ip) = (format!("{}-services", c.env.bridge()), address(c, "web"));
    let exists = || Command::new("nft").args(["list", "table", "ip", &table]).output().is_ok_and(|output| output.status.success());
    assert!(Command::new("nft").args(["delete", "table", "ip", &table]).status().is_ok_and(|status| status.success()));
    c.soon("the table is there again", || exists() && ask(&ip, 80).is_some());
    c.kill();
    assert!(ask(&ip, 80).is_some(), "without noded");
    c.begin();
    c.soon("it answers with a new noded", || shell(c, "wget -q -O- http://web/").starts_with("web-"));
    c.kubectl(&["delete", "deployments,pods", "--all", "--timeout=60s"]).ok();
    c.kubectl(&["delete", "service", "all"]).ok();
    c.soon("its endpoints are gone", || c.get(&["endpoints", "all"], "{.metadata.name}").is_empty());
    c.kill();
    assert!(exists());
    c.noded(&["leave"]).ok();
    assert!(!exists());
    c.nothing_left();
}
