//! The audit trail and the files of a data directory: losses, and what is repaired.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::time::Instant;

use kbnt_application::Topic;
use kbnt_embedded::EmbeddedLog;
use kbnt_wire::raw::{BrowsableLog as _, RawAppend, RawLog as _};
use serde_json::{Value, json};

use crate::support::{DEADLINE, Running, basket, kbnt};

const SEGMENT: &str = "journal-00000000.log";

fn start(directory: &Path) -> Running {
    Running::start(&["serve", "--allow-unknown-users", "--data-dir", directory.to_str().unwrap()])
}

/// A shop that had this many orders and is closed again.
async fn closed_shop(directory: &Path, orders: u32) {
    let mut shop = start(directory);
    shop.until_ready().await;
    shop.declare(100).await;
    for _ in 0..orders {
        assert_eq!(shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await.0, 200);
    }
    until_whole(&["--url".to_owned(), shop.url.clone()]).await;
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
}

async fn verify(origin: &[String]) -> Output {
    let mut command = kbnt(&["audit", "verify"]);
    command.args(origin);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn until_whole(origin: &[String]) {
    let give_up = Instant::now() + DEADLINE;
    loop {
        let output = verify(origin).await;
        if output.status.success() {
            return;
        }
        assert!(Instant::now() < give_up, "{output:?}");
    }
}

fn of(directory: &Path) -> Vec<String> {
    vec!["--data-dir".to_owned(), directory.to_str().unwrap().to_owned()]
}

/// The files of the log, without the folder of the inventory beside them.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect()
}

/// The offsets of the groups of a journal, and its end.
fn groups(directory: &Path) -> Vec<u64> {
    let bytes = std::fs::read(directory.join(SEGMENT)).unwrap();
    let starts = bytes.windows(8).enumerate().filter(|(_, window)| window == b"KBNTlog1");
    starts.map(|(at, _)| at as u64).chain([bytes.len() as u64]).collect()
}

/// The offsets of the events of this name in a journal.
fn positions(journal: &[u8], name: &str) -> Vec<usize> {
    let text = format!("\"eventName\":\"{name}\"").into_bytes();
    let windows = journal.windows(text.len()).enumerate();
    windows.filter(|(_, window)| *window == text).map(|(at, _)| at).collect()
}

#[tokio::test]
async fn reading_tools_make_nothing_and_fail_where_there_is_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let typo = directory.path().join("typo");
    for arguments in [&["audit", "verify"][..], &["dlq", "list"], &["dlq", "show", "order-events/0@1"]] {
        for path in [typo.as_path(), directory.path()] {
            let output = kbnt(arguments).args(of(path)).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("there is no log in"), "{output:?}");
        }
    }
    let discard = ["dlq", "discard", "order-events/0@1", "--reason", "a test"];
    assert_eq!(kbnt(&discard).args(of(&typo)).output().unwrap().status.code(), Some(1));
    assert!(!typo.exists());
    assert_eq!(files(directory.path()), BTreeMap::new());
}

#[tokio::test]
async fn what_the_files_prove_and_the_journal_lacks_fails() {
    let directory = tempfile::tempdir().unwrap();
    closed_shop(directory.path(), 3).await;
    let output = verify(&of(directory.path())).await;
    assert!(output.status.success(), "{output:?}");
    let groups = groups(directory.path());
    // Including the links.
    let length = groups[groups.len() - 4] + 5;
    std::fs::OpenOptions::new()
        .write(true)
        .open(directory.path().join(SEGMENT))
        .unwrap()
        .set_len(length)
        .unwrap();
    let before = files(directory.path());
    let output = verify(&of(directory.path())).await;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("were durable once and are missing") && text.contains("no whole write"), "{text}");
    assert_eq!(files(directory.path()), before, "nothing is cut");
}

