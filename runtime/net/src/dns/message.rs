//! Messages as bytes. A container writes queries, strangers write answers: every length is looked at, nothing is followed twice.

use std::net::IpAddr;

/// `A`.
pub const A: u16 = 1;
/// `CNAME`.
pub const CNAME: u16 = 5;
/// `SOA`.
const SOA: u16 = 6;
/// `PTR`.
pub const PTR: u16 = 12;
/// `TXT`.
pub const TXT: u16 = 16;
/// `AAAA`.
pub const AAAA: u16 = 28;
/// `SRV` (RFC 2782).
pub const SRV: u16 = 33;
/// `OPT` (RFC 6891).
const OPT: u16 = 41;
/// `*`.
pub const ANY: u16 = 255;
/// `IN`.
pub(crate) const IN: u16 = 1;

/// Bytes of the fixed header.
pub(crate) const HEADER: usize = 12;
/// What every client takes by UDP (RFC 1035, 4.2.1).
const PLAIN: usize = 512;
/// The most we send by UDP; it stays on the container's loopback.
const MOST: usize = 4096;

/// An outcome, as `RCODE` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Here it is, or there is nothing of that type.
    Fine = 0,
    /// The query makes no sense.
    Malformed = 1,
    /// Nobody answers.
    Failed = 2,
    /// There is no such name.
    NoName = 3,
    /// Not that kind of query.
    NotImplemented = 4,
}

/// A query for one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Chosen by the client.
    pub id: u16,
    /// Labels with dots between them, in lower case; bytes that are no part of a host's name are `?`.
    pub name: String,
    /// `QTYPE`.
    pub kind: u16,
    /// `QCLASS`.
    pub class: u16,
    /// Where the question ends.
    end: usize,
    /// The client's own limit, if it says one.
    edns: Option<u16>,
}

/// Why a message is no query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not to be answered: too short to have a header, or an answer itself, which two servers could send each other for ever.
    Silent,
    /// To be answered by this.
    Say(Code),
}

impl Query {
    /// The longest answer by UDP.
    pub(crate) fn limit(&self) -> usize {
        usize::from(self.edns.unwrap_or(0)).clamp(PLAIN, MOST)
    }

    /// The question section.
    pub(crate) fn question<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message.get(HEADER..self.end).unwrap_or_default()
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Reads a query.
pub fn query(message: &[u8]) -> Result<Query, Refusal> {
    let id = short(message, 0).filter(|_| message.len() >= HEADER).ok_or(Refusal::Silent)?;
    if message[2] & 0x80 != 0 {
        return Err(Refusal::Silent);
    }
    if message[2] & 0x78 != 0 {
        return Err(Refusal::Say(Code::NotImplemented));
    }
    let malformed = Refusal::Say(Code::Malformed);
    if short(message, 4) != Some(1) {
        return Err(malformed);
    }
    let (name, end) = name(message, HEADER).ok_or(malformed)?;
    let (kind, class) = (short(message, end).ok_or(malformed)?, short(message, end + 2).ok_or(malformed)?);
    let end = end + 4;
    Ok(Query { id, name, kind, class, end, edns: edns(message, end) })
}

/// The name at `at`, and where it ends. A question comes first, so there is nothing that it could point to.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (start, mut name) = (at, String::new());
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => return Some((name, at)),
            1..64 => {
                if !name.is_empty() {
                    name.push('.');
                }
                for byte in message.get(at..at + length)? {
                    let fine = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                    name.push(if fine { char::from(byte.to_ascii_lowercase()) } else { '?' });
                }
                at += length;
            }
            _ => return None,
        }
        if at - start > 255 {
            return None;
        }
    }
}

/// The size in an `OPT` record right after the question, where all clients put it.
fn edns(message: &[u8], end: usize) -> Option<u16> {
    let nothing_between = short(message, 6) == Some(0) && short(message, 8) == Some(0);
    let here =
        nothing_between && short(message, 10) != Some(0) && message.get(end) == Some(&0) && short(message, end + 1) == Some(OPT);
    here.then(|| short(message, end + 3)).flatten()
}

/// One record of an answer, about the name that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub(crate) kind: u16,
    pub(crate) data: Vec<u8>,
    /// Seconds for which it may be kept.
    pub(crate) keep: u32,
    /// Whom it is about; the name that was asked for when there is none.
    pub(crate) owner: Option<Vec<u8>>,
}

