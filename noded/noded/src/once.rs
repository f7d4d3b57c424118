//! Work that several callers want at once is done once: whoever comes later waits for the same result. It goes on when its callers go
//! away, so that a caller that has lost patience finds the result when it comes again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tonic::{Code, Status};

type Outcome<T> = Result<T, Status>;
type Running<T> = HashMap<String, watch::Receiver<Option<Outcome<T>>>>;

/// Work by the key under which others ask for the same.
#[derive(Debug)]
pub(crate) struct Once<T>(Arc<Mutex<Running<T>>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Once(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> Once<T> {
    /// Joins the work under this key, or does it, on a thread that may block.
    pub(crate) async fn join(&self, key: &str, work: impl FnOnce() -> Outcome<T> + Send + 'static) -> Outcome<T> {
        let mut running = self.running(key, work);
        let lost = || Err(Status::new(Code::Internal, "the work ended without a result"));
        match running.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(lost),
            Err(_) => lost(),
        }
    }

    fn running(&self, key: &str, work: impl FnOnce() -> Outcome<T> + Send + 'static) -> watch::Receiver<Option<Outcome<T>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = all.get(key) {
            return running.clone();
        }
        let (sender, receiver) = watch::channel(None);
        all.insert(key.to_owned(), receiver.clone());
        let entry = Entry { all: Arc::clone(&self.0), key: key.to_owned() };
        tokio::task::spawn_blocking(move || {
            let outcome = work();
            // Whoever asks from now on starts anew, and finds what was made.
            drop(entry);
            let _ = sender.send(Some(outcome));
        });
        receiver
    }
}

/// Takes the work off the list, also when it panics.
struct Entry<T> {
    all: Arc<Mutex<Running<T>>>,
    key: String,
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn who_comes_later_joins() {
        let once = Once::default();
        let count = Arc::new(AtomicUsize::new(0));
        let (go, wait) = channel::<()>();
        let work = |wait: Option<std::sync::mpsc::Receiver<()>>| {
            let count = Arc::clone(&count);
            move || {
                count.fetch_add(1, Ordering::Relaxed);
                wait.map(|wait| wait.recv());
                Ok(7)
            }
        };
        // The first caller goes away, its work does not.
        let first = tokio::time::timeout(std::time::Duration::from_millis(1), once.join("a", work(Some(wait)))).await;
        assert!(first.is_err());
        let mut second = std::pin::pin!(once.join("a", work(None)));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, second.as_mut()).await.is_err());
        let third = once.join("b", work(None));
        assert_eq!(third.await.unwrap(), 7);
        go.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 7);
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert_eq!(once.join("a", work(None)).await.unwrap(), 7);
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_for_all_who_wait() {
        let once = Once::<u8>::default();
        let panics = once.join("a", || std::panic::resume_unwind(Box::new("on purpose")));
        assert_eq!(panics.await.unwrap_err().code(), Code::Internal);
        assert_eq!(once.join("a", || Ok(1)).await.unwrap(), 1);
    }
}
