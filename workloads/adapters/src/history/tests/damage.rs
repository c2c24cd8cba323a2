//! A file that is torn, altered or another program's is found, and is set aside.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use kbnt_application::history::{Filter, Progress, Search, StoredOrder};
use kbnt_application::ports::{HistoryError, HistoryStore as _};
use kbnt_application::projections::{OrderEntry, OrderView};
use kbnt_domain::order::OrderStatus;

use super::{SqliteHistory, fill, id, order, unplaced};

const ORDERS: u32 = 60;
const FILE: &str = "history.sqlite";

/// All that can be asked.
#[derive(Debug, PartialEq)]
struct Answers {
    progress: Progress,
    orders: Vec<Option<OrderEntry>>,
    found: Vec<Vec<OrderView>>,
}

async fn ask(store: &SqliteHistory) -> Result<Answers, HistoryError> {
    let progress = store.progress().await?;
    let mut orders = Vec::new();
    for n in 0..=ORDERS {
        orders.push(store.get(id(n)).await?);
    }
    let mut found = Vec::new();
    for filter in [
        Filter::default(),
        Filter { user: "USER-2".parse().ok(), ..Filter::default() },
        Filter { product: "PROD-001".parse().ok(), ..Filter::default() },
        Filter { status: Some(OrderStatus::Confirmed), ..Filter::default() },
    ] {
        found.push(store.search(Search { filter, limit: 200, after: None }).await?.orders);
    }
    Ok(Answers { progress, orders, found })
}

/// A file with orders, as it lies there when nobody has it open.
async fn written(directory: &Path) -> (Vec<u8>, Answers) {
    let mut orders: Vec<StoredOrder> = (0..ORDERS).map(order).collect();
    orders.push(unplaced(ORDERS));
    let store = SqliteHistory::new(directory.to_owned());
    fill(&store, &orders).await;
    let answers = ask(&store).await.unwrap();
    drop(store);
    assert!(!directory.join("history.sqlite-wal").exists());
    (fs::read(directory.join(FILE)).unwrap(), answers)
}

/// Opens the file with these bytes. Where it is damaged, it is set aside and a new one works.
async fn check(directory: &Path, bytes: &[u8], answers: &Answers, what: &str) -> bool {
    for file in fs::read_dir(directory).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    fs::write(directory.join(FILE), bytes).unwrap();
    let store = SqliteHistory::new(directory.to_owned());
    match ask(&store).await {
        // So little was left that it is taken for a new file: it is built anew as well.
        Ok(found) if found.progress == Progress::default() => true,
        Ok(found) => {
            assert!(found == *answers, "{what}: it is believed, and is not what was written");
            false
        }
        Err(HistoryError::Damaged(_)) => {
            store.reset().await.unwrap();
            assert_eq!(store.progress().await, Ok(Progress::default()), "{what}");
            assert_eq!(store.get(id(1)).await, Ok(None));
            assert!(
                directory.join("history-refused.sqlite").exists(),
                "{what}: it is kept for whoever wants to look"
            );
            true
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

#[tokio::test]
async fn any_flipped_bit_is_found_or_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, answers) = written(directory.path()).await;
    assert!(!check(directory.path(), &bytes, &answers, "whole").await);
    let mut found = 0;
    // A stride that is prime to the sizes of pages and cells.
    for at in (0..bytes.len()).step_by(211) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        found += u32::from(check(directory.path(), &flipped, &answers, &format!("byte {at}")).await);
    }
    assert!(found > 20, "{found}");
}

#[tokio::test]
async fn a_torn_file_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, answers) = written(directory.path()).await;
    for length in [1, 99, 100, 4_095, 4_096, 8_192, bytes.len() / 2, bytes.len() - 4_096, bytes.len() - 1] {
        assert!(check(directory.path(), &bytes[..length], &answers, &format!("{length} bytes")).await);
    }
    for from in [0, 4_096, bytes.len() / 2] {
        let mut torn = bytes.clone();
        torn[from..from + 4_096].fill(0);
        assert!(check(directory.path(), &torn, &answers, &format!("a page of zeros at {from}")).await);
    }
}

#[tokio::test]
async fn what_another_program_or_version_wrote_is_not_taken_for_ours() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, answers) = written(directory.path()).await;
    assert!(
        check(
            directory.path(),
            b"a text, and a longer one than that of a header of a file: 100 bytes, and then some more of it",
            &answers,
            "a text"
        )
        .await
    );
    let made = |statements: &str| {
        let path = tempfile::NamedTempFile::new().unwrap();
        fs::write(path.path(), &bytes).unwrap();
        let connection = rusqlite::Connection::open(path.path()).unwrap();
        connection.execute_batch(statements).unwrap();
        drop(connection);
        fs::read(path.path()).unwrap()
    };
    for statements in [
        "PRAGMA user_version = 2",
        "PRAGMA application_id = 1",
        "PRAGMA journal_mode = DELETE; DROP INDEX by_user",
        "UPDATE progress SET revision = revision + 1",
        "UPDATE progress SET orders = orders + 1",
        "UPDATE orders SET status = 2 WHERE status = 1",
        "DELETE FROM products WHERE product = 'PROD-001'",
        "DELETE FROM orders WHERE no = 7",
        "DELETE FROM progress",
    ] {
        assert!(check(directory.path(), &made(statements), &answers, statements).await, "{statements}");
    }
}

#[tokio::test]
async fn damage_that_appears_while_it_is_open_is_found_when_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, _) = written(directory.path()).await;
    let store = SqliteHistory::new(directory.path().to_owned());
    store.progress().await.unwrap();
    let row = super::rows::order(&order(9)).unwrap();
    let file = fs::File::options().write(true).open(directory.path().join(FILE)).unwrap();
    // Pages also hold rows that have moved on.
    for (at, _) in bytes.windows(row.len()).enumerate().filter(|(_, window)| *window == row) {
        file.write_all_at(&[bytes[at + 20] ^ 4], at as u64 + 20).unwrap();
    }
    let read = store.get(id(9)).await;
    assert!(matches!(read, Err(HistoryError::Damaged(_))), "{read:?}");
}
