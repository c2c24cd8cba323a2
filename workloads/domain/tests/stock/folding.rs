//! A log that is folded long after it was written, or by whom other partitions were read to first.

use kbnt_domain::event::{Event, VirtualStockReserved};
use kbnt_domain::stock::{Ledger, StockTerms};

use crate::shop::{Shop, TTL, WINDOW, at, order, reservation};

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
    let again = VirtualStockReserved { attempt: 1, reservation: reservation(1, 1), ..first.clone() };
    let confirmed =
        kbnt_domain::event::ReservationConfirmed { reservation: reservation(1, 1), ..confirmed.clone() };
    let expired = kbnt_domain::event::ReservationExpired {
        order: order(1),
        reservation: reservation(1, 0),
        deadline: first.expires_at,
    };
    ledger.recover(&declared, at(0));
    ledger.recover(&reserved, at(0));
    ledger.recover(&expired.into(), at(LATER));
    ledger.recover(&again.into(), at(1));
    ledger.recover(&confirmed.into(), at(1));
    assert_eq!(real(&mut ledger), 9);
    assert!(!ledger.knows(order(1)));
}
