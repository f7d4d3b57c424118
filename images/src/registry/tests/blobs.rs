use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Answer, Request, Server};
use super::*;
use crate::Failure;

/// Larger than what counts as progress.
fn content() -> Vec<u8> {
    (0..1_000_000u32).map(|index| (index % 251) as u8).collect()
}

/// Serves a part of `content()`, or all of it.
fn part(request: &Request) -> Answer {
    let content = content();
    match request.range() {
        None => Answer::new(200, content),
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
            Answer::new(206, &content[from..]).with("content-range", range)
        }
    }
}

/// A server whose answer to the request with that number, from 0, is made by `answer`.
async fn counted(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |request| answer(count.fetch_add(1, Ordering::Relaxed), request)).await
}

async fn fetch(server: &Server, clock: &Clock) -> Result<Vec<u8>, Error> {
    let registry = registry(&format!("{}/a/b", server.host()), clock);
    download(&registry, &Digest::sha256(&content()), content().len()).await
}

async fn fails(server: &Server) -> Failure {
    match fetch(server, &Clock::new()).await {
        Err(Error::Failed { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whole() {
    let server = Server::start(part).await;
    assert_eq!(fetch(&server, &Clock::new()).await.unwrap(), content());
    assert_eq!(server.paths(), [format!("GET /v2/a/b/blobs/{}", Digest::sha256(&content()))]);
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
    assert_eq!(server.seen()[0].header("range"), None);
}

#[tokio::test]
async fn from_an_offset() {
    let server = Server::start(part).await;
    let registry = registry(&format!("{}/a/b", server.host()), &Clock::new());
    let stream = registry.blob(&Digest::sha256(&content()), content().len() as u64, 999_990).await.unwrap();
    let pieces: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(pieces.concat(), content()[999_990..]);
}

#[tokio::test]
async fn goes_on_after_a_cut() {
    let server = counted(|count, request| match count {
        0 => part(request).cut_after(300_000),
        1 => Answer::new(502, ""),
        2 => part(request).cut_after(400_000),
        _ => part(request),
    })
    .await;
    let clock = Clock::new();
    assert_eq!(fetch(&server, &clock).await.unwrap(), content());
    let ranges: Vec<_> = server.seen().iter().map(Request::range).collect();
    assert_eq!(ranges, [None, Some(300_000), Some(300_000), Some(700_000)]);
    // Progress makes patience fresh: first pause, second pause, first pause.
    let half = |pause: &Duration| (pause.as_secs_f64() / 0.5) as u32;
    assert_eq!(clock.slept().iter().map(half).collect::<Vec<_>>(), [1, 2, 1]);
}

#[tokio::test]
async fn a_server_without_ranges() {
    let server = counted(|count, _| match count {
        0 => Answer::new(200, content()).cut_after(300_000),
        _ => Answer::new(200, content()),
    })
    .await;
    assert_eq!(fetch(&server, &Clock::new()).await.unwrap(), content());
    assert_eq!(server.seen()[1].range(), Some(300_000));
}

#[tokio::test]
async fn another_range_than_asked_for() {
    let server = counted(|count, request| match count {
        0 => part(request).cut_after(300_000),
        _ => Answer::new(206, &content()[400_000..]).with("content-range", "bytes 400000-999999/1000000"),
    })
    .await;
    assert_eq!(fails(&server).await.to_string(), "unexpected answer: bytes from 400000 when those from 300000 were asked for");
    let server = counted(|count, request| match count {
        0 => part(request).cut_after(300_000),
        _ => Answer::new(206, &content()[200_000..]).with("content-range", "bytes 200000-999999/1000000"),
    })
    .await;
    assert_eq!(fetch(&server, &Clock::new()).await.unwrap(), content());
}

#[tokio::test]
async fn truncated() {
    let short = || content()[..900_000].to_vec();
    let server = Server::start(move |_| Answer::new(200, short())).await;
    assert!(matches!(fails(&server).await, Failure::Truncated { expected: 1_000_000, found: 900_000 }));
    assert_eq!(server.paths().len(), 1);
    let server = Server::start(move |request| match request.range() {
        None => Answer::new(200, short()).without_length(),
        Some(_) => Answer::new(416, ""),
    })
    .await;
    assert!(matches!(fails(&server).await, Failure::Truncated { expected: 1_000_000, found: 900_000 }));
}

/// Neither the length nor an error shows that the end is missing.
#[tokio::test]
async fn an_end_that_never_comes() {
    let server = Server::start(|_| Answer::new(200, &content()[..900_000]).without_length()).await;
    let clock = Clock::new();
    let error = line(fetch(&server, &clock).await.unwrap_err());
    assert!(error.ends_with("connection lost: the answer ended after 900000 of 1000000 bytes"), "{error}");
    // The first try made progress, four more did not.
    assert_eq!(server.paths().len(), 5);
}

#[tokio::test]
async fn never_more_than_its_size() {
    let long = || [content(), b"more".to_vec()].concat();
    let server = Server::start(move |_| Answer::new(200, long())).await;
    assert!(matches!(fails(&server).await, Failure::TooLarge { limit: 1_000_000 }));
    let server = Server::start(move |_| Answer::new(200, long()).without_length()).await;
    match fetch(&server, &Clock::new()).await {
        Ok(bytes) => assert_eq!(bytes, content()),
        Err(error) => assert!(matches!(error.failure(), Some(Failure::TooLarge { .. })), "{error:?}"),
    }
}

#[tokio::test]
async fn nothing_to_fetch() {
    let server = Server::start(part).await;
    let registry = registry(&format!("{}/a/b", server.host()), &Clock::new());
    assert_eq!(download(&registry, &Digest::sha256(b""), 0).await.unwrap(), b"");
}

#[tokio::test]
async fn stalls() {
    let server = counted(|count, request| match count {
        0 => part(request).without_length().cut_after(300_000).then_silent(),
        _ => part(request),
    })
    .await;
    let mut clock = Clock::new();
    clock.patience.stall = Duration::from_millis(500);
    assert_eq!(fetch(&server, &clock).await.unwrap(), content());
    assert_eq!(server.paths().len(), 2);
}

/// What counts is that something comes, not how long all takes.
#[tokio::test]
async fn a_slow_answer_is_no_stall() {
    let server = Server::start(|_| Answer::new(200, content()).slowly(Duration::from_millis(400))).await;
    let mut clock = Clock::new();
    clock.patience.stall = Duration::from_millis(1500);
    assert_eq!(fetch(&server, &clock).await.unwrap(), content());
    assert_eq!(server.paths().len(), 1, "all of it took longer than a stall may");
}

#[tokio::test]
async fn an_unknown_blob() {
    let server = Server::start(|_| Answer::new(404, r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#)).await;
    let digest = Digest::sha256(&content());
    assert_eq!(fails(&server).await.to_string(), format!("404: no blob {digest} in repository a/b: check the name"));
}

#[tokio::test]
async fn a_limit_while_downloading() {
    let server = counted(|count, request| match count {
        0 => Answer::new(429, "").with("retry-after", "9"),
        _ => part(request),
    })
    .await;
    let clock = Clock::new();
    assert_eq!(fetch(&server, &clock).await.unwrap(), content());
    assert_eq!(clock.slept(), [Duration::from_secs(9)]);
}
