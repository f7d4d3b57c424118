//! Who may do what.

use super::{Cluster, Said};

/// kubectl with a bearer token and no certificate.
pub(crate) fn with_token(c: &Cluster, token: &str, line: &str) -> Said {
    let server = format!("--server=https://{}", c.plane.address);
    let token = format!("--token={token}");
    let mut arguments = vec!["--kubeconfig=/dev/null", "--insecure-skip-tls-verify", &server, &token];
    arguments.extend(line.split(' '));
    c.run(&arguments)
}

#[test]
fn people_with_tokens() {
    let Some(c) = Cluster::start("people_with_tokens") else { return };
    assert!(
        with_token(&c, "token-of-ann", "get pods")
            .err
            .contains("User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"")
    );
    c.ok("create rolebinding ann --clusterrole=edit --user=ann");
    assert_eq!(with_token(&c, "token-of-ann", "get pods").code, 0);
    assert_eq!(with_token(&c, "token-of-ann", "auth can-i create deployments").out, "yes");
    assert_eq!(with_token(&c, "token-of-ann", "auth can-i create deployments -n kube-system").out, "no");
    let escalated = with_token(&c, "token-of-ann", "create rolebinding more --clusterrole=admin --user=ann");
    assert!(escalated.err.contains("forbidden"), "{}", escalated.err);
    assert_ne!(with_token(&c, "stolen", "get pods").code, 0);
    // one object by its name, of a kind of which they may not see others
    c.ok("-n kube-system create role one --verb=get,list,watch --resource=configmaps --resource-name=kube-root-ca.crt");
    c.ok("-n kube-system create rolebinding one --role=one --user=ann");
    let named = "-n kube-system get configmaps --field-selector=metadata.name=kube-root-ca.crt -o name";
    assert_eq!(with_token(&c, "token-of-ann", named).out, "configmap/kube-root-ca.crt");
    for line in ["-n kube-system get configmaps", "-n kube-system get configmaps --field-selector=metadata.name!=kube-root-ca.crt"]
    {
        assert!(with_token(&c, "token-of-ann", line).err.contains("cannot list resource \"configmaps\""));
    }
    let said = with_token(&c, "token-of-ann", "auth whoami");
    assert!(said.out.contains("ann"), "{said:?}");
    assert_eq!(c.run(&["auth", "can-i", "delete", "nodes", "--as=ann"]).out, "no");
}

#[test]
fn nobody_gives_away_more_than_they_have() {
    let Some(c) = Cluster::start("nobody_gives_away_more_than_they_have") else { return };
    c.ok("create rolebinding ann --clusterrole=admin --user=ann");
    assert_eq!(with_token(&c, "token-of-ann", "create role less --verb=get --resource=pods").code, 0);
    let said = with_token(&c, "token-of-ann", "create role more --verb=get --resource=nodes");
    assert!(said.err.contains("attempting to grant RBAC permissions not currently held"), "{}", said.err);
    let said = with_token(&c, "token-of-ann", "create rolebinding more --clusterrole=cluster-admin --user=ann");
    assert!(said.err.contains("attempting to grant RBAC permissions not currently held"), "{}", said.err);
}

#[test]
fn service_accounts() {
    let Some(c) = Cluster::start("service_accounts") else { return };
    c.ok("create serviceaccount bot");
    c.ok("create rolebinding bot --clusterrole=view --serviceaccount=default:bot");
    let token = c.ok("create token bot");
    assert_eq!(with_token(&c, &token, "get pods").code, 0);
    assert!(with_token(&c, &token, "get secrets").err.contains("forbidden"));
    c.ok("delete serviceaccount bot");
    assert_ne!(with_token(&c, &token, "get pods").code, 0);
}

#[test]
fn a_node_sees_only_what_its_pods_use() {
    let Some(c) = Cluster::start("a_node_sees_only_what_its_pods_use") else { return };
    c.ok("create secret generic mine --from-literal=a=b");
    c.ok("create secret generic other --from-literal=a=b");
    c.ok("run p --image=x --overrides={\"spec\":{\"nodeName\":\"n1\",\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"mine\"}}]}}");
    c.ok("run q --image=x --overrides={\"spec\":{\"nodeName\":\"n2\"}}");
    let node = |line: &str| with_token(&c, "token-of-n1", line);
    assert_eq!(node("get secret mine -o name").out, "secret/mine");
    for refused in [
        "get secret other",
        "get secrets",
        "delete pod q",
        "patch pod q --subresource=status --type=merge -p={\"status\":{\"phase\":\"Failed\"}}",
        "label node n2 a=b",
        "create token default",
        "create deployment d --image=x",
    ] {
        let said = node(refused);
        assert!(said.code != 0 && (said.err.contains("orbidden") || said.err.contains("not found")), "{refused}: {said:?}");
    }
    let said = node("patch pod p --subresource=status --type=merge -p={\"status\":{\"phase\":\"Running\"}}");
    assert_eq!(said.code, 0, "{}", said.err);
}
