//! Whole units of whole files.

use std::path::{Path, PathBuf};

use super::syntax::Unit;
use super::units::{Host, Service, Source, services};

fn made(files: &[(&str, &str)]) -> Vec<Result<Service, String>> {
    let source = |(name, text): &(&str, &str)| Source { path: Path::new("/etc/q").join(name), unit: Unit::parse(text) };
    let sources: Vec<_> = files.iter().map(source).collect();
    let host = Host { program: "/usr/bin/rctr", exists: &|path| path == Path::new("/dev/here") };
    services(&sources, &host).into_iter().map(|(_, made)| made).collect()
}

/// The unit of the first file.
fn text(files: &[(&str, &str)]) -> String {
    made(files).swap_remove(0).unwrap().text
}

/// The line of a unit that begins so.
fn line(files: &[(&str, &str)], key: &str) -> String {
    let text = text(files);
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
}

const WEB: &str = "\
[Unit]
Description=A web server
After=db.container

[Container]
Image=web.image
Volume=data.volume:/data:ro
Volume=./site:/site
Volume=plain:/plain
Network=front.network:ip=10.1.2.3
PublishPort=8080:80
Environment=A=1 \"B=two words\"
EnvironmentFile=web.env
AddDevice=-/dev/here:/dev/x -/dev/away
Exec=serve --name %i \"a b\" $HOST

[Service]
Restart=on-failure

[Install]
WantedBy=multi-user.target
";

#[test]
fn a_container_with_all_that_it_needs() {
    let others = [
        ("data.volume", "[Volume]\n"),
        ("front.network", "[Network]\nNetworkName=front\n"),
        ("web.image", "[Image]\nImage=docker.io/library/nginx:1\n"),
        ("db.container", "[Container]\nImage=db\n"),
    ];
    let files: Vec<_> = [("web.container", WEB)].into_iter().chain(others).collect();
    let service = made(&files).swap_remove(0).unwrap();
    assert_eq!(service.name, "web.service");
    assert_eq!(service.links, [("multi-user.target.wants/web.service".to_owned(), "../web.service".to_owned())]);
    let expected = "\
# Made by rctr-generator of /etc/q/web.container: change that, then call systemctl daemon-reload.

[Unit]
Wants=network-online.target
After=network-online.target
Description=A web server
After=db.service
RequiresMountsFor=/var/lib/rctr
Requires=data-volume.service
After=data-volume.service
Requires=front-network.service
After=front-network.service
Requires=web-image.service
After=web-image.service
SourcePath=/etc/q/web.container

[X-Container]
Image=web.image
Volume=data.volume:/data:ro
Volume=./site:/site
Volume=plain:/plain
Network=front.network:ip=10.1.2.3
PublishPort=8080:80
Environment=A=1 \"B=two words\"
EnvironmentFile=web.env
AddDevice=-/dev/here:/dev/x -/dev/away
Exec=serve --name %i \"a b\" $HOST

[Service]
Environment=RCTR_CONTEXT=default
SuccessExitStatus=129 130 141 143
Restart=on-failure
SyslogIdentifier=%N
KillMode=mixed
Delegate=yes
ExecStop=/usr/bin/rctr stop --ignore systemd-web
ExecStopPost=-/usr/bin/rctr rm --volumes --force --ignore systemd-web
Type=notify
NotifyAccess=all
ExecStart=/usr/bin/rctr run --name systemd-web --replace --rm --cgroups split --env A=1 --env \"B=two words\" \
--publish 8080:80 --detach --sdnotify conmon --log-driver journald --log-opt tag={{.Name}} --device /dev/here:/dev/x \
--env-file /etc/q/web.env --volume systemd-data:/data:ro --volume /etc/q/site:/site --volume plain:/plain \
--network front:ip=10.1.2.3 docker.io/library/nginx:1 serve --name %i \"a b\" $HOST

[Install]
WantedBy=multi-user.target
";
    assert_eq!(service.text, expected);
}

