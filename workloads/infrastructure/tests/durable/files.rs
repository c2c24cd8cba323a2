//! What is done to the files of a log while it is open.

use std::path::Path;
use std::process::Command;

use kbnt_application::Topic;
use kbnt_application::ports::{EventLog as _, LogError};
use kbnt_infrastructure::embedded::EmbeddedLog;

use crate::support::{created, eventually, orders_in};

const SEGMENT: &str = "journal-00000000.log";

/// What somebody does to a directory.
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
    let harms: [(&str, Harm); 6] = [
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
        if !what.starts_with("journal") {
            assert_eq!(std::fs::read(&left).ok(), before, "{what}: what lies there is not ours");
        }
    }
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
    assert!(!orders.contains_key(&crate::support::order(10)));
}

/// A small disk of its own; `None` where nobody may make one.
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
        // It goes away with the machine, if not now.
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
    // Whatever the ballast leaves.
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
