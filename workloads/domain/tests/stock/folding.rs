//! A log that is folded long after it was written, or by whom other partitions were read to first.

use kbnt_domain::event::{Event, ReservationConfirmed, ReservationExpired, VirtualStockReserved};
use kbnt_domain::stock::{Ledger, StockTerms};

use crate::outside::Outside;
use crate::shop::{Shop, TTL, WINDOW, at, order, processed, reservation};

/// Later than anything is remembered for.
const LATER: i64 = 26 * 3_600_000;

fn terms() -> StockTerms {
    StockTerms { ttl: TTL, low_stock_threshold: 0, window: WINDOW }
}

/// A ledger that is to fold what other partitions have been read before.
fn late() -> Ledger {
    let mut ledger = Ledger::new(terms());
    let mut elsewhere = Shop::new(terms());
    elsewhere.declare(&crate::shop::declaration("B", 1)).unwrap();
    ledger.recover(&elsewhere.only(), at(LATER));
    ledger
}

/// Ten units of A, of which order 1 takes one and pays, as records.
fn sold() -> [Event; 3] {
    let mut shop = Shop::new(terms());
    shop.declare(&crate::shop::declaration("A", 10)).unwrap();
    let declared = shop.only();
    shop.reserve(1, &[("A", 1)]);
    let reserved = shop.only();
    shop.pay(1, "10.00");
    [declared, reserved, shop.only()]
}

/// The reservation expires, and its payment comes then.
fn revived(first: &VirtualStockReserved, confirmed: &ReservationConfirmed) -> (Event, Event, Event) {
    let (order, deadline) = (order(1), first.expires_at);
    let expired = ReservationExpired { order, reservation: reservation(1, 0), deadline };
    let again = VirtualStockReserved { attempt: 1, reservation: reservation(1, 1), ..first.clone() };
    let confirmed = ReservationConfirmed { reservation: reservation(1, 1), ..confirmed.clone() };
    (expired.into(), again.into(), confirmed.into())
}

fn real(ledger: &mut Ledger) -> u64 {
    ledger.open(at(LATER), &mut Vec::new());
    assert_eq!(ledger.violations(), []);
    ledger.level(&"A".parse().unwrap()).unwrap().level.real
}

#[test]
fn a_sale_that_was_written_twice_counts_once_though_its_order_is_forgotten() {
    let mut ledger = late();
    let [declared, reserved, confirmed] = sold();
    for event in [&declared, &reserved, &confirmed, &reserved, &confirmed] {
        ledger.recover(event, at(0));
    }
    assert_eq!(real(&mut ledger), 9);
}

#[test]
fn an_order_that_came_again_when_it_was_forgotten_counts_again() {
    let mut ledger = late();
    let [declared, reserved, confirmed] = sold();
    for event in [&declared, &reserved, &confirmed] {
        ledger.recover(event, at(0));
    }
    for event in [&reserved, &confirmed] {
        ledger.recover(event, at(1));
    }
    assert_eq!(real(&mut ledger), 8);
}

#[test]
fn an_order_that_was_revived_by_a_clock_that_is_behind_is_forgotten_by_it() {
    let mut ledger = late();
    let [declared, reserved, confirmed] = sold();
    let Event::VirtualStockReserved(first) = &reserved else { panic!("{reserved:?}") };
    let Event::ReservationConfirmed(confirmed) = &confirmed else { panic!("{confirmed:?}") };
    let (expired, again, confirmed) = revived(first, confirmed);
    ledger.recover(&declared, at(0));
    ledger.recover(&reserved, at(0));
    ledger.recover(&expired, at(LATER));
    ledger.recover(&again, at(1));
    ledger.recover(&confirmed, at(1));
    assert_eq!(real(&mut ledger), 9);
    assert!(!ledger.knows(order(1)));
}

/// Its first end, by a clock that was ahead, is remembered for longer than its last one.
#[test]
fn what_an_archive_has_of_an_order_is_not_its_state_once_it_was_revived_by_a_clock_that_is_behind() {
    let mut ledger = late();
    let mut outside = Outside::new(0, 1);
    let [declared, reserved, confirmed] = sold();
    let Event::VirtualStockReserved(first) = &reserved else { panic!("{reserved:?}") };
    let Event::ReservationConfirmed(confirmed) = &confirmed else { panic!("{confirmed:?}") };
    let (expired, again, confirmed) = revived(first, confirmed);
    for (event, written) in [(declared, 0), (reserved, LATER), (expired, LATER), (again, 0), (confirmed, 0)] {
        outside.recall(&mut ledger, order(1));
        ledger.recover(&event, at(written));
        outside.take_in(&mut ledger);
    }
    assert_eq!(real(&mut ledger), 9);
    outside.recall(&mut ledger, order(1));
    let mut emitted = Vec::new();
    ledger.pay(&processed(1, 0, "10.00"), at(LATER), &mut emitted);
    assert!(
        emitted.iter().all(|emitted| matches!(emitted.event, Event::ReservationLost(_))),
        "not sold once more: {emitted:?}"
    );
}
