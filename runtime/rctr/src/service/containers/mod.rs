//! `/containers`.

pub(super) mod attach;
pub(super) mod life;
pub(super) mod logs;
pub(super) mod look;
pub(super) mod make;
pub(super) mod stats;
pub(super) mod wait;
