//! The real programs, on the real kernel, with a real registry. See `integration/test --help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use integration::runner;

mod apps;
mod build;
mod build_cache;
mod build_sources;
mod build_squash;
mod callers;
mod changes;
mod cli;
mod cluster;
mod concurrency;
mod container_names;
mod cp;
mod create_start;
mod cri;
mod events;
mod exec;
mod failures;
mod firewalls;
mod fixtures;
mod flags;
mod images;
mod inspect;
mod kill9;
mod limits;
mod lines;
mod logs;
mod mount;
mod mounts;
mod named_volumes;
mod namespaces;
mod networks;
mod platforms;
mod pods;
mod ports;
mod ps;
mod pull;
mod relays;
mod remote;
mod rootless;
mod run;
mod secrets;
mod security;
mod service;
mod store;
mod tree;
mod userns;
mod users;
mod volumes;

fn main() -> ExitCode {
    let ours = [
        fixtures::TESTS,
        cli::TESTS,
        pull::TESTS,
        tree::TESTS,
        images::TESTS,
        remote::TESTS,
        mount::TESTS,
        run::TESTS,
        create_start::TESTS,
        events::TESTS,
        exec::TESTS,
        logs::TESTS,
        inspect::TESTS,
        ps::TESTS,
        users::TESTS,
        userns::TESTS,
        volumes::TESTS,
        named_volumes::TESTS,
        mounts::TESTS,
        changes::TESTS,
        ports::TESTS,
        relays::TESTS,
        rootless::TESTS,
        rootless::end::TESTS,
        rootless::ids::TESTS,
        firewalls::TESTS,
        namespaces::TESTS,
        networks::TESTS,
        container_names::TESTS,
        limits::TESTS,
        security::TESTS,
        failures::TESTS,
        concurrency::TESTS,
        kill9::TESTS,
        store::TESTS,
        apps::TESTS,
        build::TESTS,
        build_sources::TESTS,
        build_squash::TESTS,
        build_cache::TESTS,
        platforms::TESTS,
        secrets::TESTS,
        flags::TESTS,
        lines::TESTS,
        service::TESTS,
    ];
    runner::main(&[ours.as_slice(), cp::TESTS, pods::TESTS, callers::TESTS, cri::TESTS, cluster::TESTS].concat())
}
