//! apply, diff, patch: all the ways to change a part of an object.

use super::Cluster;

fn pod(image: &str, env: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - {{name: a, image: {image}}}\n  - {{name: b, image: y:1}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{{env}}}\n"
    )
}

#[test]
fn client_side_apply() {
    let Some(c) = Cluster::start("client_side_apply") else { return };
    let first = c.feed(&["apply", "-f", "-"], &pod("x:1", "a: '1', b: '2'"));
    assert_eq!(first.out, "pod/p created\nconfigmap/c created", "{}", first.err);
    assert_eq!(c.feed(&["apply", "-f", "-"], &pod("x:1", "a: '1', b: '2'")).out, "pod/p unchanged\nconfigmap/c unchanged");
    let diff = c.feed(&["diff", "-f", "-"], &pod("x:2", "a: '1'"));
    assert!(diff.code == 1 && diff.out.contains("+  - image: x:2") && diff.out.contains("-  b: \"2\""), "{diff:?}");
    assert_eq!(c.feed(&["apply", "-f", "-"], &pod("x:2", "a: '1'")).out, "pod/p configured\nconfigmap/c configured");
    assert_eq!(c.ok("get pod p -o jsonpath={.spec.containers[*].image}"), "x:2 y:1");
    assert_eq!(c.ok("get configmap c -o jsonpath={.data}"), "{\"a\":\"1\"}");
    assert_eq!(
        c.feed(&["apply", "--dry-run=server", "-f", "-"], &pod("x:3", "a: '1'")).out,
        "pod/p configured (server dry run)\nconfigmap/c unchanged (server dry run)"
    );
    assert_eq!(c.ok("get pod p -o jsonpath={.spec.containers[0].image}"), "x:2");
}

#[test]
fn server_side_apply() {
    let Some(c) = Cluster::start("server_side_apply") else { return };
    let apply = |manager: &str, data: &str, force: bool| {
        let name = format!("--field-manager={manager}");
        let mut arguments = vec!["apply", "--server-side", name.as_str(), "-f", "-"];
        if force {
            arguments.push("--force-conflicts");
        }
        c.feed(&arguments, &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{{data}}}\n"))
    };
    assert_eq!(apply("one", "a: '1', b: '2'", false).out, "configmap/c serverside-applied");
    let refused = apply("two", "a: '9'", false);
    assert!(refused.code != 0 && refused.err.contains("conflict with \"one\": .data.a"), "{}", refused.err);
    assert_eq!(apply("two", "a: '9'", true).code, 0);
    // what the first one no longer says, and nobody else does, goes
    assert_eq!(apply("one", "c: '3'", false).code, 0);
    assert_eq!(c.ok("get configmap c -o jsonpath={.data}"), "{\"a\":\"9\",\"c\":\"3\"}");
    let fields = c.ok("get configmap c --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}");
    assert_eq!(fields.split(' ').collect::<std::collections::BTreeSet<_>>(), ["one", "two"].into());
}

#[test]
fn four_kinds_of_patches() {
    let Some(c) = Cluster::start("four_kinds_of_patches") else { return };
    c.ok("create deployment d --image=x:1");
    c.ok("patch deployment d -p={\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"side\",\"image\":\"z\"}]}}}}");
    assert_eq!(c.ok("get deployment d -o jsonpath={.spec.template.spec.containers[*].name}"), "x side");
    c.ok("patch deployment d --type=merge -p={\"spec\":{\"replicas\":4,\"paused\":true}}");
    c.ok("patch deployment d --type=json -p=[{\"op\":\"test\",\"path\":\"/spec/replicas\",\"value\":4},{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":5}]");
    assert_eq!(c.ok("get deployment d -o jsonpath={.spec.replicas}/{.spec.paused}"), "5/true");
    let said = c.fails("patch deployment d --type=json -p=[{\"op\":\"test\",\"path\":\"/spec/replicas\",\"value\":4}]");
    assert!(said.contains("rejected our request"), "{said}");
    let said = c.fails("patch deployment d --type=merge -p={\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"e\"}}}}");
    assert!(said.contains("field is immutable"), "{said}");
    let said = c.fails("patch deployment d --type=merge -p={\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"replicas\":1}}");
    assert!(said.contains("the object has been modified"), "{said}");
    c.ok("patch deployment d --subresource=scale --type=merge -p={\"spec\":{\"replicas\":2}}");
    assert_eq!(c.ok("get deployment d -o jsonpath={.spec.replicas}"), "2");
}

#[test]
fn replacing() {
    let Some(c) = Cluster::start("replacing") else { return };
    let text = |value: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{a: '{value}'}}\n");
    assert!(c.feed(&["replace", "-f", "-"], &text("1")).err.contains("not found"));
    c.feed(&["create", "-f", "-"], &text("1"));
    assert_eq!(c.feed(&["replace", "-f", "-"], &text("2")).out, "configmap/c replaced");
    assert_eq!(c.ok("get configmap c -o jsonpath={.data.a}"), "2");
    let stale = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, resourceVersion: '1'}\ndata: {a: '3'}\n";
    assert!(c.feed(&["replace", "-f", "-"], stale).err.contains("the object has been modified"));
}
