//! ListContainers.

use cri::{Container, ContainerFilter, ListContainersRequest, ListContainersResponse, StreamContainersRequest};

use super::{every, of_pod, view};
use crate::cri::runtime::{filter::selected, pod};
use crate::cri::{Answer, check};
use crate::node::Node;

pub(in crate::cri) fn list(node: &Node, request: ListContainersRequest) -> Answer<ListContainersResponse> {
    let containers = all(node, StreamContainersRequest { filter: request.filter })?;
    Ok(ListContainersResponse { containers })
}

/// The containers that pass the filter, newest first.
pub(in crate::cri) fn all(node: &Node, request: StreamContainersRequest) -> Answer<Vec<Container>> {
    let filter = request.filter.unwrap_or_default();
    if let Some(state) = &filter.state {
        check::one_of::<cri::ContainerState>("filter.state", state.state)?;
    }
    // Those of one pod are found without looking at all others.
    let members = match filter.pod_sandbox_id.as_str() {
        "" => every(node)?,
        id => match pod::maybe(node, id)? {
            Some(pod) => of_pod(node, &pod.record.id)?,
            None => Vec::new(),
        },
    };
    Ok(members.iter().map(|member| view::item(member)).filter(|container| passes(&filter, container)).collect())
}

fn passes(filter: &ContainerFilter, container: &Container) -> bool {
    container.id.starts_with(&filter.id)
        && filter.state.as_ref().is_none_or(|state| state.state == container.state)
        && container.pod_sandbox_id.starts_with(&filter.pod_sandbox_id)
        && selected(&filter.label_selector, &container.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cri::ContainerStateValue;

    #[test]
    fn all_conditions_have_to_hold() {
        let labels = [("app".to_owned(), "web".to_owned())].into();
        let container = Container { id: "abc".into(), pod_sandbox_id: "def".into(), state: 2, labels, ..Container::default() };
        let filter = |id: &str, pod: &str, state: Option<i32>, label: Option<(&str, &str)>| ContainerFilter {
            id: id.to_owned(),
            state: state.map(|state| ContainerStateValue { state }),
            pod_sandbox_id: pod.to_owned(),
            label_selector: label.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        };
        assert!(passes(&filter("", "", None, None), &container));
        assert!(passes(&filter("a", "de", Some(2), Some(("app", "web"))), &container));
        assert!(!passes(&filter("b", "", None, None), &container));
        assert!(!passes(&filter("", "x", None, None), &container));
        assert!(!passes(&filter("", "", Some(1), None), &container));
        assert!(!passes(&filter("", "", None, Some(("app", "db"))), &container));
    }
}
