//! Namespaces: each has its default account; one that goes takes everything in it along.

use api::kinds::Kind;
use api::kinds::config::SERVICE_ACCOUNT;
use api::kinds::namespace::{NAMESPACE, Namespace};
use serde_json::json;

use super::Action;

/// Something that lives in a namespace: kind, name, uid, and whether it is going already.
pub type Content = (&'static Kind, String, String, bool);

/// What is to be done for a namespace and what is in it.
pub fn next(namespace: &Namespace, has_account: bool, contents: &[Content]) -> Vec<Action> {
    let name = &namespace.metadata.name;
    if namespace.metadata.deletion_timestamp.is_none() {
        let account = json!({"metadata": {"name": "default"}});
        return if has_account { Vec::new() } else { vec![Action::Create(&SERVICE_ACCOUNT, name.clone(), account)] };
    }
    if contents.is_empty() {
        return vec![Action::Release(&NAMESPACE, String::new(), name.clone(), "kubernetes")];
    }
    let left = contents.iter().filter(|(_, _, _, going)| !going);
    left.map(|(kind, object, uid, _)| Action::Delete(kind, name.clone(), object.clone(), uid.clone())).collect()
}

#[cfg(test)]
mod tests {
    use api::kinds::pod::POD;

    use super::*;

    #[test]
    fn a_namespace_goes_when_nothing_is_left_in_it() {
        let mut namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
        assert!(matches!(next(&namespace, false, &[])[..], [Action::Create(..)]) && next(&namespace, true, &[]).is_empty());
        namespace.metadata.deletion_timestamp = Some(api::meta::Time::default());
        let contents: [Content; 2] = [(&POD, "a".into(), "1".into(), false), (&POD, "b".into(), "2".into(), true)];
        assert!(matches!(&next(&namespace, true, &contents)[..], [Action::Delete(_, _, name, _)] if name == "a"));
        assert!(matches!(next(&namespace, true, &[])[..], [Action::Release(..)]));
    }
}
