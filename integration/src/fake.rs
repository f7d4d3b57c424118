//! A registry inside the test, for what a real one does not do: it counts requests, lies, breaks off, and waits.

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::http::read_head;
use crate::oci::{Bundle, Document};

/// How long a gate or a wait lasts before the test is told that nothing came.
const PATIENCE: Duration = Duration::from_secs(30);

/// What goes wrong with an answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Other bytes than asked for, under the right headers.
    Bytes(Vec<u8>),
    /// The connection breaks after this many bytes of the body, every time.
    BreakAfter(usize),
    /// The connection breaks after this many bytes of the body, once; ranges are served afterwards.
    BreakOnce(usize),
    /// The first half of the body is sent, the rest waits for [`Fake::open`].
    Gate,
    /// This status, these headers and this body; as often as said, then the right answer.
    Status(u16, Vec<(String, String)>, String, usize),
}

#[derive(Debug, Default)]
struct State {
    /// By path: media type, digest, bytes.
    answers: HashMap<String, (String, String, Arc<Vec<u8>>)>,
    faults: HashMap<String, Fault>,
    hits: Vec<String>,
    /// Paths of which half has been sent.
    half: Vec<String>,
    open: bool,
    /// Set: a bearer token is asked for, as Docker Hub does.
    token: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registry on a free port of loopback, until it is dropped.
#[derive(Debug)]
pub struct Fake {
    /// `127.0.0.1:PORT`.
    pub address: String,
    shared: Arc<Shared>,
}

impl Fake {
    /// Starts one without content.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("bind 127.0.0.1")?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared::default());
        let (here, weak) = (address.clone(), Arc::downgrade(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(shared) = weak.upgrade() else { return };
                let address = here.clone();
                std::thread::spawn(move || serve(&stream, &shared, &address));
            }
        });
        Ok(Self { address, shared })
    }

    /// Serves `bundle` as `repository:tag`, and answers how to pull it.
    ///
    /// # Panics
    /// When `name` has no tag.
    pub fn add(&self, name: &str, bundle: &Bundle) -> String {
        let (repository, tag) = name.split_once(':').expect("a tag");
        let mut state = self.shared.state();
        for blob in &bundle.blobs {
            let bytes = Arc::new(blob.data.read().expect("readable blob"));
            let path = format!("/v2/{repository}/blobs/{}", blob.digest);
            state.answers.insert(path, ("application/octet-stream".into(), blob.digest.clone(), bytes));
        }
        let mut document = |what: &str, document: &Document| {
            let answer = (document.media_type.clone(), document.digest.clone(), Arc::new(document.bytes.clone()));
            state.answers.insert(format!("/v2/{repository}/manifests/{what}"), answer);
        };
        for each in &bundle.documents {
            document(&each.digest, each);
        }
        document(tag, bundle.top());
        format!("{}/{name}", self.address)
    }

    /// Answers this path with a document.
    pub fn serve(&self, path: &str, document: &Document) {
        let answer = (document.media_type.clone(), document.digest.clone(), Arc::new(document.bytes.clone()));
        self.shared.state().answers.insert(path.to_owned(), answer);
    }

    /// Makes the answer to every path that ends in `suffix` go wrong.
    pub fn fault(&self, suffix: &str, fault: Fault) {
        self.shared.state().faults.insert(suffix.to_owned(), fault);
    }

    /// From now on asks for a token, and gives it out to everyone.
    pub fn want_token(&self, token: &str) {
        self.shared.state().token = Some(token.to_owned());
    }

    /// How many requests (without `HEAD`) there were for paths that end in `suffix`.
    #[must_use]
    pub fn hits(&self, suffix: &str) -> usize {
        self.shared.state().hits.iter().filter(|path| path.ends_with(suffix)).count()
    }

    /// Waits until half of a gated answer whose path ends in `suffix` has been sent.
    ///
    /// # Panics
    /// When that does not happen.
    pub fn wait_for_half(&self, suffix: &str) {
        self.wait(|state| state.half.iter().any(|path| path.ends_with(suffix)));
    }

    /// Waits until there were `count` requests for paths that end in `suffix`.
    ///
    /// # Panics
    /// When that does not happen.
    pub fn wait_for_hits(&self, suffix: &str, count: usize) {
        self.wait(|state| state.hits.iter().filter(|path| path.ends_with(suffix)).count() >= count);
    }

    /// Lets the gated answers go on, now and later.
    pub fn open(&self) {
        self.shared.state().open = true;
        self.shared.changed.notify_all();
    }

    fn wait(&self, until: impl Fn(&State) -> bool) {
        let (state, out) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), PATIENCE, |state| !until(state))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!out.timed_out(), "waited in vain; requests so far: {:#?}", state.hits);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.open();
        let Self { address, shared } = self;
        // the accepting thread holds a weak reference only: give up ours, then wake it
        *shared = Arc::default();
        let _ = TcpStream::connect(&*address);
    }
}

