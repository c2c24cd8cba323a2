//! Backups of a log: taken bit by bit, damaged, interrupted, and brought back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use kbnt_adapters::backup::{BackupError, Restored, check, restore, take};
use kbnt_adapters::objects::{Place, PlaceError};
use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::ports::{EventLog, GroupReader, LogError, LogReader, RawRecord};
use kbnt_application::{Append, Position, Service, Topic};
use kbnt_domain::{Span, Timestamp};
use kbnt_embedded::EmbeddedLog;
use kbnt_testkit::{append, created, order};
use kbnt_wire::raw::{BrowsableLog, RawAppend, RawLog};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// All records of the event topics.
fn contents(log: &dyn BrowsableLog) -> BTreeMap<(Topic, u32), Vec<(u64, RawRecord)>> {
    let partitions = Topic::EVENTS
        .into_iter()
        .flat_map(|topic| (0..topic.partitions()).map(move |number| (topic, number)));
    partitions.map(|at| (at, log.read_raw(at.0, at.1, 0, usize::MAX).unwrap())).collect()
}

/// A record of user-events that answers another one.
fn answer(n: u32, source: Position) -> Append {
    let event = kbnt_domain::event::UserRejected {
        order: order(n),
        user: "USER-1".parse().unwrap(),
        reason: kbnt_domain::Reason::UserBlocked,
        repeated: false,
    };
    Append { source: Some(source), ..append(&format!("answer/{n}"), event) }
}

/// A log with records that are events, and some that are not.
async fn log_of(count: u32) -> EmbeddedLog {
    let log = EmbeddedLog::in_memory();
    fill(&log, 0, count).await;
    log
}

async fn fill(log: &EmbeddedLog, from: u32, to: u32) {
    let sources = log.append((from..to).map(created).collect()).await.unwrap();
    log.append((from..).zip(sources).map(|(n, source)| answer(n, source)).collect()).await.unwrap();
    let headers = vec![("h".to_owned(), None), ("h".to_owned(), Some(vec![0, 255]))];
    let record = RawRecord { key: Some(vec![0xff]), value: None, headers, at: Timestamp::from_millis(-5) };
    log.append_raw(vec![RawAppend { topic: Topic::PaymentEvents, to: Some(1), record }]).await.unwrap();
}

