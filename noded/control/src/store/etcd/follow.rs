//! What is in etcd comes into memory: all of it at the beginning, then what happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd::event::EventType;
use etcd::kv_client::KvClient;
use etcd::watch_client::WatchClient;
use etcd::watch_request::RequestUnion;
use etcd::{CompactionRequest, RangeRequest, WatchCreateRequest, WatchRequest};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::{sleep, timeout};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::link::Member;
use super::{Inner, end_of, value};
use crate::store::embedded::stamped;
use crate::store::memory::Event;
use crate::store::{Entry, NotOpened};

/// So many objects come at once.
const PAGE: i64 = 1000;
/// What is older is compacted, as Kubernetes does it.
const PAST: Duration = Duration::from_secs(300);
/// How long a watch may take to begin.
const BEGIN: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// How a watch ends.
enum End {
    /// The connection broke, or etcd gave up.
    Lost,
    /// What comes next is not there any more, or it is another etcd: all is to be read anew.
    Anew,
}

/// Follows for ever.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut pause = SHORTEST;
    loop {
        let member = inner.link.member();
        let before = inner.memory.revision();
        let Err(end) = inner.follow(&member).await;
        if inner.memory.revision() != before {
            pause = SHORTEST;
        }
        match end {
            End::Lost => inner.link.leave(&member),
            // what cannot be read now is tried again
            End::Anew => drop(inner.load().await),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Forgets the past, again and again. Whether another host has done it already does not matter.
pub(super) async fn compact(inner: Arc<Inner>) {
    loop {
        let revision = i64::try_from(inner.memory.revision()).unwrap_or(0);
        sleep(PAST).await;
        let ask = |channel| async move { KvClient::new(channel).compact(CompactionRequest { revision }).await };
        drop(inner.link.call(ask).await);
    }
}

impl Inner {
    /// Reads all there is, at one revision, and forgets what was known.
    pub(super) async fn load(&self) -> Result<(), NotOpened> {
        let prefix = self.objects();
        let (mut from, mut at, mut entries) = (prefix.clone().into_bytes(), 0, Vec::new());
        loop {
            let request = RangeRequest { key: from.into(), range_end: end_of(&prefix), limit: PAGE, revision: at };
            let page = self.link.range(request).await.map_err(|e| NotOpened::Etcd(e.to_string()))?;
            let header = page.header.unwrap_or_default();
            if at == 0 {
                at = header.revision;
                self.cluster.store(header.cluster_id, Ordering::Relaxed);
            }
            for kv in &page.kvs {
                let Some(key) = self.key_of(&kv.key).filter(|key| !key.is_empty()) else { continue };
                let entry = value::opened(&self.seal, key, u64::try_from(kv.mod_revision).unwrap_or(0), &kv.value);
                entries.push(entry.ok_or_else(|| NotOpened::Sealed(format!("etcd {prefix}{key}")))?);
            }
            match page.kvs.last().filter(|_| page.more) {
                Some(last) => from = [&last.key[..], &[0]].concat(),
                None => break,
            }
        }
        let revision = u64::try_from(at).unwrap_or(0);
        self.memory.reset(entries, revision);
        self.applied.send_replace(revision);
        Ok(())
    }

    fn key_of<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key).ok()?.strip_prefix(&self.objects())
    }

    async fn follow(&self, member: &Member) -> Result<std::convert::Infallible, End> {
        let (late, lost) = (|_| End::Lost, |_: Status| End::Lost);
        let mut kv = KvClient::new(member.channel.clone());
        let look = kv.range(RangeRequest { key: self.place(""), ..Default::default() });
        let header = timeout(BEGIN, look).await.map_err(late)?.map_err(lost)?.into_inner().header.unwrap_or_default();
        let reached = i64::try_from(self.memory.revision()).unwrap_or(0);
        // an etcd that has come back from a copy has not what we have seen
        if header.revision < reached || !self.is_of(header.cluster_id) {
            return Err(End::Anew);
        }
        let mut client = WatchClient::new(member.channel.clone()).max_decoding_message_size(usize::MAX);
        let mut events = timeout(BEGIN, client.watch(self.wanted(reached + 1))).await.map_err(late)?.map_err(lost)?.into_inner();
        while let Some(message) = events.message().await.map_err(lost)? {
            if message.compact_revision > 0 {
                return Err(End::Anew);
            }
            if message.canceled {
                break;
            }
            self.take(message.events);
        }
        Err(End::Lost)
    }

    fn wanted(&self, start_revision: i64) -> Request<impl futures_util::Stream<Item = WatchRequest> + Send + 'static> {
        let prefix = self.objects();
        let create = WatchCreateRequest { range_end: end_of(&prefix), key: prefix.into(), start_revision };
        let first = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // a watch lives as long as its requests do not end
        let mut request = Request::new(stream::iter([first]).chain(stream::pending()));
        // a member that is cut off from its leader says so, instead of saying nothing
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        request
    }

    /// One message has whole revisions: they are made seen together.
    fn take(&self, happened: Vec<etcd::Event>) {
        let mut latest: HashMap<String, Option<Arc<Entry>>> = HashMap::new();
        let (mut events, mut reached) = (Vec::new(), self.memory.revision());
        for one in happened {
            let is_removal = one.r#type() == EventType::Delete;
            let Some(kv) = one.kv else { continue };
            let revision = u64::try_from(kv.mod_revision).unwrap_or(0);
            reached = reached.max(revision);
            let Some(key) = self.key_of(&kv.key).filter(|key| !key.is_empty()) else { continue };
            let before = latest.get(key).cloned().unwrap_or_else(|| self.memory.get(key));
            let after = match is_removal {
                true => None,
                false => match value::opened(&self.seal, key, revision, &kv.value) {
                    Some(entry) => Some(Arc::new(entry)),
                    // no host of ours has written this: what was there stays
                    None => continue,
                },
            };
            let removed = match (&before, is_removal) {
                (Some(before), true) => Some(Arc::new(stamped(key, before.object(), revision))),
                (None, true) => continue,
                _ => None,
            };
            latest.insert(key.to_owned(), after.clone());
            events.push(Event { revision, before, after, removed });
        }
        self.memory.apply(events);
        self.memory.set_revision(reached);
        self.applied.send_replace(reached);
    }
}
