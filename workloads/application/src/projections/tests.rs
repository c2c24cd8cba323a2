use kbnt_domain::Event;
use kbnt_domain::Reason::{CancelledByClient, PaymentDeclined, StaleCommand, UserBlocked};
use kbnt_domain::event::CancelKind::{Cancelled, Rejected};
use kbnt_domain::event::{NotificationSent, UserRegistered, UserStatus, UserStatusChanged};
use kbnt_domain::order::OrderStatus::{self, Confirmed, Pending};
use kbnt_domain::{EventId, Span, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::machine::Delivered;
use crate::message::Topic;
use crate::projection::Projection;
use crate::testkit::*;

/// Writes records with ids and causes as the services do.
#[derive(Default)]
struct Writer {
    next: BTreeMap<Topic, u64>,
}

impl Writer {
    fn write(&mut self, millis: i64, cause: Option<&Delivered>, event: Event) -> Delivered {
        let topic = crate::message::Classification::of_kind(event.kind()).topic();
        let next = self.next.entry(topic).or_default();
        *next += 1;
        let mut record = record(*next - 1, at(millis), event);
        if let Some(cause) = cause {
            let mut message = (*record.message).clone();
            message.cause = Some(cause.message.id);
            record.message = Arc::new(message);
        }
        record
    }
}

fn with_id(mut record: Delivered, id: EventId) -> Delivered {
    let mut message = (*record.message).clone();
    message.id = id;
    record.message = Arc::new(message);
    record
}

/// The records of an order that goes well, with clocks that disagree.
fn good_order(writer: &mut Writer, n: u128) -> Vec<Delivered> {
    let command = writer.write(1_000, None, placed(n));
    let valid = writer.write(900, Some(&command), validated(n));
    let stock = writer.write(1_500, Some(&valid), reserved(n, 9_000));
    let paid = writer.write(1_200, Some(&stock), processed(n));
    let sure = writer.write(1_510, Some(&paid), confirmed(n));
    let done = writer.write(1_003, Some(&sure), created(n));
    let (order, channel, template) = (order(n), "log".to_owned(), "order-confirmed".to_owned());
    let sent = NotificationSent { order, user: user(), channel, template };
    let told = writer.write(800, Some(&done), sent.into());
    vec![command, valid, stock, paid, sure, done, told]
}

fn book(records: &[Delivered]) -> OrderBook {
    let mut book = OrderBook::default();
    for record in records {
        book.apply(record);
    }
    book
}

fn counts(book: &OrderBook) -> String {
    book.counts().to_string()
}

#[test]
fn an_order_shows_where_it_stands_and_how_it_came_there() {
    let records = good_order(&mut Writer::default(), 1);
    let pending = book(&records[..5]).get(&order(1)).unwrap();
    assert_eq!((pending.status, pending.amount), (Pending, Some(amount())));
    let view = book(&records).get(&order(1)).unwrap();
    assert_eq!((view.status, view.reason, view.reservation), (Confirmed, None, Some(reservation(1))));
    assert_eq!((view.user, view.placed_at), (user(), at(1_000)));
    assert_eq!(book(&records).status(&order(1)), Some(Confirmed));
    assert_eq!(book(&records).get(&order(2)), None);
}

#[test]
fn a_timeline_has_causes_before_effects_whatever_order_it_was_read_in() {
    let records = good_order(&mut Writer::default(), 1);
    let places: Vec<_> = records.iter().map(|record| record.at).collect();
    let mut topics: Vec<Topic> = places.iter().map(|at| at.topic).collect();
    topics.sort();
    topics.dedup();
    // One topic after the other, in every rotation.
    for turn in 0..topics.len() {
        topics.rotate_left(turn);
        let read: Vec<Delivered> = topics
            .iter()
            .flat_map(|topic| records.iter().filter(|record| record.at.topic == *topic).cloned())
            .collect();
        let view = book(&read).get(&order(1)).unwrap();
        assert_eq!(view.timeline.iter().map(|entry| entry.at).collect::<Vec<_>>(), places, "{topics:?}");
        assert_eq!(counts(&book(&read)), "0-1-0-0");
    }
    let view = book(&records).get(&order(1)).unwrap();
    assert_eq!((view.timeline[0].event_name, view.timeline[0].timestamp), ("PlaceOrderCommand", at(1_000)));
}

#[test]
fn a_record_that_was_seen_changes_nothing() {
    let records = good_order(&mut Writer::default(), 1);
    let mut twice = book(&records);
    for record in &records {
        twice.apply(record);
    }
    assert_eq!(twice.get(&order(1)), book(&records).get(&order(1)));
    assert_eq!(counts(&twice), "0-1-0-0");
}

#[test]
fn the_first_basket_of_an_id_is_the_order() {
    let mut writer = Writer::default();
    let mut other = basket();
    other.payment.token = Some("tok_decline".into());
    let mut book = book(&[]);
    assert_eq!(book.placement(&order(1), &basket()), Placement::New);
    book.apply(&writer.write(0, None, placed(1)));
    let view = book.get(&order(1)).unwrap();
    assert_eq!(book.placement(&order(1), &basket()), Placement::Same(Box::new(view.clone())));
    assert_eq!(book.placement(&order(1), &other), Placement::Conflict);
    let late = kbnt_domain::event::PlaceOrder { order: order(1), basket: other.clone() };
    book.apply(&writer.write(1, None, late.into()));
    assert_eq!(book.placement(&order(1), &other), Placement::Conflict);
    assert_eq!(book.get(&order(1)), Some(view), "the conflicting command is not part of it");
}

#[test]
fn the_first_answer_under_an_id_stands() {
    let mut writer = Writer::default();
    let mut book = book(&[]);
    book.apply(&writer.write(0, None, placed(1)));
    let end = EventId::named("end");
    book.apply(&with_id(writer.write(1, None, cancelled(1, Cancelled, CancelledByClient)), end));
    book.apply(&with_id(writer.write(2, None, created(1)), end));
    let view = book.get(&order(1)).unwrap();
    assert_eq!((view.status, view.reason), (OrderStatus::Cancelled, Some(CancelledByClient)));
    assert_eq!((view.timeline.len(), counts(&book).as_str()), (2, "0-0-0-1"));
}

#[test]
fn what_was_never_placed_is_no_order() {
    let mut writer = Writer::default();
    let book = book(&[writer.write(0, None, promised(1)), writer.write(0, None, validated(2))]);
    assert_eq!((book.get(&order(1)), book.status(&order(2))), (None, None));
    assert_eq!(book.placement(&order(1), &basket()), Placement::New);
    assert_eq!(counts(&book), "0-0-0-0");
    assert_eq!(book.page(None, 10, None), Page { orders: Vec::new(), next: None });
}

fn ids(page: &Page) -> Vec<u128> {
    page.orders.iter().map(|view| view.order.as_uuid().as_u128()).collect()
}

#[test]
fn pages_go_from_new_to_old_and_miss_nothing_though_orders_come_and_end() {
    let mut writer = Writer::default();
    let mut book = OrderBook::default();
    for n in 1..=7 {
        // Two of them in the same millisecond.
        book.apply(&writer.write(i64::try_from(n.min(6)).unwrap(), None, placed(n)));
    }
    let first = book.page(None, 3, None);
    assert_eq!(ids(&first), [7, 6, 5]);
    book.apply(&writer.write(9, None, placed(8)));
    book.apply(&writer.write(9, None, created(4)));
    let cursor: Cursor = first.next.unwrap().to_string().parse().unwrap();
    let second = book.page(None, 3, Some(cursor));
    assert_eq!(ids(&second), [4, 3, 2]);
    let third = book.page(None, 3, second.next);
    assert_eq!((ids(&third), third.next), (vec![1], None));
    assert_eq!(ids(&book.page(Some(Confirmed), 3, None)), [4]);
    assert_eq!(ids(&book.page(Some(Pending), 2, None)), [8, 7]);
    assert_eq!(ids(&book.page(None, 100, None)).len(), 8);
    for bad in ["", "1", "x_y", "1_y"] {
        assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor));
    }
}

