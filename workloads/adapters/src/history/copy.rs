//! All orders as they were at one moment, some at a time, while the history goes on.
//!
//! A read transaction sees the database as it was when the transaction began. As long as it is held the write-ahead log grows, as nothing
//! behind that moment can be moved from there into the database.
//!
//! Orders are copied in the sequence in which they were first stored, and not as pages of the file: the ids are hashes, so that a few
//! new orders change pages of the indexes all over the file.
//!
//! A block has eight bytes, the number of the format, and each order with its number from the first one on, its id, the number of its
//! bytes, and these as they are stored. All numbers are little-endian.

use std::path::PathBuf;

use kbnt_application::history::Progress;
use kbnt_application::ports::HistoryError;
use kbnt_domain::OrderId;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::file::{self, OrFailed as _};
use super::{read, rows};

/// Orders of a block: those whose numbers are between two multiples of this.
pub(crate) const ORDERS: u64 = 8_192;

/// A block ends before its time when it has so many bytes.
const BYTES_MOST: usize = 8 << 20;

/// The first bytes of every block.
const MAGIC: [u8; 8] = *b"KBNThist";

/// The orders of a history at one moment.
pub(crate) struct Copy {
    connection: Connection,
    directory: PathBuf,
    /// Which database it was.
    pub(super) generation: u64,
    progress: Progress,
    next: i64,
}

/// Some orders.
#[derive(Debug)]
pub(crate) struct Block {
    /// The number of the first one.
    pub(crate) first: u64,
    /// How many numbers it covers, of which not all may have an order.
    pub(crate) numbers: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Copy {
    /// Begins one; the transaction is held until it is dropped.
    pub(super) fn begin(directory: PathBuf, generation: u64) -> Result<Self, HistoryError> {
        let connection = file::reader(&directory)?;
        connection.execute_batch("BEGIN").or_failed()?;
        // The first read decides what it sees.
        let progress = read::progress(&connection)?;
        Ok(Self { connection, directory, generation, progress, next: 1 })
    }

    /// How far the log is applied to it.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Its progress as bytes.
    pub(crate) fn progress_bytes(&self) -> Result<Vec<u8>, HistoryError> {
        rows::progress(&self.progress)
    }

    /// Bytes of the write-ahead log, which cannot shrink now.
    pub(crate) fn log_bytes(&self) -> u64 {
        file::log_bytes(&self.directory)
    }

    /// The next orders, of which each is what was written; `None` behind the last ones.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, HistoryError> {
        let mut select = self
            .connection
            .prepare_cached("SELECT no, id, row FROM orders WHERE no >= ?1 ORDER BY no LIMIT ?2")
            .or_failed()?;
        let mut found = select.query(params![self.next, ORDERS.cast_signed()]).or_failed()?;
        let mut block: Option<Block> = None;
        while let Some(row) = found.next().or_failed()? {
            let no = row.get::<_, i64>(0).or_failed()?;
            let id: [u8; 16] = row.get(1).or_failed()?;
            let bytes = row.get_ref(2).and_then(|value| Ok(value.as_blob()?)).or_failed()?;
            rows::whole(bytes, "an order")?;
            let number = no.cast_unsigned();
            let block = block.get_or_insert_with(|| Block::begin(number));
            if number / ORDERS != block.first / ORDERS || block.bytes.len() >= BYTES_MOST {
                break;
            }
            block.push(number, &id, bytes);
            self.next = no.saturating_add(1);
        }
        Ok(block)
    }
}

/// A number of which there are never so many that it is cut.
fn short(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

impl Block {
    fn begin(first: u64) -> Self {
        let bytes = [&MAGIC[..], &file::VERSION.to_le_bytes()].concat();
        Self { first, numbers: 0, bytes }
    }

    fn push(&mut self, number: u64, id: &[u8; 16], row: &[u8]) {
        self.bytes.extend(short(number - self.first));
        self.bytes.extend(id);
        self.bytes.extend(short(row.len() as u64));
        self.bytes.extend(row);
        self.numbers = number - self.first + 1;
    }
}

const CUT: &str = "a block of orders is cut short";

fn damaged(what: &str) -> HistoryError {
    HistoryError::Damaged(what.to_owned())
}

/// An order with its number from the first one on, and its row.
pub(super) type Numbered<'a> = (u32, OrderId, &'a [u8]);

/// The orders of a block, with their numbers from the first one on.
pub(super) struct Orders<'a>(&'a [u8]);

impl<'a> Orders<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, HistoryError> {
        let mut orders = Self(bytes);
        if orders.array()? != MAGIC || orders.array()? != file::VERSION.to_le_bytes() {
            return Err(damaged("a block of orders is in none of the formats that this program reads"));
        }
        Ok(orders)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HistoryError> {
        let (first, rest) = self.0.split_first_chunk().ok_or_else(|| damaged(CUT))?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next one; `None` behind the last one.
    pub(super) fn read(&mut self) -> Result<Option<Numbered<'a>>, HistoryError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let number = u32::from_le_bytes(self.array()?);
        let id = OrderId::from_uuid(Uuid::from_bytes(self.array()?));
        let length = u32::from_le_bytes(self.array()?) as usize;
        let (row, rest) = self.0.split_at_checked(length).ok_or_else(|| damaged(CUT))?;
        self.0 = rest;
        Ok(Some((number, id, row)))
    }
}
