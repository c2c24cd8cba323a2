//! A machine that begins with a snapshot knows what its records come to.

use kbnt_application::Machine as _;
use kbnt_application::fence::TermFence;
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::ports::Clock as _;
use kbnt_domain::stock::{Portion, ReservationFilter, ReservationPlace, ReservationState};

use crate::log::{Log, understood};
use crate::node::Node;
use crate::plan::Plan;
use crate::process::Process;

/// A writer that has begun with a snapshot, and has folded what lies behind it, knows the stock as one that has folded all.
pub(crate) fn agree(process: &Process, log: &Log, plan: &Plan) -> Result<(), String> {
    let mut straight = Node::new(process.service, process.id, plan);
    straight.set_clock(process.clock.now());
    let mut fence = TermFence::default();
    for at in &process.output {
        let records = log.slice((at.topic, at.partition), 0, at.offset).iter().filter_map(understood);
        for record in records {
            if fence.admits(record) {
                straight.fold(record);
            }
        }
    }
    let (Node::Inventory(restored), Node::Inventory(straight)) = (process.driver.machine(), &straight) else {
        return Ok(());
    };
    let active = |machine: &InventoryMachine| {
        let filter = ReservationFilter { product: None, state: Some(ReservationState::Reserved) };
        let mut active = machine.reservations(&filter, ReservationPlace::default(), Portion::ALL).found;
        active.sort_by_key(|view| view.order);
        active
    };
    let known = |machine: &InventoryMachine| (machine.levels(), active(machine));
    let (here, there) = (known(restored), known(straight));
    if here == there {
        Ok(())
    } else {
        Err(format!("a snapshot is not what its records come to: {here:?}, and not {there:?}"))
    }
}
