//! Files that were damaged by a crash or a disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kbnt_application::Topic;
use kbnt_application::ports::EventLog as _;
use kbnt_embedded::{EmbeddedLog, OpenError};

use kbnt_testkit::{created, orders_in};

const SEGMENT: &str = "journal-00000000.log";

/// A directory with `groups` groups of ten records. Returns where each group ends.
async fn written(groups: u32) -> (tempfile::TempDir, Vec<u64>) {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let mut ends = Vec::new();
    for group in 0..groups {
        log.append((group * 10..(group + 1) * 10).map(created).collect()).await.unwrap();
        ends.push(std::fs::metadata(directory.path().join(SEGMENT)).unwrap().len());
    }
    (directory, ends)
}

/// A copy of the directory whose segment has this content.
fn with(directory: &Path, bytes: &[u8]) -> tempfile::TempDir {
    let copy = tempfile::tempdir_in(directory).unwrap();
    std::fs::write(copy.path().join(SEGMENT), bytes).unwrap();
    copy
}

/// The bytes that were cut off the end.
fn torn_off(log: &EmbeddedLog) -> u64 {
    log.recovery().torn.as_ref().map_or(0, |torn| torn.bytes)
}

async fn orders(log: &EmbeddedLog) -> BTreeMap<kbnt_domain::OrderId, usize> {
    orders_in(log, Topic::OrderEvents).await
}

#[tokio::test]
async fn a_write_that_was_cut_short_anywhere_is_cut_off() {
    let (directory, ends) = written(3).await;
    let bytes = std::fs::read(directory.path().join(SEGMENT)).unwrap();
    let (second, third) = (usize::try_from(ends[1]).unwrap(), usize::try_from(ends[2]).unwrap());
    for length in (second + 1..third).step_by(37) {
        for tail in [Vec::new(), vec![0; third - length]] {
            let torn = [&bytes[..length], &tail].concat();
            let copy = with(directory.path(), &torn);
            let log = EmbeddedLog::open(copy.path()).unwrap();
            assert_eq!(torn_off(&log), (torn.len() - second) as u64, "cut at {length}");
            assert_eq!(orders(&log).await.len(), 20);
            log.append((20..30).map(created).collect()).await.unwrap();
            drop(log);
            let log = EmbeddedLog::open(copy.path()).unwrap();
            assert_eq!((torn_off(&log), orders(&log).await.len()), (0, 30));
        }
    }
}

#[tokio::test]
async fn damage_before_the_end_stops_and_changes_nothing() {
    let (directory, ends) = written(3).await;
    let bytes = std::fs::read(directory.path().join(SEGMENT)).unwrap();
    let second = usize::try_from(ends[1]).unwrap();
    for at in (0..second).step_by(61) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let copy = with(directory.path(), &damaged);
        let error = EmbeddedLog::open(copy.path()).err().unwrap();
        let group = if at < usize::try_from(ends[0]).unwrap() { 0 } else { ends[0] };
        assert!(matches!(&error, OpenError::Damaged { at, .. } if *at == group), "byte {at}: {error}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        assert_eq!(std::fs::read(copy.path().join(SEGMENT)).unwrap(), damaged);
    }
}

#[tokio::test]
async fn damage_in_the_last_write_is_cut_off() {
    let (directory, ends) = written(3).await;
    let bytes = std::fs::read(directory.path().join(SEGMENT)).unwrap();
    for at in (usize::try_from(ends[1]).unwrap()..bytes.len()).step_by(53) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x01;
        let copy = with(directory.path(), &damaged);
        let log = EmbeddedLog::open(copy.path()).unwrap();
        assert_eq!((torn_off(&log), orders(&log).await.len()), (ends[2] - ends[1], 20));
    }
}

#[tokio::test]
async fn a_segment_that_is_missing_or_torn_before_another_stops() {
    let (directory, _) = written(1).await;
    let path = |number: u32| -> PathBuf { directory.path().join(format!("journal-{number:08}.log")) };
    std::fs::write(path(2), []).unwrap();
    let error = EmbeddedLog::open(directory.path()).err().unwrap();
    assert!(matches!(&error, OpenError::Missing(missing) if *missing == path(1)), "{error}");
    std::fs::rename(path(2), path(1)).unwrap();
    let bytes = std::fs::read(path(0)).unwrap();
    std::fs::write(path(0), &bytes[..bytes.len() - 1]).unwrap();
    let error = EmbeddedLog::open(directory.path()).err().unwrap();
    assert!(matches!(&error, OpenError::Damaged { file, .. } if *file == path(0)), "{error}");
}
