//! Each format, whole and broken, however it comes and however little room there is.

use std::io::Write;

use super::*;

/// What comes out, through a room of so many bytes.
struct Out {
    bytes: Vec<u8>,
    room: Vec<u8>,
}

impl Room for Out {
    type Full = ();

    fn space(&mut self) -> Result<&mut [u8], ()> {
        Ok(&mut self.room)
    }

    fn filled(&mut self, length: usize) -> Result<(), ()> {
        self.bytes.extend_from_slice(&self.room[..length]);
        Ok(())
    }
}

fn decoded(data: &[u8], piece: usize, room: usize) -> Result<Vec<u8>, (&'static str, String)> {
    let mut out = Out { bytes: Vec::new(), room: vec![0; room] };
    let mut decoder = Decoder::default();
    let all = data.chunks(piece).try_for_each(|piece| decoder.push(piece, &mut out));
    match all.and_then(|()| decoder.end(&mut out)) {
        Ok(()) => Ok(out.bytes),
        Err(Stop::Bad(format, error)) => Err((format, error.to_string())),
        Err(Stop::Full(())) => panic!("there is always room"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 3).unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Some of it repeats, some does not.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut byte = |at: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if at.is_multiple_of(3) { (state >> 24) as u8 } else { (at % 251) as u8 }
    };
    (0..length).map(&mut byte).collect()
}

type Encoder = fn(&[u8]) -> Vec<u8>;

const FORMATS: [(&str, Encoder); 4] = [("gzip", gzip), ("zstd", zstd), ("xz", xz), ("bzip2", bzip2)];

#[test]
fn whatever_the_pieces_and_the_room() {
    let data = sample(40_000);
    let (first, second) = data.split_at(9_000);
    for (name, encode) in FORMATS {
        let blobs =
            [encode(&data), [encode(first), encode(second)].concat(), [encode(first), encode(b""), encode(second)].concat()];
        for (number, blob) in blobs.iter().enumerate() {
            assert!(is_compressed(blob), "{name}");
            for (piece, room) in
                [(blob.len(), 1 << 16), (1, 1 << 16), (blob.len(), 1), (7, 13), (4096, 4096), (blob.len(), data.len())]
            {
                assert_eq!(decoded(blob, piece, room).as_ref(), Ok(&data), "{name} {number} {piece} {room}");
            }
        }
    }
    for plain in [&b""[..], b"a", b"abc", b"\x1f", b"BZh0", &data] {
        assert_eq!(decoded(plain, 1, 5).as_deref(), Ok(plain));
        assert!(!is_compressed(plain));
    }
}

#[test]
fn long_runs_come_out_whole() {
    let zeros = vec![0; 5 << 20];
    for (name, encode) in FORMATS {
        let blob = encode(&zeros);
        assert!(decoded(&blob, blob.len(), 4096).as_ref() == Ok(&zeros), "{name}");
        assert!(decoded(&blob, 3, 1 << 18).as_ref() == Ok(&zeros), "{name}");
    }
}

#[test]
fn what_the_tools_write() {
    let bytes =
        |hex: &str| (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect::<Vec<_>>();
    for (hex, format) in [
        // xz; xz --check=sha256 --x86 --lzma2; bzip2
        (
            "fd377a585a000004e6d6b4460200210116000000742fe5a301000568656c6c6f0a000000a56097f194f6fde000011e06c12fa41d1fb6f37d010000000004595a",
            "xz",
        ),
        (
            "fd377a585a00000ae1fb0ca102010400210116000d86351f01000568656c6c6f0a0000005891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03000136066b81f940189b4b9a01000000000a595a",
            "xz",
        ),
        ("425a6839314159265359c1c080e2000001410000100244a00030cd00c3462997177245385090c1c080e2", "bzip2"),
    ] {
        assert_eq!(decoded(&bytes(hex), 5, 64).as_deref(), Ok(&b"hello\n"[..]), "{format}");
    }
    // Streams may be padded with zeros, four at a time.
    let padded = |zeros: usize| [xz(b"a"), vec![0; zeros], xz(b"b"), vec![0; 8]].concat();
    assert_eq!(decoded(&padded(4), 1, 64).as_deref(), Ok(&b"ab"[..]));
    assert!(decoded(&padded(3), 1, 64).is_err());
}

#[test]
fn what_is_broken() {
    let data = sample(40_000);
    for (name, encode) in FORMATS {
        let good = encode(&data);
        for length in [5, 30, good.len() / 2, good.len() - 5, good.len() - 1] {
            let (format, said) = decoded(&good[..length], 4096, 4096).unwrap_err();
            assert_eq!((format, said.as_str()), (name, "unexpected end of file"), "{length}");
        }
        for at in [good.len() / 3, good.len() / 2] {
            let mut flipped = good.clone();
            flipped[at] ^= 0x55;
            // zstd as it is usually made has no sum: something else comes out, which the layer's digest tells.
            match decoded(&flipped, 4096, 4096) {
                Ok(other) => assert!(name == "zstd" && other != data),
                Err((format, _)) => assert_eq!(format, name),
            }
        }
        let (format, _) = decoded(&[&good[..], b"garbage"].concat(), 4096, 4096).unwrap_err();
        assert_eq!(format, name);
    }
}

/// The header of a block says how much memory it needs; nothing of it is taken.
#[test]
fn an_xz_block_that_wants_four_gibibytes() {
    let mut blob = xz(b"hello");
    let block = &mut blob[12..24];
    // Size of the header, no flags, the filter LZMA2 with one byte of properties.
    assert_eq!(block[..4], [2, 0, 0x21, 1]);
    block[4] = 40;
    let mut sum = flate2::Crc::new();
    sum.update(&block[..8]);
    block[8..].copy_from_slice(&sum.sum().to_le_bytes());
    assert_eq!(decoded(&blob, 100, 100), Err(("xz", "it wants more than 128 MiB of memory".into())));
}
