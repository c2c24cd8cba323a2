use kbnt_domain::Reason::{StaleCommand, UserBlocked, UserNotFound};
use kbnt_domain::event::{UserRegistered, UserStatus, UserStatusChanged};
use kbnt_domain::user::{Registration, UnknownUser};
use kbnt_domain::{Event, Span, UserId};

use super::{Change, UserConfig, UserMachine};
use crate::machine::{Delivered, Imaged as _, Machine, Position};
use crate::message::Topic;
use crate::partition_state::Limits;
use crate::testkit::*;

fn ana() -> Registration {
    Registration::new(user(), "Ana".into(), "ana@example.com".into()).unwrap()
}

fn registered() -> Event {
    let Registration { user, name, email } = ana();
    UserRegistered { user, name, email }.into()
}

fn status(status: UserStatus) -> Event {
    UserStatusChanged { user: user(), status }.into()
}

fn declaring_config() -> UserConfig {
    UserConfig { declared: vec![ana()], ..UserConfig::default() }
}

fn declaring() -> UserMachine {
    UserMachine::new(declaring_config())
}

fn answer_of(own: &[Event], allow_unknown: bool) -> Did {
    let config = UserConfig { allow_unknown, ..UserConfig::default() };
    Driven::recovered(UserMachine::new(config), own).0.input(placed(1))
}

#[test]
fn an_order_is_validated_or_rejected_by_who_its_user_is() {
    let blocked = [registered(), status(UserStatus::Blocked)];
    let back = [registered(), status(UserStatus::Blocked), status(UserStatus::Active)];
    for (own, allow_unknown, answer) in [
        (&[][..], false, rejected(1, UserNotFound)),
        (&[][..], true, validated(1)),
        (&[registered()][..], false, validated(1)),
        (&blocked[..], false, rejected(1, UserBlocked)),
        (&blocked[..], true, rejected(1, UserBlocked)),
        (&back[..], false, validated(1)),
    ] {
        assert_eq!(answer_of(own, allow_unknown), wrote([answer]), "{own:?} {allow_unknown}");
    }
}

#[test]
fn users_of_the_configuration_are_declared_once() {
    let (mut driven, did) = Driven::recovered(declaring(), &[]);
    assert_eq!(did, wrote([registered()]));
    assert_eq!(driven.step(|machine, outbox| machine.recovered(1, outbox)), nothing());
    assert_eq!(driven.input(placed(1)), wrote([validated(1)]), "at once");
    let (_, did) = Driven::recovered(declaring(), &[registered()]);
    assert_eq!(did, nothing(), "the same data changes nothing");
}

#[test]
fn the_first_command_of_an_order_gets_the_only_answer() {
    let (mut driven, _) = Driven::recovered(declaring(), &[]);
    let first = driven.place(at(0), placed(1));
    assert_eq!(driven.deliver(&first), wrote([validated(1)]));
    assert_eq!(driven.deliver(&first), nothing(), "delivered twice");
    assert_eq!(driven.input(placed(1)), nothing(), "placed again, with whatever basket");
}

#[test]
fn a_restart_repeats_an_answer_only_if_the_log_does_not_have_it() {
    let blocked = [registered(), validated(1), status(UserStatus::Blocked)];
    let (mut driven, _) = Driven::recovered(declaring(), &blocked);
    assert_eq!(driven.input(placed(1)), nothing(), "the answer stands, though the user is blocked by now");
    assert_eq!(driven.input(placed(2)), wrote([rejected(2, UserBlocked)]));
}

/// A machine that remembers so many answers.
fn remembering(most: usize) -> Driven<UserMachine> {
    let limits = Limits { most, ..Limits::default() };
    Driven::new(UserMachine::new(UserConfig { limits, ..declaring_config() }))
}

/// Somebody's answer appears, which says that it is to `command`.
fn answered(driven: &mut Driven<UserMachine>, n: u128, command: Position) {
    let answer = Delivered { source: Some(command), ..driven.place(at(0), validated(n)) };
    driven.machine.follow(&answer);
}

