//! Beside a firewall of somebody else.

use std::process::Command;

use super::world::*;
use crate::{Network, Wish, attach, remove, restore};

/// Runs a firewall's own program in the test's host. False where it is not installed.
fn run(line: &str) -> bool {
    let mut words = line.split(' ');
    match Command::new(words.next().unwrap()).args(words).output() {
        Ok(output) => {
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(_) => {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: needs {line}\n").as_bytes());
            false
        }
    }
}

fn shown() -> String {
    String::from_utf8(Command::new("iptables-nft").args(["-S", "FORWARD"]).output().unwrap().stdout).unwrap()
}

#[test]
fn a_policy_that_drops_is_got_past_and_refusals_are_not() {
    host(|world| {
        if !run("iptables-nft -P FORWARD DROP") {
            return;
        }
        run("iptables-nft -A FORWARD -d 198.51.100.2 -p tcp --dport 444 -j DROP");
        let network = Network::new("net1", "10.7.1.0/24".parse().unwrap(), &world.network.state.with_file_name("net1"));
        let a = attach(&[Wish::plain(&network)], "a", &[tcp(8080, 80)]).unwrap();
        let b = attach(&[Wish::plain(&network)], "b", &[]).unwrap();
        talk(Some(&world.outside), (HOST, 8080), &listen(&a.netns, 80));
        let (open, closed) = (listen(&world.outside, 443), listen(&world.outside, 444));
        assert_eq!(talk(Some(&a.netns), (NEIGHBOUR, 443), &open), HOST);
        let refused = std::net::SocketAddrV4::new(NEIGHBOUR, 444).into();
        assert!(inside(&a.netns, || std::net::TcpStream::connect_timeout(&refused, SILENCE)).is_err(), "it was refused explicitly");
        let rules = "-P FORWARD DROP\n-A FORWARD -d 198.51.100.2/32 -p tcp -m tcp --dport 444 -j DROP\n\
                     -A FORWARD -i net1 -j ACCEPT\n-A FORWARD -o net1 -j ACCEPT\n";
        assert_eq!(shown(), rules, "not as iptables itself writes it, or twice");
        // From outside not by the container's own address, for all that.
        let direct = std::net::SocketAddrV4::new(a.v4(), 80).into();
        assert!(inside(&world.outside, || std::net::TcpStream::connect_timeout(&direct, SILENCE)).is_err());
        // Somebody sets the firewall up anew.
        run("iptables-nft -F FORWARD");
        restore(&network, &[(a.v4().into(), None, a.ports.clone())]).unwrap();
        assert_eq!(talk(Some(&a.netns), (NEIGHBOUR, 443), &open), HOST);
        drop((a, b, open, closed));
        remove(&network).unwrap();
        assert_eq!(shown(), "-P FORWARD DROP\n");
    });
}

#[test]
fn a_firewall_without_that_policy_is_left_alone() {
    host(|world| {
        if !run("iptables-nft -P FORWARD ACCEPT") {
            return;
        }
        drop(world.attach("a", &[]));
        assert_eq!(shown(), "-P FORWARD ACCEPT\n");
    });
}
