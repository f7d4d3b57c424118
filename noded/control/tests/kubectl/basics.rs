//! create, get, describe, label, scale, edit, delete.

use super::{Cluster, rows};

#[test]
fn a_deployment_and_its_service() {
    let Some(c) = Cluster::start("a_deployment_and_its_service") else { return };
    assert_eq!(c.ok("create deployment web --image=smlinux/nodeinfo:v1 --replicas=3"), "deployment.apps/web created");
    let table = c.ok("get deployments -o wide");
    assert_eq!(rows(&table)[0], ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]);
    assert_eq!((rows(&table)[1][0], rows(&table)[1][5], rows(&table)[1][7]), ("web", "nodeinfo", "app=web"));
    assert_eq!(c.ok("expose deployment web --port=80 --target-port=8080"), "service/web exposed");
    assert!(c.ok("get service web -o jsonpath={.spec.clusterIP}").starts_with("10.96."));
    assert_eq!(c.ok("get service web -o jsonpath={.spec.ports[0].targetPort}"), "8080");
    assert_eq!(c.ok("scale deployment web --replicas=10"), "deployment.apps/web scaled");
    assert_eq!(c.ok("get deployment web -o jsonpath={.spec.replicas}/{.metadata.generation}"), "10/2");
    assert!(c.fails("scale deployment web --current-replicas=3 --replicas=4").contains("Expected replicas to be 3, was 10"));
    assert_eq!(c.ok("set image deployment/web nodeinfo=x:2"), "deployment.apps/web image updated");
    assert_eq!(c.ok("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}"), "x:2");
    let told = c.ok("describe deployment web");
    for part in ["Replicas:               10 desired", "25% max unavailable, 25% max surge", "Image:         x:2"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn objects_in_every_form() {
    let Some(c) = Cluster::start("objects_in_every_form") else { return };
    c.ok("run p --image=busybox:1 --labels=a=b,c=d");
    let table = c.ok("get pods -o wide");
    assert_eq!(rows(&table)[0][..5], ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    assert_eq!(rows(&table)[1][..4], ["p", "0/1", "Pending", "0"]);
    let yaml = c.ok("get pod p -o yaml");
    assert!(
        yaml.contains("imagePullPolicy: IfNotPresent") && yaml.contains("restartPolicy: Always") && !yaml.contains("null"),
        "{yaml}"
    );
    assert!(c.ok("get pod p -o json").contains("\"qosClass\": \"BestEffort\""));
    assert_eq!(c.ok("get pods -l a=b,c!=x -o name"), "pod/p");
    assert_eq!(c.ok("get pods -l a!=b -o name"), "");
    assert_eq!(c.ok("get pods --field-selector status.phase=Pending,spec.nodeName= -o name"), "pod/p");
    assert!(c.fails("get pods --field-selector spec.foo=1").contains("field label not supported: spec.foo"));
    assert_eq!(c.ok("get pods --show-labels --no-headers").split_whitespace().last(), Some("a=b,c=d"));
    for n in 0..7 {
        c.ok(&format!("create configmap c{n} --from-literal=k=v{n}"));
    }
    // Each namespace has kube-root-ca.crt, soon after it is made.
    let own = "--field-selector=metadata.name!=kube-root-ca.crt";
    assert_eq!(c.ok(&format!("get configmaps {own} --chunk-size=3 -o name")).lines().count(), 7);
    assert_eq!(c.ok(&format!("get configmaps {own} --sort-by=.metadata.name --no-headers --chunk-size=2")).lines().count(), 7);
    assert!(c.fails("get pod nobody").contains("pods \"nobody\" not found"));
    assert!(c.ok("describe pod p").contains("QoS Class:        BestEffort") || c.ok("describe pod p").contains("BestEffort"));
}

#[test]
fn labels_annotations_and_edits() {
    let Some(c) = Cluster::start("labels_annotations_and_edits") else { return };
    c.ok("create configmap c --from-literal=a=1");
    assert_eq!(c.ok("label configmap c x=y"), "configmap/c labeled");
    assert!(c.fails("label configmap c x=z").contains("already has a value (y)"));
    assert_eq!(c.ok("label configmap c x-"), "configmap/c unlabeled");
    assert_eq!(c.ok("annotate configmap c note=hello"), "configmap/c annotated");
    assert!(c.fails("label configmap c x=-bad-").contains("a valid label must be an empty string or consist of alphanumeric"));
    let mut edit = c.command(&["edit", "configmap", "c"]);
    edit.env("KUBE_EDITOR", "sed -i s/note:.hello/note:\\ changed/");
    let said = c.finish(edit, "");
    assert_eq!((said.code, said.out.as_str()), (0, "configmap/c edited"), "{}", said.err);
    assert_eq!(c.ok("get configmap c -o jsonpath={.metadata.annotations.note}"), "changed");
}

#[test]
fn names_and_rules() {
    let Some(c) = Cluster::start("names_and_rules") else { return };
    assert!(c.fails("create deployment Web --image=x").contains("a lowercase RFC 1123 subdomain must consist of"));
    c.ok("create configmap c");
    assert!(c.fails("create configmap c").contains("configmaps \"c\" already exists"));
    assert!(c.fails("-n nowhere create configmap c").contains("namespaces \"nowhere\" not found"));
    let bad = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},
        "template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"x","image":"y"}]}}}}"#;
    let said = c.feed(&["create", "-f", "-"], bad);
    assert!(said.err.contains("`selector` does not match template `labels`"), "{}", said.err);
    let wrong = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":"three"}}"#;
    let said = c.feed(&["create", "--validate=false", "-f", "-"], wrong);
    assert!(
        said.err.contains("cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        "{}",
        said.err
    );
    let unknown = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"d"},"spec":{"containers":[{"name":"x","image":"y","imagePolicy":"z"}]}}"#;
    let said = c.feed(&["create", "-f", "-"], unknown);
    assert!(said.err.contains("strict decoding error: unknown field \"spec.containers[0].imagePolicy\""), "{}", said.err);
    let said = c.feed(&["create", "--validate=warn", "-f", "-"], unknown);
    assert!(said.code == 0 && said.err.contains("Warning: unknown field"), "{}", said.err);
}

