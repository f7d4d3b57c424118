//! A cluster of three nodes on this machine: how long what people wait for takes, and what it costs when nothing happens.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use integration::lab::{BUSYBOX, Lab};
use serde_json::{Value, json};

use crate::measure::{Row, Unit, milliseconds, settle};
use crate::memory;

/// Nodes, all on one segment.
const NODES: usize = 3;
/// For so long idle processes are watched.
const QUIET: Duration = Duration::from_secs(10);

/// All rows; the larger ones are left out when it has to be `quick`.
pub(crate) fn rows(runs: usize, quick: bool) -> Result<Vec<Row>> {
    let mut lab = Lab::start(&[1; NODES], "");
    let mut rows = vec![idle(&lab, "idle, no pods")?];
    rows.push(row("apply of 3 replicas to Running", Unit::Milliseconds, repeat(runs, || start(&lab, "three", 3))?));
    let many = if quick { 30 } else { 100 };
    rows.push(row(&format!("apply of {many} replicas to Running"), Unit::Milliseconds, vec![start(&lab, "many", many)?]));
    rows.push(row("rolling update of 30", Unit::Milliseconds, repeat(runs.min(3), || roll(&lab))?));
    rows.extend(memories(&lab, "3 pods or none")?);
    rows.push(row("node death to Running", Unit::Milliseconds, repeat(runs.min(3), || death(&mut lab))?));
    Ok(rows)
}

fn row(title: &str, unit: Unit, mut samples: Vec<f64>) -> Row {
    samples.sort_by(f64::total_cmp);
    Row { title: title.to_owned(), unit, samples: vec![("ours".to_owned(), samples)] }
}

fn repeat(runs: usize, mut once: impl FnMut() -> Result<f64>) -> Result<Vec<f64>> {
    (0..runs.max(1)).map(|_| once()).collect()
}

fn deployment(name: &str, replicas: usize, generation: usize) -> Value {
    let container = json!({ "name": "c", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "env": [{ "name": "G", "value": generation.to_string() }],
        "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"] });
    let labels = json!({ "app": name });
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": { "replicas": replicas,
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": { "terminationGracePeriodSeconds": 1, "containers": [container] } } } })
}

/// From the beginning of `kubectl apply` until all pods run; then they go.
fn start(lab: &Lab, name: &str, count: usize) -> Result<f64> {
    settle();
    let mut pods = Pods::watch(lab, name)?;
    let begin = Instant::now();
    lab.apply(&deployment(name, count, 0));
    pods.until(|seen| seen.running(None) == count)?;
    let time = begin.elapsed();
    remove(lab, name, pods)?;
    Ok(milliseconds(time))
}

/// From the beginning of `kubectl apply` of another generation until `kubectl rollout status` says that it is done.
fn roll(lab: &Lab) -> Result<f64> {
    let mut pods = Pods::watch(lab, "rolled")?;
    lab.apply(&deployment("rolled", 30, 0));
    pods.until(|seen| seen.running(None) == 30)?;
    lab.kubectl(&["rollout", "status", "deployment", "rolled", "--timeout=60s"]).ok();
    settle();
    let begin = Instant::now();
    lab.apply(&deployment("rolled", 30, 1));
    lab.kubectl(&["rollout", "status", "deployment", "rolled", "--timeout=300s"]).ok();
    let time = begin.elapsed();
    remove(lab, "rolled", pods)?;
    Ok(milliseconds(time))
}

/// From the death of a node until as many pods run on the others.
fn death(lab: &mut Lab) -> Result<f64> {
    const VICTIM: &str = "three";
    let mut pods = Pods::watch(lab, "left")?;
    lab.apply(&deployment("left", 3, 0));
    pods.until(|seen| seen.running(None) == 3 && seen.on(VICTIM) > 0)?;
    let begin = Instant::now();
    lab.node(VICTIM).power_off();
    pods.until(|seen| seen.running(Some(VICTIM)) == 3)?;
    let time = begin.elapsed();
    lab.node(VICTIM).power_on();
    lab.soon("it is back", || lab.ready().len() == NODES);
    remove(lab, "left", pods)?;
    Ok(milliseconds(time))
}

fn remove(lab: &Lab, name: &str, mut pods: Pods) -> Result<()> {
    lab.kubectl(&["delete", "deployment", name]).ok();
    pods.until(|seen| seen.0.is_empty())
}

/// What one watch has told of pods: node and phase by name.
#[derive(Default)]
struct Seen(BTreeMap<String, (String, String)>);

impl Seen {
    fn running(&self, but_on: Option<&str>) -> usize {
        self.0.values().filter(|(node, phase)| phase == "Running" && Some(node.as_str()) != but_on).count()
    }

    fn on(&self, which: &str) -> usize {
        self.0.values().filter(|(node, _)| node == which).count()
    }
}

/// A `kubectl get --watch` of the pods of a deployment.
struct Pods {
    kubectl: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    seen: Seen,
}

impl Pods {
    fn watch(lab: &Lab, name: &str) -> Result<Pods> {
        let mut command: Command = lab.wires.command(&lab.env, 0, "kubectl");
        let form = r#"jsonpath={.type} {.object.metadata.name} {.object.status.phase} {.object.spec.nodeName}{"\n"}"#;
        command.arg("--kubeconfig").arg(lab.plane.kubeconfig());
        command.args(["get", "pods", "-l", &format!("app={name}"), "--watch", "--output-watch-events", "-o", form]);
        let mut kubectl = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("kubectl")?;
        let lines = BufReader::new(kubectl.stdout.take().context("a pipe")?).lines();
        Ok(Pods { kubectl, lines, seen: Seen::default() })
    }

    /// Reads until something is so.
    fn until(&mut self, is_so: impl Fn(&Seen) -> bool) -> Result<()> {
        while !is_so(&self.seen) {
            let line = self.lines.next().context("kubectl has ended")??;
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, name, phase, node] = words[..] else { continue };
            match kind {
                "DELETED" => drop(self.seen.0.remove(name)),
                _ => drop(self.seen.0.insert(name.to_owned(), (node.to_owned(), phase.to_owned()))),
            }
        }
        Ok(())
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

fn processes(lab: &Lab) -> Vec<(&'static str, u32)> {
    let nodes = lab.nodes.values().filter_map(|node| Some(("agent", node.pid()?)));
    lab.plane.pid().map(|pid| ("control plane", pid)).into_iter().chain(nodes).collect()
}

/// Memory of the control plane, and of an agent.
fn memories(lab: &Lab, when: &str) -> Result<Vec<Row>> {
    settle();
    let mut by_kind: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (kind, pid) in processes(lab) {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("look at a process")?;
        by_kind.entry(kind).or_default().push(memory::share(&text).context("no Pss")? as f64);
    }
    Ok(by_kind.into_iter().map(|(kind, samples)| row(&format!("memory of the {kind}, {when}"), Unit::Kib, samples)).collect())
}

/// How much of a processor all of them take together when nothing happens, in thousandths.
fn idle(lab: &Lab, title: &str) -> Result<Row> {
    settle();
    let used = || processes(lab).into_iter().map(|(_, pid)| ticks(pid)).sum::<u64>();
    let before = used();
    std::thread::sleep(QUIET);
    let ticks = (used() - before) as f64;
    // USER_HZ is 100.
    Ok(row(title, Unit::Millicores, vec![ticks * 10.0 / QUIET.as_secs_f64()]))
}

/// `utime` and `stime` of proc_pid_stat(5).
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum()
}
