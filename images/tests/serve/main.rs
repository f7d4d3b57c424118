//! The registry over real sockets: what the distribution specification asks for, what strangers may try, and what is left on disk.

mod conformance;
mod copying;
mod debian;
mod foreign;
mod host;
mod hostile;
mod keeping;
mod mirror;
mod peers;
