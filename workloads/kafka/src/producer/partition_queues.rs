//! What is written to a partition at the same time is written together: a burst goes to the producer as soon as the one
//! before is acknowledged, with all that has come meanwhile.
//!
//! An idempotent producer has one request under way for each partition. Where records linger in its queue for longer than
//! that request takes, librdkafka (2.12) looks for a place again and again without a pause, which on a busy machine takes
//! from the broker the very processor that it would need to answer. So nothing may come into its queue that has to wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use kbnt_application::ports::LogError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::event_producer::{Writer, Written};
use super::outgoing::Outgoing;
use crate::client::Place;

/// Bytes of records that one caller may add to a burst: less than the producer puts into one request.
const PORTION: usize = 512 << 10;

/// Portions of one burst.
const TOGETHER: usize = 1024;

/// How far apart bursts begin where several callers write at a time. Each burst costs the broker a request and its readers a fetch:
/// a thousand callers a second who write one record each would otherwise make hundreds of them.
const APART: Duration = Duration::from_millis(30);

/// Records of one caller that fit into one burst.
struct Portion {
    records: Vec<Outgoing>,
    answer: oneshot::Sender<Written>,
}

/// A queue for each partition.
pub(crate) struct Lanes {
    writer: Arc<Writer>,
    lanes: Mutex<HashMap<Place, mpsc::Sender<Portion>>>,
}

impl Lanes {
    /// Queues for this writer.
    pub(crate) fn of(writer: &Arc<Writer>) -> Self {
        Self { writer: Arc::clone(writer), lanes: Mutex::default() }
    }

    /// Writes in order; returns when all is acknowledged by all in-sync replicas, or all that failed has failed. What still
    /// waits for its burst is not written if the caller gives up.
    pub(crate) async fn append(&self, records: Vec<(Place, Outgoing)>) -> Written {
        let count = records.len();
        let mut by_lane = BTreeMap::<Place, (Vec<usize>, Vec<Outgoing>)>::new();
        for (index, (place, record)) in records.into_iter().enumerate() {
            let (indices, records) = by_lane.entry(place).or_default();
            indices.push(index);
            records.push(record);
        }
        let (indices, appends): (Vec<_>, Vec<_>) = by_lane
            .into_iter()
            .map(|(place, (indices, records))| (indices, append_to(self.lane(place), records)))
            .unzip();
        let mut positions = vec![None; count];
        for (indices, written) in indices.into_iter().zip(join_all(appends).await) {
            for (index, position) in indices.into_iter().zip(written?) {
                positions[index] = Some(position);
            }
        }
        let all = positions.into_iter().collect::<Option<Vec<_>>>();
        all.ok_or_else(|| LogError::Unavailable("not every record was acknowledged".to_owned()))
    }

    /// The queue of a partition, on a task of the present runtime.
    fn lane(&self, place: Place) -> mpsc::Sender<Portion> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || {
            let (send, portions) = mpsc::channel(TOGETHER);
            tokio::spawn(write(Arc::clone(&self.writer), place, portions));
            send
        };
        lanes.entry(place).or_insert_with(open).clone()
    }
}

/// Writes the records of one caller, portion by portion.
async fn append_to(lane: mpsc::Sender<Portion>, records: Vec<Outgoing>) -> Written {
    let gone = || LogError::Unavailable("nobody writes any more".to_owned());
    let mut positions = Vec::with_capacity(records.len());
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let mut weight = 0;
        let mut fits = |outgoing: &Outgoing| {
            let before = weight;
            weight += outgoing.size();
            before == 0 || weight <= PORTION
        };
        let portion = std::iter::from_fn(|| records.next_if(&mut fits)).collect();
        let (answer, answered) = oneshot::channel();
        lane.send(Portion { records: portion, answer }).await.map_err(|_| gone())?;
        positions.extend(answered.await.map_err(|_| gone())??);
    }
    Ok(positions)
}

/// Writes what comes to one partition, until nobody can send more.
async fn write(writer: Arc<Writer>, place: Place, mut portions: mpsc::Receiver<Portion>) {
    let mut burst = Vec::with_capacity(TOGETHER);
    while portions.recv_many(&mut burst, TOGETHER).await > 0 {
        let began = Instant::now();
        let wanted = burst.drain(..).filter(|portion| !portion.answer.is_closed());
        let (records, answers): (Vec<_>, Vec<_>) =
            wanted.map(|Portion { records, answer }| (records, answer)).unzip();
        if answers.is_empty() {
            continue;
        }
        let many = answers.len() > 1;
        // One after the other and nothing between: the producer waits for no more than a moment.
        for (answer, written) in answers.into_iter().zip(writer.write(place, records).await) {
            // Whoever has given up meanwhile finds the records in the log.
            let _ = answer.send(written);
        }
        if many {
            sleep_until(began + APART).await;
        }
    }
}