/// Where a command may lie, as an answer says that nobody has to believe.
fn claims() -> Vec<Position> {
    let offsets = [0, 1, 50, u64::MAX - 1, u64::MAX];
    let topics = [Topic::OrderEvents, Topic::PaymentEvents, Topic::ApplicationLogs];
    let places = topics.into_iter().flat_map(|topic| (0..3).map(move |partition| (topic, partition)));
    places
        .flat_map(|(topic, partition)| offsets.map(|offset| Position { topic, partition, offset }))
        .collect()
}

#[test]
fn an_answer_to_a_command_of_another_partition_says_nothing_about_this_one() {
    for most in [1, 100] {
        let mut driven = remembering(most);
        let command = driven.place(at(0), placed(1));
        // Orders of an old log: they were placed in partition 1, and their answers lie in their own partition.
        for (n, offset) in [(8, 39), (9, 40)] {
            answered(&mut driven, n, Position { topic: Topic::OrderEvents, partition: 1, offset });
        }
        assert_eq!(driven.deliver(&command), wrote([validated(1)]), "of {most} that are remembered");
    }
}

#[test]
fn whatever_an_answer_says_of_its_command_others_get_theirs() {
    for (most, claim) in
        [8, 16, 100].into_iter().flat_map(|most| claims().into_iter().map(move |c| (most, c)))
    {
        let mut driven = remembering(most);
        let commands: Vec<Delivered> = (1..=60).map(|n| driven.place(at(0), placed(n))).collect();
        for (number, command) in commands.iter().enumerate() {
            // Of those that are remembered every eighth is a lie.
            if number % 8 == 0 {
                answered(&mut driven, 1_000 + number as u128, claim);
            }
            assert_eq!(driven.deliver(command).events.len(), 1, "{most} {claim}: command {number}");
        }
    }
}

#[test]
fn a_time_out_of_this_world_makes_no_answer_old() {
    let mut driven = Driven::new(declaring());
    let first = driven.place(at(0), placed(1));
    driven.deliver(&first);
    driven.now = at(253_402_300_799_999);
    driven.appears(validated(9));
    driven.now = at(1);
    assert_eq!(driven.input(placed(1)), nothing(), "it was answered");
}

#[test]
fn commands_below_an_answered_one_have_their_answers() {
    let mut driven = remembering(1);
    let commands: Vec<Delivered> = (1..=3).map(|n| driven.place(at(0), placed(n))).collect();
    answered(&mut driven, 8, commands[0].at);
    answered(&mut driven, 7, commands[1].at);
    let answers: Vec<usize> = commands.iter().map(|command| driven.deliver(command).events.len()).collect();
    assert_eq!(answers, [0, 0, 1], "whoever answered the second one answered the first one before");
}

#[test]
fn registrations_and_blocks_change_what_they_say() {
    let mut driven = Driven::new(UserMachine::new(UserConfig::default()));
    let register = |driven: &mut Driven<UserMachine>, registration: Registration| {
        let mut change = None;
        let did = driven.step(|machine, outbox| change = Some(machine.register(registration, outbox)));
        (change.unwrap(), did.events.len())
    };
    assert_eq!(register(&mut driven, ana()), (Change::Created, 1));
    assert_eq!(register(&mut driven, ana()), (Change::Unchanged, 0));
    let renamed = Registration { name: "Ana M.".into(), ..ana() };
    assert_eq!(register(&mut driven, renamed), (Change::Updated, 1));
    let nobody: UserId = "nobody".parse().unwrap();
    let did = driven.step(|machine, outbox| {
        assert_eq!(
            machine.change_status(&nobody, UserStatus::Blocked, outbox),
            Err(UnknownUser(nobody.clone()))
        );
        assert_eq!(machine.change_status(&user(), UserStatus::Active, outbox), Ok(false));
        assert_eq!(machine.change_status(&user(), UserStatus::Blocked, outbox), Ok(true));
    });
    assert_eq!(did, wrote([status(UserStatus::Blocked)]));
    assert_eq!(driven.input(placed(1)), wrote([rejected(1, UserBlocked)]));
    let ids: std::collections::BTreeSet<_> = driven.unread.iter().map(|append| append.message.id).collect();
    assert_eq!(ids.len(), driven.unread.len(), "each change is an event of its own");
}

