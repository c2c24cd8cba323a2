//! Random sequences of decisions, with crashes, against the naive books.

use kbnt_domain::event::{Basket, Event, Line, PaymentMethod};
use kbnt_domain::stock::{Declaration, DeclareError, Ledger, Outcome};
use kbnt_domain::{Quantity, Reason, Span, Timestamp};
use proptest::prelude::*;

use crate::outside::Outside;
use crate::shop::{SKEW, TTL, WINDOW, at, failed, money, name, order, processed, reservation};
use crate::world::{Asked, Input, PARTITIONS, World};

const ORDERS: u128 = 9;
/// The last is never declared.
const PRODUCTS: [&str; 4] = ["A", "B", "C", "X"];
const SOURCES: [&str; 2] = ["git", "api"];

#[derive(Clone, Debug)]
enum Op {
    Declare { product: usize, source: usize, received: u64, threshold: Option<u64> },
    Reserve { order: u128, lines: Vec<(usize, u64)>, age: usize },
    Pay { order: u128, short: bool },
    Fail { order: u128 },
    Cancel { order: u128 },
    Wait { millis: u64 },
    Settle { partition: usize, records: usize },
    SettleAll,
    Replay { from: usize },
    Image,
    Crash { kept: [usize; PARTITIONS], first: usize, from_image: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let ttl = TTL.as_millis();
    let line = (prop_oneof![30 => 0..3_usize, 1 => Just(3)], 1..4_u64);
    let order = 1..=ORDERS;
    prop_oneof![
        3 => (0..3_usize, 0..2_usize, 0..12_u64, prop::option::weighted(0.2, 0..6_u64)).prop_map(
            |(product, source, received, threshold)| Op::Declare { product, source, received, threshold }
        ),
        12 => (order.clone(), prop::collection::vec(line, 1..4), 0..9_usize)
            .prop_map(|(order, lines, age)| Op::Reserve { order, lines, age }),
        6 => (order.clone(), prop::bool::weighted(0.1)).prop_map(|(order, short)| Op::Pay { order, short }),
        4 => order.clone().prop_map(|order| Op::Fail { order }),
        2 => order.prop_map(|order| Op::Cancel { order }),
        6 => prop_oneof![Just(1), Just(ttl / 3), Just(ttl / 2), Just(ttl), Just(3_600_000), Just(90_000_000)]
            .prop_map(|millis| Op::Wait { millis }),
        4 => (0..PARTITIONS, 1..4_usize).prop_map(|(partition, records)| Op::Settle { partition, records }),
        3 => Just(Op::SettleAll),
        2 => any::<usize>().prop_map(|from| Op::Replay { from }),
        2 => Just(Op::Image),
        2 => (any::<[usize; PARTITIONS]>(), 0..PARTITIONS, any::<bool>())
            .prop_map(|(kept, first, from_image)| Op::Crash { kept, first, from_image }),
    ]
}

fn basket(lines: &[(usize, u64)]) -> Basket {
    let line = |&(product, units): &(usize, u64)| Line {
        product: PRODUCTS[product].parse().unwrap(),
        quantity: Quantity::new(units).unwrap(),
    };
    Basket {
        user: "USER-1".parse().unwrap(),
        lines: lines.iter().map(line).collect(),
        payment: PaymentMethod { method: "pix".into(), token: None },
    }
}

/// How old a new command is: in time, hardly in time, too old, or from too far ahead.
fn placed_at(now: Timestamp, age: usize) -> Timestamp {
    let ms = Span::from_millis(1);
    match age {
        0 => now - WINDOW,
        1 => now - WINDOW - ms,
        2 => now + SKEW + ms,
        _ => now,
    }
}

/// Whether two baskets ask for the same, in whatever lines.
fn same(one: &Basket, other: &Basket) -> bool {
    let units = |basket: &Basket| {
        let mut units = std::collections::BTreeMap::new();
        for line in &basket.lines {
            *units.entry(line.product.clone()).or_insert(0) += line.quantity.units();
        }
        units
    };
    (&one.user, &one.payment, units(one)) == (&other.user, &other.payment, units(other))
}

/// What must come of a request, by the naive books before it.
fn expected(world: &World, asked: &Asked, basket: &Basket) -> (Outcome, Option<&'static str>) {
    let now = world.now;
    let known = world.inputs.iter().filter(|other| other.order == asked.order).find_map(|other| {
        if let Input::Reserve(basket) = &other.input { Some((other.at, basket)) } else { None }
    });
    let books = world.books();
    if let Some((_, known)) = known.filter(|_| books.answers.contains_key(&asked.order)) {
        return (if same(known, basket) { Outcome::Repeated } else { Outcome::Conflict }, None);
    }
    if books.promised(asked.order) || asked.at < now - WINDOW || asked.at > now + SKEW {
        return (Outcome::Decided, Some("refused"));
    }
    if basket.lines.iter().any(|line| !books.declared(line.product.as_str())) {
        return (Outcome::Decided, Some("not-found"));
    }
    let mut waits = false;
    for line in &basket.lines {
        let product = line.product.as_str();
        let of_it = basket.lines.iter().filter(|other| other.product == line.product);
        let units = i64::try_from(of_it.map(|line| line.quantity.units()).sum::<u64>()).unwrap();
        // What is due is free, whether or not its expiry is out; but it is not safe.
        let due: u64 = books
            .holds
            .values()
            .filter(|hold| hold.end.is_none() && hold.deadline <= now)
            .filter_map(|hold| hold.units.get(product))
            .sum();
        let safe = books.available(product) - world.unsettled(product);
        if units > books.available(product) + i64::try_from(due).unwrap() {
            return (Outcome::Decided, Some("insufficient"));
        }
        waits |= units > safe;
    }
    if waits { (Outcome::Waits, None) } else { (Outcome::Decided, Some("reserved")) }
}

fn reserve(world: &mut World, number: u128, lines: &[(usize, u64)], age: usize) {
    let order = order(number);
    // An order has one date, whatever is asked under its id, and nothing is asked of it before it is placed.
    let first = world.inputs.iter().find(|other| other.order == order);
    let at = first.map_or(placed_at(world.now, age), |first| first.placed_at);
    let asked_before = |other: &Asked| other.order == order && matches!(other.input, Input::Reserve(_));
    let repeated = world.inputs.iter().any(asked_before);
    if at > world.now + SKEW {
        world.from_ahead.insert(order);
    }
    let basket = basket(lines);
    let asked = Asked { order, placed_at: at, at, input: Input::Reserve(basket.clone()) };
    let (outcome, answer) = expected(world, &asked, &basket);
    // A request that waits is not decided: nothing of it is remembered.
    let (got, events) =
        if outcome == Outcome::Waits { world.replay(&asked) } else { world.ask(asked.clone()) };
    let answers: Vec<_> =
        events.iter().map(name).filter(|name| !matches!(*name, "expired" | "low")).collect();
    if repeated && at < world.now - WINDOW {
        // Its end may be forgotten; then it is refused for its date, or because of a cancellation since.
        assert!(answers.is_empty() || answers == ["refused"], "{answers:?}");
        return;
    }
    assert_eq!((got, answers), (outcome, answer.into_iter().collect()), "{asked:?}");
}

/// One outcome of the payment for each order, whatever is delivered how often.
fn pay(world: &mut World, number: u128, pays: bool, short: bool) {
    let order = order(number);
    let decided = world
        .inputs
        .iter()
        .find(|other| other.order == order && matches!(other.input, Input::Pay(_) | Input::Fail(_)))
        .cloned();
    let asked = decided.unwrap_or_else(|| {
        let last = world.books().last(order).map_or(0, |hold| hold.units.values().sum());
        let mut payment = processed(number, 0, "10.00");
        payment.amount = money(&format!("{last}0.00"));
        if short {
            payment.amount = money("0.01");
        }
        let failure = failed(number, Reason::PaymentDeclined);
        let input = if pays { Input::Pay(payment) } else { Input::Fail(failure) };
        Asked { order, placed_at: world.placed_at(order), at: world.now, input }
    });
    if asked.at < world.now - WINDOW {
        // The machine knows it by its place in the log and does not ask.
        return;
    }
    world.ask(asked);
}

fn declare(world: &mut World, product: usize, source: usize, received: u64, threshold: Option<u64>) {
    let product = PRODUCTS[product];
    let declaration = Declaration {
        product: product.parse().unwrap(),
        name: product.into(),
        unit_price: money("10.00"),
        received,
        low_stock_threshold: threshold,
        source: SOURCES[source].parse().unwrap(),
    };
    let books = world.books();
    let (real, available, unsettled) =
        (books.real(product), books.available(product), world.unsettled(product));
    let (answer, events) = world.declare(&declaration);
    let due = events.iter().filter(|event| matches!(event, Event::ReservationExpired(_))).count();
    match answer {
        Ok(()) => {
            let units = world.books().real(product) - real;
            assert!(units >= 0 || due > 0 || -units <= available - unsettled);
        }
        Err(DeclareError::Unsettled { .. }) => assert!(unsettled > 0 || due > 0),
        Err(DeclareError::WriteOffRefused { available: shown, .. }) => {
            assert_eq!(i64::try_from(shown).unwrap(), world.books().available(product));
        }
        Err(other) => panic!("{other}"),
    }
}

fn run(world: &mut World, op: &Op) {
    // Whatever is coming, and some that never comes.
    world.ledger.prefetch((0..=ORDERS + 1).map(order));
    match op {
        // What is refused as dated too far ahead is in time later; once it is forgotten only its place in the log tells.
        Op::Reserve { order: number, .. }
        | Op::Pay { order: number, .. }
        | Op::Fail { order: number }
        | Op::Cancel { order: number }
            if world.from_ahead.contains(&order(*number)) => {}
        Op::Declare { product, source, received, threshold } => {
            declare(world, *product, *source, *received, *threshold);
        }
        Op::Reserve { order, lines, age } => reserve(world, *order, lines, *age),
        Op::Pay { order, short } => pay(world, *order, true, *short),
        Op::Fail { order } => pay(world, *order, false, false),
        Op::Cancel { order: number } => {
            let order = order(*number);
            let placed_at = world.placed_at(order);
            world.ask(Asked { order, placed_at, at: world.now, input: Input::Cancel });
        }
        Op::Wait { millis } => {
            world.now = world.now + Span::from_millis(*millis);
            world.step(Ledger::expire);
        }
        Op::Settle { partition, records } => world.settle(*partition, *records),
        Op::SettleAll => world.settle_all(),
        Op::Replay { from } => {
            let from = from % (world.inputs.len() + 1);
            replay(world, from);
        }
        Op::Image => world.take_image(),
        Op::Crash { kept, first, from_image } => {
            let order = std::array::from_fn(|p| (first + p) % PARTITIONS);
            let from = world.crash(*kept, order, *from_image);
            replay(world, from);
        }
    }
    // Whatever a crash would keep of the unsafe tails, nothing is oversold.
    for kept in [[0, 0, usize::MAX], [0, usize::MAX, 0], [usize::MAX, 0, 0], [1, 2, 3], [0, 0, 0], [2, 0, 1]]
    {
        world.books_after(kept).check();
    }
}

/// Everything is delivered again, but what the machine would know to be answered and forgotten.
fn replay(world: &mut World, from: usize) {
    let again = world.inputs[from..].to_vec();
    for asked in &again {
        if asked.at >= world.now - WINDOW && !world.from_ahead.contains(&asked.order) {
            world.replay(asked);
        }
    }
}

/// In the end each paid order was confirmed or its charge is to be undone, once.
fn conclude(world: &mut World) {
    for _ in 0..3 {
        world.settle_all();
        replay(world, 0);
    }
    world.settle_all();
    world.now = world.now + TTL;
    world.step(Ledger::expire);
    let books = world.books();
    assert!(books.holds.values().all(|hold| hold.end.is_some()));
    for asked in &world.inputs {
        if matches!(asked.input, Input::Pay(_)) && asked.at >= world.now - WINDOW {
            assert_eq!(books.paid.get(&asked.order).map_or(0, Vec::len), 1, "{asked:?}");
        }
    }
    for (order, paid) in &books.paid {
        assert_eq!(paid.len(), 1, "{order}: {paid:?}");
        assert!(
            world.inputs.iter().any(|asked| asked.order == *order && matches!(asked.input, Input::Pay(_)))
        );
    }
    for number in 1..=ORDERS {
        world.recall(order(number));
        let shown = world.ledger.reservation_of(order(number));
        if let (Some(shown), Some(hold)) = (shown, books.last(order(number))) {
            assert_eq!(shown.reservation, reservation(number, hold.attempt));
        }
    }
}

/// As many cases as a test run can afford, or as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 5_000;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_ledger_agrees_with_naive_books(ops in prop::collection::vec(op(), 1..70)) {
        let mut world = World::new(at(0), None);
        for op in &ops {
            run(&mut world, op);
        }
        conclude(&mut world);
    }

    /// What is older than the window is forgotten sooner or later, so that they may differ then.
    #[test]
    fn a_ledger_with_an_archive_agrees_with_the_books_and_decides_as_one_that_keeps_all_in_memory(
        ops in prop::collection::vec(op(), 1..70), most in 0..4_usize, orders in 1..4_u32
    ) {
        let mut worlds = [None, Some(Outside::new(most, orders))].map(|outside| World::new(at(0), outside));
        for mut op in ops {
            // A fold may emit low stock again, so both fold or none does.
            if let Op::Crash { from_image, .. } = &mut op {
                *from_image &= worlds.iter().all(World::can_go_back);
            }
            for world in &mut worlds {
                run(world, &op);
            }
            let [here, there] = worlds.each_ref().map(World::written);
            if worlds[0].now <= at(0) + WINDOW {
                prop_assert_eq!(here, there);
            }
        }
        worlds.iter_mut().for_each(conclude);
    }
}
