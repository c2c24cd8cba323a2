//! A log that is opened for reading: nothing is created, changed, cut off or locked.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kbnt_application::Topic;
use kbnt_application::ports::{EventLog as _, LogError};
use kbnt_embedded::{EmbeddedLog, OpenError};

use kbnt_testkit::{created, orders_in};

const SEGMENT: &str = "journal-00000000.log";

/// All files of a directory with their content.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect()
}

#[tokio::test]
async fn where_there_is_no_log_it_says_so_and_makes_none() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("typo");
    for open in [EmbeddedLog::open_to_read, EmbeddedLog::open_existing] {
        let error = open(&missing).err().unwrap();
        assert!(matches!(&error, OpenError::NothingThere(path) if *path == missing), "{error}");
        assert!(matches!(open(directory.path()).err(), Some(OpenError::NothingThere(_))));
    }
    assert!(!missing.exists());
    assert_eq!(files(directory.path()), BTreeMap::new());
}

#[tokio::test]
async fn everything_is_there_beside_the_process_that_writes() {
    let directory = tempfile::tempdir().unwrap();
    let writer = EmbeddedLog::open(directory.path()).unwrap();
    assert!(EmbeddedLog::is_in_use(directory.path()));
    writer.append((0..30).map(created).collect()).await.unwrap();
    let log = EmbeddedLog::open_to_read(directory.path()).unwrap();
    assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), 30);
    assert_eq!((log.id(), log.trouble()), (writer.id(), None));
    let refused = log.append(vec![created(30)]).await;
    assert!(matches!(refused, Err(LogError::Refused(_))), "{refused:?}");
    drop((log, writer));
    assert!(!EmbeddedLog::is_in_use(directory.path()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_grows_meanwhile_is_never_called_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let writer = EmbeddedLog::open(directory.path()).unwrap();
    writer.append(vec![created(0)]).await.unwrap();
    let writing = tokio::spawn(async move {
        for block in 0..300 {
            writer.append((block * 20..block * 20 + 20).map(created).collect()).await.unwrap();
        }
    });
    let mut found = 0;
    while !writing.is_finished() {
        let path = directory.path().to_owned();
        let read =
            tokio::task::spawn_blocking(move || EmbeddedLog::open_to_read(&path)).await.unwrap().unwrap();
        assert!(read.recovery().records >= found, "it shrinks");
        assert_eq!(read.recovery().short, []);
        found = read.recovery().records;
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_torn_end_is_reported_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    log.append((0..10).map(created).collect()).await.unwrap();
    let length_before = std::fs::metadata(directory.path().join(SEGMENT)).unwrap().len();
    log.append((10..20).map(created).collect()).await.unwrap();
    drop(log);
    let bytes = std::fs::read(directory.path().join(SEGMENT)).unwrap();
    for length in (usize::try_from(length_before).unwrap() + 1..bytes.len()).step_by(101) {
        std::fs::write(directory.path().join(SEGMENT), &bytes[..length]).unwrap();
        let before = files(directory.path());
        let log = EmbeddedLog::open_to_read(directory.path()).unwrap();
        let torn = log.recovery().torn.clone().unwrap();
        assert_eq!((torn.at, torn.bytes), (length_before, length as u64 - length_before));
        assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), 10);
        let short: u64 = log.recovery().short.iter().map(|short| short.wanted - short.end.offset).sum();
        assert_eq!(short, 10, "the offsets file tells what was there");
        drop(log);
        assert_eq!(files(directory.path()), before);
    }
}

#[tokio::test]
async fn files_that_nobody_may_write_are_enough() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    log.append((0..10).map(created).collect()).await.unwrap();
    drop(log);
    let set = |mode| {
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            std::fs::set_permissions(entry.unwrap().path(), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode | 0o111)).unwrap();
    };
    set(0o444);
    let before = files(directory.path());
    let log = EmbeddedLog::open_to_read(directory.path()).unwrap();
    assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), 10);
    assert_eq!(files(directory.path()), before);
    set(0o644);
}
