//! Files of real servers, built into the tests: even those of `wal` do no I/O.

use std::io::Read;

/// The bytes of a file under `tests/fixtures`.
macro_rules! fixture {
    ($($path:literal),+) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $($path),+)).as_slice()
    };
}
pub(crate) use fixture;

/// Unpacks a `.gz` fixture.
pub(crate) fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}
