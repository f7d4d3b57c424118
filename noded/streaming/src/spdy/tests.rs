use bytes::Bytes;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::testing::{Client, Seen};
use super::{Accepted, Connection};
use crate::io::Closed;

fn pair() -> (Client<DuplexStream>, Connection) {
    let (ours, theirs) = duplex(1 << 20);
    (Client::new(ours), Connection::serve(theirs))
}

#[tokio::test]
async fn both_sides_write_and_end() {
    let (mut client, mut connection) = pair();
    client.open(1, &[("streamType", "stdin")]).await;
    let Accepted { headers, mut input, output } = connection.accept().await.unwrap();
    assert_eq!(headers.get("streamtype"), Some("stdin"));
    assert_eq!(client.see().await, Seen::Reply(1));
    client.send(1, &[7; 100_000], false).await;
    client.send(1, b"", true).await;
    let mut read = 0;
    while let Some(piece) = input.next().await {
        assert!(piece.len() <= crate::io::PIECE);
        read += piece.len();
    }
    assert_eq!(read, 100_000);
    output.write(Bytes::from_static(b"answer")).await.unwrap();
    output.end().await.unwrap();
    assert_eq!(client.all(1).await, "answer");
    let closing = tokio::spawn(connection.close());
    assert_eq!(client.see().await, Seen::GoAway);
    assert_eq!(client.see().await, Seen::Gone);
    drop(client);
    closing.await.unwrap();
}

#[tokio::test]
async fn numbers_of_streams_go_up_and_are_odd() {
    let (mut client, mut connection) = pair();
    for (id, good) in [(3, true), (3, false), (1, false), (4, false), (5, true)] {
        client.open(id, &[]).await;
        assert_eq!(client.see().await, if good { Seen::Reply(id) } else { Seen::Reset(id) });
        if good {
            connection.accept().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_client_may_ping_and_take_back_a_stream() {
    let (mut client, mut connection) = pair();
    client.control(6, 0, &9u32.to_be_bytes()).await;
    assert_eq!(client.see().await, Seen::Pong(9));
    client.open(1, &[]).await;
    let mut stream = connection.accept().await.unwrap();
    client.control(3, 0, &[0, 0, 0, 1, 0, 0, 0, 5]).await;
    assert_eq!(stream.input.next().await, None);
    assert_eq!(stream.output.write(Bytes::from_static(b"x")).await, Err(Closed));
    // what nobody takes is dropped, and what is not known is skipped
    client.control(4, 0, &[0; 12]).await;
    client.send(77, b"nobody", false).await;
    assert_eq!((client.see().await, client.see().await), (Seen::Reply(1), Seen::Reset(77)));
}

#[tokio::test]
async fn there_is_an_end_to_streams() {
    let (mut client, mut connection) = pair();
    let mut held = Vec::new();
    for at in 0..super::streams::MAX_STREAMS as u32 + 1 {
        client.open(at * 2 + 1, &[]).await;
        match client.see().await {
            Seen::Reply(_) => held.push(connection.accept().await.unwrap()),
            seen => assert_eq!(seen, Seen::Reset(at * 2 + 1)),
        }
    }
    assert_eq!(held.len(), super::streams::MAX_STREAMS);
    // a stream that has ended on both sides makes room
    client.send(1, b"", true).await;
    held.remove(0).output.end().await.unwrap();
    assert_eq!(client.see().await, Seen::End(1));
    client.open(9001, &[]).await;
    assert_eq!(client.see().await, Seen::Reply(9001));
}

#[tokio::test]
async fn nonsense_ends_the_connection() {
    for nonsense in [
        &[0x80, 2, 0, 1, 0, 0, 0, 0][..],                                  // SPDY/2
        &[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff],                             // a control frame of 16 MiB
        &[0x80, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1],                          // cut off
        &[0x80, 3, 0, 6, 0, 0, 0, 0],                                      // a ping without a number
        &[0x80, 3, 0, 1, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2], // headers that are not compressed
    ] {
        let (mut client, mut connection) = pair();
        client.io.write_all(nonsense).await.unwrap();
        client.io.shutdown().await.unwrap();
        assert!(connection.accept().await.is_none());
        connection.closed().await;
        assert_eq!(client.see().await, Seen::Gone);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_hang(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), control: bool, kind in 0u8..10) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut client, mut connection) = pair();
            if control {
                client.io.write_all(&[0x80, 3, 0, kind, 0, 0, 0, bytes.len() as u8]).await.unwrap();
            }
            client.io.write_all(&bytes).await.unwrap();
            client.io.shutdown().await.unwrap();
            while connection.accept().await.is_some() {}
        });
    }
}
