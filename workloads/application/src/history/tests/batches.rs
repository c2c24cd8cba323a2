//! Whatever batches the records come in, the store is the same.

use kbnt_domain::Reason::{InsufficientStock, UserBlocked};
use kbnt_domain::event::CancelKind::{Cancelled, Rejected};
use kbnt_domain::event::{Event, OrderRepeated};
use kbnt_domain::order::OrderStatus;
use proptest::prelude::*;

use super::{Fold, Log, Store};
use crate::machine::Delivered;
use crate::message::{Classification, Topic};
use crate::ports::{Fetched, RawRecord, Unreadable};
use crate::projection::Projection as _;
use crate::projections::{BookLimits, OrderBook};
use crate::testkit::{
    basket, cancelled, confirmed, created, insufficient, order, placed, processed, rejected, reserved, user,
    validated,
};

/// The events of order `n`, by how it ends.
fn story(n: u128) -> Vec<Event> {
    match n % 4 {
        0 => vec![placed(n), validated(n), reserved(n, 9_000), processed(n), confirmed(n), created(n)],
        1 => vec![placed(n), rejected(n, UserBlocked), cancelled(n, Rejected, UserBlocked)],
        2 => vec![
            placed(n),
            validated(n),
            insufficient(n),
            cancelled(n, Cancelled, InsufficientStock),
            placed(n),
            OrderRepeated {
                order: order(n),
                user: user(),
                status: OrderStatus::Cancelled,
                reason: Some(InsufficientStock),
                reservation: None,
                fingerprint: basket().fingerprint(),
            }
            .into(),
        ],
        // Something is heard of it, and it was never placed.
        _ => vec![validated(n), validated(n), validated(n), reserved(n, 9_000)],
    }
}

/// So many orders, one event of each in turn, with a second writer half way; what the first one writes after that does not count.
fn log(orders: u128) -> Log {
    let mut log = Log::of(1);
    let stories: Vec<Vec<Event>> = (0..orders).map(story).collect();
    for step in 0..6 {
        if step == 3 {
            log.elect(2);
        }
        for story in &stories {
            if let Some(event) = story.get(step) {
                let millis = 1_000 + i64::try_from(log.records.len()).unwrap();
                if step == 3 && Classification::of_kind(event.kind()).topic() == Topic::InventoryEvents {
                    log.write(millis, 1, event.clone());
                }
                log.write(millis, if step < 3 { 1 } else { 2 }, event.clone());
            }
        }
    }
    log
}

fn whole(records: &[Delivered]) -> Store {
    let mut store = Store::default();
    store.fold(&Fold::default(), records);
    store
}

/// The store without the number of batches.
fn content(mut store: Store) -> Store {
    store.progress.revision = 0;
    store
}

#[test]
fn it_shows_what_the_read_model_in_memory_shows() {
    let log = log(40);
    let mut fence = crate::fence::TermFence::default();
    let mut book = OrderBook::new(BookLimits::default());
    for record in &log.records {
        if record.at.topic != Topic::InventoryEvents || fence.admits(record) {
            book.apply(record);
        }
    }
    let store = whole(&log.records);
    for n in 0..40 {
        let stored = store.orders.get(&order(n)).and_then(|stored| stored.entry.view(stored.order));
        assert_eq!(stored, book.get(&order(n)), "{n}");
        assert_eq!(stored.is_some(), n % 4 != 3);
    }
    let status = |n| store.orders[&order(n)].entry.status;
    assert_eq!(
        [0, 1, 2].map(status),
        [OrderStatus::Confirmed, OrderStatus::Rejected, OrderStatus::Cancelled]
    );
    assert_eq!(store.orders[&order(0)].products.len(), 1);
    assert!(store.orders[&order(3)].products.is_empty());
}