/// Answers the one request of a connection; a client that goes away early is its own business.
fn serve(stream: &TcpStream, shared: &Shared, address: &str) {
    let mut reader = BufReader::new(stream);
    let Ok((line, headers)) = read_head(&mut reader) else { return };
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let range = header("range").and_then(|value| value.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
    let answer = answer(shared, address, path, method == "HEAD", header("authorization"), range);
    let _ = send(stream, shared, path, &answer);
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes after which the connection breaks.
    cut: Option<usize>,
    gate: bool,
    bodiless: bool,
}

impl Answer {
    fn text(status: u16, body: &str) -> Self {
        let headers = vec![("Content-Type".into(), "application/json".into())];
        Self { status, headers, body: body.into(), cut: None, gate: false, bodiless: false }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

fn answer(shared: &Shared, address: &str, path: &str, head: bool, authorization: Option<&str>, range: Option<usize>) -> Answer {
    let mut state = shared.state();
    if !head {
        state.hits.push(path.to_owned());
        shared.changed.notify_all();
    }
    if let Some(token) = &state.token {
        if path == "/token" {
            return Answer::text(200, &format!(r#"{{"token":"{token}","expires_in":300}}"#));
        }
        if authorization != Some(&format!("Bearer {token}")) {
            let challenge = format!("Bearer realm=\"http://{address}/token\",service=\"fake\"");
            return Answer::text(401, r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#).with("WWW-Authenticate", &challenge);
        }
    }
    if path == "/v2/" {
        return Answer::text(200, "{}");
    }
    let Some((kind, digest, bytes)) = state.answers.get(path).cloned() else {
        return Answer::text(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#);
    };
    let from = range.unwrap_or(0).min(bytes.len());
    let mut answer = Answer::text(if range.is_some() { 206 } else { 200 }, "").with("Docker-Content-Digest", &digest);
    answer.headers[0].1 = kind;
    answer.body = bytes[from..].to_vec();
    answer.bodiless = head;
    if range.is_some() {
        answer = answer.with("Content-Range", &format!("bytes {from}-{}/{}", bytes.len().saturating_sub(1), bytes.len()));
    }
    if !head && let Some(suffix) = state.faults.keys().find(|suffix| path.ends_with(suffix.as_str())).cloned() {
        apply(&mut state, &suffix, &mut answer);
    }
    answer
}

fn apply(state: &mut State, suffix: &str, answer: &mut Answer) {
    match state.faults.get_mut(suffix) {
        Some(Fault::Bytes(bytes)) => answer.body.clone_from(bytes),
        Some(Fault::BreakAfter(len)) => answer.cut = Some(*len),
        Some(Fault::BreakOnce(len)) => {
            answer.cut = Some(*len);
            state.faults.remove(suffix);
        }
        Some(Fault::Gate) => answer.gate = !state.open,
        Some(Fault::Status(status, headers, body, times)) if *times > 0 => {
            *times -= 1;
            answer.status = *status;
            answer.headers.clone_from(headers);
            answer.body = body.clone().into_bytes();
        }
        Some(Fault::Status(..)) | None => {}
    }
}

fn send(mut stream: &TcpStream, shared: &Shared, path: &str, answer: &Answer) -> Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if answer.bodiless {
        return Ok(());
    }
    let body = &answer.body[..answer.cut.unwrap_or(answer.body.len()).min(answer.body.len())];
    if !answer.gate {
        return Ok(stream.write_all(body)?);
    }
    let (first, rest) = body.split_at(body.len() / 2);
    stream.write_all(first)?;
    stream.flush()?;
    shared.state().half.push(path.to_owned());
    shared.changed.notify_all();
    let deadline = Instant::now() + PATIENCE;
    let closed = |state: &mut State| !state.open && Instant::now() < deadline;
    drop(shared.changed.wait_timeout_while(shared.state(), PATIENCE, closed).unwrap_or_else(PoisonError::into_inner));
    Ok(stream.write_all(rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Compression, Entry, pack};
    use crate::oci::{Format, Image};
    use crate::{http, layer};

    #[test]
    fn serves_counts_and_lies() {
        let layer = pack(&[Entry::file("f", "hello")], Compression::Gzip).unwrap();
        let bundle = Image::new(Format::Oci, vec![layer.clone()], serde_json::json!({})).bundle();
        let fake = Fake::start().unwrap();
        fake.add("test/x:v1", &bundle);
        let manifest = http::get(&fake.address, "/v2/test/x/manifests/v1").unwrap();
        assert_eq!(layer::digest(&manifest.body), bundle.top().digest);
        let path = format!("/v2/test/x/blobs/{}", layer.digest);
        assert_eq!(layer::digest(&http::get(&fake.address, &path).unwrap().body), layer.digest);
        assert_eq!(http::get(&fake.address, "/v2/test/x/manifests/v2").unwrap().status, 404);
        fake.fault(&layer.digest, Fault::BreakAfter(3));
        assert!(http::get(&fake.address, &path).is_err());
        fake.fault(&layer.digest, Fault::Status(503, vec![], String::new(), 1));
        assert_eq!(http::get(&fake.address, &path).unwrap().status, 503);
        assert_eq!(http::get(&fake.address, &path).unwrap().status, 200);
        assert_eq!(fake.hits(&layer.digest), 4);
        fake.want_token("t");
        assert_eq!(http::get(&fake.address, &path).unwrap().status, 401);
    }
}
