//! What actions do to the store.

use api::kinds::Kind;
use api::kinds::event::EVENT;
use api::kinds::namespace::NAMESPACE;
use api::kinds::pod::POD;
use api::patch::merge;
use api::status::Status;
use serde_json::{Value, json};

use super::action::Action;
use super::record::tell;
use super::telling;
use crate::events::Happened;
use crate::objects::{Context, DeleteOptions, Objects, Part, Propagation};

fn context() -> Context {
    Context { manager: "noded-controllers".into(), ..Default::default() }
}

/// Does an action. What is done already, or has nothing to be done to any more, is done.
pub(super) async fn perform(objects: &Objects, action: Action) -> Result<(), Status> {
    let gone_is_fine = |outcome: Result<(), Status>| match outcome {
        Err(status) if status.code == 404 => Ok(()),
        other => other,
    };
    match action {
        Action::Create(kind, namespace, object) => make(objects, kind, &namespace, object).await,
        Action::Patch(kind, namespace, name, patch) => {
            gone_is_fine(patched(objects, kind, &namespace, &name, Part::Main, &patch).await)
        }
        Action::Status(kind, namespace, name, patch) => {
            gone_is_fine(patched(objects, kind, &namespace, &name, Part::Status, &json!({"status": patch})).await)
        }
        Action::Delete(kind, namespace, name, uid) => {
            delete(objects, kind, (&namespace, &name), uid, Propagation::Background).await
        }
        Action::DeleteLast(kind, namespace, name, uid) => {
            delete(objects, kind, (&namespace, &name), uid, Propagation::Foreground).await
        }
        Action::Release(kind, namespace, name, finalizer) => {
            let place = if std::ptr::eq(kind.table, NAMESPACE.table) && finalizer == "kubernetes" {
                "/spec/finalizers"
            } else {
                "/metadata/finalizers"
            };
            if place == "/spec/finalizers" {
                forget_all(objects, &name).await?;
            }
            let context = context();
            let released = objects.update(kind, &namespace, &name, Part::Whole("finalize"), &context, |old| {
                let mut new = old.clone();
                if let Some(Value::Array(list)) = new.pointer_mut(place) {
                    list.retain(|f| f != finalizer);
                }
                Ok(new)
            });
            gone_is_fine(released.await.map(drop))
        }
        Action::Tell(about, level, reason, message) => {
            let (about, message) = (&about, message.as_str());
            let component = telling::component(about["kind"].as_str().unwrap_or(""));
            tell(objects, &Happened { about, level, reason, message, component, host: "" }).await
        }
        Action::After(_) => Ok(()),
    }
}

/// Deletes the object with this uid; another one of that name is not ours.
async fn delete(
    objects: &Objects,
    kind: &'static Kind,
    (namespace, name): (&str, &str),
    uid: String,
    propagation: Propagation,
) -> Result<(), Status> {
    let options = DeleteOptions { uid: Some(uid), propagation, ..Default::default() };
    match objects.delete(kind, namespace, name, &options).await {
        Err(status) if matches!(status.code, 404 | 409) => Ok(()),
        done => done.map(drop),
    }
}

/// What was told in a namespace goes with it: one of the same name later is another one.
async fn forget_all(objects: &Objects, namespace: &str) -> Result<(), Status> {
    for event in objects.all::<api::kinds::event::Event>(&EVENT, namespace) {
        match objects.delete(&EVENT, namespace, &event.metadata.name, &DeleteOptions::default()).await {
            Err(status) if status.code == 404 => {}
            gone => drop(gone?),
        }
    }
    Ok(())
}

/// Makes an object; whose pods are made is told so, or why not.
async fn make(objects: &Objects, kind: &'static Kind, namespace: &str, object: Value) -> Result<(), Status> {
    let pod = std::ptr::eq(kind.table, POD.table).then(|| object["metadata"].clone());
    let made = match objects.create(kind, namespace, object, &context()).await {
        Err(status) if status.reason == "AlreadyExists" => return Ok(()),
        made => made.map(|entry| entry.key.rsplit('/').next().unwrap_or("").to_owned()),
    };
    if let Some((about, level, reason, message)) = pod.and_then(|meta| telling::of_pod(&meta, namespace, &made)) {
        let component = telling::component(about["kind"].as_str().unwrap_or(""));
        // a pod is there also if nobody could be told
        drop(tell(objects, &Happened { about: &about, level, reason, message: &message, component, host: "" }).await);
    }
    made.map(drop)
}

async fn patched(
    objects: &Objects,
    kind: &'static Kind,
    namespace: &str,
    name: &str,
    part: Part,
    patch: &Value,
) -> Result<(), Status> {
    let change = |old: &Value| {
        let mut new = old.clone();
        merge(&mut new, patch.clone());
        Ok(new)
    };
    objects.update(kind, namespace, name, part, &context(), change).await.map(drop)
}
