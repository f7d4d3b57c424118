use cri::{Capability, ContainerMetadata, HugepageLimit, ImageSpec, Int64Value, LinuxContainerConfig, LinuxContainerResources};
use cri::{LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount, SecurityProfile};
use engine::{Access, GroupPolicy, MountSource, Propagation};

use super::*;

const POD: &str = "abc";

fn config() -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "web".into(), attempt: 1 }),
        image: Some(ImageSpec { image: "sha256:1".into(), user_specified_image: "web:1".into(), ..Default::default() }),
        ..ContainerConfig::default()
    }
}

fn asked(config: &ContainerConfig) -> Result<CreateRequest, String> {
    asked_in(&PodSandboxConfig { log_directory: "/logs".into(), ..Default::default() }, config)
}

fn asked_in(pod: &PodSandboxConfig, config: &ContainerConfig) -> Result<CreateRequest, String> {
    wanted(POD, pod, config, &Beyond::default()).map(|wanted| wanted.request).map_err(|status| {
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        status.message().to_owned()
    })
}

fn context(context: LinuxContainerSecurityContext) -> ContainerConfig {
    ContainerConfig { linux: Some(LinuxContainerConfig { security_context: Some(context), resources: None }), ..config() }
}

fn limits(resources: LinuxContainerResources) -> ContainerConfig {
    ContainerConfig { linux: Some(LinuxContainerConfig { security_context: None, resources: Some(resources) }), ..config() }
}

#[test]
fn a_plain_container() {
    let request = asked(&config()).unwrap();
    assert_eq!(request.pod.map(|member| (member.pod, member.name, member.attempt)), Some((POD.into(), "web".into(), 1)));
    assert_eq!((request.image.as_str(), request.entrypoint, request.cmd), ("web:1", None, vec![]));
    assert!(request.tuning.log.none && request.tuning.log.path.is_none());
    assert_eq!(request.namespaces.pid, Sharing::Pod(POD.into()));
    // Nothing said is no filter.
    assert!(request.security.seccomp_unconfined);
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(asked(&ContainerConfig::default()).unwrap_err(), "metadata: it is missing");
    assert_eq!(asked(&ContainerConfig { image: None, ..config() }).unwrap_err(), "image: it is missing");
    let nameless = ContainerConfig { metadata: Some(ContainerMetadata::default()), ..config() };
    assert_eq!(asked(&nameless).unwrap_err(), "metadata.name: it is empty");
}

#[test]
fn logs_stay_below_the_folder_of_the_pod() {
    let log = |path: &str| asked(&ContainerConfig { log_path: path.into(), ..config() });
    assert_eq!(log("web/0.log").unwrap().tuning.log.path, Some("/logs/web/0.log".into()));
    for path in ["/etc/passwd", "../x.log", "web/../../x.log", "a\nb"] {
        assert!(log(path).unwrap_err().starts_with("log_path"), "{path}");
    }
}

#[test]
fn commands_replace_entrypoints() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let request = asked(&ContainerConfig { command: words("sh -c"), args: words("ls"), ..config() }).unwrap();
    assert_eq!((request.entrypoint, request.cmd), (Some(words("sh -c")), words("ls")));
}

#[test]
fn variables_are_pairs() {
    let env = |key: &str, value: &[u8]| {
        asked(&ContainerConfig { envs: vec![KeyValue { key: key.into(), value: value.to_vec() }], ..config() })
    };
    assert_eq!(env("A", b"x=y\n").unwrap().env, ["A=x=y\n"]);
    for (key, value) in [("", &b"x"[..]), ("A=B", b"x"), ("A", b"x\0"), ("A", b"\xff")] {
        assert!(env(key, value).unwrap_err().starts_with("envs"));
    }
}

#[test]
fn users_and_groups() {
    let id = |value| Some(Int64Value { value });
    let base = LinuxContainerSecurityContext::default;
    let user = |security| asked(&context(security)).map(|request| request.user);
    assert_eq!(user(base()).unwrap(), None);
    assert_eq!(user(LinuxContainerSecurityContext { run_as_user: id(0), ..base() }).unwrap(), Some("0".into()));
    assert_eq!(
        user(LinuxContainerSecurityContext { run_as_user: id(7), run_as_group: id(8), ..base() }).unwrap(),
        Some("7:8".into())
    );
    assert_eq!(
        user(LinuxContainerSecurityContext { run_as_username: "app".into(), run_as_group: id(8), ..base() }).unwrap(),
        Some("app:8".into())
    );
    assert!(user(LinuxContainerSecurityContext { run_as_group: id(8), ..base() }).unwrap_err().starts_with("run_as_group"));
    for bad in [-1, 1 << 31, i64::MAX] {
        assert!(user(LinuxContainerSecurityContext { run_as_user: id(bad), ..base() }).is_err());
        assert!(user(LinuxContainerSecurityContext { supplemental_groups: vec![bad], ..base() }).is_err());
    }
    assert!(user(LinuxContainerSecurityContext { run_as_username: "a:b".into(), ..base() }).is_err());
    let tuning =
        asked(&context(LinuxContainerSecurityContext { supplemental_groups: vec![5, 6], supplemental_groups_policy: 1, ..base() }));
    let tuning = tuning.unwrap().tuning;
    assert_eq!((tuning.groups, tuning.group_policy), (vec!["5".to_owned(), "6".to_owned()], GroupPolicy::Strict));
}

