//! Netlink: messages as bytes, and a socket that asks and listens.
//!
//! rtnetlink(7) and nf_tables speak the same format, so one encoder serves both:
//!
//! ```text
//!   nlmsghdr  u32 length · u16 kind · u16 flags · u32 sequence · u32 port
//!   header    ifinfomsg, rtmsg, nfgenmsg …
//!   nlattr    u16 length · u16 kind · value, padded to 4; a value may be attributes again
//! ```

mod answer;
mod batch;
mod error;
pub(crate) mod mesh;
pub(crate) mod route;
mod socket;

pub(crate) use answer::{Message, address, attributes, find, messages, number, text};
pub(crate) use batch::Batch;
pub use error::NetlinkError;
pub(crate) use socket::Socket;

/// `NLM_F_REQUEST`, on every message we send.
pub(crate) const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`: answer also when all went well.
pub(crate) const ACK: u16 = 0x4;
/// `NLM_F_DUMP`: answer with all objects.
pub(crate) const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`: instead of the one that is there.
pub(crate) const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`: fail with `EEXIST` if it is there.
pub(crate) const EXCL: u16 = 0x200;
/// `NLM_F_CREATE`: make it.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: after the existing ones.
pub(crate) const APPEND: u16 = 0x800;

/// `NLMSG_ERROR`, also the acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`, the end of a dump.
const DONE: u16 = 3;
/// `sizeof(struct nlmsghdr)`.
pub(crate) const HEADER: usize = 16;
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;

/// The next multiple of four, where the next attribute or message begins.
const fn align(length: usize) -> usize {
    (length + 3) & !3
}
