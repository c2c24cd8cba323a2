//! The life of a reservation, case by case.

use crate::shop::{
    SKEW, Shop, TTL, WINDOW, at, basket, declaration, failed, money, order, processed, reservation,
};
use kbnt_domain::event::Event;
use kbnt_domain::stock::{Outcome, Portion, ReservationFilter, ReservationPlace, ReservationState};
use kbnt_domain::{Quantity, Reason};

const TTL_MS: i64 = TTL.as_millis().cast_signed();
const WINDOW_MS: i64 = WINDOW.as_millis().cast_signed();
const SKEW_MS: i64 = SKEW.as_millis().cast_signed();

#[test]
fn a_paid_order_leaves_the_stock() {
    let mut shop = Shop::with(&[("A", 100)]);
    assert_eq!(shop.reserve(1, &[("A", 3)]), Outcome::Decided);
    assert_eq!(shop.level("A"), (100, 3, 97));
    let Event::VirtualStockReserved(reserved) = shop.only() else { panic!() };
    assert_eq!((reserved.amount, reserved.attempt), (money("30.00"), 0));
    assert_eq!(reserved.expires_at, at(TTL_MS));
    assert_eq!(reserved.reservation, reservation(1, 0));
    assert_eq!(shop.pay(1, "30.00"), Outcome::Decided);
    assert_eq!(shop.level("A"), (97, 0, 97));
    assert_eq!(shop.emitted(), ["confirmed"]);
}

#[test]
fn all_lines_or_nothing() {
    let mut shop = Shop::with(&[("A", 5), ("B", 1)]);
    shop.reserve(1, &[("A", 5), ("B", 2)]);
    let Event::InsufficientStock(short) = shop.only() else { panic!() };
    assert_eq!((short.product.as_str(), short.requested, short.available), ("B", 2, 1));
    assert_eq!((shop.level("A"), shop.level("B")), ((5, 0, 5), (1, 0, 1)));
}

#[test]
fn lines_of_one_product_are_added_up() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.reserve(1, &[("A", 3), ("A", 3)]);
    let Event::InsufficientStock(short) = shop.only() else { panic!() };
    assert_eq!((short.requested, short.available), (6, 5));
    shop.reserve(2, &[("A", 3), ("A", 2)]);
    let Event::VirtualStockReserved(reserved) = shop.only() else { panic!() };
    assert_eq!(reserved.lines.len(), 1);
    assert_eq!((reserved.lines[0].units, reserved.amount), (5, money("50.00")));
}

#[test]
fn a_hundred_lines_of_a_million_are_counted_right() {
    let mut shop = Shop::with(&[("A", 100_000_000), ("B", 1)]);
    let most = u64::from(Quantity::MAX);
    shop.reserve(1, &[("A", most); 100]);
    assert_eq!(shop.level("A"), (100_000_000, 100_000_000, 0));
    assert_eq!(shop.emitted(), ["reserved"]);
    shop.reserve(2, &[("B", 1); 101]);
    let Event::ReservationRefused(refused) = shop.only() else { panic!() };
    assert_eq!(refused.reason, Reason::AmountInvalid);
}

#[test]
fn an_unknown_product_reserves_nothing_even_where_another_falls_short() {
    let mut shop = Shop::with(&[("A", 1)]);
    shop.reserve(1, &[("A", 2), ("X", 1), ("Y", 1)]);
    let Event::ProductNotFound(missing) = shop.only() else { panic!() };
    assert_eq!(missing.product.as_str(), "X");
    assert_eq!(shop.level("A"), (1, 0, 1));
}

