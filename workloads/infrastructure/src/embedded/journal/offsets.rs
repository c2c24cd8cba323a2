//! What the groups have committed, in a file beside the journal. It may lag: what is lost of it is read again.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use kbnt_application::ports::Commit;
use kbnt_application::{Position, Service, Topic};
use serde::{Deserialize, Serialize};

use super::OpenError;

/// How often the file is written, at most.
const EVERY: Duration = Duration::from_millis(500);

const NAME: &str = "offsets.json";

/// Of each service, topic and partition.
pub(in super::super) type Commits = HashMap<(Service, Topic, u32), Commit>;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    service: String,
    topic: String,
    partition: u32,
    next: u64,
    note: String,
}

/// Writes the file now and then.
pub(in super::super) struct Offsets {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    commits: Option<Commits>,
    stop: bool,
}

impl Offsets {
    /// What the directory holds; nothing if its file is damaged, which is told.
    pub(in super::super) fn load(directory: &Path) -> Commits {
        let path = directory.join(NAME);
        let Ok(bytes) = std::fs::read(&path) else { return Commits::new() };
        match serde_json::from_slice::<Vec<Line>>(&bytes) {
            Ok(lines) => lines.into_iter().filter_map(Line::commit).collect(),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot be read; the services read everything again");
                Commits::new()
            }
        }
    }

    pub(in super::super) fn start(directory: &Path) -> Result<Self, OpenError> {
        let shared = Arc::<Shared>::default();
        let (theirs, directory) = (Arc::clone(&shared), directory.to_owned());
        let thread = std::thread::Builder::new()
            .name("kbnt-offsets".into())
            .spawn({
                let directory = directory.clone();
                move || while theirs.write_next(&directory) {}
            })
            .map_err(OpenError::io(directory))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Has these written some time soon.
    pub(in super::super) fn write_soon(&self, commits: &Commits) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.commits = Some(commits.clone());
        self.shared.changed.notify_one();
    }
}

impl Drop for Offsets {
    /// Waits until the last commits are written.
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Waits for commits and writes them; whether there may be more.
    fn write_next(&self, directory: &Path) -> bool {
        let idle = |state: &mut State| state.commits.is_none() && !state.stop;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        let (commits, stop) = (state.commits.take(), state.stop);
        drop(state);
        if let Some(Err(error)) = commits.map(|commits| write(directory, &commits)) {
            tracing::warn!(%error, "offsets could not be written; a restart will read more again");
        }
        if !stop {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            // Woken early to stop, or late enough: both are fine.
            let _ = self.changed.wait_timeout_while(state, EVERY, |state| !state.stop);
        }
        !stop
    }
}

/// Replaces the file as a whole.
fn write(directory: &Path, commits: &Commits) -> std::io::Result<()> {
    let mut lines: Vec<Line> =
        commits.iter().map(|((service, ..), commit)| Line::of(*service, commit)).collect();
    lines.sort_by(|a, b| (&a.service, &a.topic, a.partition).cmp(&(&b.service, &b.topic, b.partition)));
    let new = directory.join("offsets.json.new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec_pretty(&lines)?)?;
    file.sync_data()?;
    std::fs::rename(new, directory.join(NAME))
}

impl Line {
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
