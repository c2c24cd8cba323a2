//! A process that takes over reads back what others have written, and asks the gateway about the rest.

use super::*;

#[test]
fn after_a_restart_the_gateway_is_asked_before_anything_else() {
    let (mut driven, _) = Driven::recovered(PaymentMachine::new(), &[]);
    driven.now = at(10);
    driven.step(|machine, outbox| machine.recovered(0, outbox));
    let before = driven.place(at(9), reserved(1, TTL));
    assert_eq!(driven.deliver(&before), does(query(1)));
    assert_eq!(driven.completed(1, charged()), wrote([processed(1)]));
    let since = driven.place(at(10), reserved(2, TTL));
    assert_eq!(driven.deliver(&since), does(charge(2)));
}

#[test]
fn after_a_restart_an_expired_reservation_is_asked_about_too() {
    let (mut driven, _) = Driven::recovered(PaymentMachine::new(), &[]);
    driven.now = at(TTL + 1);
    driven.step(|machine, outbox| machine.recovered(0, outbox));
    let before = driven.place(at(0), reserved(1, TTL));
    assert_eq!(driven.deliver(&before), does(query(1)));
    assert_eq!(driven.input(expired(1, TTL)), nothing());
    assert_eq!(driven.completed(1, not_charged()), wrote([failed(1, ReservationExpired)]));
}

#[test]
fn what_the_log_says_is_not_told_again_after_a_restart() {
    for (first, did) in [
        (processed(1), nothing()),
        (failed(1, PaymentDeclined), nothing()),
        (failed(1, PaymentUnavailable), does(close(1))),
        (refunded(1, PaymentUnavailable), nothing()),
    ] {
        let (mut driven, _) = Driven::recovered(PaymentMachine::new(), std::slice::from_ref(&first));
        assert_eq!(driven.input(reserved(1, TTL)), did, "{first:?}");
    }
}

#[test]
fn of_two_outcomes_in_the_log_the_first_one_counts_after_a_restart() {
    let (paid, unpaid) = (processed(1), failed(1, PaymentUnavailable));
    let (mut driven, _) = Driven::recovered(PaymentMachine::new(), &[paid.clone(), unpaid.clone()]);
    assert_eq!(driven.input(reserved(1, TTL)), nothing(), "paid, so nothing is closed or refunded");
    let (mut driven, _) = Driven::recovered(PaymentMachine::new(), &[unpaid, paid]);
    assert_eq!(driven.input(reserved(1, TTL)), does(close(1)));
}
