//! Declaring stock, what is freed and when it counts, and low-stock alerts.

use crate::shop::{Shop, TTL, WINDOW, at, declaration, money};
use kbnt_domain::Reason;
use kbnt_domain::event::{Event, Level, StockDeclared};
use kbnt_domain::stock::{
    Declaration, DeclareError, Ledger, Outcome, Portion, SOURCES_MOST, StockFilter, StockTerms, UNITS_MOST,
};

#[test]
fn receipts_are_cumulative_by_source() {
    let mut shop = Shop::with(&[("A", 100)]);
    shop.declare(&declaration("A", 150)).unwrap();
    let Event::StockDeclared(declared) = shop.only() else { panic!() };
    assert_eq!((declared.received, declared.level.real), (150, 150));
    shop.declare(&declaration("A", 150)).unwrap();
    assert!(shop.emitted().is_empty());
    let other = Declaration { source: "other".parse().unwrap(), ..declaration("A", 7) };
    let level = shop.declare(&other).unwrap();
    assert_eq!(level.level.real, 157);
    let received: Vec<_> = level.received.iter().map(|(source, units)| (source.as_str(), *units)).collect();
    assert_eq!(received, [("other", 7), ("test", 150)]);
    shop.reserve(1, &[("A", 50)]);
    shop.pay(1, "500.00");
    assert_eq!(shop.level("A"), (107, 0, 107));
    shop.declare(&declaration("A", 150)).unwrap();
    assert_eq!(shop.level("A"), (107, 0, 107));
}

#[test]
fn the_sources_of_a_product_are_bounded_and_more_of_an_old_log_count_on() {
    let mut shop = Shop::with(&[("A", 1)]);
    let from = |number: usize, received| Declaration {
        source: format!("source-{number}").parse().unwrap(),
        ..declaration("A", received)
    };
    for number in 1..SOURCES_MOST {
        shop.declare(&from(number, 1)).unwrap();
    }
    shop.emitted();
    let refused = shop.declare(&from(SOURCES_MOST, 1));
    assert!(matches!(refused, Err(DeclareError::TooManySources { .. })), "{refused:?}");
    assert!(shop.emitted().is_empty());
    assert_eq!(shop.declare(&from(1, 3)).unwrap().level.real, SOURCES_MOST as u64 + 2, "known ones go on");
    shop.declare(&Declaration { source: "new".parse().unwrap(), ..declaration("B", 1) }).unwrap();

    let mut ledger = Ledger::new(StockTerms { ttl: TTL, window: WINDOW, low_stock_threshold: 0 });
    for number in 0..SOURCES_MOST + 10 {
        let Declaration { product, name, unit_price, received, source, .. } = from(number, 2);
        let level = Level { real: 2, reserved: 0 };
        let event =
            StockDeclared { product, name, unit_price, low_stock_threshold: 0, source, received, level };
        ledger.recover(&event.into(), at(0));
    }
    ledger.open(at(0), &mut Vec::new());
    assert_eq!(ledger.level(&"A".parse().unwrap()).unwrap().level.real, 2 * (SOURCES_MOST as u64 + 10));
    assert!(ledger.declare(&from(SOURCES_MOST + 9, 5), at(0), &mut Vec::new()).is_ok());
}

#[test]
fn portions_of_the_products_show_each_once_in_order() {
    let shop = Shop::with(&[("B", 1), ("D", 1), ("A", 1), ("C", 1)]);
    for portion in [Portion { most: 1, looks: 9 }, Portion { most: 3, looks: 2 }, Portion::ALL] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = shop.ledger.level_page(&StockFilter::default(), after.as_ref(), portion);
            assert!(page.levels.len() <= portion.most.min(portion.looks));
            seen.extend(page.levels.iter().map(|level| level.product.to_string()));
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        assert_eq!(seen, ["A", "B", "C", "D"], "{portion:?}");
    }
    let of = |source: &str| StockFilter { source: Some(source.parse().unwrap()) };
    assert_eq!(shop.ledger.level_page(&of("test"), None, Portion::ALL).levels.len(), 4);
    assert!(shop.ledger.level_page(&of("other"), None, Portion::ALL).levels.is_empty());
}

#[test]
fn a_write_off_never_takes_what_is_promised_or_sold() {
    let mut shop = Shop::with(&[("A", 10)]);
    shop.reserve(1, &[("A", 3)]);
    shop.pay(1, "30.00");
    shop.reserve(2, &[("A", 2)]);
    shop.log.clear();
    let refused = shop.declare(&declaration("A", 4)).unwrap_err();
    let DeclareError::WriteOffRefused { received, declared, available, .. } = refused else { panic!() };
    assert_eq!((received, declared, available), (10, 4, 5));
    assert!(shop.emitted().is_empty());
    shop.declare(&declaration("A", 5)).unwrap();
    assert_eq!(shop.level("A"), (2, 2, 0));
}

#[test]
fn a_source_writes_off_only_its_own() {
    let mut shop = Shop::with(&[("A", 10)]);
    let other = Declaration { source: "other".parse().unwrap(), ..declaration("A", 0) };
    shop.declare(&other).unwrap();
    assert_eq!(shop.level("A"), (10, 0, 10));
}

#[test]
fn there_is_a_most() {
    let mut shop = Shop::with(&[("A", UNITS_MOST - 1)]);
    let other = |received| Declaration { source: "other".parse().unwrap(), ..declaration("A", received) };
    assert!(matches!(shop.declare(&other(2)), Err(DeclareError::TooMany { .. })));
    assert!(matches!(shop.declare(&other(u64::MAX)), Err(DeclareError::TooMany { .. })));
    shop.declare(&other(1)).unwrap();
    assert_eq!(shop.level("A").0, UNITS_MOST);
}

