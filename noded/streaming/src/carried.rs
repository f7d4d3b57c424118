//! A stream of bytes in the binary messages of a WebSocket: SPDY for clients that upgrade to nothing else.

use axum::extract::ws::{Message, WebSocket};
use bytes::BytesMut;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::io::PIECE;
use crate::websocket::goodbye;

/// The bytes of a WebSocket. It is closed when they have ended, and they end when it is closed.
pub(crate) fn bytes(socket: WebSocket) -> DuplexStream {
    let (near, far) = tokio::io::duplex(PIECE);
    tokio::spawn(carry(socket, far));
    near
}

async fn carry(socket: WebSocket, far: DuplexStream) {
    let (mut write, mut read) = socket.split();
    let (mut from, mut to) = tokio::io::split(far);
    let up = async {
        // The library answers pings, and ends the stream after a close.
        while let Some(Ok(message)) = read.next().await {
            if let Message::Binary(bytes) = message
                && to.write_all(&bytes).await.is_err()
            {
                return;
            }
        }
    };
    let down = async {
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            let length = from.read_buf(&mut piece).await.unwrap_or(0);
            if length == 0 || write.send(Message::Binary(piece.freeze())).await.is_err() {
                break;
            }
        }
        let _ = write.send(goodbye()).await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
