//! "Payment" in `docs/saga.md`, and the payment rows of the failure table.

mod in_hand;
mod restart;

use kbnt_domain::Reason::{self, CancelledByClient, PaymentDeclined, PaymentUnavailable, ReservationExpired};
use kbnt_domain::TransactionId;
use kbnt_domain::event::{Event, PaymentFailed, PaymentRefunded, VirtualStockReserved};
use kbnt_domain::payment::{SENSELESS_MOST, pause_after};

use super::PaymentMachine;
use crate::machine::{Machine, PaymentOutcome, PaymentRequest};
use crate::message::Topic;
use crate::testkit::*;

const TTL: i64 = 900_000;

fn machine() -> Driven<PaymentMachine> {
    Driven::new(PaymentMachine::new())
}

/// A machine with order 1 being charged.
fn charging() -> Driven<PaymentMachine> {
    let mut driven = machine();
    assert_eq!(driven.input(reserved(1, TTL)), does(charge(1)));
    driven
}

fn charge(n: u128) -> PaymentRequest {
    charge_until(n, TTL)
}

fn charge_until(n: u128, expires_at: i64) -> PaymentRequest {
    let (order, reservation, payment) = (order(n), reservation(n), basket().payment);
    let expires_at = at(expires_at);
    PaymentRequest::Charge { order, reservation, user: user(), amount: amount(), payment, expires_at }
}

fn query(n: u128) -> PaymentRequest {
    PaymentRequest::Query { order: order(n) }
}

fn close(n: u128) -> PaymentRequest {
    PaymentRequest::Close { order: order(n) }
}

fn refund(n: u128) -> PaymentRequest {
    PaymentRequest::Refund { order: order(n), transaction: Some(transaction()), amount: amount() }
}

fn does(request: PaymentRequest) -> Did {
    Did { events: Vec::new(), effects: vec![request.into()] }
}

fn charged() -> PaymentOutcome {
    PaymentOutcome::Charged { transaction: transaction() }
}

fn not_charged() -> PaymentOutcome {
    PaymentOutcome::NotCharged { detail: "unreachable".into() }
}

fn unknown() -> PaymentOutcome {
    PaymentOutcome::Unknown { detail: "timed out".into() }
}

fn unnamed() -> PaymentOutcome {
    PaymentOutcome::ChargedUnnamed { detail: "a number".into() }
}

fn senseless() -> PaymentOutcome {
    PaymentOutcome::Senseless { detail: "<html>".into() }
}

/// By the order, as the charge has no name.
fn refund_unnamed(n: u128) -> PaymentRequest {
    PaymentRequest::Refund { order: order(n), transaction: None, amount: amount() }
}

fn refunded_unnamed(n: u128, reason: Reason) -> Event {
    let transaction = TransactionId::of_order(&order(n));
    PaymentRefunded { order: order(n), amount: amount(), transaction, reason }.into()
}

fn failed_refund_due(n: u128, reason: Reason) -> Event {
    match failed(n, reason) {
        Event::PaymentFailed(event) => PaymentFailed { refund_due: true, ..event }.into(),
        other => other,
    }
}

fn not_refunded() -> PaymentOutcome {
    PaymentOutcome::NotRefunded { detail: "unreachable".into() }
}

#[test]
fn a_charge_that_came_too_late_to_start_waits_for_the_expiry() {
    let mut driven = charging();
    driven.now = at(TTL);
    assert_eq!(driven.completed(1, PaymentOutcome::Overdue), nothing());
    assert_eq!((driven.machine.in_hand(), driven.machine.next_tick()), (0, None));
    assert_eq!(driven.input(expired(1, TTL)), wrote([failed(1, ReservationExpired)]), "no attempt was made");
}

#[test]
fn a_reservation_is_charged_once_and_told_once() {
    let mut driven = charging();
    assert_eq!(driven.hold(Topic::InventoryEvents), Some(0));
    assert_eq!(driven.completed(1, charged()), wrote([processed(1)]));
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
    assert_eq!(driven.completed(1, charged()), nothing());
    assert_eq!(driven.read_back(), nothing());
    assert_eq!(driven.input(reserved(1, TTL)), nothing());
}

