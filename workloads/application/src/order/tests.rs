//! Every row of "When order-service concludes" in `docs/saga.md`, in every order of arrival that the log allows.

use kbnt_domain::Event;
use kbnt_domain::Reason::{
    self, CancelledByClient, InsufficientStock, PaymentDeclined, PaymentUnavailable, ProductNotFound,
    ReservationExpired, StaleCommand, UserBlocked, UserNotFound,
};
use kbnt_domain::event::CancelKind::{Cancelled, Rejected};

use super::{OrderMachine, place_order, request_cancel};
use crate::event::RecordedEvent;
use crate::machine::{Machine, Outbox, Route};
use crate::message::{Classification, Service, Topic};
use crate::testkit::*;

fn machine() -> Driven<OrderMachine> {
    Driven::new(OrderMachine::new())
}

/// Facts, and the end that they must come to, not before all of them are there.
fn cases() -> Vec<(Vec<Event>, Event)> {
    let end = |kind, reason| cancelled(1, kind, reason);
    vec![
        (vec![rejected(1, UserNotFound)], end(Rejected, UserNotFound)),
        (vec![rejected(1, UserBlocked)], end(Rejected, UserBlocked)),
        (vec![no_product(1)], end(Rejected, ProductNotFound)),
        (vec![insufficient(1)], end(Rejected, InsufficientStock)),
        (vec![refused(1, StaleCommand)], end(Rejected, StaleCommand)),
        (vec![refused(1, CancelledByClient)], end(Cancelled, CancelledByClient)),
        (vec![confirmed(1)], created(1)),
        (vec![reserved(1, 9), released(1, PaymentDeclined)], end(Cancelled, PaymentDeclined)),
        (vec![reserved(1, 9), released(1, CancelledByClient)], end(Cancelled, CancelledByClient)),
        (vec![validated(1), promised(1)], end(Cancelled, CancelledByClient)),
        (
            vec![reserved(1, 9), expired(1, 9), failed(1, ReservationExpired)],
            end(Cancelled, ReservationExpired),
        ),
        (
            vec![reserved(1, 9), expired(1, 9), failed(1, PaymentUnavailable)],
            end(Cancelled, PaymentUnavailable),
        ),
        (vec![reserved(1, 9), expired(1, 9), failed(1, PaymentDeclined)], end(Cancelled, ReservationExpired)),
        (
            vec![reserved(1, 9), failed(1, PaymentUnavailable), expired(1, 9)],
            end(Cancelled, PaymentUnavailable),
        ),
        (
            vec![reserved(1, 9), expired(1, 9), processed(1), refunded(1, ReservationExpired)],
            end(Cancelled, ReservationExpired),
        ),
        (vec![reserved(1, 9), expired(1, 9), processed(1), confirmed(1)], created(1)),
    ]
}

#[test]
fn each_row_of_the_table_comes_to_its_end_at_its_last_fact() {
    for (facts, end) in cases() {
        let mut driven = machine();
        let (last, before) = facts.split_last().unwrap();
        for fact in before {
            assert_eq!(driven.input(fact.clone()), nothing(), "{facts:?}");
        }
        assert_eq!(driven.input(last.clone()), wrote([end.clone()]), "{facts:?}");
        for topic in Service::Order.inputs() {
            assert_eq!(driven.hold(*topic), None, "{facts:?}");
        }
        // Nothing that comes later changes it.
        for late in [
            confirmed(1),
            released(1, CancelledByClient),
            refunded(1, PaymentDeclined),
            rejected(1, UserBlocked),
        ] {
            assert_eq!(driven.input(late), nothing(), "{facts:?}");
        }
    }
}

#[test]
fn facts_of_different_topics_may_come_in_any_order() {
    for (facts, end) in cases() {
        for order in interleavings(&facts) {
            let mut driven = machine();
            let written: Vec<RecordedEvent> =
                order.iter().flat_map(|fact| driven.input(fact.clone()).events).collect();
            assert_eq!(written, [end.clone().into()], "{order:?}");
        }
    }
}

