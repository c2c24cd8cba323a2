//! Whose turn it is to apply the log, where processes share what is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use kbnt_application::Topic;
use kbnt_application::history::Progress;
use kbnt_application::intact::TopicId;
use kbnt_application::ports::HistoryReport;

use super::{HistoryRunner, Rounds, Shown, Stop, applied, found, is_before, origin};

/// How often a process that has no turn looks how far the one that has it has come. Lists wait up to 250 ms for what was placed just now.
const WATCH: Duration = Duration::from_millis(100);

impl HistoryRunner {
    /// Waits until it is this process's turn to apply the log. Meanwhile it shows how far another one has come. Returns from where to go
    /// on, and which topics the log has; a process whose log is another one than that of the store never has the turn.
    pub(super) async fn turn(&mut self) -> Result<(Progress, BTreeMap<Topic, TopicId>), Stop> {
        self.plan.store.yield_turn().await;
        loop {
            let progress = self.plan.store.progress().await?;
            let topics = origin::check(self.log.as_ref(), &progress).await?;
            let records = applied(&progress);
            if records > 0 && self.shown.borrow().progress.revision == 0 {
                self.observer.history(&HistoryReport::Resumed { applied: records });
            }
            self.show(&progress);
            let applies = self.plan.store.take_turn().await?;
            if self.plan.store.is_shared() && self.applies.replace(applies) != Some(applies) {
                self.observer.history(&HistoryReport::Turn { applies });
            }
            if !applies {
                self.watch(&topics).await?;
            } else if self.plan.store.progress().await? == progress {
                // Nobody has gone on before it was this one's turn.
                return Ok((progress, topics));
            }
        }
    }

    /// Shows how far another process has come, until it may be this one's turn, or the store holds another history than before.
    async fn watch(&mut self, topics: &BTreeMap<Topic, TopicId>) -> Result<(), Stop> {
        let mut rounds = Rounds::new();
        loop {
            tokio::select! {
                error = found(&mut self.found) => return Err(error.into()),
                () = tokio::time::sleep(WATCH) => {}
            }
            let progress = self.plan.store.progress().await?;
            let is_same = progress.topics.iter().all(|(topic, id)| topics.get(topic) == Some(id));
            if !is_same || is_before(&progress, &self.shown.borrow().progress) {
                self.shown.send_replace(Shown::default());
                return Ok(());
            }
            self.show(&progress);
            self.look(&progress, &mut rounds).await?;
            if rounds.asks() && self.plan.store.take_turn().await? {
                return Ok(());
            }
        }
    }
}