#[test]
fn profiles() {
    let profile = |kind: i32, file: &str| Some(SecurityProfile { profile_type: kind, localhost_ref: file.into() });
    let with = |seccomp| LinuxContainerSecurityContext { seccomp, ..Default::default() };
    let of = |security| {
        wanted(POD, &PodSandboxConfig::default(), &context(security), &Beyond::default())
            .map(|wanted| (wanted.request.security.seccomp_unconfined, wanted.seccomp))
    };
    assert_eq!(of(with(profile(0, ""))).unwrap(), (false, Seccomp::Own));
    assert_eq!(of(with(profile(1, ""))).unwrap(), (true, Seccomp::Own));
    assert_eq!(of(with(profile(2, "/p.json"))).unwrap(), (false, Seccomp::File("/p.json".into())));
    assert!(of(with(profile(2, "p.json"))).is_err() && of(with(profile(2, "/../p"))).is_err() && of(with(profile(3, ""))).is_err());
    let apparmor = |apparmor| {
        asked(&context(LinuxContainerSecurityContext { apparmor, ..Default::default() })).map(|request| request.security.apparmor)
    };
    assert_eq!(apparmor(profile(0, "")).unwrap(), None);
    assert_eq!(apparmor(profile(1, "")).unwrap(), Some("unconfined".into()));
    assert_eq!(apparmor(profile(2, "localhost/p")).unwrap(), Some("p".into()));
    assert!(apparmor(profile(2, "")).is_err());
}

#[test]
fn privileged_containers_need_a_privileged_pod() {
    let seccomp = Some(SecurityProfile { profile_type: 0, localhost_ref: String::new() });
    let config = context(LinuxContainerSecurityContext { privileged: true, seccomp, ..Default::default() });
    assert!(asked(&config).unwrap_err().starts_with("privileged"));
    let security_context = Some(LinuxSandboxSecurityContext { privileged: true, ..Default::default() });
    let pod =
        PodSandboxConfig { linux: Some(LinuxPodSandboxConfig { security_context, ..Default::default() }), ..Default::default() };
    let security = asked_in(&pod, &config).unwrap().security;
    assert!(security.privileged && security.seccomp_unconfined);
}

#[test]
fn capabilities_are_words() {
    let of = |name: &str| {
        let capabilities = Some(Capability { add_capabilities: vec![name.into()], ..Default::default() });
        asked(&context(LinuxContainerSecurityContext { capabilities, ..Default::default() }))
            .map(|request| request.security.cap_add)
    };
    assert_eq!(of("NET_ADMIN").unwrap(), ["NET_ADMIN"]);
    assert!(of("").is_err() && of("NET ADMIN").is_err());
}

#[test]
fn targets_are_ids() {
    let target = |id: &str| {
        let namespace_options = Some(NamespaceOption { pid: 3, target_id: id.into(), ..Default::default() });
        asked(&context(LinuxContainerSecurityContext { namespace_options, ..Default::default() }))
            .map(|request| request.namespaces.pid)
    };
    assert_eq!(target("abc").unwrap(), Sharing::Container("abc".into()));
    assert!(target("").is_err() && target("a_name").is_err());
}

