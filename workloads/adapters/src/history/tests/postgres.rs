//! What holds of the store in `PostgreSQL` alone: it is shared, and nobody's to destroy.

use std::sync::Arc;

use kbnt_application::history::{Batch, Filter, Progress, Search, StoredOrder};
use kbnt_application::ports::{HistoryError, HistoryStore};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::super::{PostgresAddress, PostgresHistory};
use super::{Place, fill, id, open, order, progress, store};

/// A database of its own, on the server that `KBNT_TEST_POSTGRES` names.
pub(super) struct Database {
    url: String,
}

impl Place for Database {
    async fn make() -> Self {
        let server = std::env::var("KBNT_TEST_POSTGRES").expect("KBNT_TEST_POSTGRES names a server");
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        execute(&server, &format!("CREATE DATABASE {name}")).await;
        let (server, _) = server.rsplit_once('/').unwrap();
        Self { url: format!("{server}/{name}") }
    }

    fn open(&self) -> Arc<dyn HistoryStore> {
        self.of_prefix("shop.")
    }
}

impl Database {
    fn of_prefix(&self, prefix: &str) -> Arc<dyn HistoryStore> {
        Arc::new(PostgresHistory::new(PostgresAddress::Text(self.url.clone()), prefix))
    }

    async fn execute(&self, statements: &str) {
        execute(&self.url, statements).await;
    }

    /// In the schema of the history.
    async fn tamper(&self, statements: &str) {
        let schema = self.schemas().await.into_iter().find(|name| !name.ends_with("_refused")).unwrap();
        self.execute(&format!("SET search_path TO {schema}; {statements}")).await;
    }

    /// Those of histories.
    async fn schemas(&self) -> Vec<String> {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar("SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'kbnt%' ORDER BY 1")
            .fetch_all(&mut connection)
            .await
            .unwrap()
    }
}

async fn execute(url: &str, statements: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
}

fn orders(count: u32) -> Vec<StoredOrder> {
    (0..count).map(order).collect()
}

