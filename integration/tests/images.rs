//! `images`, `rmi`, and what `inspect` says of images.

use integration::env::Env;

integration::tests![
    table_has_dockers_columns,
    formats_and_filters,
    rmi_removes_what_nobody_needs,
    rmi_keeps_what_another_image_needs,
    rmi_refuses_an_image_in_use,
    rmi_of_an_unknown_image,
    inspect_has_dockers_shape,
];

fn table_has_dockers_columns() {
    let t = Env::new();
    t.rctr(["images"]).ok().has("REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
    t.rctr(["pull", "-q", "busybox"]).ok();
    let table = t.rctr(["images"]);
    let lines = table.ok().lines();
    let header: Vec<_> = lines[0].split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    assert_eq!(header, ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], "{table}");
    let row: Vec<_> = lines[1].split_whitespace().collect();
    assert!(row[0] == "busybox" && row[1] == "latest" && row[2].len() == 12 && lines[1].ends_with("MB"), "{table}");
    assert!(lines[1].contains(" ago "), "{table}");
    let quiet = t.rctr(["images", "-q"]);
    assert_eq!(quiet.ok().text(), row[2]);
    assert_eq!(t.inspect("busybox", "{{.Id}}")[..19], format!("sha256:{}", row[2]));
}

fn formats_and_filters() {
    let t = Env::new();
    for image in ["busybox", "test/probe"] {
        t.rctr(["pull", "-q", image]).ok();
    }
    let all = t.rctr(["images", "--format", "{{.Repository}}"]);
    let mut names = all.ok().lines();
    names.sort_unstable();
    assert_eq!(names, ["busybox", "test/probe"], "{all}");
    t.rctr(["images", "--format", "{{.Repository}}:{{.Tag}}", "test/probe"]).ok().says("test/probe:latest\n");
    let row = t.rctr(["images", "--format", "json", "busybox"]);
    let row = row.ok().json();
    assert_eq!((row["Repository"].as_str(), row["Tag"].as_str()), (Some("busybox"), Some("latest")));
    let long = t.rctr(["images", "-q", "--no-trunc", "busybox"]);
    assert!(long.ok().text().starts_with("sha256:") && long.text().len() == 71, "{long}");
}

fn rmi_removes_what_nobody_needs() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let id = t.inspect("busybox", "{{.Id}}");
    t.rctr(["rmi", "busybox"]).ok().has("Untagged: busybox:latest\n").has(&format!("Deleted: {id}\n"));
    t.rctr(["images", "-q"]).ok().says("");
    for folder in ["layers/sha256", "blobs/sha256"] {
        let left: Vec<_> = std::fs::read_dir(t.root().join("images").join(folder)).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "left in {folder}: {left:?}");
    }
    t.rctr(["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    t.nothing_left();
}

fn rmi_keeps_what_another_image_needs() {
    let t = Env::new();
    for image in ["test/config", "test/tree"] {
        t.rctr(["pull", "-q", image]).ok();
    }
    t.rctr(["rmi", "test/config"]).ok();
    t.rctr(["run", "--rm", "--network", "none", "test/tree", "/probe", "out", "whole"]).ok().says("whole\n");
    t.nothing_left();
}

fn rmi_refuses_an_image_in_use() {
    let t = Env::new();
    let id = t.start(["--network", "none", "busybox", "sleep", "1000"]);
    t.rctr(["rmi", "busybox"]).fails(125, &["busybox", &id[..12], "use"]);
    t.rctr(["exec", &id, "true"]).ok();
    t.rctr(["rm", "-f", &id]).ok();
    t.rctr(["rmi", "busybox"]).ok();
    t.nothing_left();
}

fn rmi_of_an_unknown_image() {
    let t = Env::new();
    t.rctr(["rmi", "nothing:v9"]).fails(125, &["nothing:v9", "no such image"]);
}

fn inspect_has_dockers_shape() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/config"]).ok();
    let all = t.rctr(["inspect", "test/config"]);
    let image = &all.ok().json()[0];
    assert!(image["Id"].as_str().is_some_and(|id| id.len() == 71), "{image}");
    assert_eq!(image["RepoTags"], serde_json::json!(["test/config:latest"]));
    assert_eq!(image["RepoDigests"].as_array().map(Vec::len), Some(1));
    assert_eq!((image["Os"].as_str(), image["Architecture"].as_str()), (Some("linux"), Some(integration::oci::architecture())));
    let config = &image["Config"];
    assert_eq!(config["User"], "app");
    assert_eq!(config["WorkingDir"], "/srv/deep");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/probe", "args"]));
    assert_eq!(config["Cmd"], serde_json::json!(["from", "cmd"]));
    assert_eq!(config["Labels"]["maker"], "integration");
    assert_eq!(config["ExposedPorts"], serde_json::json!({"53/udp": {}, "8080/tcp": {}}));
    assert!(config["Env"].as_array().is_some_and(|env| env.iter().any(|variable| variable == "COLOUR=blue")), "{image}");
    assert_eq!(image["RootFS"]["Type"], "layers");
    assert_eq!(image["RootFS"]["Layers"].as_array().map(Vec::len), Some(2));
    assert!(image["Size"].as_u64().is_some_and(|size| size > 1_000_000), "{image}");
}
