//! Whether what is stored was folded from this log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kbnt_application::Topic;
use kbnt_application::history::Progress;
use kbnt_application::intact::TopicId;
use kbnt_application::ports::{EventLog, Fetched, HistoryError, LogError, Mark};
use kbnt_application::projections::OrderBook;
use kbnt_domain::Span;

use super::Stop;

/// How long reading the marks may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one read of them waits.
const WAIT: Span = Span::from_millis(200);

fn foreign(why: String) -> Stop {
    Stop::Store(HistoryError::Foreign(why))
}

/// Fails with [`HistoryError::Foreign`] unless the log has the topics of `progress`, all of the records before its positions, and at
/// each mark this very record. Returns the ids of the topics.
pub(super) async fn check(log: &dyn EventLog, progress: &Progress) -> Result<BTreeMap<Topic, TopicId>, Stop> {
    let mut topics = BTreeMap::new();
    for topic in OrderBook::TOPICS.iter().copied() {
        let found = log.topic_id(topic).await?;
        if let Some(known) = progress.topics.get(&topic)
            && *known != found
        {
            let name = topic.name();
            return Err(foreign(format!("{name} is another topic of the same name: {found}, not {known}")));
        }
        topics.insert(topic, found);
    }
    let mut marks = Vec::new();
    for ((topic, partition), reached) in &progress.partitions {
        let bounds = log.bounds(*topic, *partition).await?;
        if bounds.end < reached.next {
            let (name, end, next) = (topic.name(), bounds.end, reached.next);
            return Err(foreign(format!("{name}/{partition} ends at offset {end}, and {next} were applied")));
        }
        // One that expired cannot be compared.
        marks.extend(reached.last.filter(|mark| mark.at.offset >= bounds.first));
    }
    compare(log, marks).await?;
    Ok(topics)
}

/// Fails unless each of these records is at its place.
async fn compare(log: &dyn EventLog, mut marks: Vec<Mark>) -> Result<(), Stop> {
    if marks.is_empty() {
        return Ok(());
    }
    let mut reader = log.read(marks.iter().map(|mark| mark.at).collect()).await?;
    let began = Instant::now();
    while !marks.is_empty() {
        if began.elapsed() > PATIENCE {
            return Err(
                LogError::Unavailable("the last records that were applied are not read".to_owned()).into()
            );
        }
        for fetched in reader.next(marks.len().max(100), WAIT).await? {
            let at = fetched.at();
            let here = |mark: &Mark| (mark.at.topic, mark.at.partition) == (at.topic, at.partition);
            let Some(index) = marks.iter().position(here) else { continue };
            let mark = marks.swap_remove(index);
            let same =
                matches!(&fetched, Fetched::Record(record) if mark.at == at && record.message.id == mark.id);
            if !same {
                return Err(foreign(format!("the log has another record at {}", mark.at)));
            }
        }
    }
    Ok(())
}
