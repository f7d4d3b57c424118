//! How important a pod is: what its class says, when it is made.

use api::kinds::Kind;
use api::kinds::priority::{PRIORITY_CLASS, PriorityClass};
use api::status::Status;
use serde_json::Value;

use super::{Objects, called, text};

/// What pods do where their class does not say it.
const PREEMPTS: &str = "PreemptLowerPriority";

impl Objects {
    /// Gives a new pod the priority of its class, or of the class for those that name none.
    pub(super) fn rank(&self, pod: &mut Value) -> Result<(), Status> {
        if !pod["spec"].is_object() {
            return Ok(());
        }
        let name = text(pod, "/spec/priorityClassName").to_owned();
        let class = if name.is_empty() {
            self.global_default()
        } else {
            let class = self.get(&PRIORITY_CLASS, "", &name).ok().and_then(|e| serde_json::from_slice(&e.value).ok());
            Some(class.ok_or_else(|| refused(pod, &format!("no PriorityClass with name {name} was found")))?)
        };
        let (value, policy) = class.as_ref().map_or((0, PREEMPTS), |c| (c.value, c.preemption_policy.as_str()));
        let spec = &pod["spec"];
        if let Some(given) = spec.get("priority").and_then(Value::as_i64).filter(|given| *given != i64::from(value)) {
            let why = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
            );
            return Err(refused(pod, &why));
        }
        if let Some(given) = spec.get("preemptionPolicy").and_then(Value::as_str).filter(|given| *given != policy) {
            let why = format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            );
            return Err(refused(pod, &why));
        }
        if let Some(class) = &class {
            pod["spec"]["priorityClassName"] = class.metadata.name.as_str().into();
        }
        pod["spec"]["priority"] = value.into();
        pod["spec"]["preemptionPolicy"] = policy.into();
        Ok(())
    }

    /// The class of pods that name none. Two may have become it at once: the lesser one counts, so that nobody is pushed away by accident.
    fn global_default(&self) -> Option<PriorityClass> {
        self.all::<PriorityClass>(&PRIORITY_CLASS, "").into_iter().filter(|c| c.global_default).min_by_key(|c| c.value)
    }

    /// Refuses a second class for pods that name none.
    pub(super) fn check_default(&self, kind: &Kind, name: &str, object: &Value) -> Result<(), Status> {
        if !std::ptr::eq(kind.table, PRIORITY_CLASS.table) || object["globalDefault"] != true {
            return Ok(());
        }
        match self.global_default() {
            Some(other) if other.metadata.name != name => {
                let why = format!("PriorityClass {} is already marked as default. Only one default can exist", other.metadata.name);
                Err(Status::forbidden(Some((kind.group, kind.plural)), name, &why))
            }
            _ => Ok(()),
        }
    }
}

fn refused(pod: &Value, why: &str) -> Status {
    Status::forbidden(Some(("", "pods")), called(pod), why)
}
