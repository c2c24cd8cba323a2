//! Checks whether a stream can resume where a client left off: in this log and this history of it, not in
//! another one.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use kbnt_application::intact::Bounds;
use kbnt_application::ports::{EventLog, Fetched, LogError};
use kbnt_application::{Position, Topic};
use kbnt_domain::Span;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::cursor::{Cursor, LogName, Tag};
use crate::problem::{Code, Problem, log_failed};

/// How long reading back the records that a client saw last may take.
const READ_BACK_WAIT: Duration = Duration::from_secs(10);

/// How long to wait for one batch.
const WAIT: Span = Span::from_millis(200);

/// The bounds of every partition.
pub(super) type AllBounds = BTreeMap<(Topic, u32), Bounds>;

/// The bounds of every partition of the streams' topics.
pub(super) async fn bounds(log: &dyn EventLog) -> Result<AllBounds, LogError> {
    let all = Topic::event_partitions().map(|(topic, partition)| async move {
        log.bounds(topic, partition).await.map(|bounds| ((topic, partition), bounds))
    });
    Ok(try_join_all(all).await?.into_iter().collect())
}

/// The name of the log.
pub(super) async fn name(log: &dyn EventLog) -> Result<LogName, LogError> {
    let ids = try_join_all(Topic::EVENTS.iter().map(|topic| log.topic_id(*topic))).await?;
    let mut hash = Sha256::new();
    for id in &ids {
        hash.update(id.as_bytes());
    }
    let name = hash.finalize().first_chunk().copied().map(u64::from_be_bytes);
    Ok(LogName(name.unwrap_or_default()))
}

fn gone(why: &str) -> Problem {
    Problem::new(Code::CursorGone, format!("{why}: begin anew, without Last-Event-ID"))
}

/// Refuses a cursor that is meaningless here, because nothing can say what came after it.
pub(super) async fn check(
    log: &dyn EventLog,
    name: LogName,
    bounds: &AllBounds,
    cursor: &Cursor,
) -> Result<(), Problem> {
    match cursor.log {
        None => {
            return Err(gone("an earlier version gave this id out, and it does not say of which log it is"));
        }
        Some(other) if other != name => return Err(gone("this id is of another log")),
        Some(_) => {}
    }
    for at in cursor.positions(|_| true) {
        let here = bounds.get(&(at.topic, at.partition)).copied().unwrap_or_default();
        if at.offset > here.end {
            return Err(gone("the log is shorter than it was when this id was given out"));
        }
        if at.offset < here.first {
            return Err(gone("the log does not keep any more what comes after this id"));
        }
    }
    let known = last_seen(cursor, bounds);
    if known.is_empty()
        || tokio::time::timeout(READ_BACK_WAIT, is_there(log, known)).await.map_err(late)??
    {
        return Ok(());
    }
    Err(gone("the log has another history than when this id was given out"))
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn late(_: tokio::time::error::Elapsed) -> Problem {
    Problem::new(Code::NotReady, "the log did not answer in time")
}

/// The records that the client saw last and that the log still has.
fn last_seen(cursor: &Cursor, bounds: &AllBounds) -> Vec<(Position, Tag)> {
    let last = |(topic, partition)| {
        let place = cursor.place(topic, partition)?;
        let offset = place.next.checked_sub(1)?;
        let kept = bounds.get(&(topic, partition)).is_some_and(|here| offset >= here.first);
        Some((Position { topic, partition, offset }, place.last?)).filter(|_| kept)
    };
    Topic::event_partitions().filter_map(last).collect()
}

/// Whether exactly these records are there.
async fn is_there(log: &dyn EventLog, mut wanted: Vec<(Position, Tag)>) -> Result<bool, Problem> {
    let failed = |error: LogError| log_failed(Code::NotReady, &error);
    let from = wanted.iter().map(|(at, _)| *at).collect();
    let mut reader = log.read(from).await.map_err(failed)?;
    let give_up = Instant::now() + READ_BACK_WAIT;
    while !wanted.is_empty() && Instant::now() < give_up {
        for fetched in reader.next(wanted.len(), WAIT).await.map_err(failed)? {
            let at = fetched.at();
            let here =
                |(wanted, _): &(Position, Tag)| (wanted.topic, wanted.partition) == (at.topic, at.partition);
            let Some(index) = wanted.iter().position(here) else { continue };
            let (place, tag) = wanted.swap_remove(index);
            if place != at
                || !matches!(&fetched, Fetched::Record(record) if Tag::of(&record.message.id) == tag)
            {
                return Ok(false);
            }
        }
    }
    // A record that was not found at its position does not exist.
    Ok(wanted.is_empty())
}
