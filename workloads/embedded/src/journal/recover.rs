//! Reads a journal from its beginning and checks every byte. Damage at its very end is reported, and cut off
//! only at the caller's request.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use kbnt_application::Position;

use super::frame::{self, HEADER, Header};
use super::segments::{Place, Segments};
use super::{OpenError, Recovery, Tear};

/// How often to read a group again that another process seems to be writing.
const AGAIN: usize = 50;

/// The pause before that.
const PAUSE: Duration = Duration::from_millis(10);

/// The end of a journal.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct End {
    /// Sequence number of the next group.
    pub(super) sequence: u64,
    /// Length of the last segment in bytes.
    pub(super) length: u64,
}

/// Passes every record to `found` in order, which returns whether it is the next one of its partition.
/// Returns the end of the journal, and what was found. Changes nothing.
pub(in super::super) fn recover(
    segments: &Segments,
    mut found: impl FnMut(Position, Place) -> bool,
) -> Result<(End, Recovery), OpenError> {
    let started = std::time::Instant::now();
    let mut end = End { sequence: 0, length: 0 };
    let mut recovery = Recovery::default();
    let count = segments.count();
    for segment in 0..count {
        let path = segments.path(segment);
        let file = segments.file(segment).map_err(OpenError::io(&path))?;
        let mut scan = Scan::new(&file).map_err(OpenError::io(&path))?;
        let last = segment + 1 == count;
        let flaw = loop {
            match scan.group_in_time(end.sequence, last).map_err(OpenError::io(&path))? {
                Group::Whole(records) => {
                    for (position, at) in records {
                        if !found(position, Place { segment, at }) {
                            let reason = format!("a record out of order: {position:?}");
                            return Err(OpenError::Damaged { file: path, at: at.into(), reason });
                        }
                        recovery.records += 1;
                    }
                    end.sequence += 1;
                }
                Group::End => break None,
                Group::Flawed(reason) => break Some(reason),
            }
        };
        end.length = scan.at;
        let Some(reason) = flaw else { continue };
        if !last || scan.more_after(end.sequence).map_err(OpenError::io(&path))? {
            return Err(OpenError::Damaged { file: path, at: scan.at, reason: reason.to_owned() });
        }
        recovery.torn = Some(Tear { file: path, at: scan.at, bytes: scan.length - scan.at, reason });
    }
    recovery.took = started.elapsed();
    Ok((end, recovery))
}

/// Cuts off the damaged end.
pub(in super::super) fn cut(segments: &Segments, tear: &Tear) -> Result<(), OpenError> {
    let Tear { file: path, at, bytes, reason } = tear;
    tracing::warn!(
        operation = "log-cut", file = %path.display(), at, bytes, reason,
        "cut an unfinished or damaged write off the end of the log. If it was unfinished, nothing in it had been acknowledged; \
         if it was damaged afterwards, its records are lost. The files do not say which"
    );
    let last = segments.file(segments.count().saturating_sub(1));
    let cut = last.and_then(|file| file.set_len(*at).and_then(|()| file.sync_all()));
    cut.map_err(OpenError::io(path))
}

/// The next item in a segment.
enum Group {
    /// Records, with their offsets in the segment.
    Whole(Vec<(Position, u32)>),
    End,
    Flawed(&'static str),
}

/// A segment that is being read.
struct Scan {
    reader: BufReader<File>,
    /// Offset of the next group.
    at: u64,
    length: u64,
}

impl Scan {
    fn new(file: &Arc<File>) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file.try_clone()?);
        reader.seek(SeekFrom::Start(0))?;
        Ok(Self { reader, at: 0, length })
    }

    /// The group with this sequence number. Another process may be writing at the end of the last segment:
    /// then the group is whole a moment later.
    fn group_in_time(&mut self, sequence: u64, last: bool) -> io::Result<Group> {
        for _ in 0..AGAIN {
            let group = self.group(sequence)?;
            let length = self.reader.get_ref().metadata()?.len();
            if !(last && matches!(group, Group::Flawed(_)) && length > self.length) {
                return Ok(group);
            }
            std::thread::sleep(PAUSE);
            self.length = length;
            self.reader.seek(SeekFrom::Start(self.at))?;
        }
        self.group(sequence)
    }

    /// The group with this sequence number.
    fn group(&mut self, sequence: u64) -> io::Result<Group> {
        let left = self.length - self.at;
        if left == 0 {
            return Ok(Group::End);
        }
        if left < HEADER as u64 {
            return Ok(Group::Flawed("it ends within a header"));
        }
        let mut header = [0; HEADER];
        self.reader.read_exact(&mut header)?;
        let Some(header) = Header::read(&header) else {
            return Ok(Group::Flawed("no group begins there"));
        };
        if header.sequence != sequence {
            return Ok(Group::Flawed("a group out of order begins there"));
        }
        let length = u64::from(header.length);
        if left - (HEADER as u64) < length {
            return Ok(Group::Flawed("it ends within a group"));
        }
        let mut bytes = vec![0; header.length as usize];
        self.reader.read_exact(&mut bytes)?;
        let Some(records) = self.records(&bytes, header.count) else {
            return Ok(Group::Flawed("wrong checksum in the group that begins there"));
        };
        self.at += HEADER as u64 + length;
        Ok(Group::Whole(records))
    }

    /// The offset of each record of a group; `None` if any is damaged.
    fn records(&self, bytes: &[u8], count: u32) -> Option<Vec<(Position, u32)>> {
        let mut records = Vec::with_capacity(count as usize);
        let mut rest = bytes;
        while !rest.is_empty() {
            let body = frame::body(rest)?;
            let within = (HEADER + bytes.len() - rest.len()) as u64;
            records.push((frame::position(body)?, u32::try_from(self.at + within).ok()?));
            rest = &rest[frame::PREFIX + body.len()..];
        }
        (records.len() == count as usize).then_some(records)
    }

    /// Whether the header of a group later than `sequence` lies anywhere behind the damage: it was written
    /// only after everything before it was durable.
    fn more_after(&mut self, sequence: u64) -> io::Result<bool> {
        self.reader.seek(SeekFrom::Start(self.at))?;
        let mut rest = Vec::new();
        self.reader.by_ref().take(self.length - self.at).read_to_end(&mut rest)?;
        let later = |window: &[u8]| {
            window.starts_with(&frame::MAGIC)
                && Header::read(window).is_some_and(|header| header.sequence > sequence)
        };
        Ok(rest.windows(HEADER).any(later))
    }
}
