//! How `rctr-oci` is linked.

#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // It may go on in a sealed copy of itself before its C library starts: `sys::entry`.
    println!("cargo::rustc-link-arg-bin=rctr-oci=-Wl,--entry=rctr_sealed_start");
}
