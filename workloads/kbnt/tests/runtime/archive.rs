//! A writer that keeps few closed orders in memory: whatever becomes of its archive, it decides on each order once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kbnt_adapters::checkpoints::{CheckpointedSnapshots, Checkpoints};
use kbnt_adapters::closed_orders::FjallArchive;
use kbnt_adapters::metrics::Metrics;
use kbnt_adapters::objects::Place;
use kbnt_adapters::snapshots::{ArchivedSnapshots, SnapshotDirectory};
use kbnt_application::inventory::{ArchiveLimits, Image, InventoryConfig, InventoryMachine};
use kbnt_application::ports::{EventLog, SnapshotStore};
use kbnt_application::{Append, Service, Topic};
use kbnt_domain::event::{Basket, Line, PaymentMethod, UserValidated};
use kbnt_domain::stock::{Portion, ReservationFilter, ReservationPlace, ReservationState};
use kbnt_domain::{Quantity, ReservationId, Span, Timestamp};
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::SnapshotPlan;
use tokio::runtime::Handle;

use crate::support::outside::{Running, declare};
use kbnt_testkit::{append, eventually, order, orders_in};

/// Orders that are asked for; there are units for the first ones.
const ORDERS: u32 = 90;
const UNITS: u64 = 7;

/// The `time`-th request for an order.
fn validated(n: u32, time: u32) -> Append {
    let payment = PaymentMethod { method: "credit_card".into(), token: None };
    let lines = vec![Line { product: "PROD-1".parse().unwrap(), quantity: Quantity::new(1).unwrap() }];
    let basket = Basket { user: "USER-1".parse().unwrap(), lines, payment };
    let placed_at = Timestamp::from_millis(1_767_225_600_000);
    append(&format!("validated/{n}/{time}"), UserValidated { order: order(n), basket, placed_at })
}

struct Directories {
    archive: PathBuf,
    snapshots: PathBuf,
    /// Of checkpoints, if there are any.
    place: Option<PathBuf>,
}

impl Directories {
    fn below(directory: &Path) -> Self {
        Self { archive: directory.join("state"), snapshots: directory.join("snapshots"), place: None }
    }

    /// The snapshots that go with the archive, and the checkpoints of both.
    fn store(&self, archive: Arc<FjallArchive>) -> Arc<dyn SnapshotStore<Image>> {
        let local = SnapshotDirectory::open(&self.snapshots).unwrap();
        let local = Arc::new(ArchivedSnapshots::new(local, Arc::clone(&archive)));
        let Some(place) = &self.place else { return local };
        let (checkpoints, metrics) = (checkpoints(place), Arc::new(Metrics::new().unwrap()));
        let every = Duration::from_millis(20);
        Arc::new(CheckpointedSnapshots::new(
            local,
            checkpoints,
            Some(archive),
            every,
            Handle::current(),
            metrics,
        ))
    }
}

fn checkpoints(place: &Path) -> Checkpoints {
    Checkpoints::new(Place::create(place).unwrap(), Service::Inventory)
}

async fn start(name: &str, log: &EmbeddedLog, directories: &Directories) -> Running<InventoryMachine> {
    // The one before may not have let go of it yet.
    eventually("the archive opens", || async { FjallArchive::open(&directories.archive).is_ok() }).await;
    let archive = Arc::new(FjallArchive::open(&directories.archive).unwrap());
    // The inputs are very old.
    let window = Span::from_minutes(60 * 24 * 365 * 100);
    let config = InventoryConfig { window, ttl: window, ..InventoryConfig::new(name) };
    let machine =
        InventoryMachine::new(config).archiving(archive.clone(), ArchiveLimits { in_memory: 5, chunk: 4 });
    let plan = SnapshotPlan { store: directories.store(archive), every: Duration::from_millis(20) };
    let running = Running::with_snapshots(machine, Arc::new(log.clone()), plan);
    running.ready().await;
    running
}

