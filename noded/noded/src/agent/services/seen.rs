//! Services and EndpointSlices as the API has them now.

use std::collections::{BTreeMap, HashSet};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ::api::kinds::endpoints::EndpointSlice;
use ::api::kinds::service::Service;
use ::api::meta::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use super::super::api::{Api, Refused};
use super::super::servers::listed;
use crate::host::log;
use crate::host::retry::Retry;

/// Namespace and name.
pub(crate) type Id = (String, String);

/// All objects of a kind.
pub(crate) type All<T> = BTreeMap<Id, T>;

#[derive(Debug, Default)]
struct Objects {
    services: All<Service>,
    slices: All<EndpointSlice>,
    /// Both have been heard of whole.
    whole: (bool, bool),
}

/// What is known.
#[derive(Debug)]
pub(crate) struct Known {
    objects: RwLock<Objects>,
    /// How often it has changed.
    changes: watch::Sender<u64>,
    /// What the one who waits has seen of that.
    seen: tokio::sync::Mutex<watch::Receiver<u64>>,
}

impl Default for Known {
    fn default() -> Known {
        let (changes, seen) = watch::channel(0);
        Known { objects: RwLock::default(), changes, seen: tokio::sync::Mutex::new(seen) }
    }
}

impl Known {
    /// Looks at what is known.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&All<Service>, &All<EndpointSlice>) -> T) -> T {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        look(&objects.services, &objects.slices)
    }

    /// Waits until all that there is has been heard of: a node that has just started must not take services away that it does not know yet.
    pub(super) async fn complete(&self) {
        let mut changes = self.changes.subscribe();
        while self.objects.read().unwrap_or_else(PoisonError::into_inner).whole != (true, true) {
            let _ = changes.changed().await;
        }
    }

    /// Waits until something is other than at the last call.
    pub(super) async fn changed(&self) {
        let _ = self.seen.lock().await.changed().await;
    }

    fn change(&self, change: impl FnOnce(&mut Objects)) {
        change(&mut self.objects.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
    }
}

/// A kind that is followed.
trait Followed: DeserializeOwned {
    const PATH: &'static str;
    fn meta(&self) -> &ObjectMeta;
    fn all(objects: &mut Objects) -> (&mut All<Self>, &mut bool);
}

impl Followed for Service {
    const PATH: &'static str = "/api/v1/services";
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn all(objects: &mut Objects) -> (&mut All<Self>, &mut bool) {
        (&mut objects.services, &mut objects.whole.0)
    }
}

impl Followed for EndpointSlice {
    const PATH: &'static str = "/apis/discovery.k8s.io/v1/endpointslices";
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn all(objects: &mut Objects) -> (&mut All<Self>, &mut bool) {
        (&mut objects.slices, &mut objects.whole.1)
    }
}

/// Follows both kinds for ever.
pub(super) async fn follow(api: &Api, known: &Known) {
    tokio::join!(again::<Service>(api, known), again::<EndpointSlice>(api, known), servers(api, known));
}

/// The API's own service lists its servers.
async fn servers(api: &Api, known: &Known) {
    let mut changes = known.changes.subscribe();
    loop {
        changes.borrow_and_update();
        let listed = known.read(|_, slices| slices.get(&("default".to_owned(), "kubernetes".to_owned())).map(listed));
        if let Some(listed) = listed {
            api.servers().list(listed);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn again<T: Followed>(api: &Api, known: &Known) {
    let mut retry = Retry::new(Duration::from_secs(5));
    loop {
        match once::<T>(api, known).await {
            Ok(()) => retry.works(),
            Err(error) => tokio::time::sleep(retry.failed(&format!("watch {}", T::PATH), &error)).await,
        }
    }
}

/// Follows one watch to its end. It begins with all objects that there are.
async fn once<T: Followed>(api: &Api, known: &Known) -> Result<(), Refused> {
    let path = format!("{}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", T::PATH);
    let mut watch = api.watch(&path).await?;
    let mut first: Option<HashSet<Id>> = Some(HashSet::new());
    while let Some(mut event) = watch.next().await? {
        let object = event["object"].take();
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => {
                if let (Some(first), id) = (&mut first, id(&object)) {
                    first.insert(id);
                }
                match serde_json::from_value::<T>(object) {
                    Ok(object) => known.change(|all| {
                        let meta = object.meta();
                        T::all(all).0.insert((meta.namespace.clone(), meta.name.clone()), object);
                    }),
                    Err(error) => log::failed(&format!("read an object of {}", T::PATH), &error),
                }
            }
            Some("DELETED") => known.change(|all| drop(T::all(all).0.remove(&id(&object)))),
            Some("BOOKMARK") if !object["metadata"]["annotations"]["k8s.io/initial-events-end"].is_null() => {
                // Whatever was not named is not there any more.
                let seen = first.take().unwrap_or_default();
                known.change(|all| {
                    let (objects, whole) = T::all(all);
                    objects.retain(|id, _| seen.contains(id));
                    *whole = true;
                });
            }
            Some("ERROR") => {
                let message = object["message"].as_str().unwrap_or_default().to_owned();
                return Err(Refused::Status { code: 410, message });
            }
            _ => {}
        }
    }
    Ok(())
}

fn id(object: &Value) -> Id {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}