impl Record {
    /// About the name that was asked for, and not to be kept.
    pub(crate) fn new(kind: u16, data: Vec<u8>) -> Record {
        Record { kind, data, keep: 0, owner: None }
    }

    /// `A` or `AAAA`.
    pub fn address(address: IpAddr) -> Record {
        match address {
            IpAddr::V4(address) => Record::new(A, address.octets().to_vec()),
            IpAddr::V6(address) => Record::new(AAAA, address.octets().to_vec()),
        }
    }

    /// `CNAME` or `PTR`; none if it is no name.
    pub fn name(kind: u16, name: &str) -> Option<Record> {
        encoded(name).map(|data| Record::new(kind, data))
    }

    /// `SRV` without preferences.
    pub fn service(port: u16, target: &str) -> Option<Record> {
        let [high, low] = port.to_be_bytes();
        encoded(target).map(|name| Record::new(SRV, [&[0, 0, 0, 100, high, low], name.as_slice()].concat()))
    }

    /// `TXT`, of up to 255 bytes.
    pub fn text(text: &str) -> Record {
        let text = &text.as_bytes()[..text.len().min(255)];
        Record::new(TXT, [&[text.len() as u8], text].concat())
    }

    /// To be kept for so many seconds.
    #[must_use]
    pub fn kept(self, seconds: u32) -> Record {
        Record { keep: seconds, ..self }
    }

    /// About another name.
    pub(crate) fn about(self, owner: &[u8]) -> Record {
        Record { owner: Some(owner.to_vec()), ..self }
    }

    /// Who answers for a zone: what has no record there has none for so many seconds (RFC 2308).
    pub(crate) fn authority(zone: &str, seconds: u32) -> Option<Record> {
        let (owner, server, person) =
            (encoded(zone)?, encoded(&format!("ns.dns.{zone}"))?, encoded(&format!("hostmaster.{zone}"))?);
        let numbers = [1_u32, 7200, 1800, 86_400, seconds].map(u32::to_be_bytes).concat();
        Some(Record::new(SOA, [server, person, numbers].concat()).kept(seconds).about(&owner))
    }
}

/// An answer to `query`, which is in `message`. Records that do not fit are left out, and the client is told to ask by TCP.
pub(crate) fn answer(message: &[u8], query: &Query, code: Code, records: &[Record], limit: usize) -> Vec<u8> {
    full_answer(message, query, code, (records, &[]), limit)
}

/// The same with who answers for the zone.
pub(crate) fn full_answer(
    message: &[u8],
    query: &Query,
    code: Code,
    (records, authority): (&[Record], &[Record]),
    limit: usize,
) -> Vec<u8> {
    let mut bytes = begin(message, code);
    bytes.extend_from_slice(query.question(message));
    let tail = if query.edns.is_some() { 11 } else { 0 };
    let count = append(&mut bytes, records, limit.saturating_sub(tail));
    // Without it the answer is as good.
    let fits = usize::from(count) == records.len() && append(&mut bytes, authority, limit.saturating_sub(tail)) > 0;
    if usize::from(count) < records.len() {
        bytes[2] |= 2;
    }
    bytes[4..6].copy_from_slice(&1_u16.to_be_bytes());
    bytes[6..8].copy_from_slice(&count.to_be_bytes());
    bytes[8..10].copy_from_slice(&u16::from(fits).to_be_bytes());
    if query.edns.is_some() {
        bytes[10..12].copy_from_slice(&1_u16.to_be_bytes());
        let [high, low] = (MOST as u16).to_be_bytes();
        bytes.extend_from_slice(&[0, 0, OPT as u8, high, low, 0, 0, 0, 0, 0, 0]);
    }
    bytes
}

/// Writes records as long as they fit; how many.
fn append(bytes: &mut Vec<u8>, records: &[Record], limit: usize) -> u16 {
    let mut count = 0;
    for record in records {
        // The name is that of the question, which can be pointed to.
        let owner = record.owner.as_deref().unwrap_or(&[0xc0, HEADER as u8]);
        if bytes.len() + owner.len() + 10 + record.data.len() > limit {
            break;
        }
        bytes.extend_from_slice(owner);
        let [a, b] = [(record.keep >> 16) as u16, record.keep as u16];
        for word in [record.kind, IN, a, b, record.data.len() as u16] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&record.data);
        count += 1;
    }
    count
}

