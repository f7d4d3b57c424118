//! Which status of HTTP an error has, as Docker's API gives them.

use std::fmt;

use engine::Error;
use hyper::StatusCode;

/// What is said no to with this status.
#[derive(Debug)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Refused {}

/// What is asked makes no sense.
pub(super) fn bad(why: impl Into<String>) -> anyhow::Error {
    Refused(StatusCode::BAD_REQUEST, why.into()).into()
}

/// The status of an error.
pub(super) fn status(error: &anyhow::Error) -> StatusCode {
    if let Some(Refused(status, _)) = error.downcast_ref() {
        return *status;
    }
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(error), _) => of_engine(error),
        (None, Some(error)) => of_images(error),
        // A name that is none.
        (None, None) if error.downcast_ref::<images::InvalidReference>().is_some() => StatusCode::BAD_REQUEST,
        (None, None) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn of_engine(error: &Error) -> StatusCode {
    match error {
        Error::NoSuchContainer(_) | Error::NoSuchNetwork(_) | Error::NoSuchVolume(_) | Error::NoSuchSecret(_) => {
            StatusCode::NOT_FOUND
        }
        Error::System { source, .. } if source.errno() == rustix::io::Errno::NOENT => StatusCode::NOT_FOUND,
        Error::NameInUse { .. }
        | Error::NetworkExists(_)
        | Error::VolumeInUse { .. }
        | Error::NotRunning(_)
        | Error::Paused(_)
        | Error::NotPaused(_)
        | Error::NotWanted(_)
        | Error::Running(_) => StatusCode::CONFLICT,
        Error::NetworkInUse { .. } => StatusCode::FORBIDDEN,
        Error::Ambiguous { .. }
        | Error::AmbiguousNetwork { .. }
        | Error::BadName(_)
        | Error::BadVolumeName(_)
        | Error::BadSignal { .. }
        | Error::NoCommand { .. }
        | Error::User { .. }
        | Error::Invalid { .. }
        | Error::Start { kind: engine::Kind::NotFound | engine::Kind::NotExecutable, .. } => StatusCode::BAD_REQUEST,
        Error::Image(error) => of_images(error),
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn of_images(error: &images::Error) -> StatusCode {
    match error {
        images::Error::NotFound { .. } | images::Error::OtherPlatform { .. } => StatusCode::NOT_FOUND,
        images::Error::InUse { .. } | images::Error::SeveralNames { .. } => StatusCode::CONFLICT,
        images::Error::Ambiguous { .. } => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_dockers_status() {
        for (error, code) in [
            (anyhow::Error::from(Error::NoSuchContainer("a".into())), 404),
            (Error::Running("a".into()).into(), 409),
            (Error::NetworkInUse { name: "a".into(), by: "b".into() }.into(), 403),
            (Error::from(images::Error::NotFound { name: "a".into() }).into(), 404),
            (images::Error::NotFound { name: "a".into() }.into(), 404),
            (anyhow::Error::from(Error::BadName("-".into())).context("create"), 400),
            (bad("x"), 400),
            (anyhow::anyhow!("x"), 500),
        ] {
            assert_eq!(status(&error).as_u16(), code, "{error:?}");
        }
    }
}
