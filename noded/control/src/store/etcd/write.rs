//! One write: a transaction with a compare.

use std::sync::Arc;

use bytes::Bytes;
use etcd::compare::{CompareResult, CompareTarget, TargetUnion};
use etcd::{
    Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse, request_op, response_op,
};
use serde_json::Value;
use tonic::Code;

use super::link::{Answer, Failed, Link};
use super::{Inner, PATIENCE, value};
use crate::store::embedded::stamped;
use crate::store::{Change, Entry, Expect, NotWritten, kind_of};

type Outcome = Result<Arc<Entry>, NotWritten>;

/// Kinds whose objects hang on a lease.
const LEASED: &str = "core/events";

pub(super) async fn write(inner: Arc<Inner>, change: Change) -> Outcome {
    let closed = |object| value::closed(&inner.seal, &change.key, object).map_err(|e| NotWritten::Disk(Arc::new(e)));
    let value = change.object.as_ref().map(closed).transpose()?;
    if value.is_none() && change.expect == Expect::Absent {
        return Err(NotWritten::Mismatch);
    }
    let answer = sent(&inner, &change, value.as_ref()).await?;
    let done = done(&inner, &change, value.as_ref(), answer);
    match done {
        Some((entry, revision)) => {
            // whoever has the answer finds it in what is read next; if our watch is broken just now, what is read waits for it
            inner.reached(revision, PATIENCE).await;
            Ok(Arc::new(entry))
        }
        None => {
            // whoever looks what is there instead shall see it
            drop(inner.catch_up().await);
            Err(NotWritten::Mismatch)
        }
    }
}

async fn sent(inner: &Inner, change: &Change, value: Option<&Bytes>) -> Result<Answer<TxnResponse>, NotWritten> {
    let is_leased = value.is_some() && kind_of(&change.key) == LEASED;
    let mut tries = 0;
    loop {
        tries += 1;
        let lease = if is_leased { inner.lease.number(&inner.link).await.map_err(not_written)? } else { 0 };
        let txn = transaction(inner.place(&change.key), change.expect, value, lease);
        match inner.link.txn(txn).await {
            Err(failed) if is_leased && failed.code == Code::NotFound && tries < 3 => inner.lease.forget().await,
            outcome => return outcome.map_err(not_written),
        }
    }
}

/// Writes a key that is not an object's, unless it is there.
pub(super) async fn create(link: &Link, key: Bytes, value: Bytes) -> Result<(), Failed> {
    let txn = transaction(key, Expect::Absent, Some(&value), 0);
    link.txn(txn).await.map(drop)
}

fn not_written(failed: Failed) -> NotWritten {
    if failed.is_refusal() { NotWritten::Refused(failed.to_string()) } else { NotWritten::Unknown(failed.to_string()) }
}

fn transaction(key: Bytes, expect: Expect, value: Option<&Bytes>, lease: i64) -> TxnRequest {
    use request_op::Request::{RequestDeleteRange, RequestPut, RequestRange};
    // a key that is not there is at revision 0
    let at = match expect {
        Expect::Absent => 0,
        Expect::Revision(at) => i64::try_from(at).unwrap_or(i64::MAX),
    };
    let compare = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::ModRevision(at)),
    };
    let change = match value {
        Some(value) => RequestPut(PutRequest { key: key.clone(), value: value.clone(), lease }),
        None => RequestDeleteRange(DeleteRangeRequest { key: key.clone(), prev_kv: true, ..Default::default() }),
    };
    let look = RequestRange(RangeRequest { key, ..Default::default() });
    let op = |request| vec![RequestOp { request: Some(request) }];
    TxnRequest { compare: vec![compare], success: op(change), failure: op(look) }
}

/// What was written, and at which revision; nothing if it was not.
fn done(inner: &Inner, change: &Change, value: Option<&Bytes>, answer: Answer<TxnResponse>) -> Option<(Entry, u64)> {
    let now = answer.said.header.unwrap_or_default().revision;
    let (removed, found) = split(answer.said.responses);
    let at = match (answer.said.succeeded, value) {
        (true, _) => now,
        // it was done by a try whose answer was lost
        (false, Some(value)) if answer.is_repeated => found.filter(|kv| kv.value == value).map(|kv| kv.mod_revision)?,
        (false, None) if answer.is_repeated && found.is_none() => now,
        (false, _) => return None,
    };
    let revision = u64::try_from(at).unwrap_or(0);
    let entry = match (&change.object, removed) {
        (Some(object), _) => stamped(&change.key, object.clone(), revision),
        (None, Some(kv)) => value::opened(&inner.seal, &change.key, revision, &kv.value)?,
        (None, None) => {
            let last: Value = inner.memory.get(&change.key).map_or(Value::Null, |entry| entry.object());
            stamped(&change.key, last, revision)
        }
    };
    Some((entry, revision))
}

/// What was removed, and what is there.
fn split(responses: Vec<etcd::ResponseOp>) -> (Option<KeyValue>, Option<KeyValue>) {
    use response_op::Response::{ResponseDeleteRange, ResponseRange};
    let (mut removed, mut found) = (None, None);
    for response in responses.into_iter().filter_map(|op| op.response) {
        match response {
            ResponseDeleteRange(response) => removed = response.prev_kvs.into_iter().next(),
            ResponseRange(response) => found = response.kvs.into_iter().next(),
            _ => {}
        }
    }
    (removed, found)
}
