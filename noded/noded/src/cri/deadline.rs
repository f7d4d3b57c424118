//! How long a client waits for a call. It says so in a header (gRPC over HTTP/2, `grpc-timeout`), and branches on the code DEADLINE_EXCEEDED.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::Answer;

/// The moment after which nobody waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

/// Notes the moment before anything is done. tonic, whose own clock starts right after, would answer CANCELLED.
#[allow(clippy::unnecessary_wraps, reason = "an interceptor of tonic")]
pub(super) fn note(mut request: Request<()>) -> Answer<Request<()>> {
    if let Some(patience) = patience(request.metadata()) {
        request.extensions_mut().insert(Deadline(Instant::now() + patience));
    }
    Ok(request)
}

impl Deadline {
    /// That of a request, if it has one.
    pub(super) fn of<T>(request: &Request<T>) -> Option<Deadline> {
        request.extensions().get().copied()
    }

    /// The answer of `work`, if it comes in time. What blocks goes on.
    pub(super) async fn keep<T>(deadline: Option<Deadline>, work: impl Future<Output = Answer<T>>) -> Answer<T> {
        let Some(Deadline(moment)) = deadline else { return work.await };
        let late = |_| Err(Status::deadline_exceeded("it was not done in the time that the client gave"));
        tokio::time::timeout_at(moment, work).await.unwrap_or_else(late)
    }
}

/// At most eight digits and a unit. What is neither is as if it were not there.
fn patience(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = Some(number).filter(|number| number.len() <= 8)?.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_read() {
        let of = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            patience(&metadata)
        };
        assert_eq!(of("2M"), Some(Duration::from_secs(120)));
        assert_eq!(of("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(of("1500u"), Some(Duration::from_micros(1500)));
        for text in ["", "5", "m", "123456789S", "-1S", "1s"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(patience(&MetadataMap::new()), None);
    }

    #[tokio::test]
    async fn who_is_late_is_told_so() {
        let mut request = Request::new(());
        request.set_timeout(Duration::from_millis(1));
        let deadline = Deadline::of(&note(request).unwrap());
        let never = Deadline::keep(deadline, std::future::pending::<Answer<()>>());
        assert_eq!(never.await.unwrap_err().code(), tonic::Code::DeadlineExceeded);
        assert_eq!(Deadline::keep(None, async { Ok(7) }).await.unwrap(), 7);
    }
}
