//! Maps of sparse files: which stored bytes go where (GNU tar manual, "Storing Sparse Files").

use tar::{GnuExtSparseHeader, Header};

use super::Malformed;
use super::header::{BLOCK, number};
use super::pax::decimal;

/// A piece of a file that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Most numbers in a map: more would only be there to fill memory.
const LIMIT: usize = 1 << 19;

/// The map's first numbers in an old GNU header, whether blocks with more follow, and the file's size.
pub(crate) fn old_header(raw: &[u8; BLOCK]) -> Result<(Vec<u64>, bool, u64), Malformed> {
    let gnu = Header::from_byte_slice(raw).as_gnu().ok_or(Malformed("a sparse file has no GNU header"))?;
    let mut numbers = Vec::new();
    push(&mut numbers, gnu.sparse.iter().map(|sparse| (&sparse.offset, &sparse.numbytes)))?;
    Ok((numbers, gnu.isextended[0] == 1, super::header::size(&gnu.realsize)?))
}

/// Takes the numbers of a further block; answers whether yet another follows.
pub(crate) fn old_block(raw: &[u8; BLOCK], numbers: &mut Vec<u64>) -> Result<bool, Malformed> {
    let mut block = GnuExtSparseHeader::new();
    block.as_mut_bytes().copy_from_slice(raw);
    push(numbers, block.sparse.iter().map(|sparse| (&sparse.offset, &sparse.numbytes)))?;
    Ok(block.isextended[0] == 1)
}

fn push<'a>(numbers: &mut Vec<u64>, pairs: impl Iterator<Item = (&'a [u8; 12], &'a [u8; 12])>) -> Result<(), Malformed> {
    for (offset, length) in pairs.take_while(|(offset, _)| offset[0] != 0) {
        numbers.extend([number(offset)?, number(length)?]);
    }
    if numbers.len() > LIMIT { Err(Malformed("a sparse map is too long")) } else { Ok(()) }
}

/// A map as version 1.0 writes it: lines of decimal digits, the count of pairs first, padded to whole blocks.
#[derive(Debug, Default)]
pub(crate) struct Decimals {
    line: Vec<u8>,
    count: Option<usize>,
    numbers: Vec<u64>,
}

impl Decimals {
    pub(crate) fn wants_more(&self) -> bool {
        self.count.is_none_or(|count| self.numbers.len() < count)
    }

    pub(crate) fn push(&mut self, block: &[u8; BLOCK]) -> Result<(), Malformed> {
        for byte in block {
            if !self.wants_more() {
                break;
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let number = decimal(&self.line)?;
            self.line.clear();
            match self.count {
                Some(_) => self.numbers.push(number),
                None if number > (LIMIT / 2) as u64 => return Err(Malformed("a sparse map is too long")),
                None => self.count = Some(number as usize * 2),
            }
        }
        if self.line.len() > 20 { Err(Malformed("a sparse map is malformed")) } else { Ok(()) }
    }

    pub(crate) fn into_map(self) -> Vec<u64> {
        self.numbers
    }
}

/// Checks a map against the size of the file and of what is stored.
pub(crate) fn segments(numbers: &[u64], size: u64, stored: u64) -> Result<Vec<Segment>, Malformed> {
    const BAD: Malformed = Malformed("a sparse map does not fit its file");
    let mut segments = Vec::with_capacity(numbers.len() / 2);
    let (mut end, mut sum) = (0, 0u64);
    for pair in numbers.chunks(2) {
        let &[offset, length] = pair else { return Err(BAD) };
        let stop = offset.checked_add(length).filter(|stop| *stop <= size && offset >= end).ok_or(BAD)?;
        (end, sum) = (stop, sum.checked_add(length).ok_or(BAD)?);
        segments.push(Segment { offset, length });
    }
    if numbers.len() > LIMIT || sum != stored { Err(BAD) } else { Ok(segments) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_fit() {
        let ok = segments(&[0, 5, 10, 5], 20, 10).unwrap();
        assert_eq!(ok, [Segment { offset: 0, length: 5 }, Segment { offset: 10, length: 5 }]);
        for (map, size, stored) in
            [(&[0, 5, 4, 5][..], 20, 10), (&[0, 5], 4, 5), (&[0, 5], 20, 6), (&[0], 20, 0), (&[u64::MAX, 2], 20, 2)]
        {
            assert!(segments(map, size, stored).is_err(), "{map:?}");
        }
    }

    #[test]
    fn a_decimal_map_ends_where_it_says() {
        let mut block = [0; BLOCK];
        block[..8].copy_from_slice(b"1\n3\n4\n\0\0");
        let mut decimals = Decimals::default();
        decimals.push(&block).unwrap();
        assert!(!decimals.wants_more());
        assert_eq!(decimals.into_map(), [3, 4]);
    }
}
