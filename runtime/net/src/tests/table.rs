//! The table as nft(8) reads it, where it is installed.

use std::process::Command;

use super::world::*;
use crate::Port;

const TABLE: &str = "";

#[test]
fn nft_reads_what_was_meant() {
    host(|world| {
        let one = Port { host_ip: Some(HOST), ..udp(53, 5353) };
        let a = world.attach("a", &[tcp(8080, 80), one]);
        // The oracle only: nothing but this test runs it.
        let Ok(output) = Command::new("nft").args(["list", "ruleset"]).output() else {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs nft\n");
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.replace(&a.address.addr().to_string(), "CONTAINER"), TABLE, "{text}");
    });
}