#[test]
fn the_deadline_is_exact() {
    let mut shop = Shop::with(&[("A", 1)]);
    shop.reserve(1, &[("A", 1)]);
    shop.now = TTL_MS - 1;
    shop.reserve(2, &[("A", 1)]);
    assert_eq!(shop.emitted(), ["reserved", "insufficient"]);
    assert_eq!(shop.ledger.next_deadline(), Some(at(TTL_MS)));
    shop.now = TTL_MS;
    // No tick came in between: the decision itself expires what is due.
    shop.settles = false;
    assert_eq!(shop.reserve(3, &[("A", 1)]), Outcome::Waits);
    assert_eq!(shop.emitted(), ["expired"]);
    shop.settle();
    assert_eq!(shop.reserve(3, &[("A", 1)]), Outcome::Decided);
    assert_eq!(shop.emitted(), ["reserved"]);
}

#[test]
fn one_instant_before_the_deadline_a_payment_is_in_time() {
    let mut shop = Shop::with(&[("A", 1)]);
    shop.reserve(1, &[("A", 1)]);
    shop.now = TTL_MS - 1;
    shop.pay(1, "10.00");
    assert_eq!(shop.emitted(), ["reserved", "confirmed"]);
}

#[test]
fn a_clock_that_steps_back_expires_nothing_early_and_nothing_twice() {
    let mut shop = Shop::with(&[("A", 2)]);
    shop.now = 5_000;
    shop.reserve(1, &[("A", 1)]);
    shop.now = 1_000;
    shop.reserve(2, &[("A", 1)]);
    shop.log.clear();
    shop.now = TTL_MS + 4_999;
    shop.expire();
    assert!(shop.emitted().is_empty());
    shop.now = TTL_MS + 5_000;
    shop.expire();
    shop.now = 0;
    shop.expire();
    assert_eq!(shop.emitted(), ["expired", "expired"]);
}

#[test]
fn the_same_request_has_no_second_effect_and_another_one_is_a_conflict() {
    let mut shop = Shop::with(&[("A", 10)]);
    shop.reserve(1, &[("A", 3)]);
    shop.log.clear();
    assert_eq!(shop.reserve(1, &[("A", 3)]), Outcome::Repeated);
    assert_eq!(shop.reserve(1, &[("A", 4)]), Outcome::Conflict);
    shop.pay(1, "30.00");
    assert_eq!(shop.reserve(1, &[("A", 3)]), Outcome::Repeated);
    assert_eq!(shop.reserve(1, &[("A", 4)]), Outcome::Conflict);
    assert_eq!(shop.pay(1, "30.00"), Outcome::Repeated);
    assert_eq!(shop.fail(1, Reason::PaymentDeclined), Outcome::Repeated);
    assert_eq!(shop.cancel(1), Outcome::Repeated);
    assert_eq!(shop.emitted(), ["confirmed"]);
    assert_eq!(shop.level("A"), (7, 0, 7));
}

#[test]
fn a_refusal_stands_when_stock_has_come() {
    let mut shop = Shop::with(&[("A", 1)]);
    shop.reserve(1, &[("A", 2)]);
    shop.declare(&declaration("A", 10)).unwrap();
    assert_eq!(shop.reserve(1, &[("A", 2)]), Outcome::Repeated);
    assert_eq!(shop.emitted(), ["insufficient", "declared"]);
}

#[test]
fn a_release_frees_once() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.reserve(1, &[("A", 3)]);
    shop.fail(1, Reason::PaymentDeclined);
    let Event::ReservationReleased(released) = shop.log.pop().unwrap().1 else { panic!() };
    assert_eq!((released.reservation, released.reason), (Some(reservation(1, 0)), Reason::PaymentDeclined));
    assert_eq!(shop.fail(1, Reason::PaymentDeclined), Outcome::Repeated);
    assert_eq!(shop.cancel(1), Outcome::Repeated);
    shop.now = TTL_MS;
    shop.expire();
    assert_eq!(shop.level("A"), (5, 0, 5));
    assert_eq!(shop.emitted(), ["reserved"]);
}

