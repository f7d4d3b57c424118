//! The table of gRPC codes.

use container::cgroup;
use engine::Error;
use images::{Failure, RegistryError};
use tonic::{Code, Status};

use crate::host::chain;

/// What a client did wrong.
pub(super) fn invalid(what: impl std::fmt::Display) -> Status {
    Status::invalid_argument(what.to_string())
}

/// An error of the engine. The whole chain goes to the client, who has nothing else.
pub(super) fn of(error: &Error) -> Status {
    match error {
        Error::Image(error) => of_image(error),
        error => Status::new(code(error), chain(error)),
    }
}

fn code(error: &Error) -> Code {
    match error {
        Error::NoSuchPod(_) | Error::NoSuchContainer(_) | Error::NoSuchNetwork(_) | Error::NoSuchVolume(_) => Code::NotFound,
        Error::PodExists { .. } | Error::NameInUse { .. } | Error::NetworkExists(_) => Code::AlreadyExists,
        Error::AmbiguousPod { .. }
        | Error::Ambiguous { .. }
        | Error::AmbiguousNetwork { .. }
        | Error::BadName(_)
        | Error::BadVolumeName(_)
        | Error::BadSignal { .. }
        | Error::NoCommand { .. }
        | Error::Cgroup(cgroup::Error::Limit { .. } | cgroup::Error::Path { .. })
        | Error::User { .. }
        | Error::Invalid { .. } => Code::InvalidArgument,
        Error::PodNotReady(_)
        | Error::NotRunning(_)
        | Error::Running(_)
        | Error::Paused(_)
        | Error::NotPaused(_)
        | Error::NotWanted(_)
        | Error::NetworkInUse { .. }
        | Error::VolumeInUse { .. } => Code::FailedPrecondition,
        Error::DeadlineExceeded { .. } => Code::DeadlineExceeded,
        Error::Damaged { .. } => Code::DataLoss,
        _ => Code::Internal,
    }
}

/// An error about an image.
pub(super) fn of_image(error: &images::Error) -> Status {
    let code = code_of_image(error);
    // The kubelet tells a registry that is away by this word.
    let word = if code == Code::Unavailable { "RegistryUnavailable: " } else { "" };
    Status::new(code, format!("{word}{}", chain(error)))
}

fn code_of_image(error: &images::Error) -> Code {
    use images::Error::{Ambiguous, Damaged, DamagedLayer, InUse, NoSpace, NotFound, Registry, Stalled, WrongPlatform};
    match error {
        NotFound { .. } => Code::NotFound,
        Ambiguous { .. } => Code::InvalidArgument,
        InUse { .. } | WrongPlatform { .. } => Code::FailedPrecondition,
        NoSpace { .. } => Code::ResourceExhausted,
        Stalled { .. } => Code::DeadlineExceeded,
        Damaged { .. } | DamagedLayer { .. } => Code::DataLoss,
        Registry(error) => code_of_registry(error),
        _ => Code::Internal,
    }
}

fn code_of_registry(error: &RegistryError) -> Code {
    match (error, error.failure()) {
        (_, Some(Failure::Unknown { .. })) => Code::NotFound,
        (_, Some(Failure::Login { .. } | Failure::Denied { .. } | Failure::WrongPassword { .. })) => Code::PermissionDenied,
        (RegistryError::Blocked { .. }, _) => Code::FailedPrecondition,
        (_, Some(failure)) if failure.is_away() => Code::Unavailable,
        (_, Some(Failure::RateLimited { .. })) => Code::ResourceExhausted,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_branch_on_codes() {
        let text = || "a".to_owned();
        for (error, expected) in [
            (Error::NoSuchPod(text()), Code::NotFound),
            (Error::NoSuchContainer(text()), Code::NotFound),
            (Error::PodExists { name: text(), id: text() }, Code::AlreadyExists),
            (Error::PodNotReady(text()), Code::FailedPrecondition),
            (Error::NotRunning(text()), Code::FailedPrecondition),
            (Error::Invalid { what: text(), why: text() }, Code::InvalidArgument),
            (
                Error::Cgroup(cgroup::Error::Limit { field: "memory", asked: text(), why: "too small".to_owned() }),
                Code::InvalidArgument,
            ),
            (Error::DeadlineExceeded { command: text(), after: std::time::Duration::ZERO }, Code::DeadlineExceeded),
            (Error::MonitorGone(text()), Code::Internal),
            (images::Error::NotFound { name: text() }.into(), Code::NotFound),
        ] {
            let status = of(&error);
            assert_eq!(status.code(), expected, "{error}");
            assert!(status.message().contains('a'));
        }
        let away = |source| {
            let failed = images::Error::Registry(RegistryError::Failed { what: text(), host: text(), source });
            of_image(&failed)
        };
        assert_eq!(away(Failure::Refused).code(), Code::Unavailable);
        assert!(away(Failure::Refused).message().starts_with("RegistryUnavailable: "));
        assert_eq!(away(Failure::Login { status: 401 }).code(), Code::PermissionDenied);
    }
}