#[test]
fn a_volume_a_network_an_image_and_a_build() {
    let volume = "[Volume]\nUser=7\nGID=8\nLabel=a=b\n[Quadlet]\nDefaultDependencies=no\n";
    let expected = "\
# Made by rctr-generator of /etc/q/data.volume: change that, then call systemctl daemon-reload.

[X-Volume]
User=7
GID=8
Label=a=b

[X-Quadlet]
DefaultDependencies=no

[Unit]
RequiresMountsFor=/var/lib/rctr
SourcePath=/etc/q/data.volume

[Service]
Environment=RCTR_CONTEXT=default
Type=oneshot
RemainAfterExit=yes
SyslogIdentifier=%N
ExecStart=/usr/bin/rctr volume create --label a=b --opt o=uid=7,gid=8 systemd-data
";
    assert_eq!(text(&[("data.volume", volume)]), expected);
    for (name, text, command) in [
        (
            "n.network",
            "[Network]\nSubnet=10.9.0.0/24\nGateway=10.9.0.1\nInternal=true\nOptions=mtu=1400\nServiceName=other",
            "network create --ignore --subnet 10.9.0.0/24 --gateway 10.9.0.1 --internal --opt mtu=1400 systemd-n",
        ),
        (
            "i.image",
            "[Image]\nImage=quay.io/a/b\nArch=arm64\nVariant=v8\nTLSVerify=false",
            "pull --quiet --platform linux/arm64/v8 --tls-verify=false quay.io/a/b",
        ),
        (
            "b.build",
            "[Build]\nImageTag=localhost/x\nFile=src/Dockerfile\nPull=always\nBuildArg=A=1 B=2",
            "build --progress plain --tag localhost/x --build-arg A=1 --build-arg B=2 --pull --file /etc/q/src/Dockerfile /etc/q/src",
        ),
        (
            "b.build",
            "[Build]\nImageTag=localhost/x\nSetWorkingDirectory=https://example.com/x.git",
            "build --progress plain --tag localhost/x https://example.com/x.git",
        ),
    ] {
        assert_eq!(line(&[(name, text)], "ExecStart"), format!("/usr/bin/rctr {command}"));
    }
    assert_eq!(made(&[("n.network", "[Network]\nServiceName=other")])[0].as_ref().unwrap().name, "other.service");
    assert!(text(&[("i.image", "[Image]\nImage=x\nAuthFile=a.json")]).contains("\nEnvironment=REGISTRY_AUTH_FILE=/etc/q/a.json\n"));
}

#[test]
fn templates_and_their_instances() {
    let files = [("a@.container", "[Container]\nImage=x\nVolume=d@.volume:/d\nExec=%i"), ("d@.volume", "[Volume]\n")];
    let command = line(&files, "ExecStart");
    assert!(command.contains("--name systemd-%p_%i ") && command.ends_with("--volume systemd-d-%i:/d x %i"), "{command}");
    assert_eq!(line(&files, "Requires"), "d-volume@%i.service");
    let names: Vec<_> = made(&files).into_iter().map(|made| made.unwrap().name).collect();
    assert_eq!(names, ["a@.service", "d-volume@.service"]);
    assert_eq!(made(&[("d@1.volume", "[Volume]")])[0].as_ref().unwrap().name, "d-volume@1.service");
}

#[test]
fn how_a_container_is_told_to_be_ready_stopped_and_reloaded() {
    let unit = |more: &str| text(&[("a.container", &format!("[Container]\nImage=x\n{more}\n"))]);
    let startup = unit("HealthCmd=well\nHealthStartupCmd=up\nHealthStartupSuccess=2\nHealthStartupRetries=0");
    assert!(startup.contains(" --health-cmd well --health-startup-cmd up --health-startup-success 2 "), "{startup}");
    assert!(unit("Notify=healthy").contains(" --sdnotify healthy ") && unit("Notify=yes").contains(" --sdnotify container "));
    assert!(unit("ReloadSignal=HUP").contains("\nExecReload=/usr/bin/rctr kill --signal HUP systemd-a\n"));
    // All commands of a unit are about the same containers.
    let elsewhere = unit("GlobalArgs=--root /r\nReloadSignal=HUP");
    assert_eq!(elsewhere.matches("=/usr/bin/rctr --root /r ").count() + elsewhere.matches("=-/usr/bin/rctr --root /r ").count(), 4);
    assert!(unit("ReloadCmd=sh -c 'a b'").contains("\nExecReload=/usr/bin/rctr exec systemd-a sh -c \"a b\"\n"));
    let once = unit("[Service]\nType=oneshot");
    assert!(!once.contains("--detach") && !once.contains("NotifyAccess") && !once.contains("--log-driver"), "{once}");
    assert!(unit("ReadOnly=true").contains(" --read-only --") && unit("ReadOnly=true").contains(" --read-only-tmpfs "));
    assert!(!unit("ReadOnly=true\nReadOnlyTmpfs=no").contains("tmpfs"));
    assert!(unit("User=1\nGroup=2\nContainerName=c\nPodmanArgs=--cpus 2").contains(" --user 1:2 --cpus 2 x\n"));
    assert!(
        text(&[("a.container", "[Container]\nRootfs=root:O\nNetwork=b.container"), ("b.container", "[Container]\nImage=x")])
            .contains("--network container:systemd-b --rootfs /etc/q/root:O\n")
    );
}

