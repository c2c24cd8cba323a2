//! Clocks that were wrong, and orders that come again.

use kbnt_domain::event::{Event, OrderRepeated, PlaceOrder, ReservationExpired, ReservationReleased};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::stock::{Ledger, Outcome, Portion, ReservationFilter, ReservationPlace, StockTerms};
use kbnt_domain::{Reason, Timestamp};

use crate::shop::{Shop, TTL, WINDOW, at, basket, declaration, order, reservation};

const TTL_MS: i64 = TTL.as_millis().cast_signed();
const HOUR: i64 = 3_600_000;

fn put_right(shop: &mut Shop, now: i64) {
    shop.now = now;
    shop.ledger.set_clock(at(now));
}

fn due(shop: &Shop) -> Vec<Timestamp> {
    let from = ReservationPlace::default();
    let held = shop.ledger.reservations(&ReservationFilter::default(), from, Portion::ALL).found;
    let mut due: Vec<Timestamp> = held.into_iter().filter_map(|view| Some(view.held?.expires_at)).collect();
    due.sort_unstable();
    due
}

#[test]
fn a_hold_of_a_wrong_clock_ends_one_ttl_after_it_was_put_right() {
    let mut shop = Shop::with(&[("A", 10)]);
    put_right(&mut shop, 25 * HOUR);
    shop.reserve(1, &[("A", 1)]);
    shop.reserve(2, &[("A", 1)]);
    shop.pay(2, "10.00");
    put_right(&mut shop, 1_000);
    assert_eq!(due(&shop), [at(1_000 + TTL_MS)]);
    shop.emitted();
    // It decides by the right time, and remembers what it did.
    assert_eq!(shop.reserve(3, &[("A", 1)]), Outcome::Decided);
    assert_eq!(shop.emitted(), ["reserved"]);
    assert_eq!(shop.reserve(2, &[("A", 1)]), Outcome::Repeated);
    shop.now = 1_000 + TTL_MS - 1;
    shop.expire();
    assert_eq!(shop.emitted(), [""; 0], "never early");
    shop.now += 1;
    shop.expire();
    assert_eq!(shop.emitted(), ["expired", "expired"]);
    assert_eq!(shop.level("A"), (9, 0, 9));
}

#[test]
fn a_reading_that_is_a_little_older_sets_nothing_back() {
    let mut shop = Shop::with(&[("A", 10)]);
    shop.now = 50_000;
    shop.reserve(1, &[("A", 1)]);
    put_right(&mut shop, 0);
    assert_eq!(due(&shop), [at(50_000 + TTL_MS)]);
}

#[test]
fn records_of_the_future_make_nothing_old_and_hold_for_their_own_time_from_now() {
    let mut shop = Shop::with(&[]);
    shop.declare(&declaration("A", 10)).unwrap();
    shop.reserve(1, &[("A", 1)]);
    shop.pay(1, "10.00");
    shop.now = 90 * HOUR;
    shop.reserve(2, &[("A", 1)]);
    shop.reserve(3, &[("A", 1)]);
    shop.fail(3, Reason::PaymentDeclined);
    let terms = StockTerms { ttl: TTL, low_stock_threshold: 10, window: WINDOW };
    let mut again = Ledger::new(terms);
    again.set_clock(at(5_000));
    for (written, event) in &shop.log {
        again.recover(event, *written);
    }
    again.open(at(5_000), &mut Vec::new());
    let mut shop = Shop { ledger: again, now: 5_000, log: Vec::new(), open: Vec::new(), settles: true };
    assert_eq!(due(&shop), [at(5_000 + TTL_MS)]);
    assert_eq!(shop.reserve(1, &[("A", 1)]), Outcome::Repeated, "it is not forgotten");
    assert_eq!(shop.reserve(4, &[("A", 1)]), Outcome::Decided);
    assert_eq!(shop.emitted(), ["reserved"], "and nothing is too old");
}

