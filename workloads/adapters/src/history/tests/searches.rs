//! Every search finds what a look at all orders finds, page by page.

use std::collections::BTreeMap;

use kbnt_application::history::{Batch, Filter, Gathered, LOOKS_MOST, Search, StoredOrder};
use kbnt_application::projections::{Cursor, Page};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{OrderId, Reason};

use super::{Place, id, order, placed_at, progress, store, unplaced};

/// The page, as the rules have it.
fn expected(orders: &[StoredOrder], search: Search) -> Page {
    let listed: BTreeMap<Cursor, &StoredOrder> =
        orders.iter().filter_map(|stored| Some((stored.cursor()?, stored))).collect();
    let after = search.after;
    let mut gathered = Gathered::new(search);
    for (cursor, stored) in listed.into_iter().rev() {
        if after.is_none_or(|after| cursor < after) && !gathered.offer(stored) {
            break;
        }
    }
    gathered.page()
}

fn filters() -> Vec<Filter> {
    let users = [None, Some("USER-3".parse().unwrap()), Some("USER-9".parse().unwrap())];
    let products = [None, Some("PROD-001".parse().unwrap()), Some("PROD-9".parse().unwrap())];
    let statuses = [None, Some(OrderStatus::Pending), Some(OrderStatus::Cancelled)];
    let rests = [
        Filter::default(),
        Filter { reason: Some(Reason::PaymentDeclined), ..Filter::default() },
        Filter { from: Some(placed_at(30)), to: Some(placed_at(60)), ..Filter::default() },
        Filter { least: "20".parse().ok(), most: "70.5".parse().ok(), ..Filter::default() },
    ];
    let mut filters = Vec::new();
    for user in &users {
        for product in &products {
            for status in statuses {
                for rest in &rests {
                    filters.push(Filter {
                        user: user.clone(),
                        product: product.clone(),
                        status,
                        ..rest.clone()
                    });
                }
            }
        }
    }
    filters
}

pub(super) async fn every_search_finds_what_a_look_at_all_orders_finds<P: Place>() {
    let place = P::make().await;
    let mut orders: Vec<StoredOrder> = (0..120).map(order).collect();
    orders.push(unplaced(500));
    let store = store(&place, &orders).await;
    for filter in filters() {
        for limit in [1, 7, 200] {
            let mut after = None;
            loop {
                let search = Search { filter: filter.clone(), limit, after };
                let page = store.search(search.clone()).await.unwrap();
                let expected = expected(&orders, search);
                assert!(page.orders == expected.orders, "{filter:?} {after:?}");
                // By which of them a page ends depends on the index.
                assert_eq!(page.next.is_some(), expected.next.is_some(), "{filter:?} {after:?}");
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
    }
}

pub(super) async fn pages_neither_skip_nor_repeat_while_orders_come_and_change<P: Place>() {
    let place = P::make().await;
    let orders: Vec<StoredOrder> = (0..100).step_by(2).map(order).collect();
    let store = store(&place, &orders).await;
    let (mut seen, mut after, mut revision, mut more) = (Vec::new(), None, 2, 1);
    loop {
        let page = store.search(Search { filter: Filter::default(), limit: 7, after }).await.unwrap();
        seen.extend(page.orders.iter().map(|view| view.order));
        after = page.next;
        if after.is_none() {
            break;
        }
        // New ones everywhere in the list, and one of the old ones moves to another status.
        revision += 1;
        let mut changed = order(more - 1);
        changed.entry.status = OrderStatus::Rejected;
        let batch =
            Batch { orders: vec![order(more), order(100 - more), changed], progress: progress(revision) };
        store.apply(batch).await.unwrap();
        more += 2;
    }
    let mut unique = seen.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), seen.len(), "none twice");
    let before: Vec<OrderId> = (0..100).step_by(2).map(id).collect();
    assert!(before.iter().all(|order| unique.contains(order)), "none skipped");
    let rejected = Filter { status: Some(OrderStatus::Rejected), ..Filter::default() };
    let page = store.search(Search { filter: rejected, limit: 200, after: None }).await.unwrap();
    assert!(page.orders.iter().any(|view| view.order == id(0)), "it is listed under its new status");
}

pub(super) async fn a_page_ends_when_enough_orders_were_looked_at<P: Place>() {
    let place = P::make().await;
    let most = u32::try_from(LOOKS_MOST).unwrap();
    let store = store(&place, &[]).await;
    let orders: Vec<StoredOrder> = (0..=most).map(order).collect();
    store.apply(Batch { orders, progress: progress(1) }).await.unwrap();
    let mut search = Search { limit: 50, ..Search::default() };
    search.filter.reason = Some(Reason::UserNotFound);
    let page = store.search(search.clone()).await.unwrap();
    assert!(page.orders.is_empty());
    assert!(page.next.is_some(), "there is one more to look at");
    search.after = page.next;
    let page = store.search(search).await.unwrap();
    assert!(page.orders.is_empty() && page.next.is_none());
}
