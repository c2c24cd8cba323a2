//! Pages neither skip nor repeat an order, and filters mean what they say.

use std::collections::BTreeSet;

use kbnt_domain::event::Event;
use kbnt_domain::order::OrderStatus::{Confirmed, Pending};
use kbnt_domain::{Currency, Money, OrderId};
use proptest::prelude::*;

use super::{Fold, Log, Store};
use crate::history::{Amount, Filter, LOOKS_MOST, Search, StoredOrder};
use crate::testkit::{at, created, order, placed, reserved};

fn placed_by(n: u128, user: &str, product: &str) -> Event {
    let Event::PlaceOrder(mut command) = placed(n) else { unreachable!() };
    command.basket.user = user.parse().unwrap();
    command.basket.lines[0].product = product.parse().unwrap();
    command.into()
}

/// All pages of the filter, with new orders between them.
fn walk(
    store: &mut Store,
    filter: &Filter,
    limit: usize,
    mut between: impl FnMut(&mut Store),
) -> Vec<OrderId> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.search(Search { filter: filter.clone(), limit, after });
        assert!(page.orders.len() <= limit);
        seen.extend(page.orders.iter().map(|view| view.order));
        let Some(next) = page.next else { return seen };
        assert!(after.is_none_or(|after| next < after), "it goes on");
        after = Some(next);
        between(store);
    }
}

#[test]
fn each_filter_admits_its_orders_only() {
    let mut log = Log::of(1);
    for (n, user, product) in [(1, "ana", "PROD-001"), (2, "ana", "PROD-002"), (3, "bo", "PROD-001")] {
        log.write(1_000 * i64::try_from(n).unwrap(), 1, placed_by(n, user, product));
    }
    log.write(4_000, 1, reserved(2, 9_000));
    log.write(4_000, 1, created(2));
    let mut store = Store::default();
    store.fold(&Fold::default(), &log.records);
    let amount = |text: &str| Some(text.parse().unwrap());
    for (filter, expected) in [
        (Filter::default(), vec![3, 2, 1]),
        (Filter { user: Some("ana".parse().unwrap()), ..Filter::default() }, vec![2, 1]),
        (Filter { product: Some("PROD-001".parse().unwrap()), ..Filter::default() }, vec![3, 1]),
        (Filter { status: Some(Confirmed), ..Filter::default() }, vec![2]),
        (Filter { status: Some(Pending), ..Filter::default() }, vec![3, 1]),
        (Filter { from: Some(at(2_000)), ..Filter::default() }, vec![3, 2]),
        (Filter { to: Some(at(2_000)), ..Filter::default() }, vec![1]),
        (Filter { least: amount("599.99"), ..Filter::default() }, vec![2]),
        (Filter { least: amount("599.9901"), ..Filter::default() }, vec![]),
        (Filter { most: amount("599.99"), ..Filter::default() }, vec![2]),
        (Filter { most: amount("599.98"), ..Filter::default() }, vec![]),
    ] {
        let expected: Vec<OrderId> = expected.into_iter().map(order).collect();
        assert_eq!(walk(&mut store, &filter, 2, |_| ()), expected, "{filter:?}");
    }
}

#[test]
fn a_search_that_finds_little_ends_its_page_and_goes_on_with_the_next() {
    let mut log = Log::of(1);
    let most = u128::try_from(LOOKS_MOST).unwrap();
    for n in 1..=2 * most + 10 {
        log.write(
            i64::try_from(n).unwrap(),
            1,
            placed_by(n, if n == 1 { "rare" } else { "ana" }, "PROD-001"),
        );
    }
    let mut store = Store::default();
    store.fold(&Fold::default(), &log.records);
    let filter = Filter { user: Some("rare".parse().unwrap()), ..Filter::default() };
    let first = store.search(Search { filter: filter.clone(), limit: 10, after: None });
    assert!(first.orders.is_empty() && first.next.is_some());
    assert_eq!(walk(&mut store, &filter, 10, |_| ()), [order(1)]);
}

#[test]
fn amounts_compare_as_numbers_whatever_their_places() {
    let of =
        |minor, code: &str| Amount::of(Money::from_minor(minor, code.parse::<Currency>().unwrap()).unwrap());
    let read = |text: &str| text.parse::<Amount>();
    assert_eq!(read("600"), Ok(of(600, "JPY")));
    assert_eq!(read("600.00"), Ok(of(60_000, "BRL")));
    assert_eq!(read("1.25"), Ok(of(1_250, "KWD")));
    assert!(of(59_999, "BRL") < of(600, "JPY"));
    assert_eq!(read("9999999999999999.9999").unwrap().to_string(), "9999999999999999.9999");
    assert!(of(i64::MAX, "JPY") > read("9999999999999999").unwrap());
    for text in
        ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "1.2.3", "0.00001", "12345678901234567", "\u{661}"]
    {
        assert!(read(text).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Orders that were there at the first page come once each; of those that come meanwhile each comes at most once.
    #[test]
    fn pages_neither_skip_nor_repeat_while_orders_come(
        times in prop::collection::vec(0..50_i64, 1..120),
        late in prop::collection::vec(0..50_i64, 0..60),
        limit in 1..9_usize,
        filtered in any::<bool>(),
    ) {
        let mut log = Log::of(1);
        let user = |n: u128| if n.is_multiple_of(3) { "bo" } else { "ana" };
        let mut n = 0;
        for millis in &times {
            n += 1;
            log.write(*millis, 1, placed_by(n, user(n), "PROD-001"));
        }
        let mut store = Store::default();
        let mut fold = store.fold(&Fold::default(), &log.records);
        let filter = Filter { user: filtered.then(|| "bo".parse().unwrap()), ..Filter::default() };
        let admitted = |store: &Store| -> BTreeSet<OrderId> {
            store.orders.values().filter(|stored: &&StoredOrder| filter.admits(stored)).map(|s| s.order).collect()
        };
        let before = admitted(&store);
        let mut late = late.into_iter();
        let seen = walk(&mut store, &filter, limit, |store| {
            let had = log.records.len();
            for millis in late.by_ref().take(3) {
                n += 1;
                log.write(millis, 1, placed_by(n, user(n), "PROD-001"));
            }
            fold = store.fold(&fold, &log.records[had..]);
        });
        let unique: BTreeSet<OrderId> = seen.iter().copied().collect();
        prop_assert_eq!(unique.len(), seen.len(), "none twice");
        prop_assert!(unique.is_superset(&before), "none skipped");
        prop_assert!(unique.is_subset(&admitted(&store)));
    }
}