/// A log in which most orders, of these numbers, were refused, and a snapshot of that.
async fn shop(from: u32, directories: &Directories) -> EmbeddedLog {
    let log = EmbeddedLog::in_memory();
    let first = start("a", &log, directories).await;
    declare(&first, UNITS).await;
    log.append((from..from + ORDERS).map(|n| validated(n, 0)).collect()).await.unwrap();
    let answered = || async { orders_in(&log, Topic::InventoryEvents).await.len() == ORDERS as usize };
    eventually("all are answered", answered).await;
    let closed = u64::from(ORDERS) - UNITS;
    let kept = || async {
        let store = SnapshotDirectory::<Image>::open(&directories.snapshots).unwrap();
        let snapshot = store.load(0);
        snapshot.is_some_and(|snapshot| {
            let ledger = snapshot.unwrap().image.ledger;
            let archived: u64 = ledger.archived.iter().map(|chunk| u64::from(chunk.orders)).sum();
            ledger.ended.len() < 9 && archived + ledger.ended.len() as u64 == closed
        })
    };
    eventually("a snapshot is kept, with most orders in the archive", kept).await;
    if let Some(place) = &directories.place {
        let all = || async {
            let newest = checkpoints(place).newest(0).await.unwrap();
            newest.is_some_and(|newest| newest.orders() + 9 > closed)
        };
        eventually("a checkpoint is kept", all).await;
    }
    first.kill().await;
    log
}