#[test]
fn deletion_in_every_way() {
    let Some(c) = Cluster::start("deletion_in_every_way") else { return };
    c.ok("run p --image=x");
    assert!(c.ok("delete pod p").starts_with("pod \"p\" deleted"));
    c.ok("run q --image=x --overrides={\"spec\":{\"nodeName\":\"n1\"}}");
    c.ok("delete pod q --wait=false --grace-period=20");
    let table = c.ok("get pods --no-headers");
    assert_eq!(rows(&table)[0][2], "Terminating");
    c.ok("delete pod q --force --grace-period=0");
    assert_eq!(c.ok("get pods -o name"), "");
    c.ok("create configmap held");
    c.ok("patch configmap held --type=json -p=[{\"op\":\"add\",\"path\":\"/metadata/finalizers\",\"value\":[\"a.b/c\"]}]");
    c.ok("delete configmap held --wait=false");
    assert!(c.ok("get configmap held -o jsonpath={.metadata.deletionTimestamp}").starts_with("20"));
    c.ok("patch configmap held --type=merge -p={\"metadata\":{\"finalizers\":null}}");
    assert!(c.fails("get configmap held").contains("not found"));
    for n in 0..3 {
        c.ok(&format!("create configmap m{n}"));
    }
    c.ok("label configmap m0 m1 g=1");
    c.ok("delete configmap -l g=1");
    assert_eq!(c.ok("get configmap --field-selector=metadata.name!=kube-root-ca.crt -o name"), "configmap/m2");
    assert!(c.fails("delete namespace default").contains("this namespace may not be deleted"));
}

#[test]
fn what_is_served() {
    let Some(c) = Cluster::start("what_is_served") else { return };
    let table = c.ok("api-resources --no-headers");
    for kind in ["pods", "deployments", "roles", "jobs", "leases", "endpointslices"] {
        assert!(rows(&table).iter().any(|r| r[0] == kind), "{table}");
    }
    assert!(c.ok("api-versions").lines().any(|l| l == "rbac.authorization.k8s.io/v1"));
    let told = c.ok("explain pod.spec.containers.resources");
    assert!(told.contains("limits\t<map[string]Quantity>"), "{told}");
    assert!(c.ok("explain deployment.spec.strategy.rollingUpdate").contains("maxSurge\t<IntOrString>"));
    assert!(c.fails("explain pod.spec.nothing").contains("field \"nothing\" does not exist"));
    assert_eq!(c.ok("get --raw /readyz"), "ok");
    assert!(c.ok("version").contains("Server Version: v1."));
}
