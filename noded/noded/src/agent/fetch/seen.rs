//! ConfigMaps and Secrets that were just read: pods that run look at theirs again and again, and often all at the same ones.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::super::actual::{Nanos, SECOND};
use super::super::api::Refused;
use super::super::wanted::environment::Keys;

/// How old they may be for pods that have their files already.
const AGE: Nanos = 30 * SECOND;

/// A namespace, whether it is a Secret, and a name.
pub(super) type Key = (String, bool, String);

/// What was read, and when.
#[derive(Default)]
pub(in super::super) struct Seen(Mutex<HashMap<Key, (Nanos, Option<Keys>)>>);

impl fmt::Debug for Seen {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Seen({})", self.0.lock().unwrap_or_else(PoisonError::into_inner).len())
    }
}

impl Seen {
    /// What is there under a name, if anything; as it is now where `fresh`, else as it was a moment ago.
    pub(super) async fn get(
        &self,
        key: Key,
        fresh: bool,
        now: Nanos,
        ask: impl Future<Output = Result<Option<Keys>, Refused>>,
    ) -> Result<Option<Keys>, Refused> {
        let all = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !fresh && let Some((_, keys)) = all().get(&key).filter(|(at, _)| now.saturating_sub(*at) < AGE) {
            return Ok(keys.clone());
        }
        let keys = ask.await?;
        let mut all = all();
        all.retain(|_, (at, _)| now.saturating_sub(*at) < AGE);
        all.insert(key, (now, keys.clone()));
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn many_pods_ask_once() {
        let (seen, asked) = (Seen::default(), Cell::new(0));
        let get = async |name: &str, fresh, now| {
            let ask = async {
                asked.set(asked.get() + 1);
                Ok(Some(Keys::from([("k".to_owned(), vec![asked.get()])])))
            };
            seen.get(("d".to_owned(), false, name.to_owned()), fresh, now, ask).await.unwrap().unwrap()["k"][0]
        };
        for second in 0..30 {
            assert_eq!(get("m", false, second * SECOND).await, 1);
        }
        assert_eq!(get("other", false, 0).await, 2);
        assert_eq!(get("m", true, SECOND).await, 3, "a pod that starts");
        assert_eq!(get("m", false, 2 * SECOND).await, 3);
        assert_eq!(get("m", false, 40 * SECOND).await, 4);
        assert_eq!(seen.0.lock().unwrap().len(), 1, "what is old is not kept");
    }
}
