//! The directory of an open log. If it is removed, renamed or replaced, this is noticed before an
//! acknowledgement of records that would be lost with the process.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::OpenError;

/// How long to wait for a directory in use: a process that was killed a moment ago is still ending.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

const LOCK: &str = "lock";

/// The file with the id of the log.
pub(super) const ID: &str = "log.json";

/// A directory that this process has locked.
#[derive(Debug)]
pub(in super::super) struct Home {
    path: PathBuf,
    /// Held open, so that no other directory can get its inode.
    directory: File,
    /// Held as long as this process uses the directory.
    lock: File,
    /// The file with the id of the log, and its content; absent if it could not be written.
    id: OnceLock<(File, Vec<u8>)>,
}

impl Home {
    /// Locks the directory for this process.
    pub(in super::super) fn take(path: &Path) -> Result<Self, OpenError> {
        let directory = File::open(path).map_err(OpenError::io(path))?;
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), directory, lock, id: OnceLock::new() })
    }

    /// Whether a process has the directory open now. Changes nothing.
    pub(in super::super) fn is_taken(path: &Path) -> bool {
        let Ok(lock) = File::open(path.join(LOCK)) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Whether the directory has or had a log, even an empty one.
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

    /// From now on the file with the id must keep its content.
    pub(super) fn keep_id(&self) -> io::Result<()> {
        let path = self.path.join(ID);
        let (file, content) = (File::open(&path)?, std::fs::read(&path)?);
        self.id.get_or_init(|| (file, content));
        Ok(())
    }

    /// Fails if the path leads to another directory by now, or to none, or if the lock file or the file with
    /// the id was removed or replaced.
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

/// Fails unless `path` leads to `file`.
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