fn repeat(shop: &mut Shop, number: u128, asked_at: i64) -> Outcome {
    let command = PlaceOrder { order: order(number), basket: basket(&[("A", 1)]) };
    shop.step(|ledger, now, emitted| ledger.repeat(&command, at(asked_at), now, emitted))
}

fn end(shop: &mut Shop) -> (OrderStatus, Option<Reason>, bool) {
    let Event::OrderRepeated(OrderRepeated { status, reason, reservation, .. }) = shop.only() else {
        panic!()
    };
    (status, reason, reservation.is_some())
}

#[test]
fn an_order_that_comes_again_is_told_how_it_ended_and_decided_only_once() {
    let mut shop = Shop::with(&[("A", 3)]);
    shop.now = 10;
    for number in [1, 2, 3] {
        shop.reserve(number, &[("A", 1)]);
    }
    shop.reserve(4, &[("A", 1)]);
    shop.pay(1, "10.00");
    shop.fail(2, Reason::PaymentDeclined);
    shop.cancel(3);
    shop.log.clear();
    shop.now = 20;
    for (number, status, reason, reserved) in [
        (1, OrderStatus::Confirmed, None, true),
        (2, OrderStatus::Cancelled, Some(Reason::PaymentDeclined), true),
        (3, OrderStatus::Cancelled, Some(Reason::CancelledByClient), true),
        (4, OrderStatus::Rejected, Some(Reason::InsufficientStock), false),
    ] {
        assert_eq!(repeat(&mut shop, number, 10), Outcome::Repeated, "{number}: the first command");
        assert_eq!(repeat(&mut shop, number, 20), Outcome::Decided, "{number}");
        assert_eq!(end(&mut shop), (status, reason, reserved), "{number}");
        assert_eq!(shop.reserve(number, &[("A", 1)]), Outcome::Repeated, "{number}");
    }
    assert_eq!(repeat(&mut shop, 5, 20), Outcome::Repeated, "a new order is asked for by its user");
    assert_eq!(shop.emitted(), [""; 0]);
}

#[test]
fn an_order_that_is_not_at_its_end_is_not_told_to_be() {
    let mut shop = Shop::with(&[("A", 3)]);
    shop.reserve(1, &[("A", 1)]);
    shop.reserve(2, &[("A", 1)]);
    shop.now = TTL_MS;
    shop.expire();
    shop.log.clear();
    assert_eq!(repeat(&mut shop, 1, TTL_MS + 1), Outcome::Repeated, "a payment may revive it");
    shop.fail(2, Reason::PaymentUnavailable);
    assert_eq!(repeat(&mut shop, 2, TTL_MS + 1), Outcome::Decided);
    assert_eq!(end(&mut shop), (OrderStatus::Cancelled, Some(Reason::PaymentUnavailable), true));
}

#[test]
fn an_order_that_ended_again_by_a_clock_that_is_behind_may_be_forgotten_earlier_than_its_first_end() {
    let mut shop = Shop::with(&[("A", 10)]);
    shop.reserve(1, &[("A", 1)]);
    let reserved = shop.only();
    let mut again = Ledger::new(StockTerms { ttl: TTL, low_stock_threshold: 10, window: WINDOW });
    let (begun, deadline, reason) = (shop.now, at(shop.now), Reason::CancelledByClient);
    again.recover(&reserved, at(begun));
    let expired = ReservationExpired { order: order(1), reservation: reservation(1, 0), deadline };
    again.recover(&expired.into(), at(begun + 20_000));
    // Another partition is read first.
    let newest = begun + i64::try_from(WINDOW.as_millis()).unwrap() + HOUR + 10_000;
    again.recover(&reserved, at(newest));
    let released = ReservationReleased { order: order(1), reservation: None, reason };
    again.recover(&released.into(), at(begun + 5_000));
    again.open(at(newest), &mut Vec::new());
    assert_eq!(again.violations(), []);
}
