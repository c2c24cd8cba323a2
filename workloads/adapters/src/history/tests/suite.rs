//! What holds of every store, and is tested on each.

use std::sync::Arc;

use kbnt_application::history::{Batch, Filter, Search, StoredOrder};
use kbnt_application::ports::HistoryError;
use kbnt_domain::order::OrderStatus;

use super::{Place, id, open, order, placed_at, progress, store, unplaced};

/// Runs each test on a kind of place, with an attribute.
macro_rules! tested_on {
    ($kind:ident: $place:ty, $attribute:tt) => {
        tested_on! { $kind: $place, $attribute,
            suite::what_is_applied_is_there_after_a_restart_with_its_progress,
            suite::a_batch_that_does_not_follow_changes_nothing,
            suite::an_order_is_stored_and_found_as_it_was_last,
            suite::orders_that_are_old_and_have_ended_are_dropped_some_at_a_time,
            suite::nothing_is_read_before_it_is_opened_and_checked,
            searches::every_search_finds_what_a_look_at_all_orders_finds,
            searches::pages_neither_skip_nor_repeat_while_orders_come_and_change,
            searches::a_page_ends_when_enough_orders_were_looked_at,
        }
    };
    ($kind:ident: $place:ty, $attribute:tt, $($module:ident::$test:ident),+ $(,)?) => {
        mod $kind {
            $(
                #[tokio::test]
                #$attribute
                async fn $test() {
                    super::super::$module::$test::<$place>().await;
                }
            )+
        }
    };
}

tested_on!(sqlite: crate::history::tests::Directory, [cfg(test)]);
tested_on!(postgres: crate::history::tests::postgres::Database, [ignore = "needs KBNT_TEST_POSTGRES"]);

pub(super) async fn what_is_applied_is_there_after_a_restart_with_its_progress<P: Place>() {
    let place = P::make().await;
    let orders: Vec<StoredOrder> = (0..100).map(order).collect();
    drop(store(&place, &orders).await);
    let store = store(&place, &[unplaced(200)]).await;
    assert_eq!(store.progress().await, Ok(progress(4)));
    for stored in &orders {
        assert_eq!(store.get(stored.order).await, Ok(Some(stored.entry.clone())));
    }
    assert_eq!(store.get(id(200)).await, Ok(Some(unplaced(200).entry)));
    assert_eq!(store.get(id(201)).await, Ok(None));
    let known = store.stored(vec![id(5), id(200), id(201)]).await.unwrap();
    assert_eq!((known.len(), &known[&id(200)]), (2, &unplaced(200)));
    let size = store.size().await.unwrap();
    assert_eq!(size.orders, 100);
    assert!(size.bytes > 10_000);
}

pub(super) async fn a_batch_that_does_not_follow_changes_nothing<P: Place>() {
    let place = P::make().await;
    let store = store(&place, &[order(1)]).await;
    for revision in [0, 1, 3] {
        let batch = Batch { orders: vec![order(2)], progress: progress(revision) };
        assert_eq!(store.apply(batch).await, Err(HistoryError::Conflict));
    }
    assert_eq!((store.get(id(2)).await, store.progress().await), (Ok(None), Ok(progress(1))));
}

pub(super) async fn an_order_is_stored_and_found_as_it_was_last<P: Place>() {
    let place = P::make().await;
    let store = store(&place, &[unplaced(1), order(4)]).await;
    let by = |status, product: &str| {
        let filter = Filter { status, product: product.parse().ok(), ..Filter::default() };
        let store = Arc::clone(&store);
        async move {
            let page = store.search(Search { filter, limit: 9, after: None }).await.unwrap();
            page.orders.iter().map(|view| view.order).collect::<Vec<_>>()
        }
    };
    assert_eq!(by(None, "PROD-000").await, [id(4)]);
    assert_eq!(store.size().await.unwrap().orders, 1, "what was not placed is not listed");
    for revision in [2, 3] {
        // The second time it changes nothing.
        let mut ended = order(4);
        ended.entry.status = OrderStatus::Rejected;
        let batch = Batch { orders: vec![order(1), ended], progress: progress(revision) };
        store.apply(batch).await.unwrap();
        assert_eq!(store.size().await.unwrap().orders, 2);
        assert_eq!(by(None, "PROD-000").await, [id(4), id(1)]);
        assert_eq!(by(Some(OrderStatus::Rejected), "").await, [id(4)]);
        assert_eq!(by(Some(order(4).entry.status), "").await, []);
        assert_eq!(store.get(id(1)).await, Ok(Some(order(1).entry)));
    }
}

pub(super) async fn orders_that_are_old_and_have_ended_are_dropped_some_at_a_time<P: Place>() {
    let place = P::make().await;
    let mut orders: Vec<StoredOrder> = (0..30).map(order).collect();
    orders.push(unplaced(40));
    let store = store(&place, &orders).await;
    let mut dropped = 0;
    loop {
        let some = store.expire(placed_at(15), 4).await.unwrap();
        dropped += some;
        if some < 4 {
            break;
        }
    }
    let kept = |n: u32| n >= 15 || n.is_multiple_of(4);
    assert_eq!(dropped, (0..30).filter(|n| !kept(*n)).count(), "pending orders stay");
    for n in 0..30 {
        assert_eq!(store.get(id(n)).await.unwrap().is_some(), kept(n), "{n}");
    }
    assert_eq!(store.size().await.unwrap().orders, (0..30).filter(|n| kept(*n)).count() as u64);
    assert_eq!(store.expire(placed_at(3_000), 100).await, Ok(12), "with the one that was never placed");
    drop(store);
    let store = place.open();
    assert!(store.progress().await.is_ok(), "products went with their orders");
}

pub(super) async fn nothing_is_read_before_it_is_opened_and_checked<P: Place>() {
    let place = P::make().await;
    drop(store(&place, &[order(1)]).await);
    let store = place.open();
    assert!(matches!(store.get(id(1)).await, Err(HistoryError::Unavailable(_))));
    open(store.as_ref()).await;
    assert!(store.get(id(1)).await.unwrap().is_some());
}
