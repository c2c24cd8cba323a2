//! The archive of closed orders on disk; docs/state-store.md describes it.

mod pins;
mod rows;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kbnt_application::ports::{ArchiveError, ClosedOrderArchive};
use kbnt_domain::OrderId;
use kbnt_domain::stock::image::{Chunk, ClosedOrder};

use self::pins::Pins;
use self::store::Store;

pub use self::pins::Pin;
pub(crate) use self::rows::{Rows, closed};

/// Databases are named so, and by their numbers; the highest number is the present one.
const PREFIX: &str = "closed-orders-";

/// Chunks that are dropped at a time when they are forgotten: more than are added meanwhile.
const FORGOTTEN_MOST: usize = 2;

/// The archive in a directory of its own, of this process alone.
pub struct FjallArchive {
    directory: PathBuf,
    present: Mutex<(u64, Store)>,
    /// What lies at or behind this place is needed by somebody who may go back to it.
    floor: AtomicU64,
    /// And what somebody is reading.
    pins: Arc<Pins>,
    failures: AtomicU64,
}

impl fmt::Debug for FjallArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallArchive").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl FjallArchive {
    /// Opens the archive in `directory`. One that is damaged is dropped, and begins anew.
    pub fn open(directory: &Path) -> Result<Self, ArchiveError> {
        let number = numbers(directory).map_err(|error| unavailable(&error))?.into_iter().max().unwrap_or(0);
        let opened = match open(&path(directory, number)) {
            Err(ArchiveError::Damaged(why)) => {
                refused(directory, &why);
                (number + 1, open(&path(directory, number + 1))?)
            }
            opened => (number, opened?),
        };
        drop_others(directory, opened.0);
        Ok(Self {
            directory: directory.to_owned(),
            present: Mutex::new(opened),
            floor: AtomicU64::new(u64::MAX),
            pins: Arc::default(),
            failures: AtomicU64::new(0),
        })
    }

    fn present(&self) -> MutexGuard<'_, (u64, Store)> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on only what lies before `place` may be dropped when it is forgotten.
    pub(crate) fn keep_from(&self, place: u64) {
        self.floor.store(place, Ordering::Relaxed);
    }

    /// Until what is returned is dropped, too, only what lies before `first` may be dropped when it is forgotten.
    pub fn pin(&self, first: u64) -> Pin {
        self.pins.add(first)
    }

    /// The rows of a chunk, which are what was added; `None` if it is not there, or was taken away meanwhile. Nobody else has to wait
    /// while they are read.
    pub(crate) fn rows(&self, chunk: &Chunk) -> Result<Option<Rows>, ArchiveError> {
        let chunks = slice::from_ref(chunk);
        let (number, read) = {
            let present = self.present();
            if !present.1.has(chunks) {
                return Ok(None);
            }
            (present.0, present.1.handle())
        };
        let rows = unpanicked(|| read.rows(chunk));
        if rows.is_err() {
            // Whoever resets it, or goes back, takes rows away from under those who read.
            let present = self.present();
            if present.0 != number || !present.1.has(chunks) {
                return Ok(None);
            }
        }
        self.reported(rows).map(Some)
    }

    /// Makes all that was added survive a crash of the machine.
    pub(crate) fn sync(&self) -> Result<(), ArchiveError> {
        let synced = self.present().1.handle();
        unpanicked(|| synced.sync())
    }

    /// How many bytes it takes on disk.
    pub fn bytes(&self) -> Result<u64, ArchiveError> {
        let measured = self.present().1.handle();
        unpanicked(|| measured.bytes())
    }

    /// How many bytes it may still take where it has `bytes`: what its disk has free, or what is left of `limit`, if that is less.
    pub fn room(&self, bytes: u64, limit: Option<u64>) -> Result<u64, ArchiveError> {
        let disk = rustix::fs::statvfs(&self.directory).map_err(|error| unavailable(&error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        Ok(limit.map_or(free, |limit| limit.saturating_sub(bytes).min(free)))
    }

    /// How often it has failed since it was opened.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Logs and counts a failure.
    fn reported<T>(&self, done: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        if let Err(error) = &done {
            self.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(operation = "archive-failed", %error, "the archive of closed orders has failed");
        }
        done
    }

    /// Does it with the present database.
    fn with<R>(&self, work: impl FnOnce(&mut Store) -> Result<R, ArchiveError>) -> Result<R, ArchiveError> {
        let (_, store) = &mut *self.present();
        self.reported(unpanicked(|| work(store)))
    }
}

/// The code of the database expects that its own settings are sound, and panics if they are not.
fn unpanicked<R>(work: impl FnOnce() -> Result<R, ArchiveError>) -> Result<R, ArchiveError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<String>().map(String::as_str);
        let why = why.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no known reason");
        Err(ArchiveError::Damaged(format!("the database panicked: {why}")))
    })
}

fn open(directory: &Path) -> Result<Store, ArchiveError> {
    unpanicked(|| Store::open(directory))
}

fn unavailable(error: &io::Error) -> ArchiveError {
    ArchiveError::Unavailable(error.to_string())
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{number}"))
}

/// The numbers of the databases that are there.
fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    fs::create_dir_all(directory)?;
    let number = |name: &str| name.strip_prefix(PREFIX)?.parse().ok();
    let names: io::Result<Vec<_>> = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect();
    Ok(names?.iter().filter_map(|name| number(name.to_str()?)).collect())
}

/// Drops all databases but one. Where that fails, the next start tries again.
fn drop_others(directory: &Path, number: u64) {
    for other in numbers(directory).unwrap_or_default().into_iter().filter(|other| *other != number) {
        let _ = fs::remove_dir_all(path(directory, other));
    }
}

fn refused(directory: &Path, why: &str) {
    tracing::warn!(
        operation = "archive-refused", directory = %directory.display(), why,
        "the archive of closed orders is dropped, and filled again from the log"
    );
}

impl ClosedOrderArchive for FjallArchive {
    fn reset(&self) -> Result<(), ArchiveError> {
        let mut present = self.present();
        let number = present.0 + 1;
        *present = (number, self.reported(open(&path(&self.directory, number)))?);
        drop_others(&self.directory, number);
        Ok(())
    }

    fn go_back_to(&self, chunks: &[Chunk]) -> Result<bool, ArchiveError> {
        let Some(last) = chunks.last() else { return self.reset().map(|()| true) };
        self.with(|store| {
            let has = store.has(chunks);
            if has {
                store.go_back_to(last.end())?;
            }
            Ok(has)
        })
    }

    fn add(&self, chunk: &Chunk, orders: &[(u64, &ClosedOrder)]) -> Result<u32, ArchiveError> {
        self.with(|store| store.add(chunk, orders))
    }

    fn find(&self, order: OrderId) -> Result<Option<(u64, ClosedOrder)>, ArchiveError> {
        self.with(|store| store.find(order))
    }

    fn range(&self, places: Range<u64>) -> Result<Vec<(u64, ClosedOrder)>, ArchiveError> {
        self.with(|store| store.range(places))
    }

    fn forget(&self, before: u64) -> Result<(), ArchiveError> {
        let before = before.min(self.floor.load(Ordering::Relaxed)).min(self.pins.first());
        self.with(|store| store.forget(before, FORGOTTEN_MOST))
    }
}
