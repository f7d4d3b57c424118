use super::*;

/// The shipped file.
const SHIPPED: &str = include_str!("../../noded.toml");

#[test]
fn the_shipped_file_has_all_defaults() {
    assert_eq!(Config::parse(SHIPPED).unwrap(), Config::default());
    // Every key of it counts: without the file's line the test above would still pass, so each has to be there.
    let table: toml::Table = SHIPPED.parse().unwrap();
    let keys = |table: &toml::Table| table.keys().map(String::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&table), "root run bridge cgroup storage monitor cri cni streaming images agent network control log");
    let section = |name: &str| keys(table[name].as_table().unwrap());
    assert_eq!(section("cri"), "socket group cgroup_driver handlers pod_cidr");
    assert_eq!(section("cni"), "folder programs patience");
    assert_eq!(section("streaming"), "listen");
    assert_eq!(section("images"), "registries certificates logins patience pinned");
    assert_eq!(section("network"), "mode vni port");
    assert_eq!(section("log"), "level");
}

#[test]
fn the_example_of_a_registry_is_right() {
    let example: Vec<&str> = SHIPPED.lines().skip_while(|line| *line != "# [[registry]]").collect();
    let text: Vec<&str> = example.iter().map(|line| line.trim_start_matches("# ").trim_start_matches('#')).collect();
    let config = Config::parse(&text.join("\n")).unwrap();
    assert_eq!(config.registry.len(), 1);
    config.registries().unwrap();
}

#[test]
fn what_is_wrong_is_named() {
    for (text, expected) in [
        ("rot = '/x'", "unknown field `rot`"),
        ("[cri]\nsock = ''", "unknown field `sock`"),
        ("[[registry]]\nlocation = 'a'\nmirrors = []", "unknown field `mirrors`"),
        ("[cni]\nprograms = ['bin']", "cni.programs: \"bin\""),
        ("root = 'state'", "root: \"state\" is not an absolute path"),
        ("bridge = 'a/b'", "bridge: \"a/b\" is no name of an interface"),
        ("bridge = 'abcdefghijklmnop'", "is no name of an interface"),
        ("cgroup = '/a/../b'", "cgroup: \"/a/../b\""),
        ("cgroup = 'a'", "cgroup: \"a\""),
        ("storage = 'zfs'", "storage"),
        ("[cri]\npod_cidr = '10.0.0.0'", "cri.pod_cidr: \"10.0.0.0\""),
        ("[cri]\ncgroup_driver = 'x'", "unknown variant `x`"),
        ("[cri]\nhandlers = ['a b']", "cri.handlers: \"a b\""),
        ("[streaming]\nlisten = '0.0.0.0:10010'", "streaming.listen: 0.0.0.0:10010: only an address of the loopback"),
        ("[images]\npinned = ['A!']", "images.pinned: \"A!\""),
        ("[network]\nmode = 'x'", "unknown variant `x`"),
        ("[network]\nvni = 0", "network.vni: 0 is not from 1"),
        ("[control]\npod_cidr = '10.96.0.0/12'", "control.pod_cidr: 10.96.0.0/12 overlaps the addresses of services"),
        ("[control]\nnode_ports = '2-1'", "not two ports, such as 30000-32767"),
        ("[control]\nservice_cidr = '10.96.0.1/16'", "control.service_cidr: 10.96.0.1/16 is not the first address"),
        ("[control]\nnode_certificate = 0", "control.node_certificate: 0 is not from 1"),
        ("[agent]\nfolder = 'x'", "agent.folder: \"x\" is not an absolute path"),
        ("[control]\nnode_prefix = 15", "control.node_prefix: 15 is not from 16 to 30"),
        ("[log]\nlevel = 'loud'", "unknown variant `loud`"),
        ("[[registry]]\nlocation = 'https://a'", "a location is host[:port][/path]"),
    ] {
        let error = Config::parse(text).unwrap_err();
        let said = crate::host::chain(error.as_ref());
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn only_the_usual_file_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("noded.toml");
    assert!(crate::host::chain(Config::load(Some(&file)).unwrap_err().as_ref()).contains("No such file"));
    std::fs::write(&file, "[cri]\nsocket = '/run/x/cri.sock'").unwrap();
    assert_eq!(Config::load(Some(&file)).unwrap().cri.socket, Path::new("/run/x/cri.sock"));
}

#[test]
fn a_reload_names_what_waits_for_a_restart() {
    let old = Config::default();
    let mut new = old.clone();
    new.images.patience = 1;
    assert!(old.fixed_differences(&new).is_empty());
    new.cri.group = 7;
    new.root = "/x".into();
    assert_eq!(old.fixed_differences(&new), ["root", "[cri]"]);
}