#[test]
fn a_failure_of_another_orders_reservation_changes_nothing() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.reserve(1, &[("A", 3)]);
    let mut failure = failed(1, Reason::PaymentDeclined);
    failure.reservation = reservation(2, 0);
    let outcome = shop.step(|ledger, now, emitted| ledger.fail(&failure, now, now, emitted));
    assert_eq!(outcome, Outcome::Conflict);
    assert_eq!(shop.level("A"), (5, 3, 2));
}

#[test]
fn a_release_before_its_reservation_refuses_it() {
    for by_client in [true, false] {
        let mut shop = Shop::with(&[("A", 5)]);
        let reason = if by_client { Reason::CancelledByClient } else { Reason::PaymentDeclined };
        if by_client {
            shop.cancel(1)
        } else {
            shop.fail(1, reason)
        };
        let Event::ReservationReleased(released) = shop.only() else { panic!() };
        assert_eq!(released.reservation, None);
        shop.reserve(1, &[("A", 1)]);
        let Event::ReservationRefused(refused) = shop.only() else { panic!() };
        assert_eq!(refused.reason, reason);
        assert_eq!(shop.reserve(1, &[("A", 1)]), Outcome::Repeated);
        assert_eq!(shop.reserve(1, &[("A", 2)]), Outcome::Conflict);
        shop.pay(1, "10.00");
        assert_eq!(shop.emitted(), ["lost"]);
        assert_eq!(shop.level("A"), (5, 0, 5));
    }
}

#[test]
fn a_late_payment_gets_its_units_back_at_the_price_that_was_paid() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.reserve(1, &[("A", 3)]);
    shop.now = TTL_MS;
    shop.expire();
    let dearer = kbnt_domain::stock::Declaration { unit_price: money("99.00"), ..declaration("A", 5) };
    shop.declare(&dearer).unwrap();
    shop.log.clear();
    assert_eq!(shop.pay(1, "30.00"), Outcome::Decided);
    let Event::VirtualStockReserved(again) = shop.log.remove(0).1 else { panic!() };
    assert_eq!((again.reservation, again.attempt), (reservation(1, 1), 1));
    assert_eq!((again.amount, again.payment), (money("30.00"), None));
    let Event::ReservationConfirmed(confirmed) = shop.only() else { panic!() };
    assert_eq!(confirmed.reservation, reservation(1, 1));
    assert_eq!(shop.level("A"), (2, 0, 2));
    assert_eq!(shop.pay(1, "30.00"), Outcome::Repeated);
}

#[test]
fn a_late_payment_whose_units_are_gone_is_lost_once() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.reserve(1, &[("A", 3)]);
    shop.now = TTL_MS;
    shop.expire();
    shop.reserve(2, &[("A", 3)]);
    shop.log.clear();
    shop.pay(1, "30.00");
    let Event::ReservationLost(lost) = shop.only() else { panic!() };
    assert_eq!((lost.reservation, lost.reason), (Some(reservation(1, 0)), Reason::ReservationExpired));
    assert_eq!((lost.amount, lost.transaction.as_str()), (money("30.00"), "tx-1"));
    shop.fail(2, Reason::PaymentDeclined);
    shop.log.clear();
    // There would be enough by now, but the refund is under way.
    assert_eq!(shop.pay(1, "30.00"), Outcome::Repeated);
    assert!(shop.emitted().is_empty());
}

#[test]
fn a_late_payment_waits_for_units_that_were_freed_a_moment_ago() {
    let mut shop = Shop::with(&[("A", 3)]);
    shop.reserve(1, &[("A", 3)]);
    shop.settles = false;
    shop.now = TTL_MS;
    assert_eq!(shop.pay(1, "30.00"), Outcome::Waits);
    assert_eq!(shop.emitted(), ["reserved", "expired"]);
    shop.settle();
    assert_eq!(shop.pay(1, "30.00"), Outcome::Decided);
    assert_eq!(shop.emitted(), ["reserved", "confirmed"]);
}

