//! Packs: chunks of the archive of closed orders in one object.
//!
//! After eight bytes and the number of the format there is, for each chunk, its first place, how many places it covers, its checksum
//! and how many orders follow; and for each of these its place from the first one on, the number of its bytes, and the bytes, which are the
//! archive's own. All numbers are little-endian.

use kbnt_domain::Timestamp;
use kbnt_domain::audit::{Hash, sha256};
use kbnt_domain::stock::image::{Chunk, ClosedOrder};

use crate::closed_orders::{Rows, closed};

/// The places in which the chunks of a pack begin; packs begin at their multiples.
pub(super) const PLACES: u64 = 65_536;

/// The most places of one chunk.
pub(super) const ORDERS_MOST: u32 = 65_536;

/// The first bytes of every pack.
const MAGIC: [u8; 8] = *b"KBNTpack";

/// Changes with what follows them, and with the archive's own rows.
const FORMAT: u32 = 1;

/// The chunks of each pack.
pub(super) fn packs(chunks: &[Chunk]) -> impl Iterator<Item = &[Chunk]> {
    chunks.chunk_by(|one, next| one.first / PLACES == next.first / PLACES)
}

/// The first chunk that does not follow on the one before it, or that no pack can have.
pub(super) fn unsound(chunks: &[Chunk]) -> Option<u64> {
    let can_be = |chunk: &Chunk| {
        (1..=ORDERS_MOST).contains(&chunk.orders)
            && chunk.first.checked_add(u64::from(chunk.orders)).is_some()
    };
    let mut before = None;
    for chunk in chunks {
        if !can_be(chunk) || before.is_some_and(|end| end != chunk.first) {
            return Some(chunk.first);
        }
        before = Some(chunk.end());
    }
    None
}

/// The SHA-256 of a list of chunks. When their orders ended is not in it: that may be put back.
pub(super) fn digest(chunks: &[Chunk]) -> Hash {
    let mut bytes = Vec::with_capacity(chunks.len() * 16);
    for chunk in chunks {
        bytes.extend(chunk.first.to_le_bytes());
        bytes.extend(chunk.orders.to_le_bytes());
        bytes.extend(chunk.checksum.to_le_bytes());
    }
    sha256(&bytes)
}

/// A pack that is being written.
#[derive(Debug)]
pub(super) struct Builder(Vec<u8>);

impl Builder {
    pub(super) fn new() -> Self {
        Self([&MAGIC[..], &FORMAT.to_le_bytes()].concat())
    }

    /// Adds a chunk with its rows, whose places are among its own.
    pub(super) fn push(&mut self, chunk: &Chunk, rows: &Rows) {
        let Self(bytes) = self;
        // As there are no more rows than places, no number is cut.
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        bytes.extend(chunk.first.to_le_bytes());
        bytes.extend(chunk.orders.to_le_bytes());
        bytes.extend(chunk.checksum.to_le_bytes());
        bytes.extend(short(rows.len() as u64));
        for (place, row) in rows {
            bytes.extend(short(place - chunk.first));
            bytes.extend(short(row.len() as u64));
            bytes.extend(row);
        }
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The chunks of a pack.
#[derive(Debug)]
pub(super) struct Chunks<'a> {
    rest: &'a [u8],
    /// Where the next one must begin.
    next: u64,
}

/// A chunk with its orders and their places.
pub(super) type Filled = (Chunk, Vec<(u64, ClosedOrder)>);

const CUT: &str = "it is cut short";

const NONSENSE: &str = "its chunks make no sense";

impl<'a> Chunks<'a> {
    /// Those of a pack that begins with `first`; or what is wrong with it.
    pub(super) fn of(bytes: &'a [u8], first: u64) -> Result<Self, &'static str> {
        let mut chunks = Self { rest: bytes, next: first };
        if chunks.array::<8>()? != MAGIC {
            return Err("it does not begin as a pack does");
        }
        if chunks.number()? == FORMAT {
            Ok(chunks)
        } else {
            Err("its format is none that this program reads")
        }
    }

    /// The place after the last chunk that was read.
    pub(super) const fn end(&self) -> u64 {
        self.next
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (first, rest) = self.rest.split_first_chunk().ok_or(CUT)?;
        self.rest = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next chunk; `None` behind the last one.
    pub(super) fn read(&mut self) -> Result<Option<Filled>, &'static str> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let first = u64::from_le_bytes(self.array()?);
        let [orders, checksum, count] = [self.number()?, self.number()?, self.number()?];
        let mut chunk = Chunk { first, orders, newest: Timestamp::from_millis(i64::MIN), checksum };
        if first != self.next || unsound(&[chunk]).is_some() || count > orders {
            return Err(NONSENSE);
        }
        self.next = chunk.end();
        let mut filled: Vec<(u64, ClosedOrder)> = Vec::new();
        for _ in 0..count {
            let [place, length] = [self.number()?, self.number()?];
            let place = first + u64::from(place);
            let length = usize::try_from(length).map_err(|_| NONSENSE)?;
            let (row, rest) = self.rest.split_at_checked(length).ok_or(CUT)?;
            self.rest = rest;
            if place >= chunk.end() || filled.last().is_some_and(|(before, _)| *before >= place) {
                return Err(NONSENSE);
            }
            let order = closed(row).map_err(|_| "a row of it makes no sense")?;
            chunk.newest = chunk.newest.max(order.at);
            filled.push((place, order));
        }
        Ok(Some((chunk, filled)))
    }
}