#[test]
fn changes_by_other_processes_count_when_they_are_read() {
    let (mut driven, _) = Driven::recovered(UserMachine::new(UserConfig::default()), &[registered()]);
    assert_eq!(driven.input(placed(1)), wrote([validated(1)]));
    driven.appears(status(UserStatus::Blocked));
    assert_eq!(driven.input(placed(2)), wrote([rejected(2, UserBlocked)]));
    assert_eq!(driven.hold(Topic::OrderEvents), None, "every command is answered at once");
}

#[test]
fn an_order_that_was_rejected_and_comes_again_is_rejected_again_once_for_each_command() {
    let (mut driven, _) = Driven::recovered(declaring(), &[registered(), status(UserStatus::Blocked)]);
    let (first, again) = (driven.place(at(0), placed(1)), driven.place(at(0), placed(1)));
    assert_eq!(driven.deliver(&first), wrote([rejected(1, UserBlocked)]));
    assert_eq!(driven.deliver(&first), nothing(), "delivered twice");
    driven.read_back();
    // That the user may order by now changes nothing.
    driven.appears(status(UserStatus::Active));
    assert_eq!(driven.deliver(&again), wrote([rejected_before(1, UserBlocked)]));
    assert_eq!(driven.deliver(&again), nothing(), "delivered twice");
    assert_eq!(driven.input(placed(1)).events.len(), 1);
}

#[test]
fn a_rejection_that_is_said_again_is_a_record_of_its_own() {
    let (mut driven, _) = Driven::recovered(declaring(), &[registered(), status(UserStatus::Blocked)]);
    let (first, again) = (driven.place(at(0), placed(1)), driven.place(at(0), placed(1)));
    driven.deliver(&first);
    let answer = driven.unread[0].message.id;
    driven.read_back();
    // A command that is written twice has the same id.
    driven.deliver(&Delivered { message: first.message, ..again });
    assert_ne!(driven.unread[0].message.id, answer, "readers would take it for the first one");
}

#[test]
fn a_restart_rejects_again_only_what_came_after_the_answer() {
    let mut before = Driven::new(declaring());
    before.appears(status(UserStatus::Blocked));
    let commands: Vec<Delivered> = (0..3).map(|_| before.place(at(0), placed(1))).collect();
    before.deliver(&commands[0]);
    let mut answers = before.unread.clone();
    before.read_back();
    before.deliver(&commands[1]);
    answers.extend(before.unread.clone());
    let mut driven = Driven::new(declaring());
    for answer in &answers {
        let at = Position { topic: Topic::UserEvents, partition: 0, offset: 7 };
        let (message, source) = (answer.message.clone(), answer.source);
        driven.machine.fold(&Delivered { at, message, source, raw: None });
    }
    let answers: Vec<usize> = commands.iter().map(|command| driven.deliver(command).events.len()).collect();
    assert_eq!(answers, [0, 0, 1]);
}

#[test]
fn a_copy_of_the_first_answer_answers_no_later_command() {
    let (mut driven, _) = Driven::recovered(declaring(), &[registered(), status(UserStatus::Blocked)]);
    let (first, again) = (driven.place(at(0), placed(1)), driven.place(at(0), placed(1)));
    driven.deliver(&first);
    let copy = driven.unread[0].message.clone();
    driven.read_back();
    let source =
        Some(Position { topic: Topic::OrderEvents, partition: first.at.partition, offset: u64::MAX });
    let at = Position { topic: Topic::UserEvents, partition: first.at.partition, offset: 99 };
    driven.machine.fold(&Delivered { at, message: copy, source, raw: None });
    assert_eq!(driven.deliver(&again), wrote([rejected_before(1, UserBlocked)]));
}

