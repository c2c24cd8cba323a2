//! The binary format of a snapshot: a header with magic, format, length and checksum, then rows in the
//! postcard format.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};

use kbnt_application::inventory::Image;
use kbnt_application::ports::{Snapshot, SnapshotError};
use serde::{Deserialize, Serialize};

use super::rows::{ActiveRow, Bad, ChunkRow, EndedRow, Head, ProductRow};

/// The first bytes of every snapshot.
const MAGIC: [u8; 8] = *b"KBNTsnap";

/// Changes with the rows, and with their meaning for the ledger.
const FORMAT: u32 = 3;

/// Bytes of the header: magic, format, length of the rows, checksum of all that and the rows.
const HEADER: usize = 8 + 4 + 8 + 4;

fn header(length: u64) -> [u8; HEADER - 4] {
    let mut header = [0; HEADER - 4];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12..].copy_from_slice(&length.to_le_bytes());
    header
}

/// Counts the bytes that pass, and computes their checksum.
struct Summed<W> {
    inner: W,
    length: u64,
    sum: crc32fast::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.length += count as u64;
        self.sum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn put(row: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    // Only the writer can fail, and postcard gives no details of its error.
    postcard::to_io(row, to).map(drop).map_err(|_| io::Error::other("the rows could not be written"))
}

fn put_rows(snapshot: &Snapshot<Image>, to: &mut impl Write) -> io::Result<()> {
    let ledger = &snapshot.image.ledger;
    put(&Head::of(snapshot), to)?;
    ledger.products.iter().try_for_each(|product| put(&ProductRow::of(product), to))?;
    ledger.archived.iter().try_for_each(|chunk| put(&ChunkRow::of(chunk), to))?;
    ledger.active.iter().try_for_each(|active| put(&ActiveRow::of(active), to))?;
    ledger.ended.iter().try_for_each(|ended| put(&EndedRow::of(ended), to))
}

/// Writes a snapshot to an empty file and syncs it. Returns its size in bytes.
pub(super) fn write(file: File, snapshot: &Snapshot<Image>) -> io::Result<u64> {
    let mut rows =
        Summed { inner: BufWriter::with_capacity(1 << 20, file), length: 0, sum: crc32fast::Hasher::new() };
    rows.inner.write_all(&[0; HEADER])?;
    put_rows(snapshot, &mut rows)?;
    let header = header(rows.length);
    let mut sum = crc32fast::Hasher::new();
    sum.update(&header);
    sum.combine(&rows.sum);
    let mut file = rows.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header)?;
    file.write_all(&sum.finalize().to_le_bytes())?;
    file.sync_all()?;
    Ok(HEADER as u64 + rows.length)
}

fn number<const N: usize>(bytes: &[u8]) -> Result<[u8; N], SnapshotError> {
    bytes.first_chunk().copied().ok_or(SnapshotError::Damaged("it is cut short"))
}

/// Parses a snapshot.
pub(super) fn read(bytes: &[u8]) -> Result<Snapshot<Image>, SnapshotError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(SnapshotError::Damaged("it does not begin as a snapshot does"));
    }
    let format = u32::from_le_bytes(number(&bytes[8..])?);
    if format != FORMAT {
        return Err(SnapshotError::Format(format));
    }
    let length = u64::from_le_bytes(number(&bytes[12..])?);
    let checksum = u32::from_le_bytes(number(&bytes[20.min(bytes.len())..])?);
    let rows = &bytes[HEADER..];
    if rows.len() as u64 != length {
        return Err(SnapshotError::Damaged("it is cut short"));
    }
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[..HEADER - 4]);
    sum.update(rows);
    if sum.finalize() != checksum {
        return Err(SnapshotError::Damaged("its checksum is wrong"));
    }
    read_rows(rows).map_err(|_| SnapshotError::Damaged("its rows make no sense"))
}

fn take<'a, T: Deserialize<'a>>(rows: &mut &'a [u8]) -> Result<T, Bad> {
    let (row, rest) = postcard::take_from_bytes(rows)?;
    *rows = rest;
    Ok(row)
}

fn read_rows(mut rows: &[u8]) -> Result<Snapshot<Image>, Bad> {
    let head: Head<'_> = take(&mut rows)?;
    let mut snapshot = head.snapshot()?;
    let ledger = &mut snapshot.image.ledger;
    for _ in 0..head.products {
        ledger.products.push(take::<ProductRow<'_>>(&mut rows)?.product()?);
    }
    for _ in 0..head.archived {
        ledger.archived.push(take::<ChunkRow>(&mut rows)?.chunk());
    }
    for _ in 0..head.active {
        ledger.active.push(take::<ActiveRow<'_>>(&mut rows)?.active()?);
    }
    for _ in 0..head.ended {
        ledger.ended.push(take::<EndedRow<'_>>(&mut rows)?.ended()?);
    }
    if rows.is_empty() { Ok(snapshot) } else { Err(Bad) }
}
