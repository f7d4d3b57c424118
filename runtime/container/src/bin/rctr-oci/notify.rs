//! What goes to the listener of a system call filter beside its descriptor (runtime-spec, "The Container Process State").

use launch::Seccomp;
use serde_json::json;

use crate::hooks;
use crate::record::Record;

/// Writes the message of a filter that has a listener. `init` is the container's first process, if it is not the very one that the
/// filter is for: that one has no number yet.
pub(crate) fn address(filter: Option<&mut Seccomp>, record: &Record, init: Option<u32>) {
    if let Some(listener) = filter.and_then(|filter| filter.listener.as_mut()) {
        listener.message = message(record, init);
    }
}

/// The parts between which the number of the process goes.
fn message(record: &Record, init: Option<u32>) -> Vec<String> {
    let status = if init.is_some() { "running" } else { "creating" };
    let mut state = hooks::state(record, init.unwrap_or(0), status);
    let mut own = json!({"ociVersion": record.rctr.oci_version, "fds": ["seccompFd"]});
    if let Some(metadata) = &record.rctr.listener_metadata {
        own["metadata"] = metadata.as_str().into();
    }
    let mut own = own.to_string();
    // Both are objects, to which one more member comes.
    own.pop();
    let first = format!("{own},\"pid\":");
    match init {
        Some(_) => vec![first, format!(",\"state\":{state}}}")],
        None => {
            state.pop();
            vec![first, format!(",\"state\":{state},\"pid\":"), "}}".to_owned()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_json() {
        let mut record = Record { id: "x\"y".into(), ..Record::default() };
        record.rctr.listener_metadata = Some("a\"b".into());
        let read = |parts: Vec<String>| serde_json::from_str::<serde_json::Value>(&parts.join("7")).unwrap();
        let first = read(message(&record, None));
        assert_eq!((&first["pid"], &first["state"]["pid"], &first["state"]["status"]), (&7.into(), &7.into(), &"creating".into()));
        assert_eq!(
            (&first["metadata"], &first["state"]["id"], &first["fds"][0]),
            (&"a\"b".into(), &"x\"y".into(), &"seccompFd".into())
        );
        let other = read(message(&record, Some(5)));
        assert_eq!((&other["pid"], &other["state"]["pid"], &other["state"]["status"]), (&7.into(), &5.into(), &"running".into()));
    }
}
