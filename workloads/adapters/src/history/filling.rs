//! A database that is filled with the orders of a checkpoint, beside the one of the history.

use std::path::PathBuf;

use kbnt_application::ports::HistoryError;
use rusqlite::{Connection, params};

use super::copy::Orders;
use super::file::{self, OrFailed as _};
use super::{rows, write};

/// A database that is being filled; it is gone unless it is finished.
pub(crate) struct Filling {
    /// `None` once it is closed.
    connection: Option<Connection>,
    directory: PathBuf,
    /// How many orders are listed.
    listed: u64,
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.connection = None;
        file::discard(&self.directory);
    }
}

impl Filling {
    /// Begins one.
    pub(super) fn begin(directory: PathBuf) -> Result<Self, HistoryError> {
        let connection = Some(file::fetched(&directory)?);
        Ok(Self { connection, directory, listed: 0 })
    }

    /// Adds a block of orders with these numbers; each keeps its own, so that the next checkpoint has the same blocks.
    pub(crate) fn add(&mut self, first: u64, numbers: u64, block: &[u8]) -> Result<(), HistoryError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let transaction = connection.transaction().or_failed()?;
        let mut orders = Orders::of(block)?;
        while let Some((number, order, row)) = orders.read()? {
            if u64::from(number) >= numbers {
                return Err(HistoryError::Damaged(
                    "a block has other orders than its manifest says".to_owned(),
                ));
            }
            let no = first.saturating_add(u64::from(number)).cast_signed();
            let stored = rows::stored(order, row)?;
            self.listed += u64::from(write::insert(&transaction, Some(no), &stored, row)?);
        }
        transaction.commit().or_failed()
    }

    /// All orders are in it, and the log is applied so far. Nobody may have the database of the history open.
    pub(super) fn finish(mut self, progress: &[u8]) -> Result<(), HistoryError> {
        let revision = rows::stored_progress(progress)?.revision.cast_signed();
        if let Some(connection) = self.connection.take() {
            let listed = self.listed.cast_signed();
            connection
                .execute(
                    "UPDATE progress SET revision = ?1, orders = ?2, row = ?3",
                    params![revision, listed, progress],
                )
                .or_failed()?;
            connection.close().map_err(|(_, error)| error).or_failed()?;
        }
        file::install(&self.directory)
    }
}
