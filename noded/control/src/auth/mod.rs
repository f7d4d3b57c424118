//! Who asks, and what they may do.

pub(crate) mod aggregate;
pub mod policy;
mod reconcile;
mod roles;
mod tokens;
mod who;

pub use reconcile::{Mended, mended};
pub use roles::default_roles;
pub use tokens::{Claims, ISSUER, TokenSigner, Tokens};
pub(crate) use who::Certified;
pub use who::{User, from_certificate};