/// Restores the files of `saved`, and deletes all others.
fn restore(directory: &Path, saved: &BTreeMap<String, Vec<u8>>) {
    for name in files(directory).into_keys() {
        std::fs::remove_file(directory.join(name)).unwrap();
    }
    for (name, bytes) in saved {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
}

/// The exit code and the text of `kbnt audit verify`, which must fail.
async fn not_whole(directory: &Path) -> (i32, String) {
    let output = verify(&of(directory)).await;
    assert_eq!(output.stdout, b"", "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_torn_end_is_not_whole() {
    let directory = tempfile::tempdir().unwrap();
    closed_shop(directory.path(), 1).await;
    let saved = files(directory.path());
    let original = &saved[SEGMENT];
    let groups = groups(directory.path());
    let last = usize::try_from(groups[groups.len() - 2]).unwrap();
    let zeros = [original.as_slice(), &[0; 100]].concat();
    let half = original[..usize::midpoint(last, original.len())].to_vec();
    for (torn, proven, codes) in
        [(&zeros, true, [8, 8]), (&zeros, false, [8, 8]), (&half, true, [3, 3]), (&half, false, [8, 1])]
    {
        restore(directory.path(), &saved);
        std::fs::write(directory.path().join(SEGMENT), torn).unwrap();
        if !proven {
            std::fs::remove_file(directory.path().join("offsets.json")).unwrap();
        }
        let (code, said) = not_whole(directory.path()).await;
        assert!(codes.contains(&code), "{code}: {said}");
        assert_eq!(said.matches("are no whole write").count(), 1, "{said}");
    }
}

#[tokio::test]
async fn an_end_that_nothing_proves_is_not_whole() {
    let directory = tempfile::tempdir().unwrap();
    closed_shop(directory.path(), 1).await;
    let saved = files(directory.path());
    let file = directory.path().join("offsets.json");
    let mut flipped = saved["offsets.json"].clone();
    let digit = flipped.iter().rposition(u8::is_ascii_digit).unwrap();
    flipped[digit] ^= 1;
    std::fs::write(&file, flipped).unwrap();
    let (code, said) = not_whole(directory.path()).await;
    assert_eq!(code, 9, "{said}");
    assert!(said.contains("the end is not proven, as offsets.json is not believed: its checksum"), "{said}");
    let listed = kbnt(&["dlq", "list"]).args(of(directory.path())).output().unwrap();
    let said = String::from_utf8(listed.stderr).unwrap();
    assert!(said.contains("offsets.json: its checksum is wrong"), "{said}");

    std::fs::remove_file(&file).unwrap();
    let (code, said) = not_whole(directory.path()).await;
    assert_eq!(code, 9, "{said}");
    assert!(said.contains("as offsets.json is missing"), "{said}");

    let other = tempfile::tempdir().unwrap();
    let mut shop = start(other.path());
    shop.until_ready().await;
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
    std::fs::copy(other.path().join("offsets.json"), &file).unwrap();
    let (code, said) = not_whole(directory.path()).await;
    assert_eq!(code, 9, "{said}");
    assert!(said.contains("it is of another log"), "{said}");
    // Continuing with it proves the end again.
    restore(directory.path(), &saved);
    std::fs::remove_file(&file).unwrap();
    closed_shop(directory.path(), 1).await;
    assert!(verify(&of(directory.path())).await.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_a_busy_shop_writes_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let shop = start(directory.path());
    shop.until_ready().await;
    shop.declare(1_000_000).await;
    let (client, url) = (shop.client.clone(), format!("{}/v1/orders?wait=20s", shop.url));
    let buyers = tokio::spawn(async move {
        let order = basket("USER-1", "tok_ok");
        let buy = || async {
            while let Ok(response) = client.post(&url).json(&order).send().await {
                assert_eq!(response.status(), 200);
            }
        };
        futures::join!(buy(), buy(), buy(), buy());
    });
    for _ in 0..4 {
        let output =
            verify(&[of(directory.path()), vec!["--wait".to_owned(), "60s".to_owned()]].concat()).await;
        assert!(output.status.success(), "{output:?}");
        assert!(!buyers.is_finished(), "it is busy no more");
    }
    buyers.abort();
}

#[tokio::test]
async fn links_and_notifications_that_were_lost_are_made_good() {
    let directory = tempfile::tempdir().unwrap();
    closed_shop(directory.path(), 2).await;
    // The journal up to the last order's end: its notification and the links behind it are gone.
    let bytes = std::fs::read(directory.path().join(SEGMENT)).unwrap();
    let last = |name| positions(&bytes, name).last().copied().unwrap() as u64;
    let (end, notified) = (last("OrderCreatedEvent"), last("NotificationSentEvent"));
    let cut = *groups(directory.path()).iter().find(|group| **group > end).unwrap();
    assert!(cut < notified, "the notification lies in a later group");
    std::fs::OpenOptions::new()
        .write(true)
        .open(directory.path().join(SEGMENT))
        .unwrap()
        .set_len(cut)
        .unwrap();
    let mut shop = start(directory.path());
    shop.until_ready().await;
    for _ in 0..5 {
        assert_eq!(shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await.0, 200);
    }
    until_whole(&["--url".to_owned(), shop.url.clone()]).await;
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
    let output = verify(&of(directory.path())).await;
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(directory.path().join(SEGMENT)).unwrap();
    assert_eq!(positions(&bytes, "NotificationSentEvent").len(), 7, "one for each order");
}

#[tokio::test]
async fn a_log_that_ends_before_what_was_acknowledged_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    closed_shop(directory.path(), 1).await;
    let groups = groups(directory.path());
    let file = std::fs::OpenOptions::new().write(true).open(directory.path().join(SEGMENT)).unwrap();
    file.set_len(groups[2]).unwrap();
    let before = files(directory.path());
    let serve = ["serve", "--port", "0", "--data-dir", directory.path().to_str().unwrap()];
    let output = kbnt(&serve).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("order-events/") && text.contains("Restore the directory from a copy"), "{text}");
    let after = files(directory.path());
    assert_eq!(after[SEGMENT], before[SEGMENT]);
}

#[tokio::test]
async fn a_trail_without_its_events_is_no_log_to_decide_on() {
    let directory = tempfile::tempdir().unwrap();
    let (complete, left) = (directory.path().join("whole"), directory.path().join("left"));
    closed_shop(&complete, 1).await;
    let log = EmbeddedLog::open(&left).unwrap();
    let trail =
        EmbeddedLog::open_to_read(&complete).unwrap().read_raw(Topic::AuditLogs, 0, 0, 1_000).unwrap();
    let links =
        trail.into_iter().map(|(_, record)| RawAppend { topic: Topic::AuditLogs, to: Some(0), record });
    log.append_raw(links.collect()).await.unwrap();
    drop(log);
    let shop = start(&left);
    let give_up = Instant::now() + DEADLINE;
    loop {
        let (status, readiness) = shop.get("/readyz").await;
        if status == 503 && readiness["waitingFor"].as_array().unwrap().contains(&json!("log-intact")) {
            break;
        }
        assert!(Instant::now() < give_up, "{readiness}");
    }
    let body = json!({"name": "Y", "unitPrice": "1.00", "received": 5});
    loop {
        let (status, answer) = shop.put("/v1/stock/PROD-009", &body).await;
        if (status, &answer["code"]) == (503, &json!("log_damaged")) {
            break;
        }
        assert!(Instant::now() < give_up, "{answer}");
    }
}

#[tokio::test]
async fn a_directory_that_is_removed_under_a_running_shop_is_noticed() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    let shop = start(&directory);
    shop.until_ready().await;
    shop.declare(10).await;
    // It may be writing there at this moment.
    let give_up = Instant::now() + DEADLINE;
    while directory.exists() {
        assert!(Instant::now() < give_up, "it comes back");
        let _ = std::fs::remove_dir_all(&directory);
    }
    let (status, readiness) = shop.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(readiness["waitingFor"].as_array().unwrap().contains(&json!("log-files")), "{readiness}");
    let (status, answer) = shop.post("/v1/orders", &basket("USER-1", "tok_ok")).await;
    assert_eq!((status, &answer["code"]), (503, &json!("outcome_unknown")), "{answer}");
    assert!(!directory.exists());
}