#[test]
fn a_payment_without_a_reservation_is_lost() {
    let mut shop = Shop::with(&[("A", 3)]);
    shop.reserve(1, &[("A", 4)]);
    shop.reserve(2, &[("A", 1)]);
    shop.cancel(2);
    shop.log.clear();
    for (number, reason) in
        [(1, Reason::InsufficientStock), (2, Reason::CancelledByClient), (3, Reason::StaleCommand)]
    {
        assert_eq!(shop.pay(number, "10.00"), Outcome::Decided);
        let Event::ReservationLost(lost) = shop.only() else { panic!() };
        assert_eq!((lost.reason, lost.reservation.is_some()), (reason, number == 2));
        assert_eq!(shop.pay(number, "10.00"), Outcome::Repeated);
    }
}

#[test]
fn a_payment_that_does_not_fit_undoes_the_reservation_and_itself() {
    for (attempt, number, amount) in [(0, 1, "29.99"), (1, 1, "30.00"), (0, 2, "30.00")] {
        let mut shop = Shop::with(&[("A", 5)]);
        shop.reserve(1, &[("A", 3)]);
        shop.log.clear();
        let mut payment = processed(1, attempt, amount);
        payment.reservation = reservation(number, attempt);
        assert_eq!(shop.step(|ledger, now, emitted| ledger.pay(&payment, now, emitted)), Outcome::Decided);
        let Event::ReservationLost(lost) = shop.log.pop().unwrap().1 else { panic!() };
        assert_eq!((lost.amount, lost.reason), (money(amount), Reason::AmountInvalid));
        assert_eq!(shop.emitted(), ["released"]);
        assert_eq!(shop.level("A"), (5, 0, 5));
        assert_eq!(shop.step(|ledger, now, emitted| ledger.pay(&payment, now, emitted)), Outcome::Repeated);
    }
}

#[test]
fn a_late_payment_that_does_not_fit_is_lost() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.reserve(1, &[("A", 3)]);
    shop.now = TTL_MS;
    shop.expire();
    shop.log.clear();
    shop.pay(1, "3.00");
    let Event::ReservationLost(lost) = shop.only() else { panic!() };
    assert_eq!(lost.reason, Reason::AmountInvalid);
    assert_eq!(shop.level("A"), (5, 0, 5));
}

#[test]
fn a_cancel_after_the_expiry_forbids_the_revival() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.reserve(1, &[("A", 3)]);
    shop.now = TTL_MS;
    shop.cancel(1);
    assert_eq!(shop.emitted(), ["reserved", "expired", "released"]);
    assert_eq!(shop.cancel(1), Outcome::Repeated);
    shop.pay(1, "30.00");
    let Event::ReservationLost(lost) = shop.only() else { panic!() };
    assert_eq!(lost.reason, Reason::CancelledByClient);
    assert_eq!(shop.level("A"), (5, 0, 5));
}

#[test]
fn a_failure_after_the_expiry_forbids_the_revival_and_tells_nothing() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.reserve(1, &[("A", 3)]);
    shop.now = TTL_MS;
    assert_eq!(shop.fail(1, Reason::PaymentUnavailable), Outcome::Repeated);
    assert_eq!(shop.emitted(), ["reserved", "expired"]);
    shop.pay(1, "30.00");
    let Event::ReservationLost(lost) = shop.only() else { panic!() };
    assert_eq!(lost.reason, Reason::PaymentUnavailable);
    assert_eq!(shop.level("A"), (5, 0, 5));
}

#[test]
fn commands_outside_the_window_are_refused() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.now = 2 * WINDOW_MS;
    let edge = shop.now - WINDOW_MS;
    for (number, placed_at, taken) in [
        (1, edge - 1, false),
        (2, edge, true),
        (3, shop.now + SKEW_MS, true),
        (4, shop.now + SKEW_MS + 1, false),
    ] {
        shop.reserve_placed(number, &[("A", 1)], at(placed_at));
        match shop.only() {
            Event::VirtualStockReserved(_) => assert!(taken, "{number}"),
            Event::ReservationRefused(refused) => {
                assert!(!taken, "{number}");
                assert_eq!(refused.reason, Reason::StaleCommand);
            }
            other => panic!("{other:?}"),
        }
    }
    let now = at(shop.now);
    let stale = shop.step(|ledger, _, emitted| ledger.cancel(order(9), at(edge - 1), now, emitted));
    assert_eq!(stale, Outcome::Stale);
    assert!(shop.emitted().is_empty());
}