#[test]
fn a_declined_charge_fails_at_once() {
    let mut driven = charging();
    assert_eq!(driven.completed(1, PaymentOutcome::Declined), wrote([failed(1, PaymentDeclined)]));
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
    assert_eq!(driven.read_back(), nothing(), "the gateway itself refuses a late one");
}

#[test]
fn an_attempt_that_charged_nothing_is_repeated_with_growing_pauses() {
    let mut driven = charging();
    let mut now = 0;
    for pause in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
        assert_eq!(driven.completed(1, not_charged()), nothing());
        assert_eq!(driven.machine.next_tick(), Some(at(now + pause)));
        assert_eq!(driven.tick_at(now + pause - 1), nothing());
        now += pause;
        assert_eq!(driven.tick_at(now), does(charge(1)));
    }
    assert_eq!(pause_after(u32::MAX).as_millis(), 30_000);
}

#[test]
fn a_gateway_that_stays_away_until_the_expiry_fails_the_payment_and_is_told_to_refuse_a_late_charge() {
    let mut driven = charging();
    driven.completed(1, not_charged());
    assert_eq!(driven.machine.in_hand(), 1);
    assert_eq!(driven.tick_at(TTL), nothing(), "its time is up: for the inventory to say so");
    assert_eq!(driven.machine.next_tick(), None);
    assert_eq!(driven.machine.in_hand(), 0, "what the inventory says must be read, however many wait for it");
    assert_eq!(driven.input(expired(1, TTL)), wrote([failed(1, PaymentUnavailable)]));
    assert_eq!(driven.machine.in_hand(), 1);
    assert_eq!(driven.hold(Topic::InventoryEvents), Some(0), "not done yet");
    assert_eq!(driven.read_back(), does(close(1)));
    assert_eq!(driven.completed(1, unknown()), nothing());
    assert_eq!(driven.tick_at(TTL + 500), does(close(1)));
    assert_eq!(driven.completed(1, PaymentOutcome::Closed), nothing());
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
}

#[test]
fn a_charge_that_is_found_after_the_failure_was_told_is_refunded() {
    let mut driven = charging();
    driven.completed(1, not_charged());
    driven.tick_at(TTL);
    driven.input(expired(1, TTL));
    driven.read_back();
    assert_eq!(driven.completed(1, charged()), does(refund(1)), "somebody's late attempt got through");
    assert_eq!(driven.completed(1, PaymentOutcome::Refunded), wrote([refunded(1, PaymentUnavailable)]));
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
    assert_eq!(driven.input(lost(1, ReservationExpired)), nothing(), "it went back already");
    driven.read_back();
    assert_eq!(driven.input(lost(1, ReservationExpired)), nothing());
}

#[test]
fn a_reservation_that_is_over_by_our_own_clock_is_not_charged() {
    let mut driven = machine();
    driven.now = at(TTL);
    assert_eq!(driven.input(reserved(1, TTL)), nothing());
    assert_eq!(driven.input(expired(1, TTL)), wrote([failed(1, ReservationExpired)]));
    let mut driven = machine();
    driven.now = at(TTL - 1);
    assert_eq!(driven.input(reserved(1, TTL)), does(charge(1)));
}

#[test]
fn an_unknown_outcome_is_queried_never_guessed() {
    let mut driven = charging();
    assert_eq!(driven.completed(1, unknown()), nothing());
    assert_eq!(driven.tick_at(500), does(query(1)));
    assert_eq!(driven.completed(1, unknown()), nothing());
    assert_eq!(driven.tick_at(1_500), does(query(1)));
    assert_eq!(driven.completed(1, charged()), wrote([processed(1)]));

    let mut driven = charging();
    driven.completed(1, unknown());
    driven.tick_at(500);
    assert_eq!(driven.completed(1, not_charged()), does(charge(1)), "it is certain that nothing was charged");

    let mut driven = charging();
    driven.completed(1, unknown());
    driven.tick_at(500);
    assert_eq!(driven.completed(1, PaymentOutcome::Declined), wrote([failed(1, PaymentDeclined)]));
}