/// The responses to one write of each kind, each of something new, and the total time.
async fn written(shop: &Running, round: u32) -> ([(u16, Value); 3], std::time::Duration) {
    let product = json!({"name": "Y", "unitPrice": "1.00", "received": 5});
    let user = json!({"userId": format!("USER-9{round}"), "name": "Ana", "email": "ana@example.com"});
    let order = basket(&format!("USER-1{round}"), "tok_ok");
    let path = format!("/v1/stock/PROD-9{round}");
    let started = Instant::now();
    let (stock, users, orders) = tokio::join!(
        shop.put(&path, &product),
        shop.post("/v1/users", &user),
        shop.post("/v1/orders", &order),
    );
    ([stock, users, orders], started.elapsed())
}

#[tokio::test]
async fn a_full_disk_answers_every_write_in_time() {
    let mount = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(mount.path())
        .output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        eprintln!("nobody may mount a disk here: not tried");
        return;
    }
    let shop = start(mount.path());
    shop.until_ready().await;
    shop.declare(10).await;
    let mut ballast = std::fs::File::create(mount.path().join("ballast")).unwrap();
    while std::io::Write::write(&mut ballast, &[0; 4096]).is_ok_and(|written| written > 0) {}
    let give_up = Instant::now() + DEADLINE;
    while shop.get("/readyz").await.0 != 503 {
        assert!(Instant::now() < give_up, "nobody is told before somebody writes");
    }
    // The rest of the journal's last page takes some more writes.
    let mut round = 0;
    let taken = loop {
        round += 1;
        let (answers, took) = written(&shop, round).await;
        assert!(took.as_secs() < 20, "{took:?}");
        let known = answers.into_iter().filter(|(status, answer)| {
            let code = answer["code"].as_str().unwrap_or_default();
            !(*status == 503 && (code == "outcome_unknown" || code == "not_ready"))
        });
        let known: Vec<_> = known.collect();
        if known.is_empty() {
            break round;
        }
        assert!(known.iter().all(|(status, _)| *status < 300) && round < 9, "{known:?}");
    };
    let (status, readiness) = shop.get("/readyz").await;
    assert_eq!(status, 503, "{readiness}");
    drop(ballast);
    std::fs::remove_file(mount.path().join("ballast")).unwrap();
    shop.until_ready().await;
    let (answers, _) = written(&shop, taken + 1).await;
    assert!(answers.iter().all(|(status, _)| *status < 300), "{answers:?}");
    drop(shop);
    assert!(std::process::Command::new("umount").arg(mount.path()).status().unwrap().success());
}