#[test]
fn counts_follow_each_order_and_outlive_it() {
    let limits = BookLimits { window: Span::from_secs(10), most: 2 };
    let mut writer = Writer::default();
    let mut book = OrderBook::new(limits);
    for (millis, event, expected) in [
        (0, placed(1), "1-0-0-0"),
        (0, placed(2), "2-0-0-0"),
        (0, created(1), "1-1-0-0"),
        (0, cancelled(2, Rejected, UserBlocked), "0-1-1-0"),
        (1, placed(3), "1-1-1-0"),
        (1, cancelled(3, Cancelled, PaymentDeclined), "0-1-1-1"),
    ] {
        book.apply(&writer.write(millis, None, event));
        assert_eq!(counts(&book), expected);
    }
    assert_eq!(book.status(&order(1)), None, "the oldest end is one too many");
    assert!(book.status(&order(2)).is_some());
    for event in [placed(4), created(4)] {
        book.apply(&writer.write(10_001, None, event));
    }
    assert_eq!(book.status(&order(2)), None, "older than the window");
    assert!(book.status(&order(3)).is_some());
    assert_eq!((ids(&book.page(None, 9, None)), counts(&book)), (vec![4, 3], "0-2-1-1".into()));
    book.apply(&writer.write(10_002, None, created(1)));
    assert_eq!(counts(&book), "0-2-1-1", "a late echo of a dropped order is no order");
}

