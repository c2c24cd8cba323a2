//! kill -9 at any moment: the child prints what was acknowledged, and all of it must be there again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use kbnt_application::Topic;
use kbnt_application::ports::EventLog as _;
use kbnt_embedded::EmbeddedLog;

use kbnt_testkit::{contents, created, order, orders_in};

const DIRECTORY: &str = "KBNT_TEST_CHILD_DIRECTORY";
const FIRST: &str = "KBNT_TEST_CHILD_FIRST";
const ROUNDS: u32 = 20;
const TASKS: u32 = 8;

/// The child: appends for ever, and prints the acknowledged orders. Does nothing in a normal test run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test below"]
async fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let first: u32 = std::env::var(FIRST).unwrap().parse().unwrap();
    let log = EmbeddedLog::open(directory.as_ref()).unwrap();
    let append_for_ever = |task: u32| {
        let log = log.clone();
        async move {
            for n in (first + task..).step_by(TASKS as usize) {
                log.append(vec![created(n)]).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "acknowledged {n}").unwrap();
                out.flush().unwrap();
            }
        }
    };
    futures::future::join_all((0..TASKS).map(append_for_ever)).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut first = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let reading = std::thread::spawn(move || {
            let number = |line: String| line.rsplit_once("acknowledged ")?.1.parse::<u32>().ok();
            out.lines().map_while(Result::ok).filter_map(number).collect::<Vec<_>>()
        });
        // This is not a wait but the moment of the kill, which differs from round to round.
        std::thread::sleep(Duration::from_millis(150 + u64::from(round * 37 % 200)));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(reading.join().unwrap());
        // Every record written by now, acknowledged or not, has a lower number.
        first = acknowledged.iter().max().copied().unwrap_or(0).max(first) + 1_000;

        let log = EmbeddedLog::open(directory.path()).unwrap();
        let there = orders_in(&log, Topic::OrderEvents).await;
        for n in &acknowledged {
            assert_eq!(there.get(&order(*n)), Some(&1), "order {n} after round {round}");
        }
        for records in contents(&log, Topic::OrderEvents).await.into_values() {
            assert!(records.iter().zip(0..).all(|(record, offset)| record.at.offset == offset));
        }
    }
    assert!(acknowledged.len() > 100, "the children did hardly anything: {}", acknowledged.len());
}
