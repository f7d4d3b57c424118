//! Who asks, and what they may do.

pub mod policy;
mod reconcile;
mod roles;
mod tokens;
mod who;

pub use reconcile::{Mended, mended};
pub use roles::default_roles;
pub use tokens::{Claims, ISSUER, TokenSigner, Tokens};
pub(crate) use who::end_of_certificate;
pub use who::{User, from_certificate};
