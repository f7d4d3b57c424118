/// Why a registry did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("registry")]
pub struct Error {}
