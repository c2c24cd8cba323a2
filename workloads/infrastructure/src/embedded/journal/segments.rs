//! The segment files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use kbnt_application::ports::LogError;

use super::home::is_still;
use super::{OpenError, Stored, frame};

/// What a log is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Access {
    /// Nothing is created or changed.
    Read,
    /// To be written on.
    Write,
}

/// Where a record lies in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Place {
    pub(super) segment: u32,
    pub(super) at: u32,
}

/// All segment files, open.
#[derive(Debug)]
pub(in super::super) struct Segments {
    directory: PathBuf,
    files: RwLock<Vec<Arc<File>>>,
}

impl Segments {
    /// Opens those that there are: numbered from 0, none missing.
    pub(in super::super) fn open(directory: &Path, access: Access) -> Result<Self, OpenError> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(OpenError::io(directory))? {
            let name = entry.map_err(OpenError::io(directory))?.file_name();
            numbers.extend(name.to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        let mut files = Vec::with_capacity(numbers.len());
        for (expected, number) in (0..).zip(&numbers) {
            let path = directory.join(name_of(expected));
            if *number != expected {
                return Err(OpenError::Missing(path));
            }
            let write = access == Access::Write;
            let file = OpenOptions::new().read(true).write(write).open(&path).map_err(OpenError::io(path))?;
            files.push(Arc::new(file));
        }
        Ok(Self { directory: directory.to_owned(), files: RwLock::new(files) })
    }

    pub(in super::super) fn count(&self) -> u32 {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        u32::try_from(files.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.directory.join(name_of(number))
    }

    pub(super) fn file(&self, number: u32) -> io::Result<Arc<File>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.get(number as usize).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Begins another segment; it is in the directory for good when this returns.
    pub(super) fn add(&self) -> io::Result<(u32, Arc<File>)> {
        let number = self.count();
        let path = self.path(number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        File::open(&self.directory)?.sync_all()?;
        let file = Arc::new(file);
        self.files.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&file));
        Ok((number, file))
    }

    /// An error if a segment was removed, renamed or replaced since it was opened.
    pub(super) fn check(&self, number: u32) -> io::Result<()> {
        is_still(&self.path(number), self.file(number)?.as_ref())
    }

    /// An error if any segment was.
    pub(in super::super) fn check_all(&self) -> io::Result<()> {
        (0..self.count()).try_for_each(|number| self.check(number))
    }

    /// The record at `place`; refused if it is damaged.
    pub(in super::super) fn read(&self, place: Place) -> Result<Stored, LogError> {
        let damaged = |what: &str| {
            LogError::Refused(format!(
                "{} is damaged at byte {}: {what}",
                self.path(place.segment).display(),
                place.at
            ))
        };
        let file = self.file(place.segment).map_err(|error| damaged(&error.to_string()))?;
        let at = u64::from(place.at);
        let mut prefix = [0; frame::PREFIX];
        file.read_exact_at(&mut prefix, at).map_err(|error| damaged(&error.to_string()))?;
        let (length, _) = frame::prefix(&prefix).ok_or_else(|| damaged("no record"))?;
        if length > frame::LARGEST {
            return Err(damaged("no length"));
        }
        let mut bytes = vec![0; frame::PREFIX + length];
        file.read_exact_at(&mut bytes, at).map_err(|error| damaged(&error.to_string()))?;
        frame::body(&bytes).and_then(frame::read).ok_or_else(|| damaged("wrong checksum"))
    }
}

fn name_of(number: u32) -> String {
    format!("journal-{number:08}.log")
}

fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix("journal-")?.strip_suffix(".log")?.parse().ok()
}
