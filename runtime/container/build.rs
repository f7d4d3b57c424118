//! How `rctr-oci` is linked.

#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

/// Says which C library there is.
const FEATURES: &str = "/usr/include/features.h";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={FEATURES}");
    // It may go on in a sealed copy of itself before its C library starts: `sys::entry`.
    println!("cargo::rustc-link-arg-bin=rctr-oci=-Wl,--entry=rctr_sealed_start");
    if packs_addresses(&std::fs::read_to_string(FEATURES).unwrap_or_default()) {
        // Fourteen thousand addresses in its tables, which are put right at each start: a bit each instead of 24 bytes.
        println!("cargo::rustc-link-arg-bin=rctr-oci=-Wl,-z,pack-relative-relocs");
    }
}

/// A static program puts its addresses right itself, with what its C library has brought along: glibc knows this form since 2.36. An older one
/// would leave them wrong, and so would one that is only there for another machine.
fn packs_addresses(features: &str) -> bool {
    let number = |name: &str| {
        let mut lines = features.lines().filter_map(|line| line.strip_prefix("#define")?.trim_start().strip_prefix(name));
        lines.next()?.trim().parse::<u32>().ok()
    };
    let own = std::env::var_os("HOST") == std::env::var_os("TARGET");
    own && (number("__GLIBC__").zip(number("__GLIBC_MINOR__"))).is_some_and(|version| version >= (2, 36))
}
