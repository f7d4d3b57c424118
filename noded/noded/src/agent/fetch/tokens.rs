//! Tokens of pods' service accounts: asked for once, and again when most of their life is over.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use api::kinds::pod::Pod;
use api::kinds::pod::volume::ServiceAccountTokenProjection;
use serde_json::{Value, json};

use super::super::actual::{Nanos, SECOND};
use super::super::api::{Api, Refused};

/// Which pod's, by uid, for which audience, and for how many seconds.
type Key = (String, String, i64);

/// A token and the moment of its end.
type Issued = (String, Nanos);

/// Seconds of life of a token of which nothing is said.
const HOUR: i64 = 3600;

/// Pods that were made in one moment do not all ask again in one.
const JITTER: Nanos = 10 * SECOND;

/// Tokens in memory, and nowhere else but in their pods.
#[derive(Default)]
pub(in super::super) struct Tokens(Mutex<HashMap<Key, Held>>);

struct Held {
    token: String,
    /// When it is asked for again.
    again: Nanos,
    ends: Nanos,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Tokens({})", self.all().len())
    }
}

impl Tokens {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that is there, or the one that `ask` brings. One that is good still serves while there is no new one.
    async fn get(&self, key: Key, now: Nanos, ask: impl Future<Output = Result<Issued, Refused>>) -> Result<String, Refused> {
        let mut old = None;
        if let Some(held) = self.all().get(&key).filter(|held| held.ends > now) {
            if held.again > now {
                return Ok(held.token.clone());
            }
            old = Some(held.token.clone());
        }
        match (ask.await, old) {
            (Ok((token, ends)), _) => {
                let again = again(now, ends, RandomState::new().hash_one(&key));
                self.all().insert(key, Held { token: token.clone(), again, ends });
                Ok(token)
            }
            (Err(Refused::Away(_)), Some(old)) => Ok(old),
            (Err(error), _) => Err(error),
        }
    }

    /// Forgets those of a pod that is gone.
    pub(in super::super) fn forget(&self, uid: &str) {
        self.all().retain(|(of, ..), _| of != uid);
    }
}

/// When a token is asked for again: after 80 % of its life, and a little earlier by chance.
fn again(now: Nanos, ends: Nanos, chance: u64) -> Nanos {
    let most = ends.saturating_sub(now) / 5 * 4;
    (now + most).saturating_sub(chance % JITTER.min(most / 4).max(1))
}

/// What a pod's token is asked for with.
fn request(pod: &Pod, source: &ServiceAccountTokenProjection) -> Value {
    let audiences: Vec<&str> = Some(source.audience.as_str()).filter(|audience| !audience.is_empty()).into_iter().collect();
    json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": source.expiration_seconds.unwrap_or(HOUR),
            "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid },
        },
    })
}

async fn issued(api: &Api, pod: &Pod, source: &ServiceAccountTokenProjection) -> Result<Issued, Refused> {
    let account = if pod.spec.service_account_name.is_empty() { "default" } else { &pod.spec.service_account_name };
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", pod.metadata.namespace);
    let status = api.create(&path, &request(pod, source)).await?["status"].take();
    let ends = status["expirationTimestamp"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let ends = ends.and_then(|time| u64::try_from(time.as_nanosecond()).ok()).unwrap_or(0);
    Ok((status["token"].as_str().unwrap_or_default().to_owned(), ends))
}

/// Tokens of the pod's service account, by audience.
pub(in super::super) async fn tokens(
    api: &Api,
    tokens: &Tokens,
    pod: &Pod,
) -> Result<std::collections::BTreeMap<String, String>, Refused> {
    let mut found = std::collections::BTreeMap::new();
    let sources = pod.spec.volumes.iter().filter_map(|volume| volume.projected.as_ref()).flat_map(|projected| &projected.sources);
    for source in sources.filter_map(|source| source.service_account_token.as_ref()) {
        let key = (pod.metadata.uid.clone(), source.audience.clone(), source.expiration_seconds.unwrap_or(HOUR));
        let token = tokens.get(key, engine::now(), issued(api, pod, source)).await?;
        found.insert(source.audience.clone(), token);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LIFE: Nanos = 600 * SECOND;

    fn key(pod: &str, audience: &str) -> Key {
        (pod.to_owned(), audience.to_owned(), 600)
    }

    #[tokio::test]
    async fn a_token_is_asked_for_once_in_most_of_its_life() {
        let (tokens, asked) = (Tokens::default(), Cell::new(0));
        let get = async |pod: &str, audience: &str, now| {
            let ask = async {
                asked.set(asked.get() + 1);
                Ok((format!("token {}", asked.get()), now + LIFE))
            };
            tokens.get(key(pod, audience), now, ask).await.unwrap()
        };
        // Each minute, as volumes are looked at.
        for minute in 0..7 {
            assert_eq!(get("a", "", minute * 60 * SECOND).await, "token 1");
        }
        assert_eq!(asked.get(), 1);
        assert_eq!(get("a", "vault", 0).await, "token 2", "another audience");
        assert_eq!(get("b", "", 0).await, "token 3", "another pod");
        assert_eq!(get("a", "", 480 * SECOND).await, "token 4", "80 % of its life are over");
        tokens.forget("a");
        assert_eq!(get("b", "", 60 * SECOND).await, "token 3");
        assert_eq!(get("a", "vault", 60 * SECOND).await, "token 5");
    }

    #[tokio::test]
    async fn a_token_serves_while_there_is_no_new_one() {
        let tokens = Tokens::default();
        let away = async || Err(Refused::Away("no".to_owned()));
        assert!(tokens.get(key("a", ""), 0, away()).await.is_err());
        tokens.get(key("a", ""), 0, async { Ok(("old".to_owned(), LIFE)) }).await.unwrap();
        assert_eq!(tokens.get(key("a", ""), LIFE - SECOND, away()).await.unwrap(), "old");
        assert!(tokens.get(key("a", ""), LIFE, away()).await.is_err(), "its life is over");
        let refused = async { Err(Refused::Status { code: 403, message: String::new() }) };
        assert!(tokens.get(key("a", ""), LIFE - SECOND, refused).await.is_err(), "it may not be had any more");
    }

    #[test]
    fn chance_makes_it_earlier() {
        let all: Vec<Nanos> = [0, 7 * SECOND, u64::MAX].map(|chance| again(0, LIFE, chance)).into();
        assert_eq!(&all[..2], [480 * SECOND, 473 * SECOND]);
        assert!(all[2] > 470 * SECOND && all[2] <= 480 * SECOND);
        assert_eq!(again(5, 5, 3), 5, "one without a life");
    }
}
