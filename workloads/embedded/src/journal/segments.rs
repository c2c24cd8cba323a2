//! The segment files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use kbnt_application::ports::LogError;

use super::home::is_still;
use super::{OpenError, Stored, frame};

/// The last bytes of a segment that are remembered, to check that they are still there.
const TAIL: u64 = 4 << 10;

/// How long a check of all files stays valid for writers.
const LOOK: Duration = Duration::from_millis(100);

/// The access to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Access {
    /// Creates and changes nothing.
    Read,
    /// For writing.
    Write,
}

/// The place of a record in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Place {
    pub(super) segment: u32,
    pub(super) at: u32,
}

/// All segment files, open.
#[derive(Debug)]
pub(in super::super) struct Segments {
    directory: PathBuf,
    all: RwLock<Vec<Segment>>,
    /// When all files were last found intact.
    looked: Mutex<Option<Instant>>,
    /// How the content of a file was changed: the content of the journal is unknown now.
    lost: OnceLock<String>,
}

/// A segment file.
#[derive(Clone, Debug)]
struct Segment {
    file: Arc<File>,
    content: Content,
}

/// The expected content of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    /// Its length.
    length: u64,
    /// The length that it may have during a write.
    reach: u64,
    /// The last bytes of `length`.
    tail: Arc<[u8]>,
    /// Number of changes of this expectation.
    changes: u64,
}

impl Content {
    /// The present content.
    fn of(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut tail = vec![0; usize::try_from(length.min(TAIL)).unwrap_or_default()];
        file.read_exact_at(&mut tail, length.saturating_sub(TAIL))?;
        Ok(Self { length, reach: length, tail: tail.into(), changes: 0 })
    }

    /// How a file differs from this expectation, if it does.
    fn flaw(&self, file: &File) -> io::Result<Option<String>> {
        let there = file.metadata()?.len();
        if !(self.length..=self.reach).contains(&there) {
            return Ok(Some(format!("it is {there} bytes long and should be {}", self.length)));
        }
        let mut tail = vec![0; self.tail.len()];
        let from = self.length.saturating_sub(tail.len() as u64);
        match file.read_exact_at(&mut tail, from) {
            Ok(()) if *tail == *self.tail => Ok(None),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(Some(format!("what was written last before byte {} is not there any more", self.length))),
        }
    }
}

impl Segments {
    /// Opens the existing segments: numbered from 0, without gaps.
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
            files.push(Segment { file: Arc::new(file), content: Content::default() });
        }
        let (looked, lost) = (Mutex::default(), OnceLock::new());
        Ok(Self { directory: directory.to_owned(), all: RwLock::new(files), looked, lost })
    }

    pub(in super::super) fn count(&self) -> u32 {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        u32::try_from(all.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.directory.join(name_of(number))
    }

    pub(super) fn file(&self, number: u32) -> io::Result<Arc<File>> {
        self.segment(number).map(|segment| segment.file)
    }

    fn segment(&self, number: u32) -> io::Result<Segment> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.get(number as usize).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// From now on all files must keep their content.
    pub(super) fn hold(&self) -> io::Result<()> {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().try_for_each(|segment| {
            segment.content = Content::of(&segment.file)?;
            Ok(())
        })
    }

    /// Announces a write of this many bytes to this segment, or withdraws it.
    pub(super) fn expect(&self, number: u32, bytes: u64) {
        self.change(number, |content| content.reach = content.length + bytes);
    }

    /// Records that these bytes were written to the end of this segment.
    pub(super) fn grown(&self, number: u32, bytes: &[u8]) {
        let most = usize::try_from(TAIL).unwrap_or_default();
        let tail = &bytes[bytes.len().saturating_sub(most)..];
        self.change(number, |content| {
            content.length += bytes.len() as u64;
            content.reach = content.length;
            content.tail = tail.into();
        });
    }

    fn change(&self, number: u32, change: impl FnOnce(&mut Content)) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Segment { content, .. }) = all.get_mut(number as usize) {
            change(content);
            content.changes += 1;
        }
    }

    /// Begins another segment; its directory entry is durable when this returns.
    pub(super) fn add(&self) -> io::Result<(u32, Arc<File>)> {
        let number = self.count();
        let path = self.path(number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        File::open(&self.directory)?.sync_all()?;
        let segment = Segment { file: Arc::new(file), content: Content::default() };
        let file = Arc::clone(&segment.file);
        self.all.write().unwrap_or_else(PoisonError::into_inner).push(segment);
        Ok((number, file))
    }

    /// Fails if a segment was removed, renamed, replaced, cut or overwritten since it was opened. The last
    /// two are permanent.
    pub(super) fn check(&self, number: u32) -> io::Result<()> {
        if let Some(why) = self.lost() {
            return Err(io::Error::other(why.to_owned()));
        }
        let Segment { file, content } = self.segment(number)?;
        is_still(&self.path(number), &file)?;
        let Some(flaw) = content.flaw(&file)? else { return Ok(()) };
        // The writer checks what it has written meanwhile.
        if self.segment(number)?.content != content {
            return Ok(());
        }
        let why = format!(
            "{} was cut or overwritten while it is in use ({flaw}); the log must be opened anew",
            self.path(number).display()
        );
        if self.lost.set(why.clone()).is_ok() {
            tracing::error!(operation = "log-overwritten", "{why}");
        }
        Err(io::Error::other(why))
    }

    /// Fails if this happened to any segment.
    pub(in super::super) fn check_all(&self) -> io::Result<()> {
        let checked = (0..self.count()).try_for_each(|number| self.check(number));
        let looked = checked.is_ok().then(Instant::now);
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = looked;
        checked
    }

    /// Fails if this happened to this segment, or had happened to another one a moment ago.
    pub(super) fn check_to_write(&self, number: u32) -> io::Result<()> {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_some_and(|at| at.elapsed() < LOOK) { self.check(number) } else { self.check_all() }
    }

    /// How the content of a segment was changed, if it was: nothing can be written any more.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// The record at `place`; an error if it is damaged.
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