#[test]
fn an_order_that_comes_again_when_nobody_can_know_how_it_ended_is_refused() {
    let default = UserConfig::default().window;
    for (window, known) in [(default, 25 * 3_600_000), (Span::from_minutes(168 * 60), 169 * 3_600_000)] {
        let mut driven = Driven::new(UserMachine::new(UserConfig { window, ..declaring_config() }));
        let commands: Vec<Delivered> = (0..4).map(|_| driven.place(at(0), placed(1))).collect();
        assert_eq!(driven.deliver(&commands[0]), wrote([validated(1)]));
        driven.read_back();
        driven.now = at(known);
        assert_eq!(driven.deliver(&commands[1]), nothing(), "inventory-service knows");
        driven.now = at(known + 1);
        assert_eq!(driven.deliver(&commands[2]), wrote([rejected_before(1, StaleCommand)]));
        assert_eq!(driven.deliver(&commands[2]), nothing(), "delivered twice");
        driven.read_back();
        assert_eq!(driven.deliver(&commands[3]), wrote([rejected_before(1, StaleCommand)]));
    }
}

#[test]
fn a_rejection_that_came_second_is_not_said_again() {
    let (mut driven, _) = Driven::recovered(declaring(), &[registered(), status(UserStatus::Blocked)]);
    let (first, again) = (driven.place(at(0), placed(1)), driven.place(at(0), placed(1)));
    assert_eq!(driven.deliver(&first), wrote([rejected(1, UserBlocked)]));
    // Another process said yes before.
    driven.appears(validated(1));
    driven.read_back();
    assert_eq!(driven.deliver(&again), nothing());
}

#[test]
fn a_command_that_comes_again_before_the_first_answer_is_read_back_is_answered_then() {
    for (other, answer) in [(None, wrote([rejected_before(1, UserBlocked)])), (Some(validated(1)), nothing())]
    {
        let (mut driven, _) = Driven::recovered(declaring(), &[registered(), status(UserStatus::Blocked)]);
        let (first, again) = (driven.place(at(0), placed(1)), driven.place(at(0), placed(1)));
        assert_eq!(driven.deliver(&first), wrote([rejected(1, UserBlocked)]));
        assert_eq!(driven.deliver(&again), nothing(), "another process may have answered first");
        assert_eq!((driven.hold(Topic::OrderEvents), driven.machine.in_hand()), (Some(again.at.offset), 1));
        assert_eq!(driven.machine.next_tick(), None);
        if let Some(other) = other {
            assert_eq!(driven.appears(other), nothing(), "that order may go on");
        }
        assert_eq!(driven.read_back(), answer);
        assert_eq!((driven.hold(Topic::OrderEvents), driven.machine.in_hand()), (None, 0));
        assert_eq!(driven.step(Machine::tick), nothing());
        assert_eq!(driven.deliver(&again), nothing(), "delivered twice");
    }
}

#[test]
fn a_registry_that_began_with_an_image_is_as_one_that_followed_all() {
    let own = |offset, event: Event| record(offset, at(0), event);
    let records = [
        own(0, registered()),
        own(1, status(UserStatus::Blocked)),
        own(2, validated(1)),
        own(3, status(UserStatus::Active)),
    ];
    let mut whole = UserMachine::new(UserConfig::default());
    for record in &records {
        whole.follow(record);
    }
    for known in 0..=records.len() {
        let mut before = UserMachine::new(UserConfig::default());
        for record in &records[..known] {
            before.follow(record);
        }
        for again in 0..=known {
            let mut machine = UserMachine::new(UserConfig::default());
            assert_eq!(machine.restore(before.image().unwrap()), Ok(None));
            // What it knows already may come once more.
            for record in &records[known - again..] {
                machine.follow(record);
            }
            assert_eq!(machine.image(), whole.image(), "{known} known, {again} again");
        }
    }
}

#[test]
fn a_command_below_all_answers_that_it_looked_back_to_was_answered() {
    let answer = |n: u128, offset| Delivered {
        source: Some(Position { offset: 100 + offset, ..record(0, at(0), placed(n)).at }),
        ..record(offset, at(0), validated(n))
    };
    let mut driven =
        Driven::new(UserMachine::new(UserConfig { allow_unknown: true, ..UserConfig::default() }));
    driven.machine.assigned(0);
    for offset in 7..12 {
        driven.machine.fold(&answer(u128::from(offset), offset));
    }
    assert_eq!(driven.deliver(&record(106, at(0), placed(1))), nothing(), "its answer lies before");
    assert_eq!(driven.deliver(&record(112, at(0), placed(2))), wrote([validated(2)]));
}
