//! Files of real servers, built into the tests: even those of `wal` do no I/O. Every parser of foreign bytes has a `fuzz`
//! property, which starts from them.

use std::io::Read;

use proptest::prelude::*;
use proptest::sample::Index;

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

/// Real files with a few things changed: what a bad disk, a torn write, a careless editor or an enemy makes of them.
pub(crate) fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let others = seeds.clone();
    let mutations = prop::collection::vec(mutation(others), 1..6);
    (prop::sample::select(seeds), mutations).prop_map(|(bytes, mutations)| {
        mutations.iter().fold(bytes, |bytes, mutation| mutation.applied_to(bytes))
    })
}

/// The same as text; what is no UTF-8 any more becomes replacement characters.
pub(crate) fn mutated_text(seeds: &[&str]) -> impl Strategy<Value = String> {
    let seeds = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    mutated(seeds).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// One change of some bytes.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Put(Index, Vec<u8>),
    CutShort(Index),
    CutOut(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
    Splice(Index, Vec<u8>, Index),
    /// Another number in the place of the digits that stand there or follow.
    Number(Index, &'static str),
}

/// Numbers at which arithmetic goes wrong.
const NUMBERS: [&str; 10] = [
    "0",
    "1",
    "-1",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "FFFFFFFF",
    "99999999999999999999999999999999999999999",
    "1e308",
];

fn mutation(others: Vec<Vec<u8>>) -> impl Strategy<Value = Mutation> {
    let field = prop::sample::select(vec![
        vec![0],
        vec![0xFF],
        vec![0; 4],
        vec![0xFF; 4],
        vec![0; 8],
        vec![0xFF; 8],
        vec![0, 0, 0, 0x80],
        vec![0xFF, 0xFF, 0xFF, 0x7F],
    ]);
    let few = prop::collection::vec(any::<u8>(), 1..9);
    prop_oneof![
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (any::<Index>(), prop_oneof![field, few.clone()]).prop_map(|(at, field)| Mutation::Put(at, field)),
        any::<Index>().prop_map(Mutation::CutShort),
        (any::<Index>(), 1..20usize).prop_map(|(at, length)| Mutation::CutOut(at, length)),
        (any::<Index>(), few).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
        (any::<Index>(), prop::sample::select(others), any::<Index>())
            .prop_map(|(at, other, from)| Mutation::Splice(at, other, from)),
        (any::<Index>(), prop::sample::select(NUMBERS.to_vec()))
            .prop_map(|(at, to)| Mutation::Number(at, to)),
    ]
}

impl Mutation {
    fn applied_to(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        match self {
            Self::Flip(at, bit) => {
                let at = place(at, &bytes);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            Self::Put(at, field) => {
                let at = place(at, &bytes);
                bytes.iter_mut().skip(at).zip(field).for_each(|(byte, new)| *byte = *new);
            }
            Self::CutShort(at) => bytes.truncate(place(at, &bytes)),
            Self::CutOut(at, length) => {
                let at = place(at, &bytes);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Insert(at, new) => {
                let at = place(at, &bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Repeat(from, to) => {
                let (from, to) = (place(from, &bytes), place(to, &bytes));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, piece);
            }
            Self::Splice(at, other, from) => {
                bytes.truncate(place(at, &bytes));
                bytes.extend(&other[place(from, other)..]);
            }
            Self::Number(at, number) => {
                let at = place(at, &bytes);
                let begin = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|found| at + found);
                if let Some(begin) = begin {
                    let length = bytes[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    bytes.splice(begin..begin + length, number.bytes());
                }
            }
        }
        bytes
    }
}