#[test]
fn an_expiry_while_the_outcome_is_unknown_waits_for_the_gateways_word() {
    for (word, failure) in [
        (charged(), processed(1)),
        (PaymentOutcome::Closed, failed(1, PaymentUnavailable)),
        (PaymentOutcome::Declined, failed(1, PaymentDeclined)),
    ] {
        let mut driven = charging();
        driven.completed(1, unknown());
        assert_eq!(driven.input(expired(1, TTL)), does(close(1)));
        for (again, pause) in [(unknown(), 500), (not_charged(), 1_500)] {
            assert_eq!(driven.completed(1, again), nothing());
            assert_eq!(driven.tick_at(pause), does(close(1)));
        }
        assert_eq!(driven.completed(1, word), wrote([failure]));
        assert_eq!(driven.hold(Topic::InventoryEvents), None, "nothing is open at the gateway");
    }
}

#[test]
fn an_end_of_the_reservation_during_an_attempt_awaits_its_outcome() {
    for (end, reason) in
        [(expired(1, TTL), PaymentUnavailable), (released(1, CancelledByClient), CancelledByClient)]
    {
        for (outcome, did) in [
            (charged(), wrote([processed(1)])),
            (PaymentOutcome::Declined, wrote([failed(1, PaymentDeclined)])),
            (not_charged(), wrote([failed(1, reason)])),
            (unknown(), does(close(1))),
        ] {
            let mut driven = charging();
            assert_eq!(driven.input(end.clone()), nothing());
            assert_eq!(driven.completed(1, outcome), did, "{end:?}");
        }
    }
}

#[test]
fn a_cancellation_while_nothing_is_under_way_fails_the_payment() {
    let mut driven = charging();
    driven.completed(1, not_charged());
    assert_eq!(driven.input(released(1, CancelledByClient)), wrote([failed(1, CancelledByClient)]));
    assert_eq!(driven.tick_at(500), nothing(), "no further attempt");
}

#[test]
fn a_lost_reservation_is_refunded_until_it_is_done_and_then_never_again() {
    let mut driven = charging();
    driven.completed(1, charged());
    driven.read_back();
    assert_eq!(driven.input(lost(1, CancelledByClient)), does(refund(1)));
    assert_eq!(driven.completed(1, not_refunded()), nothing());
    assert_eq!(driven.hold(Topic::InventoryEvents), Some(1));
    assert_eq!(driven.tick_at(500), does(refund(1)));
    assert_eq!(driven.completed(1, PaymentOutcome::Refunded), wrote([refunded(1, CancelledByClient)]));
    driven.read_back();
    assert_eq!(driven.input(lost(1, CancelledByClient)), nothing());
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
}

#[test]
fn a_charge_without_a_usable_name_fails_the_order_and_goes_back_by_the_orders_name() {
    for (ending, reason) in
        [(None, PaymentUnavailable), (Some(released(1, CancelledByClient)), CancelledByClient)]
    {
        let mut driven = charging();
        if let Some(ending) = ending {
            driven.input(ending);
        }
        assert_eq!(driven.completed(1, unnamed()), wrote([failed_refund_due(1, reason)]));
        assert_eq!(driven.hold(Topic::InventoryEvents), Some(0), "not done yet");
        // Whatever the gateway would say of it now: it has said that it charged.
        assert_eq!(driven.read_back(), does(refund_unnamed(1)));
        assert_eq!(driven.completed(1, not_refunded()), nothing());
        assert_eq!(driven.tick_at(500), does(refund_unnamed(1)));
        assert_eq!(driven.completed(1, PaymentOutcome::Refunded), wrote([refunded_unnamed(1, reason)]));
        assert_eq!(driven.hold(Topic::InventoryEvents), None);
    }
    // A crash between the failure and the refund.
    let before = failed_refund_due(1, PaymentUnavailable);
    let (mut driven, _) = Driven::recovered(PaymentMachine::new(), &[before]);
    assert_eq!(driven.input(reserved(1, TTL)), does(refund_unnamed(1)));
    assert_eq!(
        driven.completed(1, PaymentOutcome::Refunded),
        wrote([refunded_unnamed(1, PaymentUnavailable)])
    );
    // Another process has written the failure, and knows nothing of the charge.
    let (mut driven, _) = Driven::recovered(PaymentMachine::new(), &[failed(1, PaymentUnavailable)]);
    assert_eq!(driven.input(reserved(1, TTL)), does(close(1)));
    assert_eq!(driven.completed(1, unnamed()), does(refund_unnamed(1)));
    let mut driven = charging();
    driven.completed(1, unnamed());
    assert_eq!(
        driven.appears(failed(1, PaymentDeclined)),
        does(refund_unnamed(1)),
        "declined, says another process"
    );
}

