//! The fixtures themselves.

use integration::env::{applications, world};
use integration::http;

integration::tests![every_file_here_is_a_module, registry_serves_the_small_images, registry_serves_the_applications];

fn every_file_here_is_a_module() {
    let main = include_str!("main.rs");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    for entry in std::fs::read_dir(folder).expect("the folder of the tests").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let module = name.trim_end_matches(".rs");
        let known = main.contains(&format!("mod {module};")) && main.contains(&format!("{module}::TESTS"));
        assert!(module == "main" || known, "{name} is not part of main.rs");
    }
}

fn registry_serves_the_small_images() {
    tags(&["library/busybox", "test/probe", "test/tree"]);
}

fn registry_serves_the_applications() {
    applications();
    tags(&["smlinux/nodeinfo", "smlinux/web", "smlinux/pyinfo"]);
}

fn tags(repositories: &[&str]) {
    for repository in repositories {
        let answer = http::get(&world().registry.address, &format!("/v2/{repository}/tags/list")).expect("an answer");
        assert_eq!(answer.status, 200, "{repository}: {}", answer.text());
    }
}
