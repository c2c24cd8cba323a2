//! The binary format of a snapshot: a header with magic, format, length and checksum, then rows in the
//! postcard format.

use std::fs::File;
use std::io::{self, BufWriter, Cursor, Seek, SeekFrom, Write};

use kbnt_application::ports::{Snapshot, SnapshotError};

use super::rows::Rows;

/// Bytes of the header: magic, format, length of the rows, checksum of all that and the rows.
const HEADER: usize = 8 + 4 + 8 + 4;

fn header<I: Rows>(length: u64) -> [u8; HEADER - 4] {
    let mut header = [0; HEADER - 4];
    header[..8].copy_from_slice(&I::MAGIC);
    header[8..12].copy_from_slice(&I::FORMAT.to_le_bytes());
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

/// Writes a snapshot to an empty file and syncs it. Returns its size in bytes.
pub(super) fn write<I: Rows>(file: File, snapshot: &Snapshot<I>) -> io::Result<u64> {
    let (file, bytes) = put(file, snapshot)?;
    file.sync_all()?;
    Ok(bytes)
}

/// The bytes of a snapshot's file.
pub(crate) fn bytes<I: Rows>(snapshot: &Snapshot<I>) -> io::Result<Vec<u8>> {
    put(Cursor::new(Vec::new()), snapshot).map(|(bytes, _)| bytes.into_inner())
}

/// Writes a snapshot where nothing was written before. Returns that, and the size in bytes.
fn put<I: Rows, W: Write + Seek>(to: W, snapshot: &Snapshot<I>) -> io::Result<(W, u64)> {
    let mut rows =
        Summed { inner: BufWriter::with_capacity(1 << 20, to), length: 0, sum: crc32fast::Hasher::new() };
    rows.inner.write_all(&[0; HEADER])?;
    I::put(snapshot, &mut rows)?;
    let header = header::<I>(rows.length);
    let mut sum = crc32fast::Hasher::new();
    sum.update(&header);
    sum.combine(&rows.sum);
    let mut to = rows.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    to.seek(SeekFrom::Start(0))?;
    to.write_all(&header)?;
    to.write_all(&sum.finalize().to_le_bytes())?;
    Ok((to, HEADER as u64 + rows.length))
}

fn number<const N: usize>(bytes: &[u8]) -> Result<[u8; N], SnapshotError> {
    bytes.first_chunk().copied().ok_or(SnapshotError::Damaged("it is cut short"))
}

/// Parses a snapshot.
pub(crate) fn read<I: Rows>(bytes: &[u8]) -> Result<Snapshot<I>, SnapshotError> {
    if !bytes.starts_with(&I::MAGIC) {
        return Err(SnapshotError::Damaged("it does not begin as a snapshot does"));
    }
    let format = u32::from_le_bytes(number(&bytes[8..])?);
    if format != I::FORMAT {
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
    I::take(rows).ok_or(SnapshotError::Damaged("its rows make no sense"))
}