async fn restored(place: &Place, log: &EmbeddedLog) -> Result<Restored, BackupError> {
    restore(place, &check(place).await?, log, None).await
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn is_damage<T>(found: &Result<T, BackupError>) -> bool {
    matches!(found, Err(BackupError::Place(PlaceError::Damaged { .. })))
}

#[tokio::test]
async fn what_is_restored_is_what_was_there_record_by_record() {
    let (log, directory) = (log_of(300).await, tempfile::tempdir().unwrap());
    let place = Place::create(&directory.path().join("new/place")).unwrap();
    let first = take(&log, &place, NOW).await.unwrap();
    assert_eq!((first.records, first.runs, first.holes), (601, 1, 0));
    let nothing = take(&log, &place, NOW).await.unwrap();
    assert_eq!((nothing.records, nothing.objects, nothing.runs), (0, 0, 1), "nothing is new");
    fill(&log, 300, 350).await;
    let second = take(&log, &place, NOW).await.unwrap();
    assert_eq!((second.records, second.runs), (101, 2));
    let copy = EmbeddedLog::in_memory();
    let there = restored(&place, &copy).await.unwrap();
    assert_eq!(there, Restored { written: 702, there_before: 0 });
    assert_eq!(contents(&copy), contents(&log));
    let again = restored(&place, &copy).await.unwrap();
    assert_eq!(again, Restored { written: 0, there_before: 702 }, "a restore may be repeated");
}

#[tokio::test]
async fn every_damage_is_found_before_anything_is_written() {
    let (log, directory) = (log_of(20).await, tempfile::tempdir().unwrap());
    let place = Place::create(directory.path()).unwrap();
    take(&log, &place, NOW).await.unwrap();
    fill(&log, 20, 25).await;
    take(&log, &place, NOW).await.unwrap();
    let objects = files(directory.path());
    assert!(objects.len() > 8, "{objects:?}");
    for path in objects {
        let whole = std::fs::read(&path).unwrap();
        // The newest run has none after it that vouches for it: only what it says can be compared.
        let is_newest = path.ends_with("runs/000000000/000000000002.json");
        for at in (0..whole.len()).step_by(37).filter(|_| !is_newest) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x04;
            std::fs::write(&path, flipped).unwrap();
            let found = check(&place).await;
            assert!(is_damage(&found), "{path:?} byte {at}: {found:?}");
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(is_damage(&check(&place).await), "{path:?} is torn");
        std::fs::remove_file(&path).unwrap();
        if !is_newest {
            let missing = check(&place).await;
            assert!(
                matches!(missing, Err(BackupError::Place(PlaceError::Failed { .. }))),
                "{path:?} is missing"
            );
        }
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(check(&place).await.unwrap().runs, 2);
}

#[tokio::test]
async fn a_run_that_was_interrupted_is_completed_by_the_next() {
    let (log, directory) = (log_of(40).await, tempfile::tempdir().unwrap());
    let place = Place::create(directory.path()).unwrap();
    take(&log, &place, NOW).await.unwrap();
    let before = contents(&log);
    fill(&log, 40, 60).await;
    take(&log, &place, NOW).await.unwrap();
    // It was killed when all records were there, and the run was not.
    std::fs::remove_file(directory.path().join("runs/000000000/000000000002.json")).unwrap();
    let copy = EmbeddedLog::in_memory();
    restored(&place, &copy).await.unwrap();
    assert_eq!(contents(&copy), before, "it is not restored half");
    fill(&log, 60, 70).await;
    let taken = take(&log, &place, NOW).await.unwrap();
    assert_eq!((taken.records, taken.runs), (62, 2));
    restored(&place, &copy).await.unwrap();
    assert_eq!(contents(&copy), contents(&log), "the copy is brought up to date");
}

#[tokio::test]
async fn a_restore_that_was_interrupted_is_completed_and_other_records_are_refused() {
    let (log, directory) = (log_of(30).await, tempfile::tempdir().unwrap());
    let place = Place::create(directory.path()).unwrap();
    assert!(matches!(check(&place).await, Err(BackupError::Nothing(_))));
    take(&log, &place, NOW).await.unwrap();
    let half = EmbeddedLog::in_memory();
    for ((topic, number), records) in contents(&log) {
        let some = records.len() / 2;
        let to = Some(number);
        let some = records.into_iter().take(some).map(|(_, record)| RawAppend { topic, to, record });
        half.append_raw(some.collect()).await.unwrap();
    }
    let there = restored(&place, &half).await.unwrap();
    assert!(there.written > 0 && there.there_before > 0, "{there:?}");
    assert_eq!(contents(&half), contents(&log));
    half.append(vec![created(99)]).await.unwrap();
    assert!(matches!(restored(&place, &half).await, Err(BackupError::NotEmpty { .. })));
    let other = EmbeddedLog::in_memory();
    other.append((500..510).map(created).collect()).await.unwrap();
    let refused = restored(&place, &other).await;
    assert!(matches!(refused, Err(BackupError::Differs(_) | BackupError::NotEmpty { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_backup_is_of_one_log_and_of_one_history() {
    let (log, directory) = (log_of(30).await, tempfile::tempdir().unwrap());
    let place = Place::create(directory.path()).unwrap();
    take(&log, &place, NOW).await.unwrap();
    let other = take(&log_of(30).await, &place, NOW).await;
    assert!(matches!(other, Err(BackupError::Replaced { .. })), "{other:?}");

    let (first, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = EmbeddedLog::open(first.path()).unwrap();
    fill(&log, 0, 10).await;
    for file in files(first.path()) {
        std::fs::copy(&file, copied.path().join(file.file_name().unwrap())).unwrap();
    }
    fill(&log, 10, 20).await;
    let directory = tempfile::tempdir().unwrap();
    let place = Place::create(directory.path()).unwrap();
    take(&log, &place, NOW).await.unwrap();
    let log = EmbeddedLog::open(copied.path()).unwrap();
    let short = take(&log, &place, NOW).await;
    assert!(matches!(short, Err(BackupError::Short { .. })), "{short:?}");
    fill(&log, 20, 90).await;
    let differs = take(&log, &place, NOW).await;
    assert!(matches!(differs, Err(BackupError::Differs(_))), "{differs:?}");
    assert_eq!(check(&place).await.unwrap().runs, 1, "nothing was changed");
}

#[tokio::test]
async fn a_log_without_its_beginning_cannot_be_backed_up() {
    let (log, directory) = (EmbeddedLog::window(10), tempfile::tempdir().unwrap());
    for n in 0..40 {
        log.append(vec![created(n)]).await.unwrap();
    }
    let cut = take(&log, &Place::create(directory.path()).unwrap(), NOW).await;
    assert!(matches!(cut, Err(BackupError::Cut { wanted: 0, .. })), "{cut:?}");
}

/// A log into which order-service and user-service write whenever somebody has asked where a partition of order-events ends.
struct AtWork {
    log: EmbeddedLog,
    next: AtomicU32,
}

#[async_trait]
impl EventLog for AtWork {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        self.log.append(batch).await
    }

    fn pace(&self) -> Span {
        self.log.pace()
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        let bounds = self.log.bounds(topic, partition).await;
        if topic == Topic::OrderEvents {
            let next = self.next.fetch_add(5, Ordering::SeqCst);
            fill(&self.log, next, next + 5).await;
        }
        bounds
    }

    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError> {
        self.log.topic_id(topic).await
    }

    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        self.log.read(from).await
    }

    fn with_bytes(&self) -> Arc<dyn EventLog> {
        self.log.with_bytes()
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        self.log.join(service).await
    }
}

#[tokio::test]
async fn a_backup_of_a_log_at_work_has_what_its_records_answer() {
    let log = AtWork { log: log_of(10).await, next: 10.into() };
    let directory = tempfile::tempdir().unwrap();
    let place = Place::create(directory.path()).unwrap();
    for _ in 0..20 {
        take(&log, &place, NOW).await.unwrap();
        let copy = EmbeddedLog::in_memory();
        restored(&place, &copy).await.unwrap();
        let ends: BTreeMap<_, _> =
            contents(&copy).into_iter().map(|(at, records)| (at, records.len())).collect();
        for answered in kbnt_testkit::contents(&copy, Topic::UserEvents).await.into_values().flatten() {
            let source = answered.source.unwrap();
            let is_there = source.offset < ends[&(source.topic, source.partition)] as u64;
            assert!(is_there, "{} answers {source}, which is not there", answered.at);
        }
    }
}

/// A log of which another backup is taken while one asks where it ends.
struct Overtaken {
    at_work: AtWork,
    place: Place,
}

#[async_trait]
impl EventLog for Overtaken {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        self.at_work.append(batch).await
    }

    fn pace(&self) -> Span {
        self.at_work.pace()
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        let bounds = self.at_work.log.bounds(topic, partition).await?;
        let is_last = Topic::EVENTS.last() == Some(&topic) && partition + 1 == topic.partitions();
        if is_last {
            let next = self.at_work.next.fetch_add(5, Ordering::SeqCst);
            fill(&self.at_work.log, next, next + 5).await;
            take(&self.at_work.log, &self.place, NOW).await.unwrap();
        }
        Ok(bounds)
    }

    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError> {
        self.at_work.topic_id(topic).await
    }

    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        self.at_work.read(from).await
    }

    fn with_bytes(&self) -> Arc<dyn EventLog> {
        self.at_work.with_bytes()
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        self.at_work.join(service).await
    }
}

#[tokio::test]
async fn one_that_is_overtaken_leaves_the_other_one_whole() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::create(directory.path()).unwrap();
    let at_work = AtWork { log: log_of(10).await, next: 10.into() };
    let log = Overtaken { at_work, place: place.clone() };
    for _ in 0..3 {
        let next = log.at_work.next.fetch_add(5, Ordering::SeqCst);
        fill(&log.at_work.log, next, next + 5).await;
        let slower = take(&log, &place, NOW).await;
        assert!(matches!(slower, Err(BackupError::Raced(_))), "{slower:?}");
        let copy = EmbeddedLog::in_memory();
        restored(&place, &copy).await.unwrap();
        assert_eq!(contents(&copy), contents(&log.at_work.log));
    }
}

#[tokio::test]
async fn two_at_a_time_do_no_harm() {
    let (log, directory) = (log_of(50).await, tempfile::tempdir().unwrap());
    let place = Place::create(directory.path()).unwrap();
    let both = tokio::join!(take(&log, &place, NOW), take(&log, &place, NOW));
    assert!(both.0.is_ok() || both.1.is_ok(), "{both:?}");
    for one in [both.0, both.1] {
        assert!(matches!(one, Ok(_) | Err(BackupError::Raced(_))), "{one:?}");
    }
    let copy = EmbeddedLog::in_memory();
    restored(&place, &copy).await.unwrap();
    assert_eq!(contents(&copy), contents(&log));
}
