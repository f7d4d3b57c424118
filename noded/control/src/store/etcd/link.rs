//! Connections to the members of an etcd cluster: one is used until it fails, then the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd::kv_client::KvClient;
use etcd::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Response, Status};

use super::Address;

/// How long one member may take to answer.
const ONE: Duration = Duration::from_secs(3);
/// How long all of them may take together, until whoever asks is told.
const ALL: Duration = Duration::from_secs(8);
/// Connections are tried when they are silent; etcd takes it ill when that is done more often than each 5 s.
const ALIVE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// What etcd says, or that it says nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("etcd {endpoint}: {message}")]
pub(super) struct Failed {
    pub(super) endpoint: String,
    pub(super) message: String,
    pub(super) code: Code,
}

impl Failed {
    /// Whether it was etcd that said so, so that asking again or elsewhere is of no use.
    pub(super) fn is_refusal(&self) -> bool {
        is_final(self.code)
    }
}

fn is_final(code: Code) -> bool {
    use Code::{
        AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, PermissionDenied, ResourceExhausted,
        Unauthenticated, Unimplemented,
    };
    matches!(
        code,
        InvalidArgument
            | NotFound
            | AlreadyExists
            | PermissionDenied
            | ResourceExhausted
            | FailedPrecondition
            | OutOfRange
            | Unauthenticated
            | Unimplemented
    )
}

/// One member.
#[derive(Clone)]
pub(super) struct Member {
    at: usize,
    pub(super) endpoint: String,
    pub(super) channel: Channel,
}

impl Member {
    /// What went wrong, and where; of a broken connection the last cause, which says most.
    pub(super) fn failed(&self, status: &Status) -> Failed {
        let first = std::error::Error::source(status);
        let last = std::iter::successors(first, |error| error.source()).last();
        let message = last.map_or_else(|| status.message().to_owned(), ToString::to_string);
        let message = message.strip_prefix("etcdserver: ").unwrap_or(&message).to_owned();
        Failed { endpoint: self.endpoint.clone(), message, code: status.code() }
    }
}

/// All of them.
pub(super) struct Link {
    members: Vec<(String, Channel)>,
    current: AtomicUsize,
}

/// An answer, and whether the question was sent more than once: what it asks for may have been done before.
pub(super) struct Answer<T> {
    pub(super) said: T,
    pub(super) is_repeated: bool,
}

impl Link {
    /// Connects when something is asked.
    pub(super) fn new(address: &Address) -> Result<Self, tonic::transport::Error> {
        let tls = address.tls.as_ref().map(|tls| {
            let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.authority));
            match &tls.client {
                Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
                None => config,
            }
        });
        let member = |text: &String| {
            let endpoint = Endpoint::from_shared(text.clone())?
                .connect_timeout(ONE)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(ALIVE)
                .keep_alive_timeout(ONE)
                .keep_alive_while_idle(true);
            let endpoint = match &tls {
                Some(tls) => endpoint.tls_config(tls.clone())?,
                None => endpoint,
            };
            Ok((text.clone(), endpoint.connect_lazy()))
        };
        Ok(Self { members: address.endpoints.iter().map(member).collect::<Result<_, _>>()?, current: AtomicUsize::new(0) })
    }

    /// The member that is used now.
    pub(super) fn member(&self) -> Member {
        let at = self.current.load(Ordering::Relaxed);
        let (endpoint, channel) = self.members[at % self.members.len()].clone();
        Member { at, endpoint, channel }
    }

    /// Uses the next one, unless another caller has seen to that.
    pub(super) fn leave(&self, member: &Member) {
        // whoever comes too late finds that it has been done
        let _ = self.current.compare_exchange(member.at, member.at.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Failed> {
        let ask = |channel| {
            let request = request.clone();
            async move { KvClient::new(channel).max_decoding_message_size(usize::MAX).range(request).await }
        };
        Ok(self.call(ask).await?.said)
    }

    pub(super) async fn txn(&self, request: TxnRequest) -> Result<Answer<TxnResponse>, Failed> {
        let ask = |channel| {
            let request = request.clone();
            async move { KvClient::new(channel).max_decoding_message_size(usize::MAX).txn(request).await }
        };
        self.call(ask).await
    }

    /// Asks until a member answers. What is asked must bear being asked twice.
    pub(super) async fn call<T, F>(&self, ask: impl Fn(Channel) -> F) -> Result<Answer<T>, Failed>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let end = Instant::now() + ALL;
        let mut is_repeated = false;
        loop {
            let member = self.member();
            let failed = match timeout(ONE, ask(member.channel.clone())).await {
                Ok(Ok(response)) => return Ok(Answer { said: response.into_inner(), is_repeated }),
                Ok(Err(status)) => member.failed(&status),
                Err(_) => member.failed(&Status::deadline_exceeded("no answer")),
            };
            self.leave(&member);
            if failed.is_refusal() || Instant::now() + PAUSE >= end {
                return Err(failed);
            }
            is_repeated = true;
            sleep(PAUSE).await;
        }
    }
}
