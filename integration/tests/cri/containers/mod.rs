//! Containers.

pub(super) mod files;
pub(super) mod life;
pub(super) mod limits;
pub(super) mod output;
pub(super) mod rights;
pub(super) mod shared;
