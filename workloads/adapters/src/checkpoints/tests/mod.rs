//! Checkpoints in directories.

mod damage;
mod faults;
mod history;
mod races;
mod rounds;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kbnt_application::ports::ClosedOrderArchive as _;
use kbnt_application::{Position, Service, Topic};
use kbnt_domain::stock::image::{Chunk, ClosedOrder, End};
use kbnt_domain::{OrderId, Reason, Timestamp};
use tempfile::TempDir;
use uuid::Uuid;

use super::{CheckpointError, Checkpoints, Manifest, Taken};
use crate::closed_orders::FjallArchive;
use crate::objects::Place;

const TAKEN: Timestamp = Timestamp::from_millis(1_767_225_600_123);

/// What a process that begins with one still reads.
const READS: Position = Position { topic: Topic::InventoryEvents, partition: 2, offset: 77 };

fn taken() -> Taken {
    let reads = vec![Position { offset: 80, ..READS }, READS];
    Taken { at: TAKEN, reads, marks: Vec::new() }
}

/// Orders of a chunk.
const ORDERS: u32 = 256;

/// An archive with what was added to it.
struct Archive {
    of: FjallArchive,
    /// The place of its first chunk.
    first: u64,
    chunks: Vec<Chunk>,
    orders: BTreeMap<u64, ClosedOrder>,
    _directory: TempDir,
}

fn order(n: u64) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(
        u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n),
    ))
}

/// What closed at a place, in a history of this name.
fn closed(history: u64, place: u64) -> ClosedOrder {
    ClosedOrder {
        // Some orders come back, and count where they closed last.
        order: order(if place.is_multiple_of(1_000) { 7 } else { place }),
        fingerprint: Some(place ^ history),
        at: Timestamp::from_millis(place.cast_signed()),
        end: if place.is_multiple_of(2) { End::Confirmed } else { End::Refused(Reason::InsufficientStock) },
        lost: false,
        barred: None,
        attempts: 1,
        claim: None,
    }
}

impl Archive {
    fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let of = FjallArchive::open(directory.path()).unwrap();
        Self { of, first: 0, chunks: Vec::new(), orders: BTreeMap::new(), _directory: directory }
    }

    /// One with so many chunks.
    fn filled(history: u64, chunks: usize) -> Self {
        let mut archive = Self::empty();
        archive.fill(history, chunks);
        archive
    }

    fn end(&self) -> u64 {
        self.chunks.last().map_or(self.first, Chunk::end)
    }

    fn fill(&mut self, history: u64, chunks: usize) {
        for _ in 0..chunks {
            let first = self.end();
            // Not every place has an order.
            let places = (first..first + u64::from(ORDERS)).filter(|place| place % 100 != 99);
            let orders: Vec<_> = places.map(|place| (place, closed(history, place))).collect();
            let newest = orders.iter().map(|(_, order)| order.at).max().unwrap();
            let chunk = Chunk { first, orders: ORDERS, newest, checksum: 0 };
            let given: Vec<_> = orders.iter().map(|(place, order)| (*place, order)).collect();
            let checksum = self.of.add(&chunk, &given).unwrap();
            self.chunks.push(Chunk { checksum, ..chunk });
            self.orders.extend(orders);
        }
    }

    /// Forgets so many of the oldest chunks.
    fn forget(&mut self, chunks: usize) {
        let before = self.chunks[chunks].first;
        self.chunks.drain(..chunks);
        self.orders.retain(|place, _| *place >= before);
        for _ in 0..chunks {
            self.of.forget(before).unwrap();
        }
    }

    /// Makes sure that another one has all of this, and nothing else.
    fn is_equal(&self, other: &FjallArchive) {
        let all: Vec<_> = self.orders.iter().map(|(place, order)| (*place, order.clone())).collect();
        assert!(other.range(0..u64::MAX).unwrap() == all, "all that was archived");
        assert!(other.go_back_to(&self.chunks).unwrap(), "the chunks with their checksums");
        for (place, closed) in self.orders.iter().step_by(997) {
            let found = other.find(closed.order).unwrap().unwrap();
            assert!(found == (*place, closed.clone()) || found.0 > *place, "{place}: {found:?}");
        }
        let last_7 = self.orders.iter().rev().find(|(_, closed)| closed.order == order(7));
        assert_eq!(other.find(order(7)).unwrap().map(|(place, _)| place), last_7.map(|(place, _)| *place));
        assert_eq!(other.find(order(u64::MAX)).unwrap(), None);
    }
}

fn is_empty(archive: &FjallArchive) -> bool {
    archive.range(0..u64::MAX).unwrap().is_empty()
}

/// Checkpoints of inventory-service in a directory.
fn checkpoints(directory: &Path) -> Checkpoints {
    Checkpoints::new(Place::create(directory).unwrap(), Service::Inventory)
}

/// The bytes of a snapshot.
fn snapshot(n: u8) -> Vec<u8> {
    (0..=255).cycle().take(100_000).map(|byte: u8| byte.wrapping_mul(n)).collect()
}

async fn keep(checkpoints: &Checkpoints, n: u8, archive: &Archive) -> super::Kept {
    checkpoints.keep(&taken(), snapshot(n), Some((&archive.of, &archive.chunks))).await.unwrap()
}

/// Fetches the newest checkpoint but some into an archive.
async fn fetch(
    checkpoints: &Checkpoints,
    skip: usize,
    archive: &FjallArchive,
) -> Result<Option<Vec<u8>>, CheckpointError> {
    let Some(manifest) = checkpoints.newest(skip).await? else { return Ok(None) };
    checkpoints.fetch(&manifest, Some(archive)).await.map(Some)
}

/// All files below a directory, from it on.
fn files(directory: &Path) -> Vec<String> {
    fn below(directory: &Path) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
    }
    let named = |path: PathBuf| path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
    let mut found: Vec<String> = below(directory).into_iter().map(named).collect();
    found.sort();
    found
}

/// Those of one folder.
fn files_in(directory: &Path, folder: &str) -> Vec<String> {
    files(&directory.join("inventory-service").join(folder))
}
