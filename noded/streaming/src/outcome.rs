//! How an exec or attach ended, as clients are told.

use bytes::Bytes;
use serde_json::json;

/// How an exec or attach ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The program has ended with this code, 128 and more for a signal.
    Exited(i32),
    /// The client has gone, or there was nothing that has a code.
    Done,
    /// It could not be done, or not to its end.
    Failed(String),
}

impl Outcome {
    /// What is written on the error stream: a `Status` of the Kubernetes API (`metav1.Status`) from version 4 of the protocol on, plain
    /// text of a failure before.
    pub(crate) fn report(&self, version: u8) -> Option<Bytes> {
        if version < 4 {
            return self.message().map(Bytes::from);
        }
        let status = match self {
            Outcome::Exited(0) | Outcome::Done => json!({ "metadata": {}, "status": "Success" }),
            Outcome::Exited(code) => json!({
                "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "message": self.message(),
                "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
            }),
            Outcome::Failed(message) => {
                json!({ "metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500 })
            }
        };
        Some(Bytes::from(status.to_string()))
    }

    fn message(&self) -> Option<String> {
        match self {
            Outcome::Exited(0) | Outcome::Done => None,
            Outcome::Exited(code) => Some(format!("command terminated with non-zero exit code: {code}")),
            Outcome::Failed(message) => Some(message.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_find_the_exit_code() {
        let report = Outcome::Exited(3).report(4).unwrap();
        let status: serde_json::Value = serde_json::from_slice(&report).unwrap();
        assert_eq!((&status["status"], &status["reason"]), (&json!("Failure"), &json!("NonZeroExitCode")));
        assert_eq!(status["details"]["causes"][0], json!({ "reason": "ExitCode", "message": "3" }));
        let status: serde_json::Value = serde_json::from_slice(&Outcome::Done.report(5).unwrap()).unwrap();
        assert_eq!(status["status"], json!("Success"));
        assert_eq!(Outcome::Exited(0).report(1), None);
        assert_eq!(Outcome::Failed("why".to_owned()).report(2).unwrap(), "why");
    }
}
