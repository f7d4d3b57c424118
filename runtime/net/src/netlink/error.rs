//! A refused message.

use std::fmt;

use rustix::io::Errno;

use super::{HEADER, align, answer};

/// A netlink message that the kernel refused: `RTM_NEWLINK = EBUSY (Device or resource busy): the kernel's own words`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetlinkError {
    call: sys::Error,
    /// The kernel's own text (`NLMSGERR_ATTR_MSG`).
    text: Option<Box<str>>,
    /// Number of the message within its batch, from 1.
    pub(crate) sequence: u32,
    /// Where in that message the attribute at fault begins (`NLMSGERR_ATTR_OFFS`).
    pub(crate) offset: Option<u32>,
}

impl NetlinkError {
    pub(crate) fn new(call: sys::Error) -> Self {
        NetlinkError { call, text: None, sequence: 0, offset: None }
    }

    /// The error number.
    pub fn errno(&self) -> Errno {
        self.call.errno()
    }

    /// What the body of an `NLMSG_ERROR` says; `None` for an acknowledgement. `capped`: the request is not repeated in full.
    pub(super) fn parse(body: &[u8], capped: bool, label: impl FnOnce(u32) -> &'static str) -> Option<Self> {
        let errno = answer::number(body).map_or(0, |value| (value as i32).wrapping_neg());
        if errno == 0 {
            return None;
        }
        let sequence = body.get(12..16).and_then(answer::number).unwrap_or(0);
        let request = body.get(4..8).and_then(answer::number).unwrap_or(0) as usize;
        let end = 4 + if capped { HEADER } else { align(request) };
        let rest = body.get(end..).unwrap_or_default();
        Some(NetlinkError {
            call: sys::Error::new(label(sequence), Errno::from_raw_os_error(errno)),
            text: answer::find(rest, 1).map(|text| answer::text(text).into()),
            sequence,
            offset: answer::find(rest, 2).and_then(answer::number),
        })
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{}: {text}", self.call),
            None => write!(f, "{}", self.call),
        }
    }
}

impl std::error::Error for NetlinkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_place_are_found() {
        let mut body = (-17i32).to_ne_bytes().to_vec();
        body.extend_from_slice(&16u32.to_ne_bytes());
        body.extend_from_slice(&[0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        body.extend_from_slice(&[8, 0, 2, 0, 40, 0, 0, 0, 8, 0, 1, 0]);
        body.extend_from_slice(b"Hi!\0");
        let error = NetlinkError::parse(&body, false, |_| "RTM_NEWLINK").unwrap();
        assert_eq!(error.to_string(), "RTM_NEWLINK = EEXIST (File exists): Hi!");
        assert_eq!((error.sequence, error.offset, error.errno()), (2, Some(40), Errno::EXIST));
        assert_eq!(NetlinkError::parse(&[0; 20], false, |_| ""), None);
    }
}
