//! The course notes' story, which `integration/demo --cluster` tells with a clock: three nodes, three web servers, a Python and a node service.
//! One node dies, and everything is back.

use integration::catalog::{NODEINFO, PYINFO, WEB};
use integration::env::{Running, applications};
use integration::lab::{Client, Lab};

integration::tests![one_node_dies_and_everything_is_back];

/// Name, image, how many, and the port of each.
const ALL: [(&str, &str, usize, u16); 3] = [("web", WEB, 3, 80), ("pyinfo", PYINFO, 1, 8000), ("nodeinfo", NODEINFO, 1, 8080)];

fn one_node_dies_and_everything_is_back() {
    applications();
    let mut lab = Lab::start(&[1, 1, 2], "");
    for (name, image, count, port) in ALL {
        lab.nodes.values().for_each(|node| node.pull(&lab.env, image));
        let (image, replicas) = (format!("--image={image}"), format!("--replicas={count}"));
        lab.kubectl(&["create", "deployment", name, &image, &replicas]).ok();
        lab.kubectl(&["expose", "deployment", name, "--port=80", &format!("--target-port={port}")]).ok();
    }
    for (name, ..) in ALL {
        lab.kubectl(&["rollout", "status", "deployment", name, "--timeout=60s"]).ok();
        answers(&lab, name);
    }
    let client = Client::ask(&lab.env, &lab.wires, 1, &format!("{}:80", address(&lab, "web")));
    lab.soon("the client hears answers", || client.count().0 > 5);
    let (_, begun) = client.count();

    let used =
        |lab: &Lab, node: &str| ALL.iter().any(|(name, ..)| lab.pods(&format!("app={name}")).iter().any(|pod| pod.node == node));
    let victim = ["two", "three"].into_iter().find(|node| used(&lab, node)).expect("pods are on several nodes");
    lab.node(victim).power_off();
    lab.soon("it counts as lost", || !lab.ready().contains(&victim.to_owned()));
    for (name, _, count, _) in ALL {
        lab.soon(&format!("{name} is done by others"), || {
            let pods = lab.pods(&format!("app={name}"));
            pods.iter().filter(|pod| pod.node != victim && pod.ready).count() == count
        });
        answers(&lab, name);
    }
    let (before, lost) = client.count();
    let missed = lost - begun;
    lab.soon("the client hears answers again", || client.count().0 > before + 20);
    let (heard, after) = client.count();
    // Until the node is missed a third of the questions go to it, and each one waits for a second.
    assert!(after == lost && missed < 30, "{missed} lost until a node was missed, {} after that, {heard} heard", after - lost);
    lab.node(victim).power_on();
    lab.soon("it is back", || lab.ready().len() == 3);
}

fn address(lab: &Lab, name: &str) -> String {
    lab.get(&["service", name], "{.spec.clusterIP}")
}

/// Each service answers at its own address.
fn answers(lab: &Lab, name: &str) {
    let url = format!("http://{}/", address(lab, name));
    lab.soon(&format!("{name} answers"), || {
        let mut command = lab.wires.command(&lab.env, 1, "curl");
        command.args(["-sf", "-m", "2", "-o", "/dev/null", &url]);
        Running::start(command).finish().code == 0
    });
}