/// All orders are asked for once more, now that there are units for them.
async fn ask_again(running: &Running<InventoryMachine>, log: &EmbeddedLog, time: u32) {
    declare(running, 1_000).await;
    let before = orders_in(log, Topic::InventoryEvents).await;
    let again = (0..ORDERS).map(|n| validated(n, time)).chain([validated(1_000 + time, 0)]).collect();
    log.append(again).await.unwrap();
    let reserved = || async { running.look(|machine| machine.summary().totals.reserved).await };
    let all = || async { reserved().await == UNITS + u64::from(time) };
    eventually("the new order is reserved", all).await;
    let repeated = || async { running.look(|machine| machine.counts().repeated).await >= u64::from(ORDERS) };
    eventually("the others are repeated", repeated).await;
    assert_eq!(reserved().await, UNITS + u64::from(time));
    let mut after = orders_in(log, Topic::InventoryEvents).await;
    assert_eq!(after.remove(&order(1_000 + time)), Some(1));
    assert_eq!(before, after, "nothing more was decided");
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_in_the_archive_are_known_whatever_became_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let directories = Directories::below(directory.path());
    let log = shop(0, &directories).await;

    let second = start("b", &log, &directories).await;
    assert_eq!(second.observed.snapshots(), ["restored 0"]);
    ask_again(&second, &log, 1).await;
    second.kill().await;

    fs::remove_dir_all(&directories.archive).unwrap();
    let third = start("c", &log, &directories).await;
    assert!(third.observed.snapshots().iter().take(2).all(|outcome| outcome.starts_with("refused")), "lost");
    ask_again(&third, &log, 2).await;
    third.kill().await;

    for file in files(&directories.archive) {
        let bytes = fs::read(&file).unwrap();
        fs::write(file, bytes.iter().map(|byte| byte ^ 0x10).collect::<Vec<_>>()).unwrap();
    }
    let fourth = start("d", &log, &directories).await;
    assert!(
        fourth.observed.snapshots().iter().take(2).all(|outcome| outcome.starts_with("refused")),
        "altered"
    );
    ask_again(&fourth, &log, 3).await;
    fourth.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_that_are_archived_are_listed_and_found() {
    let directory = tempfile::tempdir().unwrap();
    let directories = Directories::below(directory.path());
    let log = EmbeddedLog::in_memory();
    let running = start("a", &log, &directories).await;
    declare(&running, 1_000).await;
    log.append((0..ORDERS).map(|n| validated(n, 0)).collect()).await.unwrap();
    let reserved = |units: u64| {
        let running = &running;
        move || async move { running.look(|machine| machine.summary().totals.reserved).await == units }
    };
    eventually("all are reserved", reserved(u64::from(ORDERS))).await;
    let cancel = |n| kbnt_domain::event::OrderCancelRequested { order: order(n) };
    log.append((0..ORDERS).map(|n| append(&format!("cancel/{n}"), cancel(n))).collect()).await.unwrap();
    eventually("all are released", reserved(0)).await;
    let list = |machine: &mut InventoryMachine, _: &mut _| {
        let filter = ReservationFilter { product: None, state: Some(ReservationState::Released) };
        let (mut found, mut next) = (Vec::new(), Some(ReservationPlace::default()));
        while let Some(from) = next {
            let page = machine.list_reservations(&filter, from, Portion { most: 7, looks: 11 });
            found.extend(page.found);
            next = page.next;
        }
        found
    };
    let found = running.handle.call(list).await.unwrap();
    let mut orders: Vec<_> = found.iter().map(|view| view.order).collect();
    orders.sort_unstable();
    let mut all: Vec<_> = (0..ORDERS).map(order).collect();
    all.sort_unstable();
    assert_eq!(orders, all, "each once");
    for view in found {
        let id = view.reservation;
        let one = running.handle.call(move |machine, _| machine.find_reservation(id)).await.unwrap();
        assert_eq!(one, Some(view));
    }
    running.stop().await.unwrap();
}

/// A log, and a checkpoint of all its orders.
async fn kept(from: u32, directory: &Path) -> (EmbeddedLog, PathBuf) {
    let place = directory.join("place");
    let log = shop(from, &Directories { place: Some(place.clone()), ..Directories::below(directory) }).await;
    (log, place)
}

/// Of an empty disk, with checkpoints in this place.
fn empty(directory: &Path, place: &Path) -> Directories {
    Directories { place: Some(place.to_owned()), ..Directories::below(directory) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_an_empty_disk_begins_with_a_checkpoint() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, place) = kept(0, directory.path()).await;
    let second = start("b", &log, &empty(other.path(), &place)).await;
    assert_eq!(second.observed.snapshots(), ["restored 0"]);
    assert!(second.observed.recovered() < u64::from(ORDERS) / 2, "{}", second.observed.recovered());
    ask_again(&second, &log, 1).await;
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_checkpoints_are_refused_and_the_log_is_folded() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, place) = kept(0, directory.path()).await;
    for pack in files(&place).into_iter().filter(|file| file.extension().is_some_and(|end| end == "pack")) {
        let mut bytes = fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(pack, bytes).unwrap();
    }
    let second = start("b", &log, &empty(other.path(), &place)).await;
    let refused = second.observed.snapshots();
    assert!(
        !refused.is_empty() && refused.iter().all(|outcome| outcome.starts_with("refused")),
        "{refused:?}"
    );
    ask_again(&second, &log, 1).await;
    // The next checkpoint is whole again.
    let whole = || async {
        let newest = checkpoints(&place).newest(0).await.unwrap().unwrap();
        let archive = FjallArchive::open(&other.path().join(newest.number().to_string())).unwrap();
        checkpoints(&place).fetch(&newest, Some(&archive)).await.is_ok()
    };
    eventually("a whole checkpoint is kept", whole).await;
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_another_log_is_refused() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, place) = kept(0, directory.path()).await;
    let (log, _) = kept(500, other.path()).await;
    let empty_disk = tempfile::tempdir().unwrap();
    let second = start("b", &log, &empty(empty_disk.path(), &place)).await;
    let refused = second.observed.snapshots();
    assert!(
        !refused.is_empty() && refused.iter().all(|outcome| outcome.starts_with("refused")),
        "{refused:?}"
    );
    let reserved = second
        .look(|machine| [1, 501].map(|n| machine.reservation(ReservationId::derive(&order(n), 0)).is_some()));
    assert_eq!(reserved.await, [false, true], "what is in this log, and not what was in the other one");
    second.stop().await.unwrap();
}