/// A query for another name, with the client's wishes: what it sent, and that read.
pub(crate) fn instead(message: &[u8], query: &Query, name: &str) -> Option<(Vec<u8>, Query)> {
    let mut bytes = message.get(..HEADER)?.to_vec();
    bytes.extend_from_slice(&encoded(name)?);
    bytes.extend_from_slice(&query.kind.to_be_bytes());
    bytes.extend_from_slice(&query.class.to_be_bytes());
    bytes.extend_from_slice(message.get(query.end..)?);
    let read = self::query(&bytes).ok()?;
    Some((bytes, read))
}

/// What another server said of the name that `alias` stands for: the code, and records that say the kind that was asked for. Those that have
/// names in them are left out, for the names may point to elsewhere in the message.
pub(crate) fn of_alias(reply: &[u8], query: &Query) -> (Code, Vec<Record>) {
    let code = match reply.get(3).map_or(2, |byte| byte & 15) {
        0 => Code::Fine,
        3 => Code::NoName,
        _ => Code::Failed,
    };
    let (mut at, mut records) = (query.end, Vec::new());
    for _ in 0..short(reply, 6).unwrap_or(0) {
        let Some(record) = skip(reply, at).and_then(|fixed| {
            let (kind, length) = (short(reply, fixed)?, usize::from(short(reply, fixed + 8)?));
            let keep = u32::from_be_bytes(reply.get(fixed + 4..fixed + 8)?.try_into().ok()?);
            at = fixed + 10 + length;
            Some(Record::new(kind, reply.get(fixed + 10..at)?.to_vec()).kept(keep))
        }) else {
            break;
        };
        if record.kind == query.kind && matches!(record.kind, A | AAAA | TXT) {
            records.push(record);
        }
    }
    (code, records)
}

/// Where the name at `at` ends.
fn skip(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..64 => at += 1 + length,
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// An answer to what is no query: its header alone.
pub(crate) fn refuse(message: &[u8], code: Code) -> Vec<u8> {
    begin(message, code)
}

/// The header of an answer that counts nothing yet: `QR`, and `RD` as asked, `RA`.
fn begin(message: &[u8], code: Code) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..2].copy_from_slice(&message[..2]);
    bytes[2] = 0x80 | (message[2] & 0x79);
    bytes[3] = 0x80 | code as u8;
    bytes
}

/// What another server said, for the client: with the client's id, and cut to its question where it is longer than `limit`. `None` when it
/// does not answer `query` as sent with the id `sent`.
pub(crate) fn passed_on(reply: &[u8], message: &[u8], query: &Query, sent: u16, limit: usize) -> Option<Vec<u8>> {
    let question = query.question(message);
    let same = reply.get(HEADER..query.end).is_some_and(|own| own.eq_ignore_ascii_case(question));
    if reply.len() < HEADER || short(reply, 0) != Some(sent) || reply[2] & 0x80 == 0 || short(reply, 4) != Some(1) || !same {
        return None;
    }
    let mut bytes = reply.to_vec();
    if bytes.len() > limit {
        bytes.truncate(query.end);
        bytes[2] |= 2;
        bytes[6..12].fill(0);
    }
    bytes[..2].copy_from_slice(&query.id.to_be_bytes());
    Some(bytes)
}

