//! ListPodSandbox.

use cri::{ListPodSandboxRequest, ListPodSandboxResponse, PodSandbox, PodSandboxFilter, StreamPodSandboxesRequest};

use super::every;
use crate::cri::runtime::filter::selected;
use crate::cri::{Answer, check};
use crate::node::Node;

pub(in crate::cri) fn list(node: &Node, request: ListPodSandboxRequest) -> Answer<ListPodSandboxResponse> {
    let items = all(node, StreamPodSandboxesRequest { filter: request.filter })?;
    Ok(ListPodSandboxResponse { items })
}

/// The pods that pass the filter, newest first.
pub(in crate::cri) fn all(node: &Node, request: StreamPodSandboxesRequest) -> Answer<Vec<PodSandbox>> {
    let filter = request.filter.unwrap_or_default();
    if let Some(state) = &filter.state {
        check::one_of::<cri::PodSandboxState>("filter.state", state.state)?;
    }
    Ok(every(node)?.iter().map(|pod| &pod.item).filter(|pod| passes(&filter, pod)).cloned().collect())
}

fn passes(filter: &PodSandboxFilter, pod: &PodSandbox) -> bool {
    pod.id.starts_with(&filter.id)
        && filter.state.as_ref().is_none_or(|state| state.state == pod.state)
        && selected(&filter.label_selector, &pod.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cri::PodSandboxStateValue;

    #[test]
    fn all_conditions_have_to_hold() {
        let labels = [("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())].into();
        let pod = PodSandbox { id: "abc1".to_owned(), state: 1, labels, ..PodSandbox::default() };
        let filter = |id: &str, state: Option<i32>, label: Option<(&str, &str)>| PodSandboxFilter {
            id: id.to_owned(),
            state: state.map(|state| PodSandboxStateValue { state }),
            label_selector: label.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        };
        assert!(passes(&filter("", None, None), &pod));
        assert!(passes(&filter("abc", Some(1), Some(("app", "web"))), &pod));
        assert!(!passes(&filter("abd", None, None), &pod));
        assert!(!passes(&filter("", Some(0), None), &pod));
        assert!(!passes(&filter("", None, Some(("app", "db"))), &pod));
        assert!(!passes(&filter("", None, Some(("nonsuch", ""))), &pod));
    }
}
