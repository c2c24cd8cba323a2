//! The commits of the groups and the durable ends of the partitions, in a file beside the journal. It may
//! lag: records behind lost commits are read again. The journal takes precedence over it: see
//! [`Offsets::load`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use kbnt_application::ports::Commit;
use kbnt_application::{Position, Service, Topic};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::committer::Publish;
use super::home::Home;
use super::segments::Segments;
use super::{OpenError, Proof, sealed};

/// The shortest interval between writes of the file.
const EVERY: Duration = Duration::from_millis(500);

const NAME: &str = "offsets.json";

/// By service, topic and partition.
pub(in super::super) type Commits = HashMap<(Service, Topic, u32), Commit>;

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    /// The id of its log.
    log: String,
    /// The ends of the partitions at the time of writing: everything before was durable.
    ends: Vec<EndLine>,
    commits: Vec<CommitLine>,
}

#[derive(Serialize, Deserialize)]
struct EndLine {
    topic: String,
    partition: u32,
    end: u64,
}

#[derive(Serialize, Deserialize)]
struct CommitLine {
    service: String,
    topic: String,
    partition: u32,
    next: u64,
    note: String,
}

/// The content of a directory's file.
#[derive(Debug, Default)]
pub(in super::super) struct Loaded {
    /// The id of its log, if the file exists and is valid.
    pub(in super::super) log: Option<Uuid>,
    /// The durable ends of the partitions.
    pub(in super::super) ends: Vec<Position>,
    pub(in super::super) commits: Commits,
    /// Why the file is not trusted, if it exists.
    refused: Option<String>,
}

impl Loaded {
    /// What the file proves about the log with this id; without a known id, the file is taken to belong to
    /// the log.
    pub(in super::super) fn proof(&self, id: Option<Uuid>) -> Proof {
        match (&self.refused, self.log) {
            (Some(why), _) => Proof::Refused(why.clone()),
            (None, None) => Proof::Missing,
            (None, log) if id.is_none() || id == log => Proof::Given,
            _ => Proof::Refused("it is of another log".to_owned()),
        }
    }
}

/// Writes the file now and then.
pub(in super::super) struct Offsets {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// The state that it shares with the thread.
struct Shared {
    log: Uuid,
    home: Arc<Home>,
    segments: Arc<Segments>,
    partitions: Arc<dyn Publish>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    commits: Commits,
    changed: bool,
    stop: bool,
}

impl Offsets {
    /// The content of a directory's file; empty, with a log line, if the file is missing or damaged.
    pub(in super::super) fn load(directory: &Path) -> Loaded {
        match sealed::read::<Content>(directory, NAME) {
            Ok(content) => content.map(Content::loaded).unwrap_or_default(),
            Err(error) => {
                let file = directory.join(NAME);
                tracing::warn!(
                    operation = "offsets-refused", file = %file.display(), %error,
                    "it is not what was written; the services read everything again"
                );
                Loaded { refused: Some(error.to_string()), ..Loaded::default() }
            }
        }
    }

    pub(in super::super) fn start(
        log: Uuid,
        home: Arc<Home>,
        segments: Arc<Segments>,
        partitions: Arc<dyn Publish>,
        commits: Commits,
    ) -> Result<Self, OpenError> {
        let directory = home.directory().to_owned();
        let state = Mutex::new(State { commits, changed: false, stop: false });
        let shared = Arc::new(Shared { log, home, segments, partitions, state, changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("kbnt-offsets".into())
            .spawn(move || while theirs.write_next() {})
            .map_err(OpenError::io(directory))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Schedules a write of these commits.
    pub(in super::super) fn write_soon(&self, commits: &Commits) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.commits.clone_from(commits);
        state.changed = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Offsets {
    /// Waits until the last commits are written.
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has reported it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Waits for commits and writes them, a last time before it stops. Returns whether there may be more.
    fn write_next(&self) -> bool {
        let idle = |state: &mut State| !state.changed && !state.stop;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        let (commits, stop) = (state.commits.clone(), state.stop);
        state.changed = false;
        drop(state);
        if let Err(error) = self.write(&commits) {
            tracing::warn!(%error, "offsets could not be written; a restart will read more again");
        }
        if !stop {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            // Woken early by a stop, or late: both are fine.
            let _ = self.changed.wait_timeout_while(state, EVERY, |state| !state.stop);
        }
        !stop
    }

    /// Replaces the file, unless the directory or the journal was replaced: then its file belongs to another
    /// log.
    fn write(&self, commits: &Commits) -> std::io::Result<()> {
        self.home.check().and_then(|()| self.segments.check_all())?;
        let mut lines: Vec<CommitLine> =
            commits.iter().map(|((service, ..), commit)| CommitLine::of(*service, commit)).collect();
        lines.sort_by(|a, b| (&a.service, &a.topic, a.partition).cmp(&(&b.service, &b.topic, b.partition)));
        let content = Content { log: self.log.to_string(), ends: self.ends(), commits: lines };
        sealed::write(self.home.directory(), NAME, &content)
    }

    /// The ends of the partitions in the journal: records are shown only once they are durable.
    fn ends(&self) -> Vec<EndLine> {
        let mut ends = Vec::new();
        for topic in Topic::EVENTS {
            for partition in 0..topic.partitions() {
                let end = self.partitions.end(topic, partition);
                ends.push(EndLine { topic: topic.name().to_owned(), partition, end });
            }
        }
        ends
    }
}

impl Content {
    fn loaded(self) -> Loaded {
        let end = |EndLine { topic, partition, end }: EndLine| {
            Some(Position { topic: Topic::from_name(&topic)?, partition, offset: end })
        };
        let log = self.log.parse().ok();
        Loaded {
            log,
            refused: log.is_none().then(|| "it names no log".to_owned()),
            ends: self.ends.into_iter().filter_map(end).collect(),
            commits: self.commits.into_iter().filter_map(CommitLine::commit).collect(),
        }
    }
}

impl CommitLine {
    fn of(service: Service, commit: &Commit) -> Self {
        let Position { topic, partition, offset } = commit.next;
        Self {
            service: service.name().to_owned(),
            topic: topic.name().to_owned(),
            partition,
            next: offset,
            note: commit.note.clone(),
        }
    }

    fn commit(self) -> Option<((Service, Topic, u32), Commit)> {
        let (service, topic) = (Service::from_name(&self.service)?, Topic::from_name(&self.topic)?);
        let next = Position { topic, partition: self.partition, offset: self.next };
        Some(((service, topic, self.partition), Commit { next, note: self.note }))
    }
}