#[test]
fn mounts_of_the_host() {
    let base = || Mount { container_path: "/data/".into(), host_path: "/srv".into(), ..Mount::default() };
    let of = |mount| asked(&ContainerConfig { mounts: vec![mount], ..config() }).map(|mut request| request.mounts.remove(0));
    let plain = of(base()).unwrap();
    assert_eq!(plain.target, Path::new("/data"));
    assert_eq!(plain.source, MountSource::Bind { path: "/srv".into(), create: false, recursive: true, part: None });
    assert_eq!((plain.access, plain.propagation), (Access::Write, Some(Propagation::RPrivate)));
    assert_eq!(of(Mount { readonly: true, propagation: 1, ..base() }).unwrap().access, Access::ReadTop);
    assert_eq!(of(Mount { propagation: 2, ..base() }).unwrap().propagation, Some(Propagation::RShared));
    assert_eq!(of(Mount { readonly: true, recursive_read_only: true, ..base() }).unwrap().access, Access::Read);
    for (bad, expected) in [
        (Mount { recursive_read_only: true, ..base() }, "RROUnsupported"),
        (Mount { readonly: true, recursive_read_only: true, propagation: 1, ..base() }, "RROUnsupported"),
        (Mount { host_path: String::new(), ..base() }, "mounts.host_path"),
        (Mount { host_path: "srv".into(), ..base() }, "mounts.host_path"),
        (Mount { container_path: "../x".into(), ..base() }, "mounts.container_path"),
        (Mount { propagation: 9, ..base() }, "mounts.propagation"),
        (Mount { mount_options: vec!["noexec".into()], ..base() }, "mounts"),
        (Mount { uid_mappings: vec![Default::default()], ..base() }, "mounts"),
        (Mount { image_sub_path: "x".into(), ..base() }, "mounts.image_sub_path"),
    ] {
        let said = of(bad).unwrap_err();
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn images_are_mounted_to_be_read() {
    let image = Some(ImageSpec { image: "sha256:2".into(), ..Default::default() });
    let base = || Mount { container_path: "/i".into(), image: image.clone(), readonly: true, ..Mount::default() };
    let of = |mount| asked(&ContainerConfig { mounts: vec![mount], ..config() }).map(|mut request| request.mounts.remove(0).source);
    let source = |subpath: Option<&str>| MountSource::Image {
        name: "sha256:2".into(),
        subpath: subpath.map(Into::into),
        manifest: None,
        layers: vec![],
    };
    assert_eq!(of(base()).unwrap(), source(None));
    assert_eq!(of(Mount { image_sub_path: "a/b".into(), ..base() }).unwrap(), source(Some("a/b")));
    assert!(of(Mount { readonly: false, ..base() }).unwrap_err().starts_with("ImageVolumeMountFailed"));
    assert!(of(Mount { host_path: "/x".into(), ..base() }).unwrap_err().starts_with("ImageVolumeMountFailed"));
    assert!(of(Mount { image_sub_path: "../x".into(), ..base() }).is_err());
}

#[test]
fn limits_are_numbers_of_the_kernel() {
    let base = LinuxContainerResources::default;
    let of = |resources| asked(&limits(resources)).map(|request| request.resources);
    assert_eq!(of(base()).unwrap(), engine::Resources::default());
    let set = LinuxContainerResources {
        memory_limit_in_bytes: 1 << 20,
        cpu_shares: 2,
        cpu_quota: -1,
        cpuset_cpus: "0-1,3".into(),
        ..base()
    };
    let resources = of(set).unwrap();
    assert_eq!((resources.memory, resources.cpu_shares, resources.cpu_quota), (Some(1 << 20), Some(2), Some(-1)));
    let page = |size: &str| HugepageLimit { page_size: size.into(), limit: 7 };
    assert_eq!(of(LinuxContainerResources { hugepage_limits: vec![page("2MB")], ..base() }).unwrap().huge_pages["2MB"], 7);
    let unified = |file: &str| LinuxContainerResources { unified: [(file.to_owned(), "1".to_owned())].into(), ..base() };
    assert_eq!(of(unified("memory.high")).unwrap().unified["memory.high"], "1");
    for bad in [
        LinuxContainerResources { memory_limit_in_bytes: -2, ..base() },
        LinuxContainerResources { cpu_shares: -1, ..base() },
        LinuxContainerResources { cpu_period: i64::MIN, ..base() },
        LinuxContainerResources { oom_score_adj: 1001, ..base() },
        LinuxContainerResources { cpuset_cpus: "0;1".into(), ..base() },
        LinuxContainerResources { hugepage_limits: vec![page("../x")], ..base() },
        unified("../cgroup.procs"),
        unified("cgroup.kill"),
        unified("memory"),
    ] {
        assert!(of(bad.clone()).is_err(), "{bad:?}");
    }
}

#[test]
fn devices_and_signals() {
    let of =
        |device| asked(&ContainerConfig { devices: vec![device], ..config() }).map(|mut request| request.tuning.devices.remove(0));
    let base = || cri::Device { host_path: "/dev/null".into(), permissions: "rw".into(), ..Default::default() };
    assert_eq!(of(base()).unwrap().container, Path::new("/dev/null"));
    assert!(of(cri::Device { permissions: "x".into(), ..base() }).is_err());
    assert!(of(cri::Device { host_path: "null".into(), ..base() }).is_err());
    let named = |name: &str| ContainerConfig { cdi_devices: vec![cri::CdiDevice { name: name.into() }], ..config() };
    assert_eq!(asked(&named("vendor.com/gpu=0")).unwrap().tuning.cdi, ["vendor.com/gpu=0"]);
    assert!(asked(&named("")).unwrap_err().starts_with("CDI_devices"));
    let signal = |signal| asked(&ContainerConfig { stop_signal: signal, ..config() }).map(|request| request.stop_signal);
    assert_eq!(signal(0).unwrap(), None);
    assert_eq!(signal(cri::Signal::Sigusr1.into()).unwrap(), Some(10));
    assert!(signal(99).unwrap_err().starts_with("stop_signal"));
}
