//! How many payments a process takes in at a time: a runtime reads no inputs while there are 10,000 or more in hand.

use super::*;

const MANY: u128 = 10_000;

/// Many orders that found the gateway away until their time was up.
fn expiring() -> Driven<PaymentMachine> {
    let mut driven = machine();
    for n in 0..MANY {
        driven.input(reserved(n, TTL));
        driven.completed(n, not_charged());
    }
    assert_eq!(driven.machine.in_hand(), 10_000, "they are to be tried again");
    assert_eq!(driven.tick_at(TTL), nothing());
    driven
}

#[test]
fn payments_that_wait_for_the_expiry_of_their_reservations_do_not_keep_it_from_being_read() {
    let mut driven = expiring();
    assert_eq!(driven.machine.next_tick(), None, "nothing but an input takes them further");
    assert_eq!(driven.machine.in_hand(), 0);
    assert_eq!(driven.hold(Topic::InventoryEvents), Some(0), "after a restart they are read again");
    for n in 0..MANY {
        assert_eq!(driven.input(expired(n, TTL)), wrote([failed(n, PaymentUnavailable)]));
    }
    assert_eq!(driven.machine.in_hand(), 10_000, "each is sealed at the gateway");
    let closes = driven.read_back().effects;
    assert_eq!(closes, (0..MANY).map(|n| close(n).into()).collect::<Vec<_>>());
    for n in 0..MANY {
        driven.completed(n, PaymentOutcome::Closed);
    }
    assert_eq!((driven.machine.in_hand(), driven.hold(Topic::InventoryEvents)), (0, None));
}

#[test]
fn after_a_restart_they_are_in_hand_until_the_gateway_has_said_what_it_knows() {
    let mut driven = machine();
    driven.now = at(TTL);
    let old = |n| record(u64::try_from(n).unwrap(), at(-1), reserved(n, TTL));
    for n in 0..MANY {
        assert_eq!(driven.deliver(&old(n)), does(query(n)));
    }
    assert_eq!(driven.machine.in_hand(), 10_000);
    for n in 0..MANY {
        assert_eq!(driven.completed(n, not_charged()), nothing());
    }
    assert_eq!(driven.machine.in_hand(), 0);
}

#[test]
fn a_late_answer_or_another_process_puts_an_expiring_payment_in_hand_again() {
    let mut driven = charging();
    driven.completed(1, not_charged());
    driven.tick_at(TTL);
    assert_eq!(driven.machine.in_hand(), 0);
    assert_eq!(driven.completed(1, unknown()), nothing());
    assert_eq!(driven.machine.in_hand(), 1, "the gateway is to be asked again");

    let mut driven = charging();
    driven.completed(1, not_charged());
    driven.tick_at(TTL);
    assert_eq!(driven.appears(failed(1, PaymentUnavailable)), does(close(1)));
    assert_eq!(driven.machine.in_hand(), 1);
}

#[test]
fn a_revoked_partition_takes_its_expiring_payments_along() {
    let mut driven = expiring();
    driven.machine.revoked(0);
    assert_eq!(driven.machine.in_hand(), 0);
    driven.machine.assigned(0);
    driven.now = at(0);
    assert_eq!(driven.deliver(&record(0, at(0), reserved(1, TTL))), does(charge(1)));
    assert_eq!(driven.machine.in_hand(), 1);
}
