//! The directory of a log as it was opened: removed, renamed or replaced, it is noticed before anything is acknowledged that would be
//! gone with the process.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::OpenError;

/// How long a directory that is in use may take to become free: a process that was killed a moment ago is still ending.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

const LOCK: &str = "lock";

/// The file that says which log it is.
pub(super) const ID: &str = "log.json";

/// A directory that is this process's.
#[derive(Debug)]
pub(in super::super) struct Home {
    path: PathBuf,
    /// Held open, so that no other directory can get its number.
    directory: File,
    /// Held as long as the directory is ours.
    lock: File,
    /// The file that says which log it is, and what it says; not there if it could not be written.
    id: OnceLock<(File, Vec<u8>)>,
}

impl Home {
    /// Takes the directory for this process.
    pub(in super::super) fn take(path: &Path) -> Result<Self, OpenError> {
        let directory = File::open(path).map_err(OpenError::io(path))?;
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), directory, lock, id: OnceLock::new() })
    }

    /// Whether some process has the directory open now. Nothing is changed for the answer.
    pub(in super::super) fn is_taken(path: &Path) -> bool {
        let Ok(lock) = File::open(path.join(LOCK)) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Whether there is or was a log in the directory, empty as it may be.
    pub(in super::super) fn was_taken(path: &Path) -> bool {
        path.join(LOCK).is_file()
    }

    pub(in super::super) fn directory(&self) -> &Path {
        &self.path
    }

    /// Makes the names of its files durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    /// From now on the file that says which log it is must say what it says now.
    pub(super) fn keep_id(&self) -> io::Result<()> {
        let path = self.path.join(ID);
        let (file, content) = (File::open(&path)?, std::fs::read(&path)?);
        self.id.get_or_init(|| (file, content));
        Ok(())
    }

    /// An error if the path leads to another directory by now, or to none, or somebody took the lock's file away, or the one that
    /// says which log it is.
    pub(in super::super) fn check(&self) -> io::Result<()> {
        is_still(&self.path, &self.directory)?;
        is_still(&self.path.join(LOCK), &self.lock)?;
        let Some((file, content)) = self.id.get() else { return Ok(()) };
        let path = self.path.join(ID);
        is_still(&path, file)?;
        let mut there = vec![0; content.len()];
        let says_so =
            file.metadata()?.len() == content.len() as u64 && file.read_exact_at(&mut there, 0).is_ok();
        if says_so && there == *content { Ok(()) } else { Err(harmed(&path, "overwritten")) }
    }
}

/// An error unless `path` leads to `file`.
pub(super) fn is_still(path: &Path, file: &File) -> io::Result<()> {
    let there = match std::fs::metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(harmed(path, "removed or renamed"));
        }
        Err(error) => return Err(error),
    };
    let ours = file.metadata()?;
    if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) {
        Ok(())
    } else {
        Err(harmed(path, "replaced"))
    }
}

fn harmed(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{} was {what} while it is in use", path.display()))
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK);
    let file = File::create(&path).map_err(OpenError::io(&path))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(OpenError::Io { path, error }),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(OpenError::InUse(directory.to_owned()));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