#[test]
fn records_that_nobody_understands_are_passed_over_and_offsets_without_a_record_too() {
    let log = log(1);
    let command = log.records.iter().find(|record| record.at.topic == Topic::OrderEvents).unwrap();
    let mut at = command.at;
    at.offset += 1;
    let raw = RawRecord::default().into();
    let unreadable = Fetched::Unreadable(Unreadable { at, reason: "odd".into(), raw });
    let fetched = [Fetched::Record(command.clone()), unreadable];
    let mut end = at;
    end.offset += 5;
    let (batch, fold) = Fold::default().batch(&fetched, &[end], std::collections::HashMap::new());
    let reached = &batch.progress.partitions[&(at.topic, at.partition)];
    assert_eq!((reached.next, reached.last.unwrap().at), (end.offset, command.at));
    assert!(fold.positions().contains(&end));
    assert_eq!(fold.positions().len(), 15, "every partition, of most of which nothing is applied");
}

#[test]
fn a_note_that_says_nothing_is_refused() {
    let mut store = whole(&log(4).records);
    assert!(Fold::resume(store.progress.clone()).is_ok());
    store.progress.partitions.get_mut(&(Topic::InventoryEvents, 1)).unwrap().note = "2 w 00".into();
    assert!(Fold::resume(store.progress).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Batches end anywhere, some records come again, and the process starts anew between any two batches.
    #[test]
    fn any_batches_make_the_same_store(
        cuts in prop::collection::vec((1..40_usize, 0..30_usize, any::<bool>()), 1..40),
    ) {
        let records = log(24).records;
        let (mut store, mut fold, mut begin) = (Store::default(), Fold::default(), 0);
        let mut cuts = cuts.into_iter().cycle();
        while begin < records.len() {
            let (length, again, restart) = cuts.next().unwrap();
            let end = records.len().min(begin + length);
            fold = store.fold(&fold, &records[begin.saturating_sub(again)..end]);
            if restart {
                fold = Fold::resume(store.progress.clone()).unwrap();
            }
            begin = end;
        }
        prop_assert_eq!(content(store), content(whole(&records)));
    }

    /// Topics are read side by side, at any pace.
    #[test]
    fn topics_in_any_order_show_the_same_orders(seed in any::<u64>()) {
        let records = log(12).records;
        let mut queues: Vec<std::collections::VecDeque<Delivered>> = Vec::new();
        for topic in OrderBook::TOPICS {
            for partition in 0..3 {
                let of = |record: &&Delivered| (record.at.topic, record.at.partition) == (*topic, partition);
                queues.push(records.iter().filter(of).cloned().collect());
            }
        }
        let (mut shuffled, mut state) = (Vec::new(), seed);
        while queues.iter().any(|queue| !queue.is_empty()) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let chosen = usize::try_from(state >> 33).unwrap() % queues.len();
            shuffled.extend(queues[chosen].pop_front());
        }
        let (there, here) = (whole(&shuffled), whole(&records));
        for n in 0..12 {
            let view = |store: &Store| store.orders.get(&order(n)).and_then(|stored| stored.entry.view(order(n)));
            prop_assert_eq!(view(&there), view(&here));
        }
    }
}

#[test]
fn what_a_cut_has_left_counts_from_its_first_record_on() {
    let mut log = Log::of(1);
    log.elect(2);
    for n in 0..12 {
        log.write(1_000, 2, reserved(n, 9_000));
    }
    // Written by who is fenced.
    for n in 12..24 {
        log.write(1_000, 1, reserved(n, 9_000));
    }
    log.records.retain(|record| record.at.offset >= 2);
    let left: Vec<Fetched> = log.records.iter().cloned().map(Fetched::Record).collect();
    let mut fold = Fold::default();
    let jumps = fold.jumps(&left);
    assert_eq!(jumps.iter().map(|at| at.offset).collect::<Vec<_>>(), [0; 3], "{jumps:?}");
    let mut unaware = Store::default();
    unaware.fold(&fold, &log.records);
    assert!(unaware.orders.is_empty(), "nobody says whose records count");
    for at in jumps {
        fold.begin_at_cut(at.partition);
    }
    let mut store = Store::default();
    let next = store.fold(&fold, &log.records);
    assert!((0..12).all(|n| store.orders.contains_key(&order(n))) && store.orders.len() == 12);
    assert_eq!(next.jumps(&left), []);
}
