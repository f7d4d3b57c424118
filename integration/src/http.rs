//! The little HTTP/1.1 that fixtures and tests need: one request a connection, over plain TCP to this machine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long one read may take before the request fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// 200 and so on.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `GET http://ADDRESS/PATH`.
///
/// # Errors
/// When the connection fails or the answer is not HTTP.
pub fn get(address: impl ToSocketAddrs + std::fmt::Display, path: &str) -> Result<Response> {
    request(address, "GET", path, &[], &mut io::empty(), 0)
}

/// One request with a body of `len` bytes.
///
/// # Errors
/// When the connection fails or the answer is not HTTP.
pub fn request(
    address: impl ToSocketAddrs + std::fmt::Display,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &mut dyn Read,
    len: u64,
) -> Result<Response> {
    let what = format!("{method} http://{address}{path}");
    let mut attempt = || -> Result<Response> {
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {len}\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        io::copy(body, &mut stream)?;
        read_response(&mut BufReader::new(stream), method == "HEAD")
    };
    attempt().context(what)
}

fn read_response(from: &mut impl BufRead, bodiless: bool) -> Result<Response> {
    let (line, headers) = read_head(from)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).with_context(|| format!("status line {line:?}"))?;
    let mut response = Response { status, headers, body: Vec::new() };
    if bodiless {
        return Ok(response);
    }
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = read_chunks(from)?;
    } else if let Some(len) = response.header("content-length") {
        let len = len.parse()?;
        from.take(len).read_to_end(&mut response.body)?;
        if response.body.len() as u64 != len {
            bail!("body of {} bytes instead of {len}", response.body.len());
        }
    } else {
        from.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

/// Reads a start line and headers, of a request or of an answer.
///
/// # Errors
/// When the connection ends first.
pub fn read_head(from: &mut impl BufRead) -> Result<(String, Vec<(String, String)>)> {
    let first = read_line(from)?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok((first, headers))
}

fn read_line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        bail!("connection closed");
    }
    Ok(line.trim_end().to_owned())
}

fn read_chunks(from: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from)?;
        let len = u64::from_str_radix(line.split(';').next().unwrap_or_default(), 16).with_context(|| format!("chunk {line:?}"))?;
        from.take(len).read_to_end(&mut body)?;
        read_line(from)?;
        if len == 0 {
            return Ok(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_by_length_by_chunks_and_to_the_end() {
        for (answer, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", "hi"),
            ("HTTP/1.0 404 Not Found\r\n\r\nno such thing", "no such thing"),
        ] {
            assert_eq!(read_response(&mut answer.as_bytes(), false).unwrap().text(), body);
        }
        assert!(read_response(&mut "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi".as_bytes(), false).is_err());
    }
}
