use std::sync::Arc;

use kbnt_domain::Event;
use kbnt_domain::Reason::{CancelledByClient, UserNotFound};
use kbnt_domain::event::CancelKind::{Cancelled, Rejected};
use kbnt_domain::event::{NotificationFailed, NotificationSent};

use super::NotificationMachine;
use crate::machine::{Delivered, Machine, NotificationOutcome, NotificationRequest};
use crate::message::Topic;
use crate::testkit::*;

fn notify(about: &Delivered, template: &'static str) -> Did {
    let about = Arc::clone(&about.message);
    let request = NotificationRequest { order: order(1), user: user(), template, about };
    Did { events: Vec::new(), effects: vec![request.into()] }
}

fn sent(template: &str) -> Event {
    NotificationSent { order: order(1), user: user(), channel: "log".into(), template: template.into() }
        .into()
}

fn notified() -> NotificationOutcome {
    NotificationOutcome::Notified { channel: "log" }
}

fn not_notified(retry: bool) -> NotificationOutcome {
    NotificationOutcome::NotNotified { channel: "log", detail: "503".into(), retry }
}

fn given_up() -> Event {
    NotificationFailed { order: order(1), user: user(), channel: "log".into(), detail: "503".into() }.into()
}

#[test]
fn each_end_of_an_order_is_told_once_in_its_own_words() {
    for (end, template) in [
        (created(1), "order-confirmed"),
        (cancelled(1, Rejected, UserNotFound), "order-rejected"),
        (cancelled(1, Cancelled, CancelledByClient), "order-cancelled"),
    ] {
        let mut driven = Driven::new(NotificationMachine::new());
        assert_eq!(driven.input(placed(1)), nothing());
        let end = driven.place(at(0), end);
        assert_eq!(driven.deliver(&end), notify(&end, template));
        assert_eq!(driven.deliver(&end), nothing(), "delivered twice");
        assert_eq!(driven.input(created(1)), nothing(), "ended again, while it is being told");
        assert_eq!(driven.hold(Topic::OrderEvents), Some(1));
        assert_eq!(driven.completed(1, notified()), wrote([sent(template)]));
        assert_eq!(driven.unread[0].message.cause, Some(end.message.id));
        assert_eq!(driven.hold(Topic::OrderEvents), None);
        assert_eq!(driven.input(created(1)), nothing(), "and after");
    }
}

#[test]
fn it_is_tried_again_and_given_up_in_the_end() {
    let mut driven = Driven::new(NotificationMachine::new());
    let end = driven.place(at(0), created(1));
    driven.deliver(&end);
    let mut now = 0;
    for pause in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
        assert_eq!(driven.completed(1, not_notified(true)), nothing());
        assert_eq!(driven.tick_at(now + pause - 1), nothing());
        now += pause;
        assert_eq!(driven.machine.next_tick(), Some(at(now)));
        assert_eq!(driven.tick_at(now), notify(&end, "order-confirmed"));
    }
    assert_eq!(driven.completed(1, not_notified(true)), wrote([given_up()]));
    assert_eq!((driven.hold(Topic::OrderEvents), driven.machine.next_tick()), (None, None));
}

#[test]
fn what_cannot_succeed_is_given_up_at_once() {
    let mut driven = Driven::new(NotificationMachine::new());
    driven.input(created(1));
    assert_eq!(driven.completed(1, not_notified(false)), wrote([given_up()]));
    assert_eq!(driven.completed(1, notified()), nothing());
}

#[test]
fn a_restart_tells_only_what_was_not_told() {
    let mut driven = Driven::new(NotificationMachine::new());
    let end = driven.place(at(0), created(1));
    for told in [sent("order-confirmed"), given_up()] {
        let (mut restarted, _) = Driven::recovered(NotificationMachine::new(), &[told]);
        assert_eq!(restarted.deliver(&end), nothing());
    }
    assert_eq!(driven.deliver(&end), notify(&end, "order-confirmed"));
}

#[test]
fn a_revoked_partition_is_left_alone() {
    let mut driven = Driven::new(NotificationMachine::new());
    driven.input(created(1));
    driven.completed(1, not_notified(true));
    driven.machine.revoked(0);
    assert_eq!(driven.machine.next_tick(), None);
    assert_eq!(driven.tick_at(1_000), nothing());
    assert_eq!(driven.completed(1, notified()), nothing());
    assert_eq!(driven.hold(Topic::OrderEvents), None);
}
