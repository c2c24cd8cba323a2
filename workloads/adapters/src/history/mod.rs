//! The history of orders in `SQLite`, or in `PostgreSQL`; docs/history.md describes both.

pub(crate) mod copy;
mod file;
pub(crate) mod filling;
mod postgres;
mod read;
mod rows;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kbnt_application::history::{Batch, Progress, Search, StoredOrder};
use kbnt_application::ports::{HistoryError, HistorySize, HistoryStore};
use kbnt_application::projections::{OrderEntry, Page};
use kbnt_domain::{OrderId, Timestamp};
use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use copy::Copy;
use filling::Filling;
pub use postgres::{PostgresAddress, PostgresAddressError, PostgresHistory};

/// Reads at a time.
const READS: usize = 4;

/// How long a read waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// The history in a directory of its own, of this process alone. Nothing blocks a thread of the runtime.
#[derive(Clone, Debug)]
pub struct SqliteHistory {
    files: Arc<Files>,
    reads: Arc<Semaphore>,
}

#[derive(Debug)]
struct Files {
    directory: PathBuf,
    /// `None` until the database is opened and checked.
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Readers>,
}

/// Connections that read.
#[derive(Debug, Default)]
struct Readers {
    /// Whether the database was checked, and nothing is known against it.
    open: bool,
    /// Grows when the database is set aside; connections to the one before are of no use.
    generation: u64,
    idle: Vec<Connection>,
}

impl Readers {
    /// Which database it is, if it may be read.
    fn opened(&self) -> Result<u64, HistoryError> {
        if self.open {
            Ok(self.generation)
        } else {
            Err(HistoryError::Unavailable("it is not open yet".to_owned()))
        }
    }
}

impl SqliteHistory {
    /// The history in `directory`, which is opened when it is first asked for its progress.
    pub fn new(directory: PathBuf) -> Self {
        let files = Files { directory, writer: Mutex::default(), readers: Mutex::default() };
        Self { files: Arc::new(files), reads: Arc::new(Semaphore::new(READS)) }
    }

    /// Whether there is a database.
    pub(crate) fn is_there(&self) -> bool {
        file::is_there(&self.files.directory)
    }

    /// All orders as they are now.
    pub(crate) async fn copy(&self) -> Result<Copy, HistoryError> {
        let files = Arc::clone(&self.files);
        blocking(move || {
            let generation = files.readers().opened()?;
            Copy::begin(files.directory.clone(), generation)
        })
        .await
    }

    /// Whether nothing was found wrong with the database since it was copied.
    pub(crate) fn has_gone_on(&self, copy: &Copy) -> bool {
        self.files.readers().opened() == Ok(copy.generation)
    }

    /// A database to be filled.
    pub(crate) async fn filling(&self) -> Result<Filling, HistoryError> {
        let directory = self.files.directory.clone();
        blocking(move || Filling::begin(directory)).await
    }

    /// What was filled takes the place of what is there, with this progress.
    pub(crate) async fn install(&self, filling: Filling, progress: Vec<u8>) -> Result<(), HistoryError> {
        let files = Arc::clone(&self.files);
        blocking(move || {
            let mut writer = files.writer();
            *writer = None;
            files.close_readers();
            filling.finish(&progress)
        })
        .await
    }

    /// Runs `work` with the connection that writes.
    async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<R, HistoryError> + Send + 'static,
    ) -> Result<R, HistoryError> {
        let files = Arc::clone(&self.files);
        blocking(move || files.write(work)).await
    }

    /// Runs `work` with a connection that reads; waits for its turn.
    async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<R, HistoryError> + Send + 'static,
    ) -> Result<R, HistoryError> {
        let turn = timeout(PATIENCE, Arc::clone(&self.reads).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(HistoryError::Busy) };
        let files = Arc::clone(&self.files);
        blocking(move || {
            // Kept until the read is over, even if nobody waits for it any more.
            let _turn = turn;
            files.read(work)
        })
        .await
    }
}

/// How far the log is applied to a copy, from its bytes.
pub(crate) fn progress_of(bytes: &[u8]) -> Result<Progress, HistoryError> {
    rows::stored_progress(bytes)
}

/// Runs `work` on a thread that may wait.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, HistoryError> + Send + 'static,
) -> Result<R, HistoryError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(HistoryError::Unavailable(error.to_string())))
}

impl Files {
    fn writer(&self) -> MutexGuard<'_, Option<Connection>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<R>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<R, HistoryError>,
    ) -> Result<R, HistoryError> {
        let mut writer = self.writer();
        let connection = match &mut *writer {
            Some(connection) => connection,
            none => {
                let opened = none.insert(file::writer(&self.directory)?);
                self.readers().open = true;
                opened
            }
        };
        let done = work(connection);
        if let Err(HistoryError::Damaged(_)) = done {
            *writer = None;
            self.close_readers();
        }
        done
    }

    fn read<R>(&self, work: impl FnOnce(&Connection) -> Result<R, HistoryError>) -> Result<R, HistoryError> {
        let (idle, generation) = {
            let mut readers = self.readers();
            let generation = readers.opened()?;
            (readers.idle.pop(), generation)
        };
        let connection = idle.map_or_else(|| file::reader(&self.directory), Ok)?;
        let done = work(&connection);
        let mut readers = self.readers();
        if readers.generation != generation {
            return Err(HistoryError::Unavailable("it is being built anew".to_owned()));
        }
        if done.is_ok() {
            readers.idle.push(connection);
        }
        done
    }

    fn close_readers(&self) {
        let mut readers = self.readers();
        readers.open = false;
        readers.generation += 1;
        readers.idle.clear();
    }

    fn reset(&self) -> Result<(), HistoryError> {
        let mut writer = self.writer();
        *writer = None;
        self.close_readers();
        file::set_aside(&self.directory)
    }
}

#[async_trait]
impl HistoryStore for SqliteHistory {
    async fn progress(&self) -> Result<Progress, HistoryError> {
        self.write(|connection| read::progress(connection)).await
    }

    async fn stored(&self, orders: Vec<OrderId>) -> Result<HashMap<OrderId, StoredOrder>, HistoryError> {
        self.write(move |connection| read::stored(connection, &orders)).await
    }

    async fn apply(&self, batch: Batch) -> Result<(), HistoryError> {
        self.write(move |connection| write::apply(connection, &batch)).await
    }

    async fn get(&self, order: OrderId) -> Result<Option<OrderEntry>, HistoryError> {
        let stored = self.read(move |connection| read::get(connection, order)).await?;
        Ok(stored.map(|stored| stored.entry))
    }

    async fn search(&self, search: Search) -> Result<Page, HistoryError> {
        self.read(move |connection| read::search(connection, search)).await
    }

    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, HistoryError> {
        self.write(move |connection| write::expire(connection, before, most)).await
    }

    async fn reset(&self) -> Result<(), HistoryError> {
        let files = Arc::clone(&self.files);
        blocking(move || files.reset()).await
    }

    async fn size(&self) -> Result<HistorySize, HistoryError> {
        let directory = self.files.directory.clone();
        self.read(move |connection| {
            Ok(HistorySize { orders: read::orders(connection)?, bytes: file::bytes(&directory) })
        })
        .await
    }
}
