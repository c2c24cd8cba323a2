//! Stores that die in the middle of a run, runs that are cut off, and runs at the same time.

use std::sync::Arc;

use async_trait::async_trait;
use kbnt_adapters::backup::{BackupError, check, restore, take};
use kbnt_adapters::objects::Place;
use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::ports::{ErrorClass, EventLog, Fetched, GroupReader, LogError, LogReader};
use kbnt_application::{Append, Position, Service, Topic};
use kbnt_domain::{Span, Timestamp};
use kbnt_embedded::EmbeddedLog;
use kbnt_testkit::{contents, created};

use crate::store::Store;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Records of which a partition has more than one object.
const MANY: u32 = 45_000;

async fn log_of(count: u32) -> EmbeddedLog {
    let log = EmbeddedLog::in_memory();
    fill(&log, 0, count).await;
    log
}

async fn fill(log: &EmbeddedLog, from: u32, to: u32) {
    for first in (from..to).step_by(1_000) {
        log.append((first..to.min(first + 1_000)).map(created).collect()).await.unwrap();
    }
}

/// Makes sure that a backup is whole, and is of all that is in `log`.
async fn is_restored(place: &Place, log: &EmbeddedLog) {
    let copy = EmbeddedLog::in_memory();
    restore(place, &check(place).await.unwrap(), &copy, None).await.unwrap();
    for topic in Topic::EVENTS {
        let ids = |log: EmbeddedLog| async move {
            let records = contents(&log, topic).await.into_values().flatten();
            records.map(|record| (record.at, record.message.id)).collect::<Vec<_>>()
        };
        assert_eq!(ids(copy.clone()).await, ids(log.clone()).await, "{topic:?}");
    }
}

/// A log in the middle of which something happens.
#[derive(Clone)]
struct Disturbed {
    log: EmbeddedLog,
    /// Whether it is time for it, and then does it.
    disturb: Arc<dyn Fn() -> bool + Send + Sync>,
}

struct DisturbedReader {
    reader: Box<dyn LogReader>,
    disturb: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

#[async_trait]
impl LogReader for DisturbedReader {
    async fn next(&mut self, most: usize, wait: Span) -> Result<Vec<Fetched>, LogError> {
        if let Some(disturb) = self.disturb.clone()
            && tokio::task::spawn_blocking(move || disturb()).await.unwrap()
        {
            self.disturb = None;
        }
        self.reader.next(most, wait).await
    }

    fn positions(&self) -> Vec<Position> {
        self.reader.positions()
    }
}

#[async_trait]
impl EventLog for Disturbed {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        self.log.append(batch).await
    }

    fn pace(&self) -> Span {
        self.log.pace()
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        self.log.bounds(topic, partition).await
    }

    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError> {
        self.log.topic_id(topic).await
    }

    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        let reader = self.log.with_bytes().read(from).await?;
        Ok(Box::new(DisturbedReader { reader, disturb: Some(Arc::clone(&self.disturb)) }))
    }

    fn with_bytes(&self) -> Arc<dyn EventLog> {
        Arc::new(self.clone())
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        self.log.join(service).await
    }
}

/// Whether a run is in the middle of its work.
fn is_midway(store: &Store, prefix: &str) -> bool {
    !store.objects(&format!("{prefix}/records")).is_empty()
        && store.objects(&format!("{prefix}/runs")).is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts an object store"]
async fn a_run_goes_on_when_the_store_is_back_soon() {
    let (store, log) = (Arc::new(Store::start()), log_of(MANY).await);
    let place = store.place("soon");
    let disturb = {
        let store = Arc::clone(&store);
        move || {
            let is_time = is_midway(&store, "soon");
            if is_time {
                store.kill();
                let (store, away) =
                    (Arc::clone(&store), std::net::TcpListener::bind(store.address()).unwrap());
                std::thread::spawn(move || {
                    // Not before it was missed.
                    drop((away.accept().unwrap(), away));
                    store.start_again();
                });
            }
            is_time
        }
    };
    let taken = take(&Disturbed { log: log.clone(), disturb: Arc::new(disturb) }, &place, NOW).await.unwrap();
    assert_eq!((taken.records, taken.runs), (u64::from(MANY), 1));
    is_restored(&place, &log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts an object store"]
async fn a_run_that_loses_the_store_is_completed_by_the_next() {
    let (store, log) = (Arc::new(Store::start()), log_of(1_000).await);
    let place = store.place("late");
    take(&log, &place, NOW).await.unwrap();
    fill(&log, 1_000, MANY).await;
    let written = store.objects("late").len();
    let disturb = {
        let store = Arc::clone(&store);
        move || {
            let is_time = store.objects("late").len() > written;
            if is_time {
                store.kill();
            }
            is_time
        }
    };
    let lost =
        take(&Disturbed { log: log.clone(), disturb: Arc::new(disturb) }, &place, NOW).await.unwrap_err();
    assert_eq!(lost.class(), ErrorClass::Transient, "{lost}");
    assert!(lost.to_string().contains("cannot be reached"), "{lost}");
    store.start_again();
    assert_eq!(check(&place).await.unwrap().records, 1_000, "until then the run before is there");
    let taken = take(&log, &place, NOW).await.unwrap();
    assert_eq!((taken.records, taken.runs), (u64::from(MANY) - 1_000, 2));
    is_restored(&place, &log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts an object store"]
async fn a_run_that_is_cut_off_is_completed_by_the_next() {
    let (store, log) = (Arc::new(Store::start()), log_of(MANY).await);
    let place = store.place("cut");
    let (cut, is_cut) = tokio::sync::watch::channel(false);
    let disturb = {
        let store = Arc::clone(&store);
        move || is_midway(&store, "cut") && cut.send(true).is_ok()
    };
    let disturbed = Disturbed { log: log.clone(), disturb: Arc::new(disturb) };
    let mut seen = is_cut.clone();
    tokio::select! {
        ended = take(&disturbed, &place, NOW) => panic!("{ended:?}"),
        _ = seen.wait_for(|is_cut| *is_cut) => {}
    }
    assert!(matches!(check(&place).await, Err(BackupError::Nothing(_))));
    fill(&log, MANY, MANY + 10).await;
    assert_eq!(take(&log, &place, NOW).await.unwrap().records, u64::from(MANY) + 10);
    is_restored(&place, &log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts an object store"]
async fn runs_at_the_same_time_do_no_harm() {
    let (store, log) = (Store::start(), log_of(100).await);
    let place = store.place("both");
    for round in 1..=10 {
        let runs = tokio::join!(
            take(&log, &place, NOW),
            async {
                fill(&log, round * 100, round * 100 + 50).await;
                take(&log, &place, NOW).await
            },
            async {
                fill(&log, round * 100 + 50, round * 100 + 100).await;
                take(&log, &place, NOW).await
            }
        );
        let runs = [runs.0, runs.1, runs.2];
        assert!(runs.iter().any(Result::is_ok), "{runs:?}");
        for run in runs {
            assert!(matches!(run, Ok(_) | Err(BackupError::Raced(_))), "{run:?}");
        }
        check(&place).await.unwrap();
    }
    take(&log, &place, NOW).await.unwrap();
    is_restored(&place, &log).await;
}
