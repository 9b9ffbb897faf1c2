/// A header of at most `N` bytes that comes in pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathered<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Gathered<N> {
    pub const EMPTY: Self = Self { bytes: [0; N], filled: 0 };

    /// Takes bytes until `wanted` are there; returns how many it took.
    pub fn fill(&mut self, wanted: usize, from: &[u8]) -> usize {
        let room = self.bytes.get_mut(self.filled..wanted).unwrap_or_default();
        let taken = room.len().min(from.len());
        if let Some((room, from)) = room.get_mut(..taken).zip(from.get(..taken)) {
            room.copy_from_slice(from);
        }
        self.filled += taken;
        taken
    }

    pub const fn filled(&self) -> usize {
        self.filled
    }

    /// The bytes, zeros where none came yet.
    pub const fn bytes(&self) -> &[u8; N] {
        &self.bytes
    }

    /// The bytes from `at` on.
    pub fn field<const M: usize>(&self, at: usize) -> Option<[u8; M]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }
}

/// Whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Compared in pieces, which is fast: most of a switched segment is passed by this.
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|piece| ZEROS.starts_with(piece))
}
