//! A client for the tests.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::{FIN, Head, SYN_STREAM, data};
use super::headers::{Headers, Reader, Writer};

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Reply(u32),
    Reset(u32),
    Data(u32, Vec<u8>),
    End(u32),
    Pong(u32),
    GoAway,
    Gone,
}

pub(crate) struct Client<T> {
    pub(crate) io: T,
    writer: Writer,
    reader: Reader,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    pub(crate) fn new(io: T) -> Client<T> {
        Client { io, writer: Writer::new().unwrap(), reader: Reader::new() }
    }

    pub(crate) async fn open(&mut self, id: u32, headers: &[(&str, &str)]) {
        let block = self.writer.write(headers).unwrap();
        let mut body = BytesMut::new();
        body.put_u32(id);
        body.put_slice(&[0; 6]);
        body.put_slice(&block);
        self.control(SYN_STREAM, 0, &body).await;
    }

    pub(crate) async fn control(&mut self, kind: u16, flags: u8, body: &[u8]) {
        let mut frame = BytesMut::new();
        frame.put_u16(0x8003);
        frame.put_u16(kind);
        frame.put_u32(u32::from(flags) << 24 | body.len() as u32);
        frame.put_slice(body);
        self.io.write_all(&frame).await.unwrap();
    }

    pub(crate) async fn send(&mut self, id: u32, bytes: &[u8], last: bool) {
        self.io.write_all(&data(id, bytes, last)).await.unwrap();
    }

    pub(crate) async fn see(&mut self) -> Seen {
        let mut head = [0; Head::LENGTH];
        if self.io.read_exact(&mut head).await.is_err() {
            return Seen::Gone;
        }
        let (Head::Control { length, .. } | Head::Data { length, .. }) = Head::parse(head);
        let mut body = vec![0; length as usize];
        self.io.read_exact(&mut body).await.unwrap();
        let word = |body: &[u8]| u32::from_be_bytes(body[..4].try_into().unwrap());
        match Head::parse(head) {
            Head::Data { stream, flags, .. } if flags & FIN != 0 => Seen::End(stream),
            Head::Data { stream, .. } => Seen::Data(stream, body),
            Head::Control { kind: 2, .. } => {
                assert_eq!(self.reader.read(&body[4..]).unwrap(), Headers::default());
                Seen::Reply(word(&body))
            }
            Head::Control { kind: 3, .. } => Seen::Reset(word(&body)),
            Head::Control { kind: 6, .. } => Seen::Pong(word(&body)),
            Head::Control { kind: 7, .. } => Seen::GoAway,
            other => panic!("{other:?}"),
        }
    }

    /// All that comes on one stream until its end.
    pub(crate) async fn all(&mut self, id: u32) -> Bytes {
        let mut all = BytesMut::new();
        loop {
            match self.see().await {
                Seen::Data(stream, bytes) if stream == id => all.put_slice(&bytes),
                Seen::End(stream) if stream == id => return all.freeze(),
                Seen::Data(..) | Seen::End(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
