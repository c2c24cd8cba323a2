//! What the archive keeps under which keys.
//!
//! All lies in one keyspace, so that what a crash leaves of it is what was written up to some moment.

use kbnt_application::ports::ArchiveError;
use kbnt_domain::OrderId;
use kbnt_domain::stock::image::ClosedOrder;

use crate::snapshots::inventory::EndedRow;

/// Of no earlier place.
const NONE: u64 = u64::MAX;

/// Bytes before the row of an order: the place where the order was archived before.
const BEFORE: usize = 8;

fn key<const N: usize>(kind: u8, rest: &[u8]) -> [u8; N] {
    let mut key = [kind; N];
    key[1..].copy_from_slice(rest);
    key
}

/// Where an order was archived last.
pub(super) fn order_key(order: OrderId) -> [u8; 17] {
    key(b'o', order.as_uuid().as_bytes())
}

/// What was archived at a place.
pub(super) fn row_key(place: u64) -> [u8; 9] {
    key(b'r', &place.to_be_bytes())
}

/// A chunk that begins at a place.
pub(super) fn chunk_key(first: u64) -> [u8; 9] {
    key(b'c', &first.to_be_bytes())
}

/// All chunks.
pub(super) const CHUNKS: &[u8] = b"c";

fn damaged() -> ArchiveError {
    ArchiveError::Damaged("a row makes no sense".to_owned())
}

/// The place in a key or a value.
pub(super) fn place(bytes: &[u8]) -> Result<u64, ArchiveError> {
    bytes.last_chunk().map(|last| u64::from_be_bytes(*last)).ok_or_else(damaged)
}

/// A closed order in bytes, without the place before.
pub(super) fn bytes_of(closed: &ClosedOrder) -> Result<Vec<u8>, ArchiveError> {
    postcard::to_stdvec(&EndedRow::of(closed)).map_err(|error| ArchiveError::Unavailable(error.to_string()))
}

/// Rows by their places, without the places before.
pub(crate) type Rows = Vec<(u64, Vec<u8>)>;

/// Adds a row to the checksum of its chunk.
pub(super) fn sum(sum: &mut crc32fast::Hasher, place: u64, closed: &[u8]) {
    sum.update(&place.to_be_bytes());
    sum.update(closed);
}

/// A row: the place where the order was archived before, and the order.
pub(super) fn row(before: Option<u64>, closed: &[u8]) -> Vec<u8> {
    let mut row = before.unwrap_or(NONE).to_be_bytes().to_vec();
    row.extend_from_slice(closed);
    row
}

/// The place where the order of a row was archived before, and the order, both in bytes.
pub(super) fn parts(row: &[u8]) -> Result<(&[u8], &[u8]), ArchiveError> {
    row.split_at_checked(BEFORE).ok_or_else(damaged)
}

/// Where the order of a row was archived before, and the order.
pub(super) fn parse(row: &[u8]) -> Result<(Option<u64>, ClosedOrder), ArchiveError> {
    let (before, order) = parts(row)?;
    Ok((Some(place(before)?).filter(|before| *before != NONE), closed(order)?))
}

/// A closed order of its bytes.
pub(crate) fn closed(bytes: &[u8]) -> Result<ClosedOrder, ArchiveError> {
    let row = postcard::from_bytes::<EndedRow<'_>>(bytes).map_err(|_| damaged())?;
    row.ended().map_err(|_| damaged())
}

/// A chunk without its first place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) orders: u32,
    pub(super) checksum: u32,
}

impl Extent {
    pub(super) fn bytes(self) -> [u8; 8] {
        (u64::from(self.orders) << 32 | u64::from(self.checksum)).to_be_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let both = u64::from_be_bytes(*bytes.as_array().ok_or_else(damaged)?);
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
        Ok(Self { orders: half(both >> 32), checksum: half(both) })
    }
}
