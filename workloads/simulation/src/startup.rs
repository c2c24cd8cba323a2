//! How a process comes to work, as `infrastructure::runtime::begin` does it.

use kbnt_application::audit::AuditMachine;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::ports::Snapshot;
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{Outbox, Position, Service};
use kbnt_domain::user::Registration;

use crate::log::{Log, Place, understood};
use crate::plan::Plan;
use crate::process::{Batch, Input, Node, Process, Stage, Tail, admitted};
use crate::snapshots::restore;

/// A fresh machine of this service.
fn node(service: Service, id: usize, plan: &Plan) -> Node {
    match service {
        Service::Order => Node::Order(OrderMachine::new()),
        Service::User => {
            let declared = plan.users.iter().take(2).filter_map(|user| {
                Registration::new(user.clone(), "Declared".into(), "declared@example.com".into()).ok()
            });
            Node::User(UserMachine::new(UserConfig { declared: declared.collect(), ..UserConfig::default() }))
        }
        Service::Inventory => {
            let config = InventoryConfig {
                ttl: plan.ttl,
                low_stock_threshold: plan.low_stock_threshold,
                ..InventoryConfig::new(format!("writer-{id}"))
            };
            Node::Inventory(Box::new(InventoryMachine::new(config)))
        }
        Service::Payment => Node::Payment(PaymentMachine::new()),
        Service::Notification => Node::Notification(NotificationMachine::new()),
        Service::Audit => Node::Audit(AuditMachine::new()),
    }
}

/// A process that has just been started.
pub(crate) fn start(
    id: usize,
    service: Service,
    skew: i64,
    plan: &Plan,
    log: &Log,
    now: i64,
    snapshot: Option<Snapshot>,
) -> Result<Process, String> {
    let mut process = Process::new(id, service, node(service, id, plan), skew, now);
    if let Some(newest) = log.newest(&process) {
        process.watch.log_says(newest.as_millis(), now);
    }
    let ends: Vec<u64> = process.output_places().map(|place| log.end(place)).collect();
    let folded_from = |place: Place| {
        let marks = snapshot.iter().flat_map(|snapshot| &snapshot.folded);
        marks.map(|mark| mark.at).find(|at| (at.topic, at.partition) == place).map_or(0, |at| at.offset)
    };
    if process.output_places().any(|place| !has_all(log, place, folded_from(place))) {
        process.stage = Stage::Dead;
        return Ok(process);
    }
    if process.node.machine().sole_writer() {
        match snapshot {
            Some(snapshot) => restore(&mut process, log, snapshot)?,
            None => recover(&mut process, log),
        }
        stand_for_election(&mut process, now);
    } else if process.node.machine().follows() {
        let tail = Tail { next: vec![0; ends.len()], fence: kbnt_application::fence::TermFence::default() };
        process.tail = Some(tail);
        process.stage = Stage::CatchingUp(ends);
    }
    Ok(process)
}

/// Whether a process may go on at `offset`: the log has all from there on.
pub(crate) fn has_all(log: &Log, place: Place, offset: u64) -> bool {
    log.bounds(place).passed_over(Position { topic: place.0, partition: place.1, offset }).is_ok()
}

/// Folds all of its own output topic.
fn recover(process: &mut Process, log: &Log) {
    let mut tail = Tail { next: Vec::new(), fence: kbnt_application::fence::TermFence::default() };
    for (topic, partition) in process.output_places() {
        process.node.machine().assigned(partition);
        for record in log.records((topic, partition)) {
            if admitted(&mut tail.fence, record) {
                process.node.machine().fold(record);
            }
        }
        tail.next.push(log.end((topic, partition)));
    }
    process.tail = Some(tail);
}

fn stand_for_election(process: &mut Process, now: i64) {
    let mut batch = Batch::new(process.clock(now));
    let mut outbox = Outbox::new(process.service, batch.now);
    process.node.machine().elect(&mut outbox);
    (batch.appends, batch.effects) = outbox.take();
    batch.send();
    process.batch = Some(batch);
    process.stage = Stage::Electing;
}

/// The elections are written: folds up to them, and goes to work if they were won in every partition.
pub(crate) fn elected(process: &mut Process, log: &Log, now: i64) {
    let Some(tail) = &mut process.tail else { return };
    let mut won = true;
    for partition in 0..process.service.output().partitions() {
        let place = (process.service.output(), partition);
        let election = process.elections.get(&partition).copied().unwrap_or(u64::MAX);
        let next = &mut tail.next[partition as usize];
        while *next <= election
            && let Some(fetched) = log.read(place, *next)
        {
            *next += 1;
            let Some(record) = understood(fetched) else { continue };
            let admitted = admitted(&mut tail.fence, record);
            if admitted {
                process.node.machine().fold(record);
            }
            won &= admitted || record.at.offset != election;
        }
    }
    if !won {
        stand_for_election(process, now);
        return;
    }
    let mut batch = Batch::new(process.clock(now));
    for (_, partition) in process.output_places() {
        let mut outbox = Outbox::new(process.service, batch.now);
        process.node.machine().recovered(partition, &mut outbox);
        let (appends, effects) = outbox.take();
        batch.appends.extend(appends);
        batch.effects.extend(effects);
    }
    batch.send();
    process.batch = Some(batch);
    for partition in 0..3 {
        for place in process.places(partition) {
            process.inputs.insert(place, Input::default());
        }
    }
    for at in process.node.machine().resume().iter().chain(&process.settled) {
        if let Some(input) = process.inputs.get_mut(&(at.topic, at.partition)) {
            input.next = input.next.max(at.offset);
        }
    }
    let may_go_on = process.inputs.iter().all(|(place, input)| has_all(log, *place, input.next));
    process.stage = if may_go_on { Stage::Working } else { Stage::Dead };
}
