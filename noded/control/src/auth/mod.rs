//! Who asks, and what they may do.

pub mod policy;
mod roles;
mod tokens;
mod who;

pub use roles::default_roles;
pub use tokens::{Claims, ISSUER, TokenSigner, Tokens};
pub use who::{User, from_certificate};
