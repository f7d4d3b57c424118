//! A WebSocket client, as small as can be (RFC 6455): channels of Kubernetes in frames of less than 64 KiB.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection that was upgraded.
#[derive(Debug)]
pub(super) struct Socket(TcpStream);

impl Socket {
    /// Opens the address of a stream. The error is the head of the answer.
    pub(super) fn open(url: &str, protocol: &str) -> Result<Socket, String> {
        let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an absolute address");
        let mut stream = TcpStream::connect(host).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        let head = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if answer.starts_with("HTTP/1.1 101") { Ok(Socket(stream)) } else { Err(answer) }
    }

    /// Sends bytes on a channel. The mask is all zeroes, which the protocol allows.
    pub(super) fn send(&mut self, channel: u8, bytes: &[u8]) {
        let length = bytes.len() + 1;
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(0x80 | length as u8),
            _ => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0, 0, 0, 0, channel]);
        frame.extend_from_slice(bytes);
        self.0.write_all(&frame).expect("sent");
    }

    /// Sends on a channel until nothing is taken any more.
    pub(super) fn fill(&mut self, channel: u8) {
        self.0.set_write_timeout(Some(Duration::from_millis(500))).expect("a time limit");
        let mut frame = vec![0x82, 0x80 | 126, 0x80, 0, 0, 0, 0, 0, channel];
        frame.resize(8 + 0x8000, b'x');
        while self.0.write_all(&frame).is_ok() {}
    }

    /// The next message: its channel and its bytes; none when the other end has closed.
    pub(super) fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).ok()?;
            let length = match head[1] & 0x7f {
                126 => {
                    let mut length = [0; 2];
                    self.0.read_exact(&mut length).ok()?;
                    usize::from(u16::from_be_bytes(length))
                }
                127 => panic!("a frame of more than 64 KiB"),
                length => usize::from(length),
            };
            let mut bytes = vec![0; length];
            self.0.read_exact(&mut bytes).ok()?;
            match head[0] & 0xf {
                8 => return None,
                1 | 2 if !bytes.is_empty() => {
                    let channel = bytes.remove(0);
                    return Some((channel, bytes));
                }
                _ => {}
            }
        }
    }

    /// All that comes until the end, by channel.
    pub(super) fn all(&mut self) -> [Vec<u8>; 4] {
        let mut all = [const { Vec::new() }; 4];
        while let Some((channel, bytes)) = self.next() {
            all[usize::from(channel)].extend(bytes);
        }
        all
    }

    /// Waits until a channel has said something with this part.
    pub(super) fn wait_for(&mut self, channel: u8, part: &str) {
        let mut said = String::new();
        while !said.contains(part) {
            let (from, bytes) = self.next().unwrap_or_else(|| panic!("ended before {part:?}: {said:?}"));
            if from == channel {
                said += &String::from_utf8_lossy(&bytes);
            }
        }
    }
}
