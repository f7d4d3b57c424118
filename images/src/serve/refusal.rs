//! Answers that are no success, in the form of the specification (distribution-spec, "Error Codes").

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;

/// What was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    RangeInvalid,
    SizeInvalid,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unsupported,
    /// No resource of the API.
    NotFound,
    /// A client that stopped sending.
    Timeout,
    /// The upload is being written by another request.
    Busy,
    /// The upstream of a mirror does not give it.
    Upstream,
    /// It is our fault.
    Internal,
    /// The disk is full.
    Full,
}

impl Code {
    /// As the specification, or Docker's registry, calls it.
    fn name(self) -> &'static str {
        match self {
            Code::BlobUnknown => "BLOB_UNKNOWN",
            Code::BlobUploadInvalid | Code::Timeout | Code::Busy => "BLOB_UPLOAD_INVALID",
            Code::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Code::DigestInvalid => "DIGEST_INVALID",
            Code::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Code::ManifestInvalid => "MANIFEST_INVALID",
            Code::ManifestUnknown => "MANIFEST_UNKNOWN",
            Code::NameInvalid => "NAME_INVALID",
            Code::NameUnknown => "NAME_UNKNOWN",
            Code::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Code::RangeInvalid => "RANGE_INVALID",
            Code::SizeInvalid | Code::TooLarge | Code::ManifestTooLarge => "SIZE_INVALID",
            Code::TooManyRequests => "TOOMANYREQUESTS",
            Code::Unauthorized => "UNAUTHORIZED",
            Code::Unsupported => "UNSUPPORTED",
            Code::NotFound | Code::Internal | Code::Full | Code::Upstream => "UNKNOWN",
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Code::BlobUnknown | Code::BlobUploadUnknown | Code::ManifestUnknown | Code::NameUnknown | Code::NotFound => {
                StatusCode::NOT_FOUND
            }
            Code::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
            Code::TooLarge | Code::ManifestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Code::Timeout => StatusCode::REQUEST_TIMEOUT,
            Code::Busy => StatusCode::CONFLICT,
            Code::Upstream => StatusCode::BAD_GATEWAY,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::Full => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Code::BlobUnknown => "there is no such blob in this repository",
            Code::BlobUploadUnknown => "there is no such upload: begin anew",
            Code::ManifestUnknown => "there is no such manifest in this repository",
            Code::ManifestTooLarge => "a manifest has at most 4 MiB",
            Code::NameUnknown => "there is no such repository",
            Code::TooManyRequests => "too many uploads are open: try again later",
            Code::Unauthorized => "log in",
            Code::Timeout => "nothing came for too long",
            Code::Busy => "another request is writing this upload",
            Code::Internal => "the registry failed: its log has more",
            Code::Full => "the registry's disk is full",
            _ => "",
        }
    }
}

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// For the operator: clients learn nothing about the host.
    pub(super) cause: Option<Box<crate::Error>>,
}

impl Refusal {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into(), headers: Vec::new(), cause: None }
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn body(&self) -> String {
        let message = if self.message.is_empty() { self.code.message() } else { &self.message };
        json!({"errors": [{"code": self.code.name(), "message": message}]}).to_string()
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Refusal::new(code, "")
    }
}

impl From<crate::Error> for Refusal {
    fn from(error: crate::Error) -> Self {
        let code = if matches!(error, crate::Error::NoSpace { .. }) { Code::Full } else { Code::Internal };
        Refusal { cause: Some(Box::new(error)), ..code.into() }
    }
}
