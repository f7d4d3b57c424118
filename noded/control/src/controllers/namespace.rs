//! Namespaces: each has its default account and the certificate by which the API is known; one that goes takes everything in it along.

use api::kinds::Kind;
use api::kinds::config::{CONFIG_MAP, SERVICE_ACCOUNT};
use api::kinds::namespace::{NAMESPACE, Namespace};
use serde_json::json;

use super::Action;
use crate::objects::ROOT;

/// Something that lives in a namespace: kind, name, uid, and whether it is going already.
pub type Content = (&'static Kind, String, String, bool);

/// What is to be done for a namespace and what is in it. `root` is the certificate that it lacks.
pub fn next(namespace: &Namespace, has_account: bool, root: Option<&str>, contents: &[Content]) -> Vec<Action> {
    let name = &namespace.metadata.name;
    if namespace.metadata.deletion_timestamp.is_none() {
        let account = (!has_account).then(|| (&SERVICE_ACCOUNT, json!({"metadata": {"name": "default"}})));
        let root = root.map(|pem| (&CONFIG_MAP, json!({"metadata": {"name": ROOT}, "data": {"ca.crt": pem}})));
        return account.into_iter().chain(root).map(|(kind, object)| Action::Create(kind, name.clone(), object)).collect();
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
        assert!(
            matches!(next(&namespace, false, None, &[])[..], [Action::Create(..)]) && next(&namespace, true, None, &[]).is_empty()
        );
        assert!(
            matches!(&next(&namespace, true, Some("pem"), &[])[..], [Action::Create(_, _, map)] if map["data"]["ca.crt"] == "pem")
        );
        namespace.metadata.deletion_timestamp = Some(api::meta::Time::default());
        let contents: [Content; 2] = [(&POD, "a".into(), "1".into(), false), (&POD, "b".into(), "2".into(), true)];
        assert!(matches!(&next(&namespace, true, None, &contents)[..], [Action::Delete(_, _, name, _)] if name == "a"));
        assert!(matches!(next(&namespace, true, None, &[])[..], [Action::Release(..)]));
    }
}