#[test]
fn files_that_make_no_sense_say_why() {
    for (name, text, why) in [
        ("a.container", "[Container]\n", "neither Image= nor Rootfs= says what runs"),
        ("a.container", "[Service]\n", "it has no section [Container]"),
        ("a.container", "[Container]\nImage=x\nPod=p.pod", "Pod= is not supported: rctr has no pods"),
        ("a.container", "[Container]\nImage=x\nFoo=1", "there is no key Foo= in [Container]"),
        ("a.container", "[Container]\nImage=x\nVolume=b.volume:/b", "there is no file b.volume"),
        ("a.container", "[Container]\nImage=b.build", "there is no file b.build"),
        ("a.container", "[Unit]\nAfter=b.network\n[Container]\nImage=x", "After=b.network: there is no file b.network"),
        ("a.container", "[Container]\nImage=x\nGroup=1", "Group= goes with User="),
        ("a.container", "[Container]\nImage=x\n[Service]\nType=simple", "Type=simple: a container's service is of type"),
        ("a.container", "[Container]\nImage=x\n[Service]\nUser=x", "User= in [Service]: rctr runs as root"),
        ("a.container", "[Container]\nImage=x\n[Service]\nKillMode=none", "KillMode=none: would leave processes behind"),
        ("a.container", "[Container]\nImage=x\n[Install]\nAlias=../x", "Alias=../x in [Install]: no name of a unit"),
        ("a.container", "[Container]\nImage=x\nServiceName=a/b", "ServiceName=a/b: no name of a unit"),
        ("a.container", "x", "line 1: neither KEY=VALUE nor [SECTION]"),
        ("a.pod", "[Pod]\n", "not supported: rctr has no pods"),
        ("a.kube", "[Kube]\n", "not supported: rctr has no pods"),
        ("a.image", "[Image]\nCreds=a:b", "Creds= is not supported: log in with rctr login"),
        ("a.image", "[Image]\n", "Image= says what to pull"),
        ("a.volume", "[Volume]\nUser=root", "User=root: a volume is given to a number"),
        ("a.network", "[Network]\nDisableDNS=yes", "DisableDNS=yes is not supported: containers of one network"),
        ("a.build", "[Build]\nFile=x", "ImageTag= names what is built"),
        ("a.build", "[Build]\nImageTag=x", "neither SetWorkingDirectory= nor File= says where the context is"),
    ] {
        let error = made(&[(name, text)]).swap_remove(0).unwrap_err();
        assert!(error.starts_with(why), "{text:?}: {error}");
    }
}

#[test]
fn units_are_written_with_their_links_once() {
    let folder = tempfile::tempdir().unwrap();
    let service = made(&[("a.container", "[Container]\nImage=x\n[Install]\nWantedBy=b.target")]).swap_remove(0);
    let made = vec![(PathBuf::from("a.container"), service), (PathBuf::from("b.pod"), Err("no".to_owned()))];
    let said = std::cell::RefCell::new(Vec::new());
    let say = |text: &str| said.borrow_mut().push(text.to_owned());
    assert_eq!(super::write(&made, folder.path(), &say).unwrap(), crate::exit::FAILED);
    let link = folder.path().join("b.target.wants/a.service");
    assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("../a.service"));
    assert!(std::fs::read_to_string(link).unwrap().starts_with("# Made by rctr-generator"));
    super::write(&made, folder.path(), &say).unwrap();
    let said = said.into_inner();
    assert_eq!((said.len(), said[0].as_str()), (3, "b.pod: no"));
    assert!(said[1].starts_with("a.container: write ") && said[1].contains("exists"), "{said:?}");
}