/// All orders that keep those of one topic in theirs. A fact that names the user may come late, but must come.
fn interleavings(facts: &[Event]) -> Vec<Vec<Event>> {
    if facts.is_empty() {
        return vec![Vec::new()];
    }
    let topic = |event: &Event| Classification::of_kind(event.kind()).topic();
    let firsts = (0..facts.len()).filter(|i| !facts[..*i].iter().any(|f| topic(f) == topic(&facts[*i])));
    let mut all = Vec::new();
    for first in firsts {
        let mut rest = facts.to_vec();
        let head = rest.remove(first);
        all.extend(interleavings(&rest).into_iter().map(|mut tail| {
            tail.insert(0, head.clone());
            tail
        }));
    }
    // A promise that is seen before its user is known decides nothing: the refusal that follows does, see below.
    all.retain(|order| !order.first().is_some_and(|fact| *fact == promised(1)));
    all
}

#[test]
fn a_promise_before_anything_else_waits_for_the_refusal() {
    let mut driven = machine();
    assert_eq!(driven.input(promised(1)), nothing());
    assert_eq!(driven.hold(Topic::InventoryEvents), None, "nothing to come back for");
    assert_eq!(driven.input(validated(1)), nothing());
    let end = cancelled(1, Cancelled, CancelledByClient);
    assert_eq!(driven.input(refused(1, CancelledByClient)), wrote([end]));
}

#[test]
fn the_first_answer_of_a_topic_stands() {
    let mut driven = machine();
    driven.input(validated(1));
    assert_eq!(driven.input(rejected(1, UserBlocked)), nothing(), "another process said yes before");
    driven.input(reserved(1, 9));
    driven.input(expired(1, 9));
    driven.input(processed(1));
    assert_eq!(driven.input(failed(1, ReservationExpired)), nothing(), "another process was paid before");
    assert_eq!(driven.input(confirmed(1)), wrote([created(1)]));
}

#[test]
fn an_expiry_while_a_charge_is_under_way_decides_nothing() {
    let mut driven = machine();
    driven.input(validated(1));
    driven.input(reserved(1, 9));
    assert_eq!(driven.input(expired(1, 9)), nothing());
    assert_eq!(driven.hold(Topic::InventoryEvents), Some(0));
}

#[test]
fn facts_of_open_orders_hold_their_offsets_back_until_the_end() {
    let mut driven = machine();
    driven.input(validated(1));
    driven.input(validated(2));
    driven.input(reserved(2, 9));
    assert_eq!(driven.hold(Topic::UserEvents), Some(0));
    assert_eq!(driven.hold(Topic::InventoryEvents), Some(0));
    assert_eq!(driven.hold(Topic::PaymentEvents), None);
    driven.input(confirmed(2));
    assert_eq!(driven.hold(Topic::UserEvents), Some(0), "the first order is still open");
    assert_eq!(driven.hold(Topic::InventoryEvents), None);
    driven.input(insufficient(1));
    assert_eq!(driven.hold(Topic::UserEvents), None);
}

#[test]
fn redelivery_repeats_nothing_and_a_restart_forgets_no_end() {
    let mut driven = machine();
    let fact = driven.place(at(0), confirmed(1));
    assert_eq!(driven.deliver(&fact), wrote([created(1)]));
    assert_eq!(driven.deliver(&fact), nothing());
    let (mut restarted, _) = Driven::recovered(OrderMachine::new(), &[placed(1), created(1)]);
    assert_eq!(restarted.deliver(&fact), nothing());
    let (mut restarted, _) = Driven::recovered(OrderMachine::new(), &[placed(1)]);
    assert_eq!(restarted.deliver(&fact), wrote([created(1)]), "its end was lost in the crash");
}

