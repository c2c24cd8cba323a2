//! Changes to the files of an open log.

use std::path::Path;
use std::process::Command;

use kbnt_application::Topic;
use kbnt_application::ports::{EventLog as _, LogError, RawRecord};
use kbnt_embedded::EmbeddedLog;
use kbnt_wire::raw::{RawAppend, RawLog as _};

use kbnt_testkit::{created, eventually, orders_in};

const SEGMENT: &str = "journal-00000000.log";

/// The file with the id of the log.
const ID: &str = "log.json";

/// A change to a directory.
type Harm = fn(&Path);

async fn open(home: &Path) -> EmbeddedLog {
    let log = EmbeddedLog::open(home).unwrap();
    log.append((0..10).map(created).collect()).await.unwrap();
    assert_eq!(log.trouble(), None);
    log
}

fn aside(home: &Path) -> std::path::PathBuf {
    home.with_extension("aside")
}

#[tokio::test]
async fn nothing_is_acknowledged_into_files_that_nobody_will_find() {
    let harms: [(&str, Harm); 9] = [
        ("removed", |home| std::fs::remove_dir_all(home).unwrap()),
        ("renamed", |home| std::fs::rename(home, aside(home)).unwrap()),
        ("replaced", |home| {
            std::fs::rename(home, aside(home)).unwrap();
            let copy = Command::new("cp").arg("-r").arg(aside(home)).arg(home).status().unwrap();
            assert!(copy.success());
        }),
        ("journal removed", |home| std::fs::remove_file(home.join(SEGMENT)).unwrap()),
        ("journal replaced", |home| {
            std::fs::rename(home.join(SEGMENT), home.join("x")).unwrap();
            std::fs::copy(home.join("x"), home.join(SEGMENT)).unwrap();
        }),
        ("lock removed", |home| std::fs::remove_file(home.join("lock")).unwrap()),
        ("id removed", |home| std::fs::remove_file(home.join(ID)).unwrap()),
        ("id replaced", |home| {
            std::fs::rename(home.join(ID), home.join("x")).unwrap();
            std::fs::copy(home.join("x"), home.join(ID)).unwrap();
        }),
        ("id overwritten", |home| {
            let id = std::fs::read_to_string(home.join(ID)).unwrap();
            std::fs::write(home.join(ID), id.replace(['0', '1', '2', '3'], "4")).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("home");
        let log = open(&home).await;
        harm(&home);
        assert!(log.trouble().is_some(), "{what}: it is seen before anything is written");
        let refused = log.append(vec![created(10)]).await;
        assert!(matches!(refused, Err(LogError::Unavailable(_))), "{what}: {refused:?}");
        assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), 10, "{what}: nobody sees it");
        let left = home.join("offsets.json");
        let before = std::fs::read(&left).ok();
        drop(log);
        assert_eq!(std::fs::read(&left).ok(), before, "{what}: what lies there is not ours");
    }
}

/// A change to the bytes of a journal; `before` is its content at the start.
type Change = fn(now: Vec<u8>, before: &[u8]) -> Vec<u8>;

/// Changes to the file that the process has open.
const CHANGES: [(&str, Change); 6] = [
    ("emptied", |_, _| Vec::new()),
    ("halved", |now, _| now[..now.len() / 2].to_vec()),
    ("a byte shorter", |now, _| now[..now.len() - 1].to_vec()),
    ("an older copy over it", |_, before| before.to_vec()),
    ("a copy of the same length over it", |mut now, _| {
        *now.last_mut().unwrap() ^= 1;
        now
    }),
    ("longer", |now, _| [now, b"more".to_vec()].concat()),
];

#[tokio::test]
async fn nothing_is_acknowledged_into_a_journal_that_was_cut_or_overwritten() {
    for (what, change) in CHANGES {
        for asked in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let home = directory.path().join("home");
            let log = open(&home).await;
            let segment = home.join(SEGMENT);
            let before = std::fs::read(&segment).unwrap();
            log.append((10..15).map(created).collect()).await.unwrap();
            let original = std::fs::read(&segment).unwrap();
            let changed = change(original.clone(), &before);
            // Written into the same file, as `cp` and `truncate` do.
            std::fs::write(&segment, &changed).unwrap();
            if asked {
                let trouble = log.trouble().unwrap_or_default();
                assert!(trouble.contains("cut or overwritten"), "{what}: {trouble:?}");
            }
            let refused = log.append(vec![created(20)]).await;
            assert!(matches!(refused, Err(LogError::Refused(_))), "{what}: {refused:?}");
            assert!(log.trouble().is_some(), "{what}");
            assert_eq!(std::fs::read(&segment).unwrap(), changed, "{what}: nothing is written into it");
            std::fs::write(&segment, &original).unwrap();
            let refused = log.append(vec![created(21)]).await;
            assert!(matches!(refused, Err(LogError::Refused(_))), "{what}: it is lost for good: {refused:?}");
            assert!(log.trouble().is_some(), "{what}");
            let left = home.join("offsets.json");
            let offsets = std::fs::read(&left).ok();
            drop(log);
            assert_eq!(std::fs::read(&left).ok(), offsets, "{what}: what lies there is not ours");
            let log = EmbeddedLog::open(&home).unwrap();
            assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), 15, "{what}");
        }
    }
}