#[test]
fn an_order_that_comes_again_after_it_is_forgotten_is_what_it_was_and_counts_once() {
    // The answer is read after its command, or before it, as topics are read side by side.
    for ahead in [false, true] {
        let mut writer = Writer::default();
        let mut book = OrderBook::new(BookLimits { window: Span::from_secs(10), most: 1 });
        for event in [placed(1), created(1), placed(2), created(2)] {
            book.apply(&writer.write(0, None, event));
        }
        assert_eq!((book.get(&order(1)), counts(&book)), (None, "0-2-0-0".into()));
        let command = writer.write(1, None, placed(1));
        let mut answer = writer.write(2, Some(&command), repeated(1));
        answer.source = Some(command.at);
        let mut twice = answer.clone();
        twice.at.offset += 1;
        let first = answer.at;
        let mut records = vec![command, answer];
        if ahead {
            records.reverse();
        }
        records.insert(1 + usize::from(!ahead), twice);
        for record in &records {
            book.apply(record);
        }
        let view = book.get(&order(1)).unwrap();
        assert!(view.timeline.iter().any(|entry| entry.at == first), "an append that was tried again");
        assert_eq!((view.status, view.reservation, view.repeated), (Confirmed, Some(reservation(1)), true));
        assert_eq!(view.timeline.len(), 2);
        assert_eq!(counts(&book), "0-2-0-0", "{ahead}");
        let mut other = basket();
        other.payment.token = Some("tok_decline".into());
        assert_eq!(book.placement(&order(1), &other), Placement::Conflict);
    }
}

