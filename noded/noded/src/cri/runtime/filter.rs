//! Filters: all conditions have to hold.

use std::collections::BTreeMap;

/// Whether labels have everything that a selector asks for.
pub(super) fn selected(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