#[test]
fn name_price_and_threshold_change_without_units() {
    let mut shop = Shop::with(&[("A", 10)]);
    let changed = Declaration { name: "Other".into(), unit_price: money("1.00"), ..declaration("A", 10) };
    let level = shop.declare(&changed).unwrap();
    assert_eq!((&*level.name, level.unit_price), ("Other", money("1.00")));
    shop.declare(&Declaration { low_stock_threshold: Some(3), ..changed.clone() }).unwrap();
    assert_eq!(shop.emitted(), ["declared", "declared"]);
    // No threshold keeps what is set.
    let level = shop.declare(&Declaration { low_stock_threshold: None, ..changed }).unwrap();
    assert_eq!(level.low_stock_threshold, 3);
    assert!(shop.emitted().is_empty());
}

#[test]
fn what_is_freed_counts_once_it_is_safe() {
    let mut shop = Shop::with(&[("A", 2)]);
    shop.settles = false;
    shop.reserve(1, &[("A", 2)]);
    shop.fail(1, Reason::PaymentDeclined);
    assert_eq!(shop.level("A"), (2, 0, 2));
    assert_eq!(shop.reserve(2, &[("A", 1)]), Outcome::Waits);
    // More than there will be is refused at once.
    assert_eq!(shop.reserve(3, &[("A", 3)]), Outcome::Decided);
    assert!(matches!(shop.declare(&declaration("A", 1)), Err(DeclareError::Unsettled { .. })));
    let credits = shop.open.clone();
    shop.settle();
    assert_eq!(shop.reserve(2, &[("A", 1)]), Outcome::Decided);
    // Settling again frees nothing more.
    shop.open = credits;
    shop.settle();
    shop.declare(&declaration("A", 1)).unwrap();
    assert_eq!(shop.level("A"), (1, 1, 0));
}

#[test]
fn a_receipt_counts_once_it_is_safe() {
    let mut shop = Shop::with(&[("A", 1)]);
    shop.settles = false;
    shop.declare(&declaration("A", 2)).unwrap();
    assert_eq!(shop.reserve(1, &[("A", 2)]), Outcome::Waits);
    assert_eq!(shop.reserve(2, &[("A", 1)]), Outcome::Decided);
    shop.settle();
    assert_eq!(shop.reserve(3, &[("A", 1)]), Outcome::Decided);
    assert_eq!(shop.level("A"), (2, 2, 0));
}

#[test]
fn low_stock_is_told_once_for_each_crossing() {
    let mut shop = Shop::with(&[]);
    shop.declare(&Declaration { low_stock_threshold: Some(10), ..declaration("A", 12) }).unwrap();
    shop.reserve(1, &[("A", 2)]);
    assert_eq!(shop.emitted(), ["declared", "reserved"]);
    shop.reserve(2, &[("A", 1)]);
    let Event::LowStock(low) = shop.log.pop().unwrap().1 else { panic!() };
    assert_eq!((low.threshold, low.level.available()), (10, 9));
    shop.reserve(3, &[("A", 1)]);
    shop.cancel(3);
    assert_eq!(shop.emitted(), ["reserved", "reserved", "released"]);
    shop.cancel(2);
    shop.reserve(4, &[("A", 1)]);
    shop.pay(4, "10.00");
    assert_eq!(shop.emitted(), ["released", "reserved", "low", "confirmed"]);
}

#[test]
fn the_threshold_of_the_shop_is_for_products_without_their_own() {
    let mut shop = Shop::new(StockTerms { ttl: TTL, low_stock_threshold: 5, window: WINDOW });
    let level = shop.declare(&Declaration { low_stock_threshold: None, ..declaration("A", 4) }).unwrap();
    assert_eq!((level.low_stock_threshold, level.low_stock), (5, true));
    assert_eq!(shop.emitted(), ["declared", "low"]);
    shop.declare(&Declaration { low_stock_threshold: Some(4), ..declaration("A", 4) }).unwrap();
    assert_eq!(shop.emitted(), ["declared"]);
    assert!(!shop.ledger.level(&"A".parse().unwrap()).unwrap().low_stock);
}

#[test]
fn levels_are_in_the_order_of_ids_and_change_the_version() {
    let mut shop = Shop::with(&[("C", 1), ("A", 2), ("B", 3)]);
    let ids: Vec<_> = shop.ledger.levels().iter().map(|level| level.product.to_string()).collect();
    assert_eq!(ids, ["A", "B", "C"]);
    let totals = shop.ledger.totals();
    assert_eq!((totals.real, totals.products), (6, 3));
    let mut last = shop.ledger.changes();
    let mut changed =
        |shop: &Shop| std::mem::replace(&mut last, shop.ledger.changes()) != shop.ledger.changes();
    shop.reserve(1, &[("B", 2)]);
    assert!(changed(&shop));
    shop.reserve(1, &[("B", 2)]);
    shop.reserve(2, &[("B", 2)]);
    shop.expire();
    assert!(!changed(&shop));
    shop.pay(1, "20.00");
    assert!(changed(&shop));
    assert_eq!(shop.ledger.totals().real, 4);
}

#[test]
fn a_ledger_that_is_not_open_decides_nothing() {
    let mut shop = Shop::new(StockTerms::default());
    shop.ledger = kbnt_domain::stock::Ledger::new(StockTerms::default());
    assert_eq!(shop.reserve(1, &[("A", 1)]), Outcome::Closed);
    assert_eq!(shop.cancel(1), Outcome::Closed);
    assert_eq!(shop.declare(&declaration("A", 1)), Err(DeclareError::NotOpen));
    assert!(shop.emitted().is_empty());
}
