//! Nodes that are played over pipes in memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Link, Nodes, STREAMS, WINDOW};

/// Connects a node that answers every path with the path, and `/endless` without an end.
async fn node(nodes: &Arc<Nodes>, name: &'static str, word: &'static str) -> Arc<Link> {
    let before = nodes.link(name).ok();
    let (near, far) = tokio::io::duplex(64 << 10);
    let service = service_fn(move |request: Request<Incoming>| async move {
        let endless = matches!(request.uri().path(), "/endless" | super::pulse::PATH);
        let piece = if endless { vec![0; 16 << 10].into() } else { Bytes::from(format!("{word}{}", request.uri().path())) };
        let pieces = std::iter::repeat_n(piece, if endless { usize::MAX } else { 1 });
        let pieces = stream::iter(pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
        Ok::<_, Infallible>(Response::new(StreamBody::new(pieces)))
    });
    tokio::spawn(async move {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(STREAMS);
        let _ = builder.serve_connection(TokioIo::new(far), service).await;
    });
    let known = nodes.clone();
    tokio::spawn(async move { Link::over(&known, name.into(), TokioIo::new(near), std::future::pending()).await });
    loop {
        match nodes.link(name) {
            Ok(link) if before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, &link)) => return link,
            _ => tokio::task::yield_now().await,
        }
    }
}

async fn said(link: &Link, path: &str) -> String {
    let body = link.get(path).await.unwrap().into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// A test that hangs has failed.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap()
}

#[tokio::test]
async fn whoever_does_not_read_holds_up_nobody() {
    in_time(async {
        let nodes = Arc::new(Nodes::default());
        let link = node(&nodes, "n", "").await;
        let mut stalled = Vec::new();
        let most = 32;
        for _ in 0..most {
            stalled.push(link.get("/endless").await.unwrap());
        }
        // each has filled its window
        for answer in &mut stalled {
            let first = answer.body_mut().frame().await.unwrap().unwrap();
            assert!(first.into_data().unwrap().len() < WINDOW as usize);
        }
        assert_eq!(said(&link, "/a").await, "/a");
        drop(stalled);
        assert_eq!(said(&link, "/b").await, "/b");
    })
    .await;
}

#[tokio::test]
async fn streams_that_are_held_have_a_limit() {
    in_time(async {
        let nodes = Arc::new(Nodes::default());
        let link = node(&nodes, "n", "").await;
        let held: Vec<_> = std::iter::from_fn(|| link.permit().ok()).collect();
        assert_eq!((held.len(), link.permit().unwrap_err().code), (STREAMS as usize - 16, 429));
        // questions are answered all the same
        assert_eq!(said(&link, "/a").await, "/a");
        drop(held);
        assert!(link.permit().is_ok());
    })
    .await;
}

#[tokio::test]
async fn the_newest_connection_of_a_node_wins_and_others_stay() {
    in_time(async {
        let nodes = Arc::new(Nodes::default());
        let (first, other) = (node(&nodes, "n", "first").await, node(&nodes, "m", "other").await);
        let mut open = first.get("/endless").await.unwrap();
        let second = node(&nodes, "n", "second").await;
        assert_eq!(said(&nodes.link("n").unwrap(), "/").await, "second/");
        assert_eq!(said(&other, "/").await, "other/");
        // the first one has ended, with all that went over it
        while let Some(Ok(_)) = open.body_mut().frame().await {}
        assert_eq!(first.get("/").await.unwrap_err().code, 503);
        second.end();
        while nodes.link("n").is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(nodes.link("n").unwrap_err().message, "node \"n\" is not connected to the API server");
    })
    .await;
}

/// A node is heard while somebody listens, and named when it comes back.
#[tokio::test]
async fn nodes_are_heard_while_somebody_listens() {
    let pulse = super::Pulse::default();
    let nodes = Arc::new(Nodes::new(pulse.clone()));
    let _link = node(&nodes, "n1", "").await;
    let heard = tokio::time::timeout(Duration::from_millis(50), pulse.returned()).await;
    assert!(heard.is_err() && pulse.last("n1").is_none(), "nobody listens yet");
    let listening = pulse.listen();
    tokio::time::timeout(Duration::from_secs(60), pulse.returned()).await.expect("it is heard");
    assert_eq!(pulse.take_returned(), ["n1"]);
    assert!(pulse.last("n1").is_some() && pulse.last("n2").is_none() && pulse.take_returned().is_empty());
    drop(listening);
}
