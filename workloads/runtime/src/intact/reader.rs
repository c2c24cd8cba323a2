//! Readers that notice when a position moves without a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kbnt_application::intact::Fault;
use kbnt_application::ports::{
    Assignment, Commit, Fetched, GroupBatch, GroupReader, LogError, LogReader, ReplacedTopic,
};
use kbnt_application::{Position, Topic};
use kbnt_domain::Span;

use super::guard::Guard;

/// The position of the next record in each partition.
#[derive(Default)]
struct Expected(BTreeMap<(Topic, u32), u64>);

/// A question to answer before records may be handed over.
#[derive(Clone, Copy)]
enum Question {
    /// Is anything missing from here?
    Gap(Position),
    /// Why do records come from before this position?
    Back(Position),
    /// Does this record exist?
    Cause(Position),
}

impl Expected {
    fn set(&mut self, at: Position) {
        self.0.insert((at.topic, at.partition), at.offset);
    }

    /// Moves to `at`. Returns the question that arises if the reader was elsewhere.
    fn go_to(&mut self, at: Position) -> Option<Question> {
        let expected = self.0.entry((at.topic, at.partition)).or_insert(at.offset);
        let before = Position { offset: std::mem::replace(expected, at.offset), ..at };
        match before.offset.cmp(&at.offset) {
            std::cmp::Ordering::Less => Some(Question::Gap(before)),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Question::Back(before)),
        }
    }

    /// Moves behind these records, and then to the reader's position.
    fn pass(&mut self, guard: &Guard, records: &[Fetched], stands: &[Position]) -> Vec<Question> {
        let mut questions = Vec::new();
        for at in records.iter().map(Fetched::at).filter(|at| guard.uses(at.topic)) {
            questions.extend(self.go_to(at));
            self.set(Position { offset: at.offset + 1, ..at });
        }
        for at in stands.iter().filter(|at| guard.uses(at.topic)) {
            questions.extend(self.go_to(*at));
        }
        questions.extend(guard.unseen_causes(records).into_iter().map(Question::Cause));
        questions
    }
}

impl Question {
    async fn answer(self, guard: &Guard, passes_over: bool) -> Result<(), LogError> {
        match self {
            Self::Gap(before) => guard.check_next(before, passes_over).await.map(drop),
            Self::Back(before) => guard.moved_back(before).await,
            Self::Cause(cause) => guard.check_cause(cause).await,
        }
    }
}

/// Answers `questions`, the last one first; after an error, the rest remain.
async fn answer(guard: &Guard, passes_over: bool, questions: &mut Vec<Question>) -> Result<(), LogError> {
    while let Some(question) = questions.last() {
        guard.unless_damaged(question.answer(guard, passes_over)).await?;
        questions.pop();
    }
    Ok(())
}

/// Reads given partitions.
pub(super) struct GuardedReader {
    guard: Arc<Guard>,
    inner: Box<dyn LogReader>,
    expected: Expected,
    passes_over: bool,
    /// Its position, as far as the caller knows.
    stands: Vec<Position>,
    /// Records that were read, and are held back until these questions are answered. This makes reading
    /// cancel safe.
    held: Option<Vec<Fetched>>,
    questions: Vec<Question>,
}

impl GuardedReader {
    pub(super) fn new(
        guard: Arc<Guard>,
        inner: Box<dyn LogReader>,
        starts: &[Position],
        passes_over: bool,
    ) -> Self {
        let mut expected = Expected::default();
        for at in starts {
            expected.set(*at);
        }
        let stands = inner.positions();
        Self { guard, inner, expected, passes_over, stands, held: None, questions: Vec::new() }
    }
}

#[async_trait]
impl LogReader for GuardedReader {
    async fn next(&mut self, most: usize, wait: Span) -> Result<Vec<Fetched>, LogError> {
        self.guard.check()?;
        if self.held.is_none() {
            let records = self.guard.unless_damaged(self.inner.next(most, wait)).await?;
            self.guard.record_read(&records);
            self.questions = self.expected.pass(&self.guard, &records, &self.inner.positions());
            self.held = Some(records);
        }
        answer(&self.guard, self.passes_over, &mut self.questions).await?;
        self.stands = self.inner.positions();
        Ok(self.held.take().unwrap_or_default())
    }

    fn positions(&self) -> Vec<Position> {
        self.stands.clone()
    }
}

/// Reads as a member of the service's group.
pub(super) struct GuardedMember {
    guard: Arc<Guard>,
    inner: Box<dyn GroupReader>,
    expected: Expected,
    held: Option<GroupBatch>,
    questions: Vec<Question>,
}

impl GuardedMember {
    pub(super) fn new(guard: Arc<Guard>, inner: Box<dyn GroupReader>) -> Self {
        Self { guard, inner, expected: Expected::default(), held: None, questions: Vec::new() }
    }

    /// Checks the start positions of partitions that were just assigned.
    async fn assigned(&mut self, assigned: &mut [Assignment]) -> Result<(), LogError> {
        let inputs = self.guard.service.inputs().iter().copied();
        for assignment in assigned {
            for ReplacedTopic { topic, known, found } in &assignment.replaced {
                self.guard.contradicted(*topic, Fault::Replaced { known: *known, found: *found }).await?;
            }
            let partition = assignment.partition;
            for topic in inputs.clone().filter(|topic| partition < topic.partitions()) {
                let here = |commit: &&Commit| commit.next.topic == topic;
                let first = Position { topic, partition, offset: 0 };
                let committed = match assignment.committed.iter().find(here) {
                    Some(commit) => self.guard.check_committed(commit.next).await?,
                    None => None,
                };
                if committed.is_none() {
                    assignment.committed.retain(|commit| !here(&commit));
                }
                self.expected.set(match committed {
                    Some(start) => start,
                    None => self.guard.check_start(first).await?,
                });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl GroupReader for GuardedMember {
    async fn next(&mut self, most: usize, wait: Span) -> Result<GroupBatch, LogError> {
        self.guard.check()?;
        let mut batch = if let Some(held) = self.held.take() {
            held
        } else {
            let batch = self.guard.unless_damaged(self.inner.next(most, wait)).await?;
            if let GroupBatch::Records(records) = &batch {
                self.guard.record_read(records);
                self.questions = self.expected.pass(&self.guard, records, &[]);
            }
            batch
        };
        let (guard, needs_answer) = (Arc::clone(&self.guard), !self.questions.is_empty());
        match &mut batch {
            GroupBatch::Assigned(assigned) => {
                self.held = Some(GroupBatch::Assigned(assigned.clone()));
                guard.identify_all().await?;
                self.assigned(assigned).await?;
            }
            GroupBatch::Records(records) if needs_answer => {
                self.held = Some(GroupBatch::Records(std::mem::take(records)));
                answer(&guard, false, &mut self.questions).await?;
                return Ok(self.held.take().unwrap_or(batch));
            }
            GroupBatch::Records(_) | GroupBatch::Revoked(_) => {}
        }
        self.held = None;
        Ok(batch)
    }

    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), LogError> {
        self.guard.check()?;
        self.inner.commit(commits).await
    }

    async fn leave(self: Box<Self>) -> Result<(), LogError> {
        self.inner.leave().await
    }
}