/// The journal with `from` replaced by `to`, of the same length, in the first record that contains it. The
/// checksum is right, as an attacker who knows the format would make it.
fn forged(journal: &[u8], from: &str, to: &str) -> Vec<u8> {
    const HEADER: usize = 28;
    const PREFIX: usize = 8;
    assert_eq!(from.len(), to.len());
    let number = |at: usize| u32::from_le_bytes(journal[at..at + 4].try_into().unwrap()) as usize;
    let mut forged = journal.to_vec();
    let mut at = 0;
    loop {
        assert!(at < journal.len(), "no record holds {from}");
        if journal[at..].starts_with(b"KBNTlog1") {
            at += HEADER;
            continue;
        }
        let body = at + PREFIX..at + PREFIX + number(at);
        let find = |text: &str| {
            journal[body.clone()].windows(text.len()).position(|window| window == text.as_bytes())
        };
        // The hashes of the trail's own records vouch for them.
        if let (Some(place), None) = (find(from), find("\"domain\":\"audit\"")) {
            forged[body.start + place..body.start + place + to.len()].copy_from_slice(to.as_bytes());
            let checksum = crc32fast::hash(&forged[body]);
            forged[at + 4..at + PREFIX].copy_from_slice(&checksum.to_le_bytes());
            return forged;
        }
        at = body.end;
    }
}

#[tokio::test]
async fn a_record_that_says_the_same_in_other_bytes_was_altered() {
    let directory = tempfile::tempdir().unwrap();
    closed_shop(directory.path(), 1).await;
    let file = directory.path().join(SEGMENT);
    let written = std::fs::read(&file).unwrap();
    for (from, to) in [
        ("kbnt_source", "kbnt_Source"),
        ("application/json", "application/xxxx"),
        ("\"correlationId\":\"", "\"CorrelationId\":\""),
        ("\"level\":\"INFO\"", "\"level\":\"WARN\""),
        ("\"operation\":", "\"Operation\":"),
    ] {
        std::fs::write(&file, forged(&written, from, to)).unwrap();
        let output = verify(&of(directory.path())).await;
        assert_eq!(output.status.code(), Some(1), "{from}: {output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("its key, its headers or its bytes are not what link"), "{from}: {text}");
    }
    std::fs::write(&file, &written).unwrap();
    assert!(verify(&of(directory.path())).await.status.success());
}
