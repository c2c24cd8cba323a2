//! Snapshots as files in a directory; docs/snapshots.md describes them.

mod archived;
mod audit;
pub(crate) mod file;
pub(crate) mod inventory;
mod rows;
#[cfg(test)]
mod tests;
mod user;

use std::fs::{self, File};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use kbnt_application::ports::{Snapshot, SnapshotError, SnapshotStore};

pub use archived::ArchivedSnapshots;
pub use rows::Rows;

/// The number of snapshots that are kept.
const KEPT: usize = 2;

/// The extension of a snapshot's file, whose stem is its number.
const EXTENSION: &str = "snapshot";

/// The extension of a file that is being written.
const UNFINISHED: &str = "unfinished";

/// Stores the snapshots of one machine in their own directory.
#[derive(Debug)]
pub struct SnapshotDirectory<I> {
    directory: PathBuf,
    of: PhantomData<fn() -> I>,
}

impl<I> SnapshotDirectory<I> {
    /// Creates the directory if it does not exist, and removes the unfinished file of a crash.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        for file in files(directory, UNFINISHED)? {
            fs::remove_file(file)?;
        }
        Ok(Self { directory: directory.to_owned(), of: PhantomData })
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

impl<I: Rows> SnapshotStore<I> for SnapshotDirectory<I> {
    fn keep(&self, snapshot: &Snapshot<I>) -> Result<u64, SnapshotError> {
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
        Ok(bytes)
    }

    fn load(&self, before: usize) -> Option<Result<Snapshot<I>, SnapshotError>> {
        match self.numbered() {
            Ok(found) => found.get(before).map(|(_, file)| file::read(&fs::read(file)?)),
            Err(error) => Some(Err(error.into())),
        }
    }
}