#[tokio::test]
async fn a_copy_that_says_the_same_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let log = open(&home).await;
    for name in [SEGMENT, ID, "lock"] {
        let bytes = std::fs::read(home.join(name)).unwrap();
        std::fs::write(home.join(name), bytes).unwrap();
    }
    assert_eq!(log.trouble(), None);
    log.append(vec![created(10)]).await.unwrap();
    drop(log);
    let log = EmbeddedLog::open(&home).unwrap();
    assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), 11);
}

/// A log with a second segment.
async fn with_two_segments(home: &Path) -> EmbeddedLog {
    let log = open(home).await;
    let second = home.join("journal-00000001.log");
    while !second.exists() {
        let record = RawRecord { value: Some(vec![7; 8 << 20]), ..RawRecord::default() };
        log.append_raw(vec![RawAppend { topic: Topic::AuditLogs, to: Some(0), record }]).await.unwrap();
    }
    assert_eq!(log.trouble(), None);
    log
}

/// The first error of appends while the other segments are checked only now and then.
async fn refused(log: &EmbeddedLog) -> LogError {
    let give_up = std::time::Instant::now() + kbnt_testkit::DEADLINE;
    loop {
        if let Err(error) = log.append(vec![created(10)]).await {
            return error;
        }
        assert!(std::time::Instant::now() < give_up, "it is never noticed");
    }
}

#[tokio::test]
async fn an_older_segment_is_looked_after_too() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let log = with_two_segments(&home).await;
    let (segment, aside) = (home.join(SEGMENT), home.join("x"));
    std::fs::rename(&segment, &aside).unwrap();
    // No readiness probe runs meanwhile.
    let error = refused(&log).await;
    assert!(matches!(&error, LogError::Unavailable(why) if why.contains("removed")), "{error}");
    assert!(log.append(vec![created(11)]).await.is_err(), "and so it stays");
    assert!(log.trouble().is_some());
    std::fs::rename(&aside, &segment).unwrap();
    log.append(vec![created(12)]).await.unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(1 << 20).unwrap();
    let error = refused(&log).await;
    assert!(matches!(&error, LogError::Refused(why) if why.contains("cut or overwritten")), "{error}");
}

#[tokio::test]
async fn a_directory_that_comes_back_is_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let log = open(&home).await;
    std::fs::rename(&home, aside(&home)).unwrap();
    assert!(log.append(vec![created(10)]).await.is_err());
    std::fs::rename(aside(&home), &home).unwrap();
    log.append(vec![created(11)]).await.unwrap();
    eventually("no trouble", async || log.trouble().is_none()).await;
    drop(log);
    let log = EmbeddedLog::open(&home).unwrap();
    let orders = orders_in(&log, Topic::OrderEvents).await;
    assert_eq!((orders.len(), &log.recovery().torn), (11, &None));
    assert!(!orders.contains_key(&kbnt_testkit::order(10)));
}

/// A small disk; `None` if this account may not create one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={size}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()).output();
        mount.is_ok_and(|mount| mount.status.success()).then(|| Self(directory))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // If this fails, it disappears with the machine.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_until_there_is_room() {
    let Some(disk) = Disk::new("1m") else {
        eprintln!("nobody may mount a disk here: not tried");
        return;
    };
    let log = EmbeddedLog::open(disk.0.path()).unwrap();
    let ballast = disk.0.path().join("ballast");
    let mut first = 0;
    let mut acknowledged = 0;
    // Takes the room that the ballast leaves.
    std::fs::write(&ballast, vec![0; 700 << 10]).unwrap();
    loop {
        match log.append((first..first + 50).map(created).collect()).await {
            Ok(positions) => acknowledged += positions.len(),
            Err(error) => {
                assert!(matches!(error, LogError::Unavailable(_)), "{error}");
                break;
            }
        }
        first += 50;
    }
    assert!(log.trouble().is_some());
    assert!(log.trouble().is_some(), "asking does not make room");
    std::fs::remove_file(&ballast).unwrap();
    eventually("room is found without a write", async || log.trouble().is_none()).await;
    assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), acknowledged);
    log.append(vec![created(first)]).await.unwrap();
    drop(log);
    let log = EmbeddedLog::open(disk.0.path()).unwrap();
    assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), acknowledged + 1);
    drop(log);
}

#[tokio::test]
async fn a_disk_that_is_full_is_told_before_anybody_writes() {
    let Some(disk) = Disk::new("4m") else {
        eprintln!("nobody may mount a disk here: not tried");
        return;
    };
    let log = open(disk.0.path()).await;
    let ballast = disk.0.path().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4 << 10]).is_ok() {}
    drop(file);
    eventually("it is told", async || log.trouble().is_some_and(|why| why.contains("full"))).await;
    std::fs::remove_file(&ballast).unwrap();
    eventually("room is found without a write", async || log.trouble().is_none()).await;
    log.append(vec![created(10)]).await.unwrap();
    drop(log);
    let log = EmbeddedLog::open(disk.0.path()).unwrap();
    assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), 11);
}
