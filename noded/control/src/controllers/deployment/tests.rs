//! What a deployment does, step by step.

use api::kinds::deployment::DeploymentCondition;
use serde_json::Value;

use super::super::replicaset::FAILURE;
use super::*;

fn deployment(replicas: i32, image: &str, strategy: Value) -> Deployment {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": image}]}});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "strategy": strategy, "template": template, "progressDeadlineSeconds": 600});
    serde_json::from_value(json!({"metadata": {"name": "d", "namespace": "n", "uid": "u"}, "spec": spec})).unwrap()
}

fn rolling(surge: i32, away: i32) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": away}})
}

/// The sets as the store would have them after these actions.
fn perform(sets: &mut Vec<ReplicaSet>, actions: &[Action]) {
    for action in actions {
        match action {
            Action::Create(_, _, set) => {
                let mut set: ReplicaSet = serde_json::from_value(set.clone()).unwrap();
                set.metadata.uid.clone_from(&set.metadata.name);
                sets.push(set);
            }
            Action::Patch(kind, _, name, patch) if kind.kind == "ReplicaSet" => {
                let set = sets.iter_mut().find(|s| s.metadata.name == *name).unwrap();
                let mut value = serde_json::to_value(&set).unwrap();
                api::patch::merge(&mut value, patch.clone());
                *set = serde_json::from_value(value).unwrap();
            }
            Action::Delete(_, _, name, _) => sets.retain(|s| s.metadata.name != *name),
            _ => {}
        }
    }
}

/// Pods go at once and come when they are let.
fn settle(sets: &mut [ReplicaSet], ready: i32) {
    let mut left = ready;
    for set in sets {
        let size = size(set);
        set.status.replicas = Some(size);
        let more = (size - set.status.available_replicas).clamp(0, left);
        left -= more;
        set.status.available_replicas = (set.status.available_replicas + more).min(size);
        set.status.ready_replicas = set.status.available_replicas;
    }
}

fn available(sets: &[ReplicaSet]) -> i32 {
    // what a set has beyond its size goes at once
    sets.iter().map(|s| s.status.available_replicas.min(size(s))).sum()
}

fn step(d: &Deployment, sets: &mut Vec<ReplicaSet>) {
    let actions = next(d, sets, 0, jiff::Timestamp::UNIX_EPOCH);
    perform(sets, &actions);
}

proptest::proptest! {
    /// Through a whole change there are never too many pods and never too few that serve, however slowly they come.
    #[test]
    fn the_limits_hold_at_every_step(replicas in 1i32..9, surge in 0i32..4, away in 0i32..4, ready in proptest::collection::vec(0i32..4, 60)) {
        let mut sets = Vec::new();
        step(&deployment(replicas, "x:1", rolling(surge, away)), &mut sets);
        settle(&mut sets, 100);
        let d = deployment(replicas, "x:2", rolling(surge, away));
        let away = if surge == 0 && away == 0 { 1 } else { away };
        for ready in ready.into_iter().chain([100; 20]) {
            step(&d, &mut sets);
            let total: i32 = sets.iter().map(size).sum();
            proptest::prop_assert!(total <= replicas + surge, "{total} pods");
            proptest::prop_assert!(available(&sets) >= replicas - away, "{} available", available(&sets));
            settle(&mut sets, ready);
        }
        let newest: Vec<i32> = sets.iter().filter(|s| is_newest(&d, s)).map(size).collect();
        proptest::prop_assert_eq!(newest, vec![replicas]);
        proptest::prop_assert_eq!(sets.iter().map(size).sum::<i32>(), replicas);
    }
}

#[test]
fn why_its_pods_cannot_be_made_is_said_of_it_too() {
    let mut sets = Vec::new();
    let mut d = deployment(2, "x:1", rolling(1, 0));
    step(&d, &mut sets);
    let failure = json!([{"type": FAILURE, "status": "True", "reason": "FailedCreate", "message": "no such account"}]);
    let conditions = |d: &Deployment, sets: &[ReplicaSet]| {
        let actions = next(d, sets, 0, jiff::Timestamp::UNIX_EPOCH);
        let status = actions.into_iter().find_map(|a| if let Action::Status(_, _, _, s) = a { Some(s) } else { None }).unwrap();
        serde_json::from_value::<Vec<DeploymentCondition>>(status["conditions"].clone()).unwrap()
    };
    sets[0].status.conditions = serde_json::from_value(failure).unwrap();
    d.status.conditions = conditions(&d, &sets);
    assert!(d.status.conditions.iter().any(|c| c.kind == FAILURE && c.message == "no such account"));
    sets[0].status.conditions.clear();
    settle(&mut sets, 2);
    assert!(!conditions(&d, &sets).iter().any(|c| c.kind == FAILURE));
}

#[test]
fn recreating_waits_for_the_last_old_pod() {
    let recreate = json!({"type": "Recreate"});
    let mut sets = Vec::new();
    step(&deployment(2, "x:1", recreate.clone()), &mut sets);
    settle(&mut sets, 2);
    let d = deployment(2, "x:2", recreate);
    let actions = next(&d, &sets, 2, jiff::Timestamp::UNIX_EPOCH);
    perform(&mut sets, &actions);
    assert_eq!(sets.iter().map(size).collect::<Vec<_>>(), [0]);
    step(&d, &mut sets);
    assert_eq!(sets.iter().map(size).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn a_paused_one_is_scaled_but_not_changed() {
    let mut sets = Vec::new();
    step(&deployment(2, "x:1", rolling(1, 0)), &mut sets);
    settle(&mut sets, 2);
    let mut d = deployment(5, "x:2", rolling(1, 0));
    d.spec.paused = true;
    step(&d, &mut sets);
    assert_eq!(sets.iter().map(size).collect::<Vec<_>>(), [5]);
}

#[test]
fn going_back_makes_an_old_set_the_newest_revision() {
    let mut sets = Vec::new();
    for image in ["x:1", "x:2", "x:1"] {
        let d = deployment(1, image, rolling(1, 0));
        for _ in 0..4 {
            step(&d, &mut sets);
            settle(&mut sets, 9);
        }
    }
    let revisions: Vec<i64> = sets.iter().map(|s| revision(&s.metadata.annotations)).collect();
    assert_eq!(revisions, [3, 2]);
}