#[test]
fn an_order_that_was_rejected_and_comes_again_after_it_is_forgotten_is_shown_rejected_and_counts_once() {
    for ahead in [false, true] {
        let mut writer = Writer::default();
        let mut book = OrderBook::new(BookLimits { window: Span::from_secs(10), most: 1 });
        for event in
            [placed(1), rejected(1, UserBlocked), cancelled(1, Rejected, UserBlocked), placed(2), created(2)]
        {
            book.apply(&writer.write(0, None, event));
        }
        assert_eq!((book.get(&order(1)), counts(&book)), (None, "0-1-1-0".into()));
        let command = writer.write(1, None, placed(1));
        let mut answer = writer.write(2, Some(&command), rejected_before(1, UserBlocked));
        answer.source = Some(command.at);
        let mut records = [command, answer];
        if ahead {
            records.reverse();
        }
        for record in &records {
            book.apply(record);
        }
        let view = book.get(&order(1)).unwrap();
        assert_eq!(
            (view.status, view.reason, view.repeated),
            (OrderStatus::Rejected, Some(UserBlocked), true)
        );
        assert_eq!(counts(&book), "0-1-1-0", "{ahead}");
    }
}

#[test]
fn whoever_knows_how_an_order_ended_is_believed_before_one_who_knows_that_it_is_old() {
    for known_first in [false, true] {
        let mut writer = Writer::default();
        let command = writer.write(0, None, placed(1));
        let mut answers = [rejected_before(1, StaleCommand), repeated(1)];
        if known_first {
            answers.reverse();
        }
        let mut book = OrderBook::new(BookLimits::default());
        book.apply(&command);
        for answer in answers {
            let mut answer = writer.write(1, Some(&command), answer);
            answer.source = Some(command.at);
            book.apply(&answer);
        }
        let view = book.get(&order(1)).unwrap();
        assert_eq!((view.status, view.reason, view.repeated), (Confirmed, None, true));
        assert_eq!(counts(&book), "0-0-0-0", "it was counted when it ended");
    }
}

#[test]
fn a_clock_that_was_wrong_makes_no_order_old() {
    let mut writer = Writer::default();
    let mut book = OrderBook::new(BookLimits { window: Span::from_secs(10), most: 9 });
    book.set_clock(at(90_000_000));
    for event in [placed(1), created(1)] {
        book.apply(&writer.write(90_000_000, None, event));
    }
    book.set_clock(at(5));
    for (millis, event) in [(5, placed(2)), (5, created(2)), (5, placed(3)), (90_000_000, created(3))] {
        book.apply(&writer.write(millis, None, event));
    }
    assert_eq!(ids(&book.page(None, 9, None)).len(), 3);
}

#[test]
fn the_directory_knows_the_last_word_on_each_user() {
    let mut writer = Writer::default();
    let mut directory = UserDirectory::new();
    assert!(directory.is_empty());
    let (name, email) = ("Ana".to_owned(), "ana@example.com".to_owned());
    let registered = writer.write(0, None, UserRegistered { user: user(), name, email }.into());
    let status = UserStatusChanged { user: user(), status: UserStatus::Blocked };
    let blocked = writer.write(Timestamp::MIN.as_millis(), None, status.into());
    for record in [&registered, &blocked, &registered] {
        directory.apply(record);
    }
    let ana = directory.get(&user()).unwrap();
    assert_eq!((ana.status, ana.revision, directory.len()), (UserStatus::Blocked, 2, 1));
}

#[test]
fn the_newest_records_hold_all_orders_that_are_kept() {
    let limits = BookLimits { most: 20, ..BookLimits::default() };
    let mut writer = Writer::default();
    let records: Vec<Delivered> = (0..100).flat_map(|n| good_order(&mut writer, n)).collect();
    let of = |from: &dyn Fn(&Delivered) -> bool| {
        let mut book = OrderBook::new(limits);
        records.iter().filter(|record| from(record)).for_each(|record| book.apply(record));
        book.page(None, 200, None).orders
    };
    // All of them are in one of three partitions here.
    let back = 3 * OrderBook::new(limits).looks_back().unwrap();
    let newest = |record: &Delivered| record.at.offset + back >= writer.next[&record.at.topic];
    assert!(records.iter().any(|record| !newest(record)), "they are not all records");
    assert_eq!((of(&newest).len(), of(&newest)), (20, of(&|_| true)));
}