#[test]
fn whoever_concludes_writes_the_same_event() {
    let ids: Vec<_> = [(confirmed(1)), (insufficient(1))]
        .into_iter()
        .map(|fact| {
            let mut driven = machine();
            driven.input(fact);
            driven.unread[0].message.id
        })
        .collect();
    assert_eq!(ids[0], ids[1], "the first in the log is the end, and readers drop ids that they have seen");
}

#[test]
fn another_processes_partition_is_none_of_ours() {
    let mut driven = machine();
    driven.input(validated(1));
    driven.machine.revoked(0);
    assert_eq!(driven.input(insufficient(1)), nothing());
    assert_eq!(driven.hold(Topic::UserEvents), None);
    driven.machine.assigned(0);
    assert_eq!(driven.input(insufficient(1)).events.len(), 1);
}

#[test]
fn a_late_fact_of_a_forgotten_order_is_forgotten_too() {
    let mut driven = machine();
    driven.input(refunded(1, CancelledByClient));
    assert_eq!(driven.hold(Topic::PaymentEvents), Some(0));
    driven.now = at(3_600_000);
    driven.input(validated(2));
    assert_eq!(driven.hold(Topic::PaymentEvents), Some(0), "its user may still come");
    driven.now = at(3_600_001);
    driven.input(validated(3));
    assert_eq!(driven.hold(Topic::PaymentEvents), None);
}

#[test]
fn an_order_that_comes_again_after_it_is_forgotten_is_not_concluded_again_and_holds_nothing_back() {
    for user_first in [true, false] {
        let mut driven = machine();
        let mut facts = [validated(1), repeated(1)];
        if !user_first {
            facts.reverse();
        }
        for fact in facts {
            assert_eq!(driven.input(fact), nothing());
        }
        for topic in Service::Order.inputs() {
            assert_eq!(driven.hold(*topic), None, "{user_first}");
        }
    }
    // Whoever repeats a command while the order is being concluded changes nothing.
    let mut driven = machine();
    for fact in [validated(1), reserved(1, 9), expired(1, 9), repeated(1)] {
        assert_eq!(driven.input(fact), nothing());
    }
    let end = cancelled(1, Cancelled, ReservationExpired);
    assert_eq!(driven.input(failed(1, ReservationExpired)), wrote([end]));
}

#[test]
fn an_order_that_was_rejected_before_is_not_concluded_again() {
    let mut driven = machine();
    assert_eq!(driven.input(rejected_before(1, UserBlocked)), nothing());
    assert_eq!(driven.input(rejected(2, UserBlocked)).events.len(), 1);
    for topic in Service::Order.inputs() {
        assert_eq!(driven.hold(*topic), None);
    }
}

#[test]
fn commands_are_named_after_what_they_ask_for() {
    let write = |basket| {
        let mut outbox = Outbox::new(Service::Order, at(5));
        // A cause that an earlier step left in the outbox is none of the command's.
        outbox.answer(&record(0, at(0), validated(9)));
        place_order(order(1), basket, &mut outbox);
        request_cancel(order(1), &mut outbox);
        outbox.take().0
    };
    let (first, again) = (write(basket()), write(basket()));
    assert_eq!(first[0].message.id, again[0].message.id);
    assert_eq!(first[1].message.id, again[1].message.id);
    assert_eq!((first[0].message.cause, first[0].source), (None, None));
    assert_eq!(first[0].route, Route::Key(order(1).to_string()));
    let mut other = basket();
    other.payment.token = Some(String::new());
    assert_ne!(write(other)[0].message.id, first[0].message.id);
}

#[test]
fn reasons_are_kept_as_they_came() {
    for reason in Reason::ALL.iter().copied().filter(|reason| *reason != CancelledByClient) {
        let mut driven = machine();
        assert_eq!(driven.input(refused(1, reason)), wrote([cancelled(1, Rejected, reason)]));
    }
    assert_eq!(machine().machine.next_tick(), None);
}