fn everything() -> Search {
    Search { filter: Filter::default(), limit: 200, after: None }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_POSTGRES"]
async fn only_one_process_has_the_turn_until_it_lets_it_go_or_ends() {
    let place = Database::make().await;
    let first = store(&place, &orders(3)).await;
    let (second, third) = (place.open(), place.open());
    assert_eq!(second.progress().await, Ok(progress(1)));
    assert_eq!(second.take_turn().await, Ok(false));
    assert_eq!(second.get(id(1)).await, Ok(Some(order(1).entry)), "it reads without it");
    assert_eq!(first.take_turn().await, Ok(true), "it keeps it");
    first.yield_turn().await;
    assert_eq!(second.take_turn().await, Ok(true));
    assert_eq!(first.take_turn().await, Ok(false));
    drop(second);
    assert!(third.progress().await.is_ok());
    eventually(async || third.take_turn().await == Ok(true)).await;
}

/// The server notices in a moment that a connection is gone.
async fn eventually(holds: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "it never held");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_POSTGRES"]
async fn of_two_that_apply_at_once_one_is_told_that_the_history_has_gone_on() {
    let place = Database::make().await;
    let stores = [place.open(), place.open()];
    for store in &stores {
        assert_eq!(store.progress().await, Ok(Progress::default()));
        let _ = store.take_turn().await.unwrap();
    }
    for revision in 1..=20 {
        let batch = |n| Batch { orders: vec![order(n)], progress: progress(revision) };
        let n = u32::try_from(revision).unwrap() * 2;
        let (one, other) = tokio::join!(stores[0].apply(batch(n)), stores[1].apply(batch(n + 1)));
        let (applied, refused) = if one.is_ok() { (n, n + 1) } else { (n + 1, n) };
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        assert!([one, other].contains(&Err(HistoryError::Conflict)));
        for store in &stores {
            store.progress().await.unwrap();
            assert!(store.get(id(applied)).await.unwrap().is_some());
            assert!(store.get(id(refused)).await.unwrap().is_none());
        }
    }
    assert_eq!(stores[0].size().await.unwrap().orders, 20);
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_POSTGRES"]
async fn a_batch_on_a_history_that_was_begun_anew_is_refused_whatever_its_number() {
    let place = Database::make().await;
    let (first, second) = (place.open(), place.open());
    fill(first.as_ref(), &orders(3)).await;
    assert_eq!(second.progress().await, Ok(progress(1)));
    assert_eq!(second.take_turn().await, Ok(false));
    first.reset().await.unwrap();
    fill(first.as_ref(), &orders(2)).await;
    // By its number it would follow.
    let batch = Batch { orders: orders(9), progress: progress(2) };
    assert_eq!(second.apply(batch.clone()).await, Err(HistoryError::Conflict));
    assert!(second.expire(super::placed_at(9_000), 10).await.is_err());
    let read = second.get(id(1)).await;
    assert!(
        matches!(read, Err(HistoryError::Unavailable(_))),
        "not before it is shown what is stored now: {read:?}"
    );
    assert_eq!(second.progress().await, Ok(progress(1)));
    assert!(second.get(id(1)).await.is_err());
    assert_eq!(second.take_turn().await, Ok(false));
    assert_eq!(second.get(id(1)).await, Ok(Some(order(1).entry)));
    assert_eq!(second.apply(batch).await, Ok(()));
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_POSTGRES"]
async fn rows_that_were_altered_are_found() {
    for statements in [
        "UPDATE orders SET content = set_byte(content, 20, get_byte(content, 20) # 4)",
        "UPDATE orders SET status = 2 WHERE status = 1",
        "UPDATE orders SET status = 300 WHERE status = 1",
        "UPDATE orders SET customer = 'USER-9' WHERE customer = 'USER-1'",
        "UPDATE orders SET placed_at = placed_at + 1",
        "UPDATE orders a SET content = b.content FROM orders b WHERE a.id <> b.id",
        "UPDATE progress SET revision = revision + 1",
        "UPDATE progress SET content = set_byte(content, 9, get_byte(content, 9) # 4)",
        "DELETE FROM progress",
        "UPDATE progress SET orders = -1",
        "DROP TABLE products",
    ] {
        let place = Database::make().await;
        drop(store(&place, &orders(50)).await);
        place.tamper(statements).await;
        let store = place.open();
        let look = async {
            store.progress().await?;
            store.take_turn().await?;
            store.search(everything()).await?;
            store.size().await
        };
        let found = look.await;
        assert!(matches!(found, Err(HistoryError::Damaged(_))), "{statements}: {found:?}");
        store.reset().await.unwrap();
        assert_eq!(open(store.as_ref()).await, Progress::default(), "{statements}");
        fill(store.as_ref(), &orders(50)).await;
        assert_eq!(store.search(everything()).await.unwrap().orders.len(), 50);
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_POSTGRES"]
async fn what_was_set_aside_stays_until_somebody_drops_it() {
    let place = Database::make().await;
    let (first, other) = (store(&place, &orders(50)).await, place.open());
    other.progress().await.unwrap();
    assert_eq!(other.take_turn().await, Ok(false));
    let refused = other.reset().await;
    assert!(matches!(refused, Err(HistoryError::Unavailable(_))), "it is not its turn: {refused:?}");
    assert_eq!(first.progress().await, Ok(progress(2)));
    first.reset().await.unwrap();
    assert_eq!(open(first.as_ref()).await, Progress::default());
    // The one that had found damage before has its turn now, and sets aside nothing that it has not seen.
    first.yield_turn().await;
    other.reset().await.unwrap();
    other.yield_turn().await;
    let schemas = place.schemas().await;
    assert_eq!(schemas.len(), 2, "{schemas:?}");
    fill(first.as_ref(), &orders(3)).await;
    let again = first.reset().await;
    let Err(HistoryError::Unavailable(why)) = again else { panic!("{again:?}") };
    assert!(why.contains(&format!("DROP SCHEMA {} CASCADE", schemas[1])), "{why}");
    assert_eq!(first.progress().await, Ok(progress(1)), "nothing is lost");
    place.execute(&format!("DROP SCHEMA {} CASCADE", schemas[1])).await;
    first.reset().await.unwrap();
    assert_eq!(open(first.as_ref()).await, Progress::default());
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_POSTGRES"]
async fn logs_with_other_prefixes_have_their_own() {
    let place = Database::make().await;
    let (one, other) = (place.of_prefix("a."), place.of_prefix(""));
    fill(one.as_ref(), &orders(3)).await;
    assert_eq!(open(other.as_ref()).await, Progress::default(), "each has a turn");
    assert_eq!(other.get(id(1)).await, Ok(None));
    fill(other.as_ref(), &orders(1)).await;
    assert_eq!((one.size().await.unwrap().orders, other.size().await.unwrap().orders), (3, 1));
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_POSTGRES"]
async fn what_others_have_made_is_left_alone() {
    for statements in
        ["UPDATE log SET prefix = 'other.'", "UPDATE log SET format = 2", "DELETE FROM log", "DROP TABLE log"]
    {
        let place = Database::make().await;
        drop(store(&place, &orders(2)).await);
        place.tamper(statements).await;
        let store = place.open();
        for _ in 0..2 {
            let opened = store.progress().await;
            assert!(matches!(opened, Err(HistoryError::Foreign(_))), "{statements}: {opened:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_POSTGRES"]
async fn a_schema_that_somebody_drops_is_made_again() {
    let place = Database::make().await;
    let store = store(&place, &orders(3)).await;
    let name = place.schemas().await.remove(0);
    place.execute(&format!("DROP SCHEMA {name} CASCADE")).await;
    let read = store.get(id(1)).await;
    assert!(matches!(read, Err(HistoryError::Unavailable(_))), "{read:?}");
    let first = store.progress().await;
    assert!(matches!(first, Err(HistoryError::Unavailable(_))), "{first:?}");
    assert_eq!(open(store.as_ref()).await, Progress::default());
    // Somebody may make an empty one for a user who may not.
    place.execute(&format!("DROP SCHEMA {name} CASCADE; CREATE SCHEMA {name}")).await;
    assert!(store.progress().await.is_err());
    fill(store.as_ref(), &orders(3)).await;
    assert_eq!(store.get(id(1)).await, Ok(Some(order(1).entry)));
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_POSTGRES"]
async fn neither_a_wrong_password_nor_a_lost_connection_shows_the_address() {
    let place = Database::make().await;
    let wrong = place.url.replacen("the-password-of-the-tests", "an0ther", 1);
    assert_ne!(wrong, place.url);
    for url in [wrong, "postgres://shop:an0ther@127.0.0.1:1/orders".to_owned()] {
        let store = PostgresHistory::new(PostgresAddress::Text(url), "");
        let Err(HistoryError::Unavailable(why)) = store.progress().await else { panic!("it is open") };
        assert!(!why.contains("an0ther"), "{why}");
    }
    let store = store(&place, &orders(3)).await;
    store.get(id(1)).await.unwrap();
    place
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
        .await;
    // Reads connect again.
    eventually(async || store.get(id(1)).await == Ok(Some(order(1).entry))).await;
    let lost = store.take_turn().await;
    assert!(matches!(lost, Err(HistoryError::Unavailable(_))), "the turn went with the connection: {lost:?}");
    assert_eq!(open(store.as_ref()).await, progress(1));
}
