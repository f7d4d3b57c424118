//! Header blocks: names and values, compressed with one zlib stream for each direction of a connection (SPDY protocol draft 3, section
//! 2.6.10).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Error;
use super::dictionary::dictionary;

/// The longest block, decompressed: what is compressed may be a bomb.
const MAX_BLOCK: usize = 64 << 10;

/// Headers of a stream, names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of a header. Names have no case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[cfg(test)]
    pub(crate) fn from_pairs(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn parse(block: &[u8]) -> Result<Headers, Error> {
        let mut rest = block;
        let count = number(&mut rest)? as usize;
        // Each takes eight bytes at least, so a count that lies ends in an error and not in an allocation.
        let mut all = Vec::new();
        for _ in 0..count {
            let (name, value) = (text(&mut rest)?, text(&mut rest)?);
            if name.is_empty() {
                return Err(Error::Headers("a header has no name"));
            }
            all.push((name, value));
        }
        Ok(Headers(all))
    }
}

fn number(rest: &mut &[u8]) -> Result<u32, Error> {
    let (bytes, after) = rest.split_first_chunk::<4>().ok_or(Error::Headers("the block is cut off"))?;
    *rest = after;
    Ok(u32::from_be_bytes(*bytes))
}

fn text(rest: &mut &[u8]) -> Result<String, Error> {
    let length = number(rest)? as usize;
    let (bytes, after) = rest.split_at_checked(length).ok_or(Error::Headers("the block is cut off"))?;
    *rest = after;
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Headers("a header is no text"))
}

/// Reads the blocks of one connection, in their order.
#[derive(Debug)]
pub(super) struct Reader {
    inflate: Decompress,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { inflate: Decompress::new(true) }
    }

    pub(super) fn read(&mut self, compressed: &[u8]) -> Result<Headers, Error> {
        let mut block = Vec::with_capacity(512);
        let mut rest = compressed;
        loop {
            if block.len() == block.capacity() {
                if block.len() >= MAX_BLOCK {
                    return Err(Error::Headers("the block is too long"));
                }
                block.reserve(block.len());
            }
            let before = (self.inflate.total_in(), block.len());
            let status = self.inflate.decompress_vec(rest, &mut block, FlushDecompress::Sync);
            rest = &rest[(self.inflate.total_in() - before.0) as usize..];
            match status {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflate.set_dictionary(&dictionary()).map_err(|_| Error::Headers("they use another dictionary"))?;
                }
                Err(_) => return Err(Error::Headers("the block is not compressed as it should be")),
                Ok(Status::StreamEnd) => return Err(Error::Headers("the compressed stream ends")),
                Ok(_) if rest.is_empty() && block.len() < block.capacity() => return Headers::parse(&block),
                Ok(_) if (self.inflate.total_in(), block.len()) == before && block.len() < block.capacity() => {
                    return Err(Error::Headers("the block is cut off"));
                }
                Ok(_) => {}
            }
        }
    }
}

/// Writes the blocks of one connection, in their order.
#[derive(Debug)]
pub(super) struct Writer {
    deflate: Compress,
}

impl Writer {
    pub(super) fn new() -> Result<Writer, Error> {
        let mut deflate = Compress::new(Compression::fast(), true);
        deflate.set_dictionary(&dictionary()).map_err(|_| Error::Headers("the dictionary is refused"))?;
        Ok(Writer { deflate })
    }

    /// A block of these headers.
    pub(super) fn write(&mut self, headers: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
        let mut block = (headers.len() as u32).to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&(text.len() as u32).to_be_bytes());
            block.extend_from_slice(text.as_bytes());
        }
        let mut out = Vec::with_capacity(block.len() + 64);
        let mut rest = &block[..];
        loop {
            let before = self.deflate.total_in();
            self.deflate
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .map_err(|_| Error::Headers("they cannot be compressed"))?;
            rest = &rest[(self.deflate.total_in() - before) as usize..];
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(out);
            }
            out.reserve(64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other_in_one_stream() {
        let (mut writer, mut reader) = (Writer::new().unwrap(), Reader::new());
        for round in 0..20 {
            let long = "x".repeat(round * 100);
            let block = writer.write(&[("streamType", "stdin"), ("port", "80"), ("requestID", &long)]).unwrap();
            let headers = reader.read(&block).unwrap();
            assert_eq!((headers.get("streamtype"), headers.get("requestid")), (Some("stdin"), Some(long.as_str())));
            assert_eq!(headers.get("none"), None);
        }
        let empty = writer.write(&[]).unwrap();
        assert_eq!(reader.read(&empty).unwrap(), Headers::default());
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = Writer::new().unwrap().write(&[("a", &"0".repeat(1 << 20))]).unwrap();
        assert!(bomb.len() < 64 << 10, "{}", bomb.len());
        assert!(Reader::new().read(&bomb).is_err());
    }

    #[test]
    fn lies_are_refused() {
        assert!(Headers::parse(&[0xff; 4]).is_err());
        assert!(Headers::parse(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(Headers::parse(&[0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0]).is_err());
        assert!(Reader::new().read(b"no zlib at all").is_err());
        let block = Writer::new().unwrap().write(&[("a", "b")]).unwrap();
        assert!(Reader::new().read(&block[..block.len() / 2]).is_err());
    }
}
