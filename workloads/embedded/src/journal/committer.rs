//! The thread that writes the journal: it writes all waiting appends as one group, and makes them durable at
//! once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use kbnt_application::ports::{LogError, RawRecord};
use kbnt_application::{Position, Topic};
use tokio::sync::{mpsc, oneshot};

use super::super::partition::Entry;
use super::frame::{self, HEADER, Header};
use super::home::Home;
use super::recover::End;
use super::segments::{Place, Segments};
use super::trouble::{Trouble, room};

/// A segment that exceeds this is followed by a new one.
const SEGMENT: u64 = 64 << 20;

/// A group takes in waiting appends until it is this long.
const GROUP: usize = 4 << 20;

/// Appends that may wait.
const WAITING: usize = 1_024;

/// Bytes of the test write that shows whether there is room.
const PROBE: usize = 256 << 10;

/// Receives the result of an append.
type Reply = oneshot::Sender<Result<Vec<Position>, LogError>>;

/// An append that waits to become durable. One without records asks, after a failure, whether there is room
/// again.
pub(in super::super) struct Submission {
    pub(in super::super) records: Vec<(Topic, u32, Entry, RawRecord)>,
    pub(in super::super) reply: Reply,
}

/// The target of durable records: the partitions in memory.
pub(in super::super) trait Publish: Send + Sync + 'static {
    /// The next offset of a partition.
    fn end(&self, topic: Topic, partition: u32) -> u64;

    /// Shows records to readers.
    fn publish(&self, records: Vec<(Position, Entry, Place)>);
}

/// The handle of the thread.
pub(in super::super) struct Committer {
    submissions: Option<mpsc::Sender<Submission>>,
    thread: Option<std::thread::JoinHandle<()>>,
    trouble: Trouble,
    home: Arc<Home>,
}

impl Committer {
    /// Starts writing at `end`.
    pub(in super::super) fn start(
        home: Arc<Home>,
        segments: Arc<Segments>,
        end: End,
        publish: Arc<dyn Publish>,
    ) -> io::Result<Self> {
        let (send, mut receive) = mpsc::channel(WAITING);
        segments.hold()?;
        let trouble = Trouble::none();
        let (theirs, ours) = (trouble.clone(), Arc::clone(&home));
        let thread = std::thread::Builder::new().name("kbnt-journal".into()).spawn(move || {
            let End { sequence, length } = end;
            let mut writer = Writer { home, segments, sequence, length, lost: None, trouble: theirs };
            while let Some(first) = receive.blocking_recv() {
                writer.commit(first, &mut receive, publish.as_ref());
            }
        })?;
        Ok(Self { submissions: Some(send), thread: Some(thread), trouble, home: ours })
    }

    /// Why nothing can be written. Each call triggers a new try, so that the result changes soon after there
    /// is room again.
    pub(in super::super) fn trouble(&self) -> Option<String> {
        if let Some(why) = self.trouble.why() {
            if let Some(submissions) = &self.submissions {
                let (reply, _) = oneshot::channel();
                // If the queue is full, there are enough writes to find it out.
                let _ = submissions.try_send(Submission { records: Vec::new(), reply });
            }
            return Some(why);
        }
        // A disk that fills up during a pause is reported before the next write.
        let full =
            self.trouble.is_idle().then(|| room(self.home.directory(), PROBE as u64).err()).flatten()?;
        self.trouble.set(Some(&LogError::Unavailable(full.to_string())));
        self.trouble.why()
    }

    pub(in super::super) async fn submit(&self, submission: Submission) -> Result<(), LogError> {
        let stopped = || LogError::Unavailable("the journal is closed".to_owned());
        self.submissions.as_ref().ok_or_else(stopped)?.send(submission).await.map_err(|_| stopped())
    }
}

impl Drop for Committer {
    /// Waits until every submission is written.
    fn drop(&mut self) {
        self.submissions = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has reported it.
            let _ = thread.join();
        }
    }
}

/// The end of the journal.
struct Writer {
    home: Arc<Home>,
    segments: Arc<Segments>,
    sequence: u64,
    length: u64,
    /// Why nothing can be written any more: the content of the disk is unknown until it is read again.
    lost: Option<String>,
    trouble: Trouble,
}

/// A group that is being collected.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    records: Vec<(Position, Entry, u32)>,
    /// Callers, with the number of their records.
    replies: Vec<(usize, Reply)>,
}

impl Writer {
    /// Writes `first` and everything that waits behind it.
    fn commit(&mut self, first: Submission, more: &mut mpsc::Receiver<Submission>, publish: &dyn Publish) {
        let mut group = Group { bytes: vec![0; HEADER], ..Group::default() };
        let mut next = std::collections::HashMap::new();
        let mut submission = Some(first);
        while let Some(Submission { records, reply }) = submission.take() {
            let count = records.len();
            for (topic, partition, entry, record) in records {
                let offset = next.entry((topic, partition)).or_insert_with(|| publish.end(topic, partition));
                let at = Position { topic, partition, offset: *offset };
                *offset += 1;
                group.records.push((at, entry, u32::try_from(group.bytes.len()).unwrap_or(u32::MAX)));
                frame::write(&mut group.bytes, at, &record);
            }
            group.replies.push((count, reply));
            if group.bytes.len() < GROUP {
                submission = more.try_recv().ok();
            }
        }
        let outcome = if group.records.is_empty() { self.probe() } else { self.write(&mut group) };
        self.trouble.set(outcome.as_ref().err());
        group.answer(&outcome, publish);
    }