#[test]
fn money_that_went_back_pays_for_nothing() {
    for asked in [charge(1), query(1), close(1)] {
        let mut driven = charging();
        if asked != charge(1) {
            driven.completed(1, unknown());
        }
        if asked == query(1) {
            assert_eq!(driven.tick_at(500), does(asked.clone()));
        } else if asked == close(1) {
            assert_eq!(driven.input(expired(1, TTL)), does(asked.clone()));
        }
        let wrote_failure = wrote([failed_refund_due(1, PaymentUnavailable)]);
        assert_eq!(driven.completed(1, PaymentOutcome::Refunded), wrote_failure, "{asked:?}");
        assert_eq!(driven.read_back(), does(refund_unnamed(1)));
        assert_eq!(
            driven.completed(1, PaymentOutcome::Refunded),
            wrote([refunded_unnamed(1, PaymentUnavailable)])
        );
        assert_eq!(driven.hold(Topic::InventoryEvents), None);
    }
    // The log says that the order is not paid, and the gateway that somebody has undone the charge.
    let (mut driven, _) = Driven::recovered(PaymentMachine::new(), &[failed(1, PaymentUnavailable)]);
    assert_eq!(driven.input(reserved(1, TTL)), does(close(1)));
    assert_eq!(driven.completed(1, PaymentOutcome::Refunded), does(refund_unnamed(1)));
}

#[test]
fn an_order_that_is_closed_at_the_gateway_fails_at_once() {
    let mut driven = charging();
    assert_eq!(driven.completed(1, PaymentOutcome::Closed), wrote([failed(1, PaymentUnavailable)]));
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
}

#[test]
fn answers_without_sense_end_the_order_after_a_few_and_the_gateway_is_asked_on() {
    // Whatever was asked when they came: the charge, the query, or the closing.
    for closing in [false, true] {
        let mut driven = charging();
        if closing {
            driven.completed(1, unknown());
            assert_eq!(driven.input(expired(1, TTL)), does(close(1)));
        }
        let mut now = 0;
        for _ in 1..SENSELESS_MOST {
            assert_eq!(driven.completed(1, senseless()), nothing());
            now += 30_000;
            assert_eq!(driven.tick_at(now), does(if closing { close(1) } else { query(1) }));
        }
        assert_eq!(driven.completed(1, senseless()), wrote([failed(1, PaymentUnavailable)]));
        assert_eq!(driven.read_back(), does(close(1)));
        for _ in 0..10 {
            assert_eq!(driven.completed(1, senseless()), nothing());
            now += 30_000;
            assert_eq!(driven.tick_at(now), does(close(1)));
        }
        assert_eq!(driven.machine.stuck(), 1, "somebody should look");
        assert_eq!(driven.completed(1, charged()), does(refund(1)));
        assert_eq!(driven.machine.stuck(), 0);
        assert_eq!(driven.completed(1, PaymentOutcome::Refunded), wrote([refunded(1, PaymentUnavailable)]));
    }
}

#[test]
fn a_refund_or_an_answer_that_does_not_come_for_a_minute_is_somebodys_business() {
    let waits = |driven: &mut Driven<PaymentMachine>, outcome: &dyn Fn() -> PaymentOutcome| {
        let mut now = 0;
        for failures in 1..=10 {
            driven.completed(1, outcome());
            assert_eq!(driven.machine.stuck(), usize::from(now >= 60_000), "after {failures}");
            now += i64::try_from(pause_after(failures).as_millis()).unwrap();
            driven.tick_at(now);
        }
    };
    let mut driven = charging();
    waits(&mut driven, &unknown);
    assert_eq!(driven.completed(1, charged()), wrote([processed(1)]));
    assert_eq!(driven.machine.stuck(), 0);
    driven.read_back();
    driven.now = at(0);
    driven.input(lost(1, CancelledByClient));
    waits(&mut driven, &not_refunded);
}

