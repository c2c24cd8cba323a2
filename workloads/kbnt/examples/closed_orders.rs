//! What inventory-service needs for the closed orders of its window: memory, disk, and time for each order.
//!
//!     cargo run --release -p kbnt --example closed_orders -- ORDERS [DIRECTORY]
//!
//! The orders are refused, as their product is unknown. With a directory, all but the newest lie in an archive there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kbnt_adapters::closed_orders::FjallArchive;
use kbnt_application::inventory::{ArchiveLimits, InventoryConfig, InventoryMachine};
use kbnt_application::{Delivered, Machine as _, Outbox, Position, Service, SoleWriter as _, Topic};
use kbnt_domain::event::{Basket, Line, PaymentMethod, UserValidated};
use kbnt_domain::{OrderId, Quantity, Timestamp};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// When all of it happens.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Orders that are asked for once more in the end.
const REPEATED: u64 = 10_000;

/// The request for an order.
fn request(order: u64, offset: u64) -> Result<Delivered, Failure> {
    let user = "USER-1".parse()?;
    let order = OrderId::derive(&user, &order.to_string());
    let lines = vec![Line { product: "PROD-1".parse()?, quantity: Quantity::new(1)? }];
    let basket = Basket { user, lines, payment: PaymentMethod { method: "pix".into(), token: None } };
    let event = UserValidated { order, basket, placed_at: NOW };
    let message = kbnt_testkit::append(&offset.to_string(), event).message;
    let at = Position { topic: Topic::UserEvents, partition: 0, offset };
    Ok(Delivered { at, message, source: None, raw: None })
}

/// Mebibytes that are resident.
fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse::<u64>()? >> 10)
}

/// Mebibytes of the files below a directory.
fn size(directory: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory)? {
            let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
            if metadata.is_dir() { left.push(path) } else { bytes += metadata.len() }
        }
    }
    Ok(bytes >> 20)
}

fn elected(archive: Option<Arc<FjallArchive>>) -> InventoryMachine {
    let machine = InventoryMachine::new(InventoryConfig::new("example"));
    let mut machine = match archive {
        Some(archive) => machine.archiving(archive, ArchiveLimits::default()),
        None => machine,
    };
    let mut outbox = Outbox::new(Service::Inventory, NOW);
    machine.set_clock(NOW);
    (0..3).for_each(|partition| machine.assigned(partition));
    machine.elect(&mut outbox);
    (0..3).for_each(|partition| machine.recovered(partition, &mut outbox));
    machine
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let orders: u64 = arguments.next().ok_or("how many orders?")?.parse()?;
    let directory = arguments.next().map(PathBuf::from);
    let archive = directory.as_deref().map(FjallArchive::open).transpose()?.map(Arc::new);
    let mut machine = elected(archive);
    let mut outbox = Outbox::new(Service::Inventory, NOW);
    let mut times = Vec::new();
    for n in 0..orders {
        let request = request(n, n)?;
        let began = Instant::now();
        machine.handle(&request, &mut outbox);
        times.push(u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX));
        outbox.take();
        if (n + 1) % (orders / 4).max(1) == 0 {
            times.sort_unstable();
            let [p50, p999, max] = [times.len() / 2, times.len() * 999 / 1000, times.len() - 1]
                .map(|at| Duration::from_nanos(times[at].into()));
            let disk = directory.as_deref().map_or(Ok(0), size)?;
            let memory = resident()?;
            println!(
                "{} orders: {memory} MiB in memory, {disk} MiB on disk; an order p50 {p50:?}, p99.9 {p999:?}, max {max:?}",
                n + 1
            );
            times.clear();
        }
        if machine.halted().is_some() {
            return Err(format!("{:?}", machine.halted()).into());
        }
    }
    let began = Instant::now();
    for n in 0..REPEATED.min(orders) {
        // Spread over all of them.
        let order = n.wrapping_mul(2_654_435_761) % orders;
        machine.handle(&request(order, orders + n)?, &mut outbox);
    }
    let (took, repeated) = (began.elapsed(), machine.counts().repeated);
    println!("{repeated} orders that were asked for again were known, in {took:?}");
    Ok(())
}
