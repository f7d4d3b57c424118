//! `build`: a Dockerfile becomes an image.
//!
//! ```text
//! text ──dockerfile──▶ stages, instructions                                             pure
//!   stages ──job──▶ each after those it needs, several at once
//!     instruction ──stage──▶ expanded, a step in which nothing is left to choose        run copying
//!       step ──key──▶ known? its layer from the store
//!                     else made: a container (run) or copied files (select place) on an overlay's upper folder (work)
//!                     ──▶ images::Upper::into_layer ──▶ remembered under the key
//! state: layers (squash: fewer of them) + config ──▶ images::Store::make_image, or files (output)
//! ```
//!
//! **Keys.** A step's key is a digest over what its result depends on: the diff ids of all layers below it, what it does with all variables put
//! in, and the content (not the times) of what it copies. So it is the same in every build on this host, and what changed nothing
//! below a step leaves it in the cache. Secrets, and proxies that come as arguments, are in no key. The folders of `--mount=type=cache` are
//! below `build/mounts`, by a digest of their id.
//!
//! What other hosts remember under the same keys is found there ([`images::RemoteCache`]), and given to them ([`Built::cache`]).
//!
//! **Who starts containers.** A `RUN` is a container like any other, made and started by the engine, with its overlay's upper folder in
//! the store: when it has ended that becomes the layer. It has the label `dev.rctr.build` with the number of the building process. One
//! whose process was killed is removed by the next build or by [`crate::Engine::prune_builds`].
//!
//! **Paths.** Strangers write contexts, images and Dockerfiles. Sources are found below an open folder (`RESOLVE_IN_ROOT`), read without any
//! link being followed (`RESOLVE_NO_SYMLINKS`), and put below an open root (CVE-2024-1753, CVE-2024-9675, CVE-2024-23652).

mod cache;
mod copying;
mod device;
pub mod dockerfile;
mod emulator;
mod failure;
mod job;
mod key;
mod output;
mod place;
mod prune;
mod repository;
mod request;
mod run;
mod select;
mod squash;
mod stage;
mod state;
mod unset;
mod watch;
mod work;

pub use dockerfile::duration;
pub(crate) use dockerfile::expand;
pub use failure::{BuildError, BuildFailed};
pub use job::Built;
pub use prune::BuildCache;
pub use repository::{Checkout, Repository};
pub use request::{Bases, BuildRequest, NamedContext, Running, Squash, Stop};
pub use unset::Unset;
pub use watch::{Report, Vertex, Watch};