#[test]
fn what_is_forgotten_is_too_old_to_be_taken_again() {
    let mut shop = Shop::with(&[("A", 5)]);
    shop.reserve(1, &[("A", 1)]);
    shop.pay(1, "10.00");
    shop.now = WINDOW_MS + SKEW_MS;
    shop.expire();
    assert!(shop.ledger.knows(order(1)));
    shop.now += 1;
    shop.expire();
    assert!(!shop.ledger.knows(order(1)));
    shop.log.clear();
    shop.reserve_placed(1, &[("A", 1)], at(SKEW_MS));
    let Event::ReservationRefused(refused) = shop.only() else { panic!() };
    assert_eq!(refused.reason, Reason::StaleCommand);
}

#[test]
fn totals_that_do_not_fit_are_refused() {
    let mut shop = Shop::with(&[]);
    let most = kbnt_domain::Money::from_minor(i64::MAX, kbnt_domain::Currency::BRL).unwrap();
    let dollars = kbnt_domain::Money::parse("1.00", "USD".parse().unwrap()).unwrap();
    for (product, price) in [("A", most), ("B", most), ("D", dollars)] {
        let declaration = kbnt_domain::stock::Declaration { unit_price: price, ..declaration(product, 5) };
        shop.declare(&declaration).unwrap();
    }
    shop.log.clear();
    let cases: [&[(&str, u64)]; 4] = [&[("A", 2)], &[("A", 1), ("B", 1)], &[("A", 1), ("D", 1)], &[]];
    for (number, lines) in (1..).zip(cases) {
        shop.reserve(number, lines);
        let Event::ReservationRefused(refused) = shop.only() else { panic!() };
        assert_eq!(refused.reason, Reason::AmountInvalid);
    }
    shop.reserve(9, &[("A", 1)]);
    assert_eq!(shop.emitted(), ["reserved"]);
}

#[test]
fn reservations_are_found_and_listed() {
    let mut shop = Shop::with(&[("A", 50), ("B", 50)]);
    for number in 1..=4 {
        shop.reserve(number, &[("A", 1), ("B", 2)]);
    }
    shop.reserve(5, &[("B", 1)]);
    shop.pay(1, "30.00");
    shop.cancel(2);
    shop.reserve(6, &[("A", 51)]);
    let state = |number| shop.ledger.reservation(reservation(number, 0)).map(|view| view.state);
    assert_eq!(state(1), Some(ReservationState::Confirmed));
    assert_eq!(state(2), Some(ReservationState::Released));
    assert_eq!(state(3), Some(ReservationState::Reserved));
    assert_eq!(state(6), None);
    assert_eq!(shop.ledger.reservation(reservation(3, 1)), None);
    let held = shop.ledger.reservation(reservation(3, 0)).unwrap().held.unwrap();
    assert_eq!((held.lines.len(), held.amount, held.expires_at), (2, money("30.00"), at(TTL_MS)));
    let all = ReservationFilter::default();
    let listed = |filter: &ReservationFilter, most| {
        shop.ledger.reservations(filter, ReservationPlace::default(), Portion { most, looks: 1000 }).found
    };
    assert_eq!(listed(&all, 100).len(), 5);
    assert_eq!(listed(&all, 2).len(), 2);
    let of_a = ReservationFilter { product: Some("A".parse().unwrap()), state: None };
    assert_eq!(listed(&of_a, 100).len(), 2);
    let released = ReservationFilter { product: None, state: Some(ReservationState::Released) };
    assert_eq!(listed(&released, 100).len(), 1);
    let of_none = ReservationFilter { product: Some("X".parse().unwrap()), state: None };
    assert!(listed(&of_none, 100).is_empty());
}

