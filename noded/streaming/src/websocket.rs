//! The same streams as numbered channels of one WebSocket: the first byte of a message says which.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::io::{Input, Outgoing, Output, WAITING, hand};

/// How long a client may take to hang up after it was told to.
const LINGER: Duration = Duration::from_secs(5);

/// From version 5 on: the next byte names a channel on which the client will send no more.
const CLOSE: u8 = 255;

/// The longest message taken; clients send at most 32 KiB at once.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;

/// The versions of a channel protocol that Kubernetes clients offer, best first.
pub(crate) const PROTOCOLS: [&str; 3] = ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"];

/// The version behind the name of a protocol.
pub(crate) fn version(protocol: &str) -> u8 {
    match protocol {
        "v5.channel.k8s.io" => 5,
        "v4.channel.k8s.io" => 4,
        _ => 1,
    }
}

/// The server's end of a connection.
#[derive(Debug)]
pub(crate) struct Channels {
    inputs: HashMap<u8, Input>,
    outgoing: mpsc::Sender<Outgoing>,
    reader: JoinHandle<()>,
}

impl Channels {
    /// Serves `socket` in two tasks of their own. Messages on other channels than those of `inputs` are dropped.
    pub(crate) fn serve(socket: WebSocket, inputs: impl IntoIterator<Item = u8>) -> Channels {
        let (write, read) = socket.split();
        let (outgoing, waiting) = mpsc::channel(WAITING);
        let mut senders = HashMap::new();
        let inputs = inputs
            .into_iter()
            .map(|channel| {
                let (sender, receiver) = mpsc::channel(WAITING);
                senders.insert(channel, sender);
                (channel, Input(receiver))
            })
            .collect();
        let writer = tokio::spawn(write_all(write, waiting));
        let asks = outgoing.clone();
        let reader = tokio::spawn(async move {
            read_all(read, senders, asks).await;
            writer.abort();
        });
        Channels { inputs, outgoing, reader }
    }

    /// What the client sends on a channel.
    pub(crate) fn input(&mut self, channel: u8) -> Option<Input> {
        self.inputs.remove(&channel)
    }

    /// A channel to the client.
    pub(crate) fn output(&self, channel: u8) -> Output {
        Output { channel: u32::from(channel), sender: self.outgoing.clone(), reset: Arc::default() }
    }

    /// Says goodbye after all that was written, and waits for the client to hang up.
    pub(crate) async fn close(mut self) {
        let _ = self.outgoing.send(Outgoing::Close).await;
        self.inputs.clear();
        if timeout(LINGER, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read_all(
    mut read: SplitStream<WebSocket>,
    mut senders: HashMap<u8, mpsc::Sender<Bytes>>,
    outgoing: mpsc::Sender<Outgoing>,
) {
    // The library answers pings, and ends the stream after a close.
    while let Some(Ok(message)) = read.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::from(text),
            _ => continue,
        };
        match *bytes {
            [CLOSE, channel] => drop(senders.remove(&channel)),
            [channel, _, ..] => {
                if let Some(sender) = senders.get(&channel)
                    && hand(sender, bytes.slice(1..), &outgoing).await.is_err()
                {
                    return;
                }
            }
            // Clients of the Go library open a channel with an empty message.
            [_] | [] => {}
        }
    }
}

/// The end of a connection on which all is well: clients of the Go library take any other one for a failure.
pub(crate) fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: close_code::NORMAL, reason: "".into() }))
}

async fn write_all(mut write: SplitSink<WebSocket, Message>, mut waiting: mpsc::Receiver<Outgoing>) {
    while let Some(next) = waiting.recv().await {
        let message = match next {
            Outgoing::Data(channel, bytes) => {
                let mut message = BytesMut::with_capacity(1 + bytes.len());
                message.put_u8(channel as u8);
                message.put_slice(&bytes);
                Message::Binary(message.freeze())
            }
            Outgoing::Ask => Message::Ping(Bytes::new()),
            // There is no end of one channel in this direction.
            Outgoing::End(_) | Outgoing::Frame(_) => continue,
            Outgoing::Close => break,
        };
        if write.send(message).await.is_err() {
            return;
        }
    }
    let _ = write.send(goodbye()).await;
}