#[test]
fn a_clock_that_was_put_right_puts_nothing_off() {
    const WRONG: i64 = 90_000_000;
    let mut driven = machine();
    driven.now = at(WRONG);
    driven.machine.set_clock(driven.now);
    assert_eq!(driven.input(reserved(1, WRONG + TTL)), does(charge_until(1, WRONG + TTL)));
    driven.completed(1, not_charged());
    assert_eq!(driven.machine.next_tick(), Some(at(WRONG + 500)));
    driven.machine.set_clock(at(1_000));
    assert_eq!(driven.machine.next_tick(), Some(at(1_000)));
    assert_eq!(driven.tick_at(1_000), does(charge_until(1, WRONG + TTL)));
}

#[test]
fn a_reservation_that_is_paid_already_is_not_charged() {
    let Event::VirtualStockReserved(again) = reserved(1, 2 * TTL) else { unreachable!() };
    let again = VirtualStockReserved { attempt: 1, payment: None, ..again };
    assert_eq!(machine().input(again.into()), nothing());
}

#[test]
fn the_outcome_that_another_process_told_first_stands() {
    // It was paid: our failure does not count, and there is nothing to refund.
    let mut driven = charging();
    driven.completed(1, not_charged());
    driven.input(expired(1, TTL));
    assert_eq!(driven.appears(processed(1)), nothing());
    assert_eq!(driven.read_back(), nothing());
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
    // It failed: what we charge after that goes back.
    let mut driven = charging();
    assert_eq!(driven.appears(failed(1, CancelledByClient)), nothing());
    assert_eq!(driven.completed(1, charged()), does(refund(1)));
    assert_eq!(driven.completed(1, PaymentOutcome::Refunded), wrote([refunded(1, CancelledByClient)]));
    // It failed while we paused: the gateway is told to refuse.
    let mut driven = charging();
    driven.completed(1, not_charged());
    assert_eq!(driven.appears(failed(1, CancelledByClient)), does(close(1)));
    // It was declined, so it would be for us.
    let mut driven = charging();
    assert_eq!(driven.appears(failed(1, PaymentDeclined)), nothing());
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
}

#[test]
fn ends_of_attempts_that_were_given_up_count_for_what_they_say_of_the_charge() {
    // An attempt of an earlier ownership of the partition ends while ours pauses.
    let mut driven = charging();
    driven.completed(1, not_charged());
    assert_eq!(driven.completed(1, unknown()), nothing());
    assert_eq!(driven.tick_at(1_000), does(query(1)), "no longer certain that nothing was charged");
    let mut driven = charging();
    driven.completed(1, not_charged());
    assert_eq!(driven.completed(1, charged()), wrote([processed(1)]));
    // Only the gateway's promise ends a closing.
    let mut driven = charging();
    driven.completed(1, unknown());
    driven.input(expired(1, TTL));
    assert_eq!(driven.completed(1, not_charged()), nothing());
    assert_eq!(driven.completed(1, PaymentOutcome::Closed), nothing(), "none was under way");
}

#[test]
fn both_processes_write_an_outcome_under_one_id() {
    let id = |outcome| {
        let mut driven = charging();
        driven.completed(1, outcome);
        driven.unread[0].message.id
    };
    assert_eq!(id(charged()), id(PaymentOutcome::Declined));
}

#[test]
fn a_revoked_partition_is_left_alone() {
    let mut driven = charging();
    driven.completed(1, not_charged());
    driven.machine.revoked(0);
    assert_eq!(driven.machine.next_tick(), None);
    assert_eq!(driven.completed(1, charged()), nothing());
    assert_eq!(driven.input(reserved(2, TTL)), nothing());
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
}

#[test]
fn the_releases_of_our_own_failures_change_nothing() {
    let mut driven = charging();
    driven.completed(1, PaymentOutcome::Declined);
    driven.read_back();
    assert_eq!(driven.input(released(1, PaymentDeclined)), nothing());
    for reason in Reason::ALL {
        assert_eq!(driven.input(released(2, *reason)), nothing(), "of an order without a payment");
    }
}

#[test]
fn a_refund_is_not_asked_for_when_an_answer_that_comes_before_says_that_it_is_made() {
    let mut driven = charging();
    let elsewhere = driven.place(at(0), failed_refund_due(1, PaymentUnavailable));
    driven.machine.follow(&elsewhere);
    let made = driven.completed(1, PaymentOutcome::Refunded);
    assert_eq!(made, wrote([refunded_unnamed(1, PaymentUnavailable)]), "by whoever wrote the failure");
}