#[test]
fn portions_of_the_reservations_show_each_once() {
    let mut shop = Shop::with(&[("A", 50)]);
    for number in 1..=9 {
        shop.reserve(number, &[("A", 1)]);
    }
    for number in 1..=4 {
        shop.cancel(number);
    }
    let filter = ReservationFilter::default();
    for portion in
        [Portion { most: 2, looks: 1000 }, Portion { most: 100, looks: 1 }, Portion { most: 3, looks: 2 }]
    {
        let (mut seen, mut from) = (Vec::new(), Some(ReservationPlace::default()));
        while let Some(at) = from {
            let page = shop.ledger.reservations(&filter, at, portion);
            assert!(page.found.len() <= portion.most.min(portion.looks));
            seen.extend(page.found.iter().map(|view| view.order));
            from = page.next;
        }
        assert_eq!(seen.len(), 9, "{portion:?}");
        assert_eq!(seen.into_iter().collect::<std::collections::BTreeSet<_>>().len(), 9, "{portion:?}");
    }
    let whole =
        shop.ledger.reservations(&filter, ReservationPlace::default(), Portion { most: 9, looks: 1000 });
    assert_eq!((whole.found.len(), whole.next), (9, None), "the last portion says so");
}

#[test]
fn the_same_basket_in_other_lines_is_repeated_and_no_conflict() {
    let mut shop = Shop::with(&[("A", 50), ("B", 50)]);
    shop.reserve(1, &[("B", 2), ("A", 3)]);
    for lines in [&[("A", 3), ("B", 2)][..], &[("A", 1), ("B", 1), ("A", 2), ("B", 1)], &[("B", 2), ("A", 3)]]
    {
        assert_eq!(shop.reserve(1, lines), Outcome::Repeated, "{lines:?}");
    }
    assert_eq!(shop.reserve(1, &[("A", 3), ("B", 3)]), Outcome::Conflict);
}

#[test]
fn what_earlier_versions_noted_of_a_basket_is_still_its_own() {
    // In another order than by product, as they took it: B, then A.
    const NOTED: u64 = 14_917_179_103_867_284_127;
    assert!(basket(&[("B", 2), ("A", 1)]).has_fingerprint(NOTED));
    assert_ne!(basket(&[("B", 2), ("A", 1)]).fingerprint(), NOTED);
    assert!(!basket(&[("B", 2), ("A", 2)]).has_fingerprint(NOTED));
}

#[test]
fn baskets_are_told_apart() {
    let base = basket(&[("A", 1), ("B", 2)]);
    assert_eq!(base.fingerprint(), base.clone().fingerprint());
    // It stands in the log: a change of the digest would make a conflict of every repeated request.
    assert_eq!(basket(&[("A", 1)]).fingerprint(), FINGERPRINT_OF_ONE_A);
    let mut others = vec![
        basket(&[("A", 1)]),
        basket(&[("A", 2), ("B", 1)]),
        basket(&[("A", 1), ("B", 2), ("B", 1)]),
        basket(&[("AB", 1), ("B", 2)]),
    ];
    for same in [basket(&[("B", 2), ("A", 1)]), basket(&[("B", 1), ("A", 1), ("B", 1)])] {
        assert_eq!(base.fingerprint(), same.fingerprint(), "{same:?}");
    }
    others.extend([base.clone(), base.clone(), base.clone(), base.clone()]);
    others[4].user = "USER-2".parse().unwrap();
    others[5].payment.method = "pix".into();
    others[6].payment.token = Some(String::new());
    others[7].payment.token = Some("tok_ok".into());
    for other in others {
        assert_ne!(base.fingerprint(), other.fingerprint(), "{other:?}");
    }
}

const FINGERPRINT_OF_ONE_A: u64 = 11_206_482_985_843_369_178;
