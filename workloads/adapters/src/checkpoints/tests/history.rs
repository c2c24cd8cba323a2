//! Checkpoints of the history of orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kbnt_application::history::{Batch, Progress, StoredOrder};
use kbnt_application::ports::{HistoryError, HistoryStore};

use super::faults::{failed, faulty};
use super::*;
use crate::checkpoints::pace::Pace;
use crate::checkpoints::{CheckpointedHistory, Kept, Whole};
use crate::history::SqliteHistory;
use crate::history::tests::{id, order, progress, unplaced};
use crate::metrics::Metrics;

/// Orders of a pack.
const OF_PACK: u32 = 8_192;

fn kept_in(directory: &Path) -> Checkpoints {
    Checkpoints::new(Place::create(directory).unwrap(), Service::Order)
}

/// The files of one folder.
fn packs_in(directory: &Path, folder: &str) -> Vec<PathBuf> {
    let folder = directory.join("order-service").join(folder);
    files(&folder).into_iter().map(|name| folder.join(name)).collect()
}

/// A history with the orders of these numbers, in this directory.
async fn history(directory: &Path, numbers: std::ops::Range<u32>) -> SqliteHistory {
    let store = SqliteHistory::new(directory.to_owned());
    store.progress().await.unwrap();
    apply(&store, numbers.map(order).collect()).await;
    store
}

async fn apply(store: &dyn HistoryStore, orders: Vec<StoredOrder>) {
    let revision = store.progress().await.unwrap().revision + 1;
    store.apply(Batch { orders, progress: progress(revision) }).await.unwrap();
}

/// A history that is fetched into an empty directory.
async fn fetched(checkpoints: &Checkpoints, into: &Path) -> Result<SqliteHistory, CheckpointError> {
    let manifest = checkpoints.newest(0).await.unwrap().unwrap();
    let store = SqliteHistory::new(into.to_owned());
    checkpoints.fetch_history(&manifest, &store).await?;
    Ok(store)
}

async fn keep_history(checkpoints: &Checkpoints, history: &SqliteHistory) -> Kept {
    checkpoints.keep_history(history).await.unwrap().1
}

/// Makes sure that a store is whole, and has these orders and no others. Its progress is read with a check of every row.
async fn has(store: &dyn HistoryStore, orders: &[StoredOrder]) -> Progress {
    let progress = store.progress().await.unwrap();
    let found = store.stored(orders.iter().map(|stored| stored.order).collect()).await.unwrap();
    for stored in orders {
        assert_eq!(found.get(&stored.order), Some(stored));
    }
    let listed = orders.iter().filter(|stored| stored.entry.placed.is_some()).count();
    assert_eq!(store.size().await.unwrap().orders, listed as u64);
    progress
}

