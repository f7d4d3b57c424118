//! The table as nft(8) reads it, where it is installed.

use std::process::Command;

use super::world::*;
use crate::Port;

const TABLE: &str = r#"table ip rctr0 {
	comment "rctr 1: rctr0 172.29.0.0/16"
	map published {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : CONTAINER . 80 }
	}

	map published_on {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
		elements = { 198.51.100.1 . udp . 53 : CONTAINER . 5353 }
	}

	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		oifname "rctr0" ct state established,related accept
		oifname "rctr0" ct status dnat accept
		oifname "rctr0" iifname != "rctr0" drop
	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_on
		fib daddr type local dnat ip to meta l4proto . th dport map @published
	}

	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_on
		fib daddr type local dnat ip to meta l4proto . th dport map @published
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "rctr0" ip saddr 127.0.0.0/8 masquerade
		oifname "rctr0" ip saddr 172.29.0.0/16 ct status dnat masquerade
		oifname != "rctr0" ip saddr 172.29.0.0/16 ip daddr != 172.29.0.0/16 masquerade
	}
}
"#;

#[test]
fn nft_reads_what_was_meant() {
    host(|world| {
        let one = Port { host_ip: Some(HOST.into()), ..udp(53, 5353) };
        let a = world.attach("a", &[tcp(8080, 80), one]);
        // The oracle only: nothing but this test runs it.
        let Ok(output) = Command::new("nft").args(["list", "ruleset"]).output() else {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs nft\n");
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.replace(&a.v4().to_string(), "CONTAINER"), TABLE, "{text}");
    });
}