    /// Whether a group could be written now. The test write is removed again.
    fn probe(&mut self) -> Result<Place, LogError> {
        let (segment, file) = self.writable_segment()?;
        self.segments.expect(segment, PROBE as u64);
        let written = file.write_all_at(&vec![0; PROBE], self.length);
        file.set_len(self.length).map_err(|error| self.lose(&error))?;
        self.segments.expect(segment, 0);
        let place = Place { segment, at: u32::try_from(self.length).unwrap_or(u32::MAX) };
        written.map(|()| place).map_err(|error| LogError::Unavailable(error.to_string()))
    }

    /// Writes a group and makes it durable. Returns where it begins.
    fn write(&mut self, group: &mut Group) -> Result<Place, LogError> {
        if group.bytes.len() > frame::LARGEST {
            return Err(LogError::TooLarge(format!("{} bytes at once", group.bytes.len())));
        }
        let (segment, file) = self.writable_segment()?;
        let header = Header {
            sequence: self.sequence,
            count: u32::try_from(group.records.len()).unwrap_or(u32::MAX),
            length: u32::try_from(group.bytes.len() - HEADER).unwrap_or(u32::MAX),
        };
        group.bytes[..HEADER].copy_from_slice(&header.write());
        self.segments.expect(segment, group.bytes.len() as u64);
        if let Err(error) = file.write_all_at(&group.bytes, self.length) {
            // None of it is acknowledged: remove it, and try again when there is room.
            let path = self.segments.path(segment);
            self.take_back(segment, &file)?;
            return Err(LogError::Unavailable(format!("{}: {error}", path.display())));
        }
        if let Err(error) = file.sync_data() {
            // The system may have dropped data that it could not write, without reporting that again.
            return Err(self.lose(&error));
        }
        // Data in a file that nobody can find again is not durable, nor is data behind a hole.
        if let Err(error) = self.home.check().and_then(|()| self.segments.check(segment)) {
            let refused = self.refused(&error);
            if self.segments.lost().is_none() {
                self.take_back(segment, &file)?;
            }
            return Err(refused);
        }
        self.segments.grown(segment, &group.bytes);
        if let Err(error) = self.segments.check(segment)
            && self.segments.lost().is_some()
        {
            return Err(self.refused(&error));
        }
        let place = Place { segment, at: u32::try_from(self.length).unwrap_or(u32::MAX) };
        self.length += group.bytes.len() as u64;
        self.sequence += 1;
        Ok(place)
    }

    /// The segment to write to, if the journal is in place and has the expected content.
    fn writable_segment(&mut self) -> Result<(u32, Arc<File>), LogError> {
        if let Some(why) = &self.lost {
            return Err(LogError::Refused(why.clone()));
        }
        let check = self.home.check().and_then(|()| match self.segments.count() {
            0 => Ok(()),
            count => self.segments.check_to_write(count - 1),
        });
        check.and_then(|()| self.segment()).map_err(|error| self.refused(&error))
    }

    /// Removes the bytes of a group that is not acknowledged.
    fn take_back(&mut self, segment: u32, file: &File) -> Result<(), LogError> {
        file.set_len(self.length).map_err(|error| self.lose(&error))?;
        self.segments.expect(segment, 0);
        Ok(())
    }

    /// The error for the caller: temporary, unless the journal no longer has the expected content.
    fn refused(&self, error: &io::Error) -> LogError {
        match self.segments.lost() {
            Some(why) => LogError::Refused(why.to_owned()),
            None => LogError::Unavailable(error.to_string()),
        }
    }

    fn lose(&mut self, error: &io::Error) -> LogError {
        let why = format!("the disk failed ({error}); the log must be opened anew");
        tracing::error!("{why}");
        self.lost = Some(why.clone());
        LogError::Refused(why)
    }

    /// The segment to write to.
    fn segment(&mut self) -> io::Result<(u32, Arc<File>)> {
        let count = self.segments.count();
        if count == 0 || self.length >= SEGMENT {
            let added = self.segments.add()?;
            self.length = 0;
            return Ok(added);
        }
        Ok((count - 1, self.segments.file(count - 1)?))
    }
}

impl Group {
    /// Shows the records to readers and answers the callers.
    fn answer(self, outcome: &Result<Place, LogError>, publish: &dyn Publish) {
        let mut positions = self.records.iter().map(|(at, ..)| *at).collect::<Vec<_>>().into_iter();
        if let Ok(Place { segment, at }) = *outcome {
            let place = |within: u32| Place { segment, at: at.saturating_add(within) };
            publish.publish(self.records.into_iter().map(|(at, entry, w)| (at, entry, place(w))).collect());
        }
        for (count, reply) in self.replies {
            let own: Vec<Position> = positions.by_ref().take(count).collect();
            // A failed send means that the caller is gone.
            let _ = reply.send(outcome.as_ref().map(|_| own).map_err(Clone::clone));
        }
    }
}