#[tokio::test]
async fn a_history_begins_with_what_was_kept_of_another_one() {
    let [place, one, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let checkpoints = kept_in(place.path());
    let store = history(one.path(), 0..20_000).await;
    apply(&store, vec![unplaced(30_000)]).await;
    let kept = keep_history(&checkpoints, &store).await;
    assert_eq!((kept.number, kept.packs_written, kept.packs_there), (1, 3, 0));
    let manifest = checkpoints.newest(0).await.unwrap().unwrap();
    assert_eq!((manifest.taken(), manifest.orders()), (progress(2).as_of.unwrap(), 20_001));
    let again = fetched(&checkpoints, other.path()).await.unwrap();
    let mut orders: Vec<_> = (0..20_000).map(order).collect();
    orders.push(unplaced(30_000));
    assert_eq!(has(&again, &orders).await, progress(2));
    assert_eq!(files(other.path()).len(), 3, "the database and what SQLite puts beside it");
    // It goes on.
    apply(&again, vec![order(30_000)]).await;
    assert_eq!(again.get(id(30_000)).await.unwrap(), Some(order(30_000).entry));
    // Of an empty history there is a checkpoint, too.
    let (place, one, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let checkpoints = kept_in(place.path());
    keep_history(&checkpoints, &history(one.path(), 0..0).await).await;
    assert_eq!(has(&fetched(&checkpoints, other.path()).await.unwrap(), &[]).await, progress(1));
}

#[tokio::test]
async fn a_checkpoint_says_from_where_a_history_reads_and_how_its_log_is_known() {
    let [place, one] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let checkpoints = kept_in(place.path());
    keep_history(&checkpoints, &history(one.path(), 0..10).await).await;
    let verified = checkpoints.verify_histories().await.unwrap();
    let Whole { manifest, marks } = &verified.whole[0];
    let reads: Vec<_> = manifest.reads().collect();
    let at = |topic, partition, offset| Position { topic, partition, offset };
    assert!(reads.contains(&at(Topic::InventoryEvents, 2, 2)), "behind what is applied: {reads:?}");
    assert!(reads.contains(&at(Topic::UserEvents, 0, 0)), "nothing of it is applied: {reads:?}");
    assert_eq!(marks.iter().map(|mark| mark.at).collect::<Vec<_>>(), [at(Topic::InventoryEvents, 2, 1)]);
    std::fs::remove_file(&packs_in(place.path(), "orders")[0]).unwrap();
    let verified = checkpoints.verify_histories().await.unwrap();
    assert!(verified.whole.is_empty() && verified.refused[0].to_string().contains("orders"), "{verified:?}");
}

#[tokio::test]
async fn only_orders_that_are_new_or_changed_are_written_again() {
    let [place, one, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let checkpoints = kept_in(place.path());
    let store = history(one.path(), 0..4 * OF_PACK - 100).await;
    let first = keep_history(&checkpoints, &store).await;
    assert_eq!((first.packs_written, first.packs_there), (4, 0));
    apply(&store, (40_000..40_010).map(order).collect()).await;
    let second = keep_history(&checkpoints, &store).await;
    assert_eq!((second.packs_written, second.packs_there), (1, 3));
    assert!(second.bytes_written * 3 < first.bytes_written, "{second:?} {first:?}");
    // One of long ago goes on, and the oldest are dropped.
    let mut changed = order(OF_PACK + 77);
    changed.entry.repeated = !changed.entry.repeated;
    apply(&store, vec![changed.clone()]).await;
    assert_eq!(store.expire(kbnt_domain::Timestamp::from_millis(i64::MAX), 50).await, Ok(50));
    let third = keep_history(&checkpoints, &store).await;
    assert_eq!((third.packs_written, third.packs_there), (2, 2));
    // Who begins with it numbers them alike.
    let again = fetched(&checkpoints, other.path()).await.unwrap();
    apply(&again, vec![order(50_000)]).await;
    let fourth = keep_history(&kept_in(place.path()), &again).await;
    assert_eq!((fourth.number, fourth.packs_written, fourth.packs_there), (4, 1, 3));
    assert_eq!(again.get(changed.order).await, Ok(Some(changed.entry)));
    // Three stay, with what they name.
    assert_eq!(packs_in(place.path(), "checkpoints").len(), 3);
    assert_eq!(packs_in(place.path(), "snapshots").len(), 3);
    assert_eq!(packs_in(place.path(), "orders").len(), 4 + 2 + 1);
}

#[tokio::test]
async fn packs_of_which_all_orders_were_dropped_leave_a_gap() {
    let [place, one, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let checkpoints = kept_in(place.path());
    let store = history(one.path(), 0..3 * OF_PACK).await;
    let connection = rusqlite::Connection::open(one.path().join("history.sqlite")).unwrap();
    let dropped = format!("DELETE FROM orders WHERE no >= {OF_PACK} AND no < {};", 2 * OF_PACK);
    let products = "DELETE FROM products WHERE id NOT IN (SELECT id FROM orders);";
    let counted = "UPDATE progress SET orders = (SELECT count(*) FROM orders);";
    connection.execute_batch(&[&dropped, products, counted].concat()).unwrap();
    keep_history(&checkpoints, &store).await;
    let manifest = checkpoints.newest(0).await.unwrap().unwrap();
    let firsts: Vec<u64> = manifest.packs.iter().map(|pack| pack.first).collect();
    assert_eq!(firsts, [1, u64::from(2 * OF_PACK), u64::from(3 * OF_PACK)]);
    let again = fetched(&checkpoints, other.path()).await.unwrap();
    let numbers = (0..OF_PACK - 1).chain(2 * OF_PACK - 1..3 * OF_PACK);
    has(&again, &numbers.map(order).collect::<Vec<_>>()).await;

    // But they come one after the other, and are those of a history.
    let path = packs_in(place.path(), "checkpoints").pop().unwrap();
    let forgeries: [fn(&mut Manifest); 4] = [
        |manifest| manifest.packs.swap(0, 1),
        |manifest| manifest.packs[1].first = 5,
        |manifest| manifest.packs[0].chunks = Some("0".repeat(64)),
        |manifest| manifest.first = u64::MAX,
    ];
    for forgery in forgeries {
        let mut forged = manifest.clone();
        forgery(&mut forged);
        std::fs::write(&path, forged.sealed()).unwrap();
        let error = checkpoints.newest(0).await.unwrap_err().to_string();
        assert!(error.contains("its packs are none"), "{error}");
    }
}

#[tokio::test]
async fn whatever_is_missing_or_altered_is_found_and_nothing_is_left_of_it() {
    let [place, one] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let checkpoints = kept_in(place.path());
    keep_history(&checkpoints, &history(one.path(), 0..OF_PACK + 10).await).await;
    let objects = [packs_in(place.path(), "snapshots"), packs_in(place.path(), "orders")].concat();
    assert_eq!(objects.len(), 3);
    for object in &objects {
        let whole = std::fs::read(object).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [None, Some(&flipped[..]), Some(&whole[..whole.len() - 1]), Some(&[])] {
            match damaged {
                None => std::fs::remove_file(object).unwrap(),
                Some(bytes) => std::fs::write(object, bytes).unwrap(),
            }
            let into = tempfile::tempdir().unwrap();
            let error = fetched(&checkpoints, into.path()).await.map(drop).unwrap_err();
            assert!(matches!(error, CheckpointError::Place(_)), "{error}");
            assert_eq!(files(into.path()), Vec::<String>::new());
        }
        std::fs::write(object, whole).unwrap();
    }
    let into = tempfile::tempdir().unwrap();
    assert!(fetched(&checkpoints, into.path()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_copied_while_batches_are_applied_is_of_one_moment() {
    let [place, one] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let store = history(one.path(), 0..3 * OF_PACK).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (writer, stop) = (store.clone(), Arc::clone(&is_over));
    // Batch n adds an order and changes one in every pack.
    let version = |n: u32, revision: u64| {
        let mut stored = order(n);
        stored.entry.events[0].offset = revision;
        stored
    };
    let changed = move |revision: u64| (0..3).map(move |pack| version(pack * OF_PACK + 5, revision));
    let task = tokio::spawn(async move {
        let mut revision = 1;
        while !stop.load(Ordering::Relaxed) {
            revision += 1;
            let new = order(100_000 + u32::try_from(revision).unwrap());
            let orders = changed(revision).chain([new]).collect();
            writer.apply(Batch { orders, progress: progress(revision) }).await.unwrap();
        }
        revision
    });
    let checkpoints = kept_in(place.path());
    let mut seen = Vec::new();
    for _ in 0..5 {
        keep_history(&checkpoints, &store).await;
        let into = tempfile::tempdir().unwrap();
        let again = fetched(&checkpoints, into.path()).await.unwrap();
        let revision = again.progress().await.unwrap().revision;
        let orders: Vec<_> = changed(revision)
            .filter(|_| revision > 1)
            .chain((2..=revision).map(|n| order(100_000 + u32::try_from(n).unwrap())))
            .collect();
        let found = again.stored(orders.iter().map(|stored| stored.order).collect()).await.unwrap();
        for stored in &orders {
            assert_eq!(found.get(&stored.order), Some(stored), "at {revision}");
        }
        assert_eq!(again.size().await.unwrap().orders, u64::from(3 * OF_PACK) + revision - 1);
        seen.push(revision);
    }
    is_over.store(true, Ordering::Relaxed);
    let last = task.await.unwrap();
    assert!(seen.is_sorted_by(|one, next| one < next), "it went on while it was copied: {seen:?}");
    assert!(seen.iter().all(|revision| *revision < last), "{seen:?} {last}");
}

/// Does something with a history at each write to the place.
fn meanwhile(
    place: &Path,
    store: &SqliteHistory,
    work: impl AsyncFn(&SqliteHistory, &str) + Copy + Send + Sync + 'static,
) -> Checkpoints {
    let store = store.clone();
    let place = faulty(place, move |at, bytes| {
        let (store, at) = (store.clone(), at.as_ref().to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(work(&store, &at));
        });
        thread.join().map_err(|_| failed())?;
        Ok(bytes)
    });
    Checkpoints::new(Place::of(place), Service::Order)
}

/// Moves the write-ahead log of a history into the database, as `SQLite` does now and then; whether somebody holds it.
fn moved(directory: &Path) -> i64 {
    let connection = rusqlite::Connection::open(directory.join("history.sqlite")).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_copy_is_given_up_when_too_much_waits_for_it_and_the_next_one_goes_on_with_it() {
    let [place, one] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let store = history(one.path(), 0..3 * OF_PACK).await;
    assert_eq!(moved(one.path()), 0);
    let mut checkpoints = meanwhile(place.path(), &store, async |store, at| {
        if at.contains("orders") {
            let revision = u32::try_from(store.progress().await.unwrap().revision).unwrap();
            let from = 100_000 + revision * 1_000;
            apply(store, (from..from + 1_000).map(order).collect()).await;
        }
    });
    checkpoints.waiting_most = 1 << 20;
    let error = checkpoints.keep_history(&store).await.unwrap_err();
    let CheckpointError::Overtaken(bytes) = error else { panic!("{error}") };
    assert!(bytes > 1 << 20);
    assert_eq!(checkpoints.newest(0).await.unwrap(), None);
    // Nothing is held any more: the log on disk can be moved into the database.
    assert_eq!(moved(one.path()), 0);
    let written = packs_in(place.path(), "orders").len() as u64;
    assert!((1..3).contains(&written), "{written}");
    let kept = keep_history(&kept_in(place.path()), &store).await;
    assert_eq!((kept.number, kept.packs_there), (1, written), "what is whole is not written again");
    let into = tempfile::tempdir().unwrap();
    let again = fetched(&kept_in(place.path()), into.path()).await.unwrap();
    assert_eq!(again.progress().await, store.progress().await);
}

#[tokio::test]
async fn a_history_that_is_set_aside_while_it_is_copied_is_not_kept() {
    let [place, one] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let store = history(one.path(), 0..10).await;
    let checkpoints = meanwhile(place.path(), &store, async |store, at| {
        if at.contains("orders") {
            store.reset().await.unwrap();
        }
    });
    let error = checkpoints.keep_history(&store).await.unwrap_err();
    assert!(matches!(error, CheckpointError::History(HistoryError::Unavailable(_))), "{error}");
    assert_eq!(checkpoints.newest(0).await.unwrap(), None);
}

#[tokio::test]
async fn a_row_that_is_not_what_was_written_is_not_kept() {
    let [place, one] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let store = history(one.path(), 0..10).await;
    let connection = rusqlite::Connection::open(one.path().join("history.sqlite")).unwrap();
    connection.execute("UPDATE orders SET row = x'0102030405' WHERE no = 5", []).unwrap();
    let checkpoints = kept_in(place.path());
    let error = checkpoints.keep_history(&store).await.unwrap_err();
    assert!(matches!(error, CheckpointError::History(HistoryError::Damaged(_))), "{error}");
    assert_eq!(checkpoints.newest(0).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_histories_at_the_same_time_one_is_kept_whole() {
    let [place, one, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let stores = [history(one.path(), 0..OF_PACK + 9).await, history(other.path(), 7..OF_PACK + 20).await];
    let mut wins = 0;
    for round in 0..10 {
        let writers = [kept_in(place.path()), kept_in(place.path())];
        let (first, second) =
            tokio::join!(writers[0].keep_history(&stores[0]), writers[1].keep_history(&stores[1]));
        for done in [&first, &second] {
            match done {
                Ok(_) => wins += 1,
                Err(error) => assert!(matches!(error, CheckpointError::Raced(_)), "{error}"),
            }
        }
        assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
        let manifest = writers[0].newest(0).await.unwrap().unwrap();
        assert_eq!(manifest.number(), wins, "in round {round}");
        let into = tempfile::tempdir().unwrap();
        let again = fetched(&writers[0], into.path()).await.unwrap();
        let is_first = again.get(id(0)).await.unwrap_or_default().is_some() || {
            again.progress().await.unwrap();
            again.get(id(0)).await.unwrap().is_some()
        };
        let numbers = if is_first { 0..OF_PACK + 9 } else { 7..OF_PACK + 20 };
        has(&again, &numbers.map(order).collect::<Vec<_>>()).await;
    }
    assert_eq!(packs_in(place.path(), "checkpoints").len(), 3);
}

/// A history in a directory with checkpoints in a place, as often as can be.
fn checkpointed(directory: &Path, place: &Path) -> (CheckpointedHistory, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let store = SqliteHistory::new(directory.to_owned());
    (CheckpointedHistory::new(store, kept_in(place), Duration::ZERO, Arc::clone(&metrics)), metrics)
}

/// The progress after so many batches, as of some time.
fn progress_as_of(revision: u64, millis: i64) -> Progress {
    Progress { as_of: Some(Timestamp::from_millis(millis)), ..progress(revision) }
}

/// Applies batches of one order each, at later and later times, until there is a checkpoint after this one; returns its revision.
async fn kept_after(store: &CheckpointedHistory, place: &Path, number: u64) {
    let give_up = Instant::now() + Duration::from_mins(1);
    loop {
        let revision = store.progress().await.unwrap().revision + 1;
        let as_of = 1_800_000_000_000 + revision.cast_signed();
        let orders = vec![order(u32::try_from(revision).unwrap())];
        store.apply(Batch { orders, progress: progress_as_of(revision, as_of) }).await.unwrap();
        let newest = kept_in(place).newest(0).await.unwrap();
        if newest.is_some_and(|newest| newest.number() > number) {
            return;
        }
        assert!(Instant::now() < give_up, "no checkpoint after {number}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_start_without_a_history_begins_with_the_newest_checkpoint_that_is_of_use() {
    let [place, one] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (store, metrics) = checkpointed(one.path(), place.path());
    assert_eq!(store.progress().await, Ok(Progress::default()));
    for number in 0..3 {
        kept_after(&store, place.path(), number).await;
    }
    let told = metrics.render();
    assert!(told.contains("kbnt_checkpoints_total{outcome=\"kept\",service=\"order-service\"}"), "{told}");
    assert!(told.contains("kbnt_history_applied_timestamp_seconds{service=\"order-service\"} 1800000000"));
    let local = store.progress().await.unwrap();
    drop(store);
    let numbers = [0, 1, 2].map(|skip| {
        let kept = kept_in(place.path());
        async move { kept.newest(skip).await.unwrap().unwrap().number() }
    });
    let [newest, second, _] = futures::future::join_all(numbers).await.try_into().unwrap();
    assert!(newest > second);

    // What is on disk counts first.
    let (store, _) = checkpointed(one.path(), place.path());
    assert_eq!(store.progress().await.unwrap().revision, local.revision);
    drop(store);
    // An empty disk begins with the newest one, and so does a database to which nothing was applied.
    let other = tempfile::tempdir().unwrap();
    SqliteHistory::new(other.path().to_owned()).progress().await.unwrap();
    let (store, metrics) = checkpointed(other.path(), place.path());
    let begun = store.progress().await.unwrap();
    assert!(begun.revision > 0 && begun.revision <= local.revision);
    assert!(
        metrics.render().contains("kbnt_checkpoints_total{outcome=\"fetched\",service=\"order-service\"} 1")
    );
    // It is of another log: the one before is tried, and the one before that; then all is read from the log.
    let mut revisions = vec![begun.revision];
    for _ in 0..2 {
        store.reset().await.unwrap();
        revisions.push(store.progress().await.unwrap().revision);
    }
    // Two may be of the same moment: one was kept while the batch was applied that led to the other.
    assert!(revisions.is_sorted_by(|one, next| one >= next) && revisions[0] > revisions[2], "{revisions:?}");
    store.reset().await.unwrap();
    assert_eq!(store.progress().await, Ok(Progress::default()));
    // Whatever cannot be read is passed over.
    let manifests = packs_in(place.path(), "checkpoints");
    std::fs::write(manifests.last().unwrap(), "{").unwrap();
    let third = tempfile::tempdir().unwrap();
    let (store, _) = checkpointed(third.path(), place.path());
    assert_eq!(store.progress().await.unwrap().revision, revisions[1]);
}

#[tokio::test]
async fn while_one_process_keeps_checkpoints_others_leave_it_to_that_one() {
    let [place, one, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (first, second) = (Arc::new(Metrics::new().unwrap()), Arc::new(Metrics::new().unwrap()));
    let hour = Duration::from_hours(1);
    let keeper = |metrics: &Arc<Metrics>| Pace::new(Service::Order, hour, Arc::clone(metrics)).by_turns();
    let (first, second) = (keeper(&first), keeper(&second));
    let checkpoints = kept_in(place.path());
    let (mine, theirs) = (history(one.path(), 0..10).await, history(other.path(), 0..10).await);
    let at = |minutes: i64| Timestamp::from_millis(progress(1).as_of.unwrap().as_millis() + minutes * 60_000);
    assert!(first.keep(&checkpoints, at(0), checkpoints.keep_history(&mine)).await);
    assert!(!first.keep(&checkpoints, at(59), checkpoints.keep_history(&mine)).await, "it is young");
    assert!(
        !second.keep(&checkpoints, at(61), checkpoints.keep_history(&theirs)).await,
        "the other one's turn"
    );
    assert!(first.keep(&checkpoints, at(61), checkpoints.keep_history(&mine)).await);
    assert!(!second.keep(&checkpoints, at(119), checkpoints.keep_history(&theirs)).await);
    // The other one is gone.
    assert!(second.keep(&checkpoints, at(121), checkpoints.keep_history(&theirs)).await);
    assert!(
        !first.keep(&checkpoints, at(119), checkpoints.keep_history(&mine)).await,
        "it takes turns itself"
    );
}

#[tokio::test]
async fn a_history_that_is_being_built_is_not_kept() {
    let [place, one] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (store, _) = checkpointed(one.path(), place.path());
    store.progress().await.unwrap();
    for revision in 1..=3 {
        let progress = Progress { as_of: None, ..progress(revision) };
        store.apply(Batch { orders: vec![order(1)], progress }).await.unwrap();
    }
    // It goes on where it was at its last stop, and has not reached the end of the log since.
    drop(store);
    let (store, _) = checkpointed(one.path(), place.path());
    let opened = store.progress().await.unwrap();
    store
        .apply(Batch { orders: vec![order(2)], progress: Progress { as_of: opened.as_of, ..progress(4) } })
        .await
        .unwrap();
    tokio::task::yield_now().await;
    assert_eq!(files(place.path()), Vec::<String>::new());
    kept_after(&store, place.path(), 0).await;
}
