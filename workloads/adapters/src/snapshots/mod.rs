//! Snapshots as files in a directory; docs/snapshots.md describes them.

mod file;
pub(crate) mod rows;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kbnt_application::inventory::Image;
use kbnt_application::ports::{Snapshot, SnapshotError, SnapshotStore};

use crate::closed_orders::FjallArchive;

/// The number of snapshots that are kept.
const KEPT: usize = 2;

/// The extension of a snapshot's file, whose stem is its number.
const EXTENSION: &str = "snapshot";

/// The extension of a file that is being written.
const UNFINISHED: &str = "unfinished";

/// Stores snapshots in their own directory.
#[derive(Debug)]
pub struct SnapshotDirectory {
    directory: PathBuf,
    archive: Option<Archive>,
}

/// The archive that the snapshots go with.
#[derive(Debug)]
struct Archive {
    of: Arc<FjallArchive>,
    /// Where it begins for the snapshot that was kept last.
    last: AtomicU64,
}

impl Archive {
    /// A snapshot must not outlive what it goes with: that is made durable first.
    fn before_keeping(&self) -> Result<(), SnapshotError> {
        self.of.sync().map_err(|error| io::Error::other(error).into())
    }

    /// One more snapshot is kept, in place of the one before the last.
    fn kept(&self, snapshot: &Snapshot<Image>) {
        let first = snapshot.image.ledger.archived.first().map_or(0, |chunk| chunk.first);
        let last = self.last.swap(first, Ordering::Relaxed);
        self.of.keep_from(last.min(first));
    }
}

impl SnapshotDirectory {
    /// Creates the directory if it does not exist, and removes the unfinished file of a crash.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        for file in files(directory, UNFINISHED)? {
            fs::remove_file(file)?;
        }
        Ok(Self { directory: directory.to_owned(), archive: None })
    }

    /// The same for a machine with an archive, which keeps what the snapshots need.
    #[must_use]
    pub fn beside(self, archive: Arc<FjallArchive>) -> Self {
        archive.keep_from(0);
        Self { archive: Some(Archive { of: archive, last: AtomicU64::new(0) }), ..self }
    }

    /// The existing snapshots by number, the newest first.
    fn numbered(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let numbered = |file: PathBuf| Some((file.file_stem()?.to_str()?.parse().ok()?, file));
        let mut found: Vec<(u64, PathBuf)> =
            files(&self.directory, EXTENSION)?.into_iter().filter_map(numbered).collect();
        found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        Ok(found)
    }
}

/// The files of a directory with this extension.
fn files(directory: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let paths: io::Result<Vec<PathBuf>> = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect();
    Ok(paths?.into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).collect())
}

impl SnapshotStore<Image> for SnapshotDirectory {
    fn keep(&self, snapshot: &Snapshot<Image>) -> Result<u64, SnapshotError> {
        if let Some(archive) = &self.archive {
            archive.before_keeping()?;
        }
        let before = self.numbered()?;
        let number = before.first().map_or(0, |(newest, _)| newest + 1);
        let unfinished = self.directory.join(format!("{number}-{:08x}.{UNFINISHED}", fastrand::u32(..)));
        let written = File::create_new(&unfinished).and_then(|file| file::write(file, snapshot));
        let bytes = match written {
            Ok(bytes) => bytes,
            Err(error) => {
                // A rest of it takes room that the next one may need; the next start removes it at the
                // latest.
                let _ = fs::remove_file(&unfinished);
                return Err(error.into());
            }
        };
        fs::rename(&unfinished, self.directory.join(format!("{number}.{EXTENSION}")))?;
        File::open(&self.directory)?.sync_all()?;
        for (_, file) in before.into_iter().skip(KEPT - 1) {
            fs::remove_file(file)?;
        }
        if let Some(archive) = &self.archive {
            archive.kept(snapshot);
        }
        Ok(bytes)
    }

    fn load(&self, before: usize) -> Option<Result<Snapshot<Image>, SnapshotError>> {
        match self.numbered() {
            Ok(found) => found.get(before).map(|(_, file)| file::read(&fs::read(file)?)),
            Err(error) => Some(Err(error.into())),
        }
    }
}