/// A name as a record has it.
pub(crate) fn encoded(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        if !(1..64).contains(&label.len()) {
            return None;
        }
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A query as a client writes it.
    pub(crate) fn ask(name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
        bytes.extend(if name.is_empty() { vec![0] } else { encoded(name).unwrap() });
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&IN.to_be_bytes());
        if let Some(size) = edns {
            let [high, low] = size.to_be_bytes();
            bytes.extend_from_slice(&[0, 0, 41, high, low, 0, 0, 0, 0, 0, 0]);
        }
        bytes
    }

    #[test]
    fn queries_are_read() {
        let read = query(&ask("Web.Example", AAAA, Some(1232))).unwrap();
        assert_eq!((read.id, read.name.as_str(), read.kind, read.limit()), (0x1234, "web.example", AAAA, 1232));
        assert_eq!(query(&ask("web", A, None)).unwrap().limit(), 512);
        assert_eq!(query(&ask("web", A, Some(65000))).unwrap().limit(), 4096);
        assert_eq!(query(&ask("", A, None)).unwrap().name, "");
    }

    #[test]
    fn what_is_no_query_is_refused() {
        assert_eq!(query(&[]), Err(Refusal::Silent));
        assert_eq!(query(&[0; 11]), Err(Refusal::Silent));
        let good = ask("web", A, None);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            query(&bytes)
        };
        assert_eq!(with(2, 0x81), Err(Refusal::Silent), "an answer");
        assert_eq!(with(2, 0x28), Err(Refusal::Say(Code::NotImplemented)), "an update");
        assert_eq!(with(5, 0), Err(Refusal::Say(Code::Malformed)));
        assert_eq!(with(5, 2), Err(Refusal::Say(Code::Malformed)));
        assert_eq!(with(12, 0xc0), Err(Refusal::Say(Code::Malformed)), "a pointer to itself");
        assert_eq!(with(12, 63), Err(Refusal::Say(Code::Malformed)));
        for length in HEADER..good.len() {
            assert_eq!(query(&good[..length]), Err(Refusal::Say(Code::Malformed)), "{length}");
        }
        let long = [&good[..HEADER], &[1, b'a'].repeat(130), &[0, 0, 1, 0, 1]].concat();
        assert_eq!(query(&long), Err(Refusal::Say(Code::Malformed)));
    }

    #[test]
    fn answers_fit_and_say_when_they_are_cut() {
        let message = ask("web", A, None);
        let read = query(&message).unwrap();
        let records: Vec<_> = (0..100).map(|n| Record::new(A, vec![10, 0, 0, n])).collect();
        let udp = answer(&message, &read, Code::Fine, &records, read.limit());
        assert!(udp.len() <= 512 && udp[2] & 2 != 0 && udp[7] == 30, "{} {}", udp.len(), udp[7]);
        let tcp = answer(&message, &read, Code::Fine, &records, 65535);
        assert!(tcp[2] & 2 == 0 && tcp[7] == 100);
        assert_eq!(&tcp[..2], &message[..2]);
    }

    #[test]
    fn only_the_answer_to_the_question_is_passed_on() {
        let message = ask("example.org", A, None);
        let read = query(&message).unwrap();
        let mut reply = message.clone();
        reply[..3].copy_from_slice(&[7, 7, 0x81]);
        let pass = |reply: &[u8], limit| passed_on(reply, &message, &read, 0x0707, limit);
        assert_eq!(pass(&reply, 512).unwrap()[..2], [0x12, 0x34]);
        let cut = pass(&[&reply[..], &[0; 600]].concat(), 512).unwrap();
        assert!(cut.len() == message.len() && cut[2] & 2 != 0);
        assert_eq!(passed_on(&reply, &message, &read, 0x0708, 512), None, "another id");
        let mut other = reply.clone();
        other[13] = b'X';
        assert_eq!(pass(&other, 512), None, "another name");
        assert_eq!(pass(&reply[..20], 512), None);
        assert_eq!(pass(&message, 512), None, "a query");
    }

    /// Random bytes, and every message with random bytes changed: whatever comes, nothing panics, and an answer is an answer.
    #[test]
    fn strange_bytes_do_no_harm() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let seeds = [ask("web", A, None), ask("a.b.c", PTR, Some(1400)), ask("", ANY, Some(0)), vec![]];
        for round in 0..200_000 {
            let mut bytes = seeds[round % seeds.len()].clone();
            if bytes.is_empty() {
                bytes = (0..random() % 80).map(|_| random() as u8).collect();
            }
            for _ in 0..random() % 6 {
                let at = random() as usize % bytes.len().max(1);
                match random() % 3 {
                    0 if !bytes.is_empty() => bytes[at] = random() as u8,
                    1 => bytes.truncate(at),
                    _ => bytes.push(random() as u8),
                }
            }
            match query(&bytes) {
                Ok(read) => {
                    assert!(read.name.len() <= 255 && read.end <= bytes.len());
                    let reply = answer(&bytes, &read, Code::Fine, &[Record::new(A, vec![1; 4])], read.limit());
                    assert!(reply.len() <= read.limit() && reply[2] & 0x80 != 0);
                    let _ = passed_on(&bytes, &reply, &read, 0, 512);
                }
                Err(Refusal::Say(code)) => assert_eq!(refuse(&bytes, code).len(), HEADER),
                Err(Refusal::Silent) => {}
            }
        }
    }
}
