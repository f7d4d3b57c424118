//! Lists in several messages, for what is longer than one message may be (KEP-5825).

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Response, Status};

use super::Answer;

/// A stream of answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Answer<T>> + Send>>;

/// Items in a message. A container with the labels and annotations of its pod takes some kilobytes.
const ITEMS: usize = 256;

/// The items in messages; none at all makes none.
pub(super) fn in_parts<I: Send + 'static, O: Send + 'static>(items: Vec<I>, message: fn(Vec<I>) -> O) -> Response<Answers<O>> {
    let mut items = items.into_iter();
    let parts = std::iter::from_fn(move || {
        let part: Vec<I> = items.by_ref().take(ITEMS).collect();
        (!part.is_empty()).then_some(part)
    });
    Response::new(stream::iter(parts.map(move |part| Ok::<O, Status>(message(part)))).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_items_come() {
        let lengths = |count: usize| async move {
            let stream = in_parts((0..count).collect(), |part: Vec<usize>| part.len()).into_inner();
            stream.map(|part| part.unwrap()).collect::<Vec<_>>().await
        };
        assert_eq!(lengths(0).await, [] as [usize; 0]);
        assert_eq!(lengths(ITEMS * 2 + 1).await, [ITEMS, ITEMS, 1]);
    }
}
