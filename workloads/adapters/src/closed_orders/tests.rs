use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kbnt_application::ports::{ArchiveError, ClosedOrderArchive};
use kbnt_domain::stock::image::{Chunk, ClosedOrder, End};
use kbnt_domain::{OrderId, Reason, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::{FjallArchive, unpanicked};

fn order(n: u64) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(
        u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n),
    ))
}

/// What closed at a place.
fn closed(n: u64, place: u64) -> ClosedOrder {
    ClosedOrder {
        order: order(n),
        fingerprint: Some(place),
        at: Timestamp::from_millis(place.cast_signed()),
        end: if place.is_multiple_of(2) { End::Confirmed } else { End::Refused(Reason::InsufficientStock) },
        lost: false,
        barred: None,
        attempts: 1,
        claim: None,
    }
}

/// What an archive must have.
#[derive(Clone, Default)]
struct Model {
    rows: BTreeMap<u64, ClosedOrder>,
    chunks: Vec<Chunk>,
}

impl Model {
    fn end(&self) -> u64 {
        self.chunks.last().map_or(0, |last| last.first + u64::from(last.orders))
    }

    /// Adds a chunk of these orders, some of whose places are left out.
    fn add(&mut self, archive: &FjallArchive, orders: &[u64]) {
        let (first, mut rows) = (self.end(), BTreeMap::new());
        for (place, n) in (first..).zip(orders) {
            // An order is in a chunk once.
            rows.retain(|_, other: &mut ClosedOrder| other.order != order(*n));
            rows.insert(place, closed(*n, place));
        }
        let chunk = Chunk {
            first,
            orders: u32::try_from(orders.len()).unwrap(),
            newest: Timestamp::from_millis(0),
            checksum: 0,
        };
        let given: Vec<_> = rows.iter().map(|(place, closed)| (*place, closed)).collect();
        let checksum = archive.add(&chunk, &given).unwrap();
        self.chunks.push(Chunk { checksum, ..chunk });
        self.rows.extend(rows);
    }

    fn go_back_to(&mut self, chunks: usize) -> Vec<Chunk> {
        self.chunks.truncate(chunks);
        let end = self.end();
        self.rows.retain(|place, _| *place < end);
        self.chunks.clone()
    }

    fn forget(&mut self, before: u64) {
        self.chunks.retain(|chunk| chunk.first >= before);
        self.rows.retain(|place, _| *place >= before);
    }

    fn last_of(&self, n: u64) -> Option<(u64, ClosedOrder)> {
        let found = self.rows.iter().rev().find(|(_, closed)| closed.order == order(n));
        found.map(|(place, closed)| (*place, closed.clone()))
    }

    fn compare(&self, archive: &FjallArchive) {
        for n in 0..ORDERS {
            assert_eq!(archive.find(order(n)).unwrap(), self.last_of(n));
        }
        let all: Vec<_> = self.rows.iter().map(|(place, closed)| (*place, closed.clone())).collect();
        assert_eq!(archive.range(0..self.end()).unwrap(), all);
    }
}

const ORDERS: u64 = 12;

#[derive(Clone, Debug)]
enum Op {
    Add(Vec<u64>),
    GoBack(usize),
    Forget(usize),
    Reopen,
    Reset,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => prop::collection::vec(0..ORDERS, 1..6).prop_map(Op::Add),
        2 => (0..9_usize).prop_map(Op::GoBack),
        2 => (0..4_usize).prop_map(Op::Forget),
        2 => Just(Op::Reopen),
        1 => Just(Op::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_has_what_was_added_whatever_it_goes_back_to_and_forgets(ops in prop::collection::vec(op(), 1..24)) {
        let directory = tempfile::tempdir().unwrap();
        let (mut archive, mut model) = (FjallArchive::open(directory.path()).unwrap(), Model::default());
        for op in ops {
            match op {
                Op::Add(orders) => model.add(&archive, &orders),
                Op::GoBack(chunks) => {
                    let chunks = model.go_back_to(chunks);
                    prop_assert!(archive.go_back_to(&chunks).unwrap());
                }
                Op::Forget(chunks) => {
                    let chunks = chunks.min(model.chunks.len());
                    let before = model.chunks.get(chunks).map_or(model.end(), |chunk| chunk.first);
                    // What is left out of the last chunk stays its last place.
                    if chunks < model.chunks.len() {
                        for _ in 0..chunks {
                            archive.forget(before).unwrap();
                        }
                        model.forget(before);
                    }
                }
                Op::Reopen => {
                    drop(archive);
                    archive = FjallArchive::open(directory.path()).unwrap();
                }
                Op::Reset => {
                    archive.reset().unwrap();
                    model = Model::default();
                }
            }
            model.compare(&archive);
        }
    }
}

/// An archive of some chunks that was closed.
fn filled(directory: &Path) -> Model {
    let archive = FjallArchive::open(directory).unwrap();
    let mut model = Model::default();
    for chunk in 0..40 {
        let orders: Vec<u64> = (chunk * 50..chunk * 50 + 50).collect();
        model.add(&archive, &orders);
        // Most of it is in tables, and the rest in the journal.
        if chunk % 9 == 8 {
            archive.present().1.flush();
        }
    }
    archive.sync().unwrap();
    model
}

#[test]
fn an_archive_that_went_another_way_does_not_go_back() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = FjallArchive::open(here.path()).unwrap();
    let mut model = Model::default();
    model.add(&archive, &[1, 2, 3]);
    let early = model.chunks.clone();
    model.add(&archive, &[4, 5]);
    let late = model.chunks.clone();
    assert!(archive.go_back_to(&early).unwrap());
    assert!(!archive.go_back_to(&late).unwrap(), "dropped");
    model.go_back_to(1);
    model.add(&archive, &[4, 6]);
    assert!(!archive.go_back_to(&late).unwrap(), "another chunk in its place");
    model.compare(&archive);
    let other = FjallArchive::open(there.path()).unwrap();
    assert!(!other.go_back_to(&early).unwrap(), "never added");
}

#[test]
fn a_chunk_that_does_not_follow_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let archive = FjallArchive::open(directory.path()).unwrap();
    let mut model = Model::default();
    model.add(&archive, &[1, 2, 3]);
    let chunk = Chunk { first: 7, orders: 1, newest: Timestamp::from_millis(0), checksum: 0 };
    assert!(matches!(archive.add(&chunk, &[(7, &closed(1, 7))]), Err(ArchiveError::Damaged(_))));
}

#[test]
fn what_snapshots_need_is_not_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let archive = FjallArchive::open(directory.path()).unwrap();
    let mut model = Model::default();
    for orders in [[1, 2], [3, 4], [5, 6]] {
        model.add(&archive, &orders);
    }
    archive.keep_from(2);
    archive.forget(6).unwrap();
    model.forget(2);
    model.compare(&archive);
    assert!(archive.go_back_to(&model.chunks).unwrap());
}

#[test]
fn what_somebody_reads_is_not_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let archive = FjallArchive::open(directory.path()).unwrap();
    let mut model = Model::default();
    for orders in [[1, 2], [3, 4], [5, 6], [7, 8]] {
        model.add(&archive, &orders);
    }
    let (later, early, again) = (archive.pin(4), archive.pin(2), archive.pin(2));
    let mut forgotten = |before, kept| {
        for _ in 0..4 {
            archive.forget(before).unwrap();
        }
        model.forget(kept);
        model.compare(&archive);
    };
    forgotten(6, 2);
    drop(early);
    forgotten(6, 2);
    drop(again);
    forgotten(6, 4);
    // What snapshots need counts beside it, whichever is less.
    archive.keep_from(6);
    forgotten(8, 4);
    drop(later);
    forgotten(8, 6);
}

#[test]
fn the_rows_of_a_chunk_are_read_as_they_were_added_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let archive = FjallArchive::open(directory.path()).unwrap();
    let mut model = Model::default();
    model.add(&archive, &[1, 2, 1]);
    model.add(&archive, &[3, 1]);
    for chunk in &model.chunks {
        let rows = archive.rows(chunk).unwrap().unwrap();
        let rows: Vec<_> = rows.iter().map(|(place, row)| (*place, super::closed(row).unwrap())).collect();
        assert_eq!(rows, archive.range(chunk.first..chunk.end()).unwrap());
    }
    let chunk = model.chunks[1];
    for other in [Chunk { checksum: chunk.checksum ^ 1, ..chunk }, Chunk { first: 4, ..chunk }] {
        assert_eq!(archive.rows(&other).unwrap(), None, "{other:?}");
    }
    // A row is lost, and the list of chunks is not.
    archive.present().1.lose(4);
    assert!(matches!(archive.rows(&chunk), Err(ArchiveError::Damaged(_))));
    assert_eq!(archive.failures(), 1);
    archive.reset().unwrap();
    assert_eq!(archive.rows(&chunk).unwrap(), None);
}

#[test]
fn one_process_has_it_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let _open = FjallArchive::open(directory.path()).unwrap();
    assert!(matches!(FjallArchive::open(directory.path()), Err(ArchiveError::Unavailable(_))));
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn its_size_and_its_failures_can_be_told() {
    let directory = tempfile::tempdir().unwrap();
    let model = filled(directory.path());
    let archive = FjallArchive::open(directory.path()).unwrap();
    // Files may come and go meanwhile.
    let size = |file: &PathBuf| fs::metadata(file).map_or(0, |metadata| metadata.len());
    let written = || files(directory.path()).iter().map(size).sum::<u64>();
    let (before, told, after) = (written(), archive.bytes().unwrap(), written());
    assert!(told > 0 && told <= before.max(after), "{told} of {before} to {after} bytes");
    assert_eq!(archive.failures(), 0);
    let gap = Chunk { first: model.end() + 1, orders: 1, newest: Timestamp::from_millis(0), checksum: 0 };
    archive.add(&gap, &[]).unwrap_err();
    assert_eq!(archive.failures(), 1);
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let copied = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copied.parent().unwrap()).unwrap();
        fs::copy(&file, copied).unwrap();
    }
}

/// Whether a damaged archive tells nothing but what was written: it is found out, or goes back to nothing else, or finds all.
fn tells_the_truth(directory: &Path, model: &Model) -> &'static str {
    let Ok(archive) = FjallArchive::open(directory) else { return "not opened" };
    // A machine begins with a snapshot only where this is so.
    if !archive.go_back_to(&model.chunks).unwrap_or(false) {
        return "refused";
    }
    let mut seen = "whole";
    for n in 0..2_000 {
        match archive.find(order(n)) {
            Ok(found) => assert_eq!(found, model.last_of(n), "order {n}"),
            Err(ArchiveError::Damaged(_)) => seen = "found out",
            Err(error) => panic!("{error}"),
        }
    }
    seen
}

#[test]
fn a_panic_of_the_database_is_damage() {
    let failed = unpanicked(|| -> Result<(), ArchiveError> { panic!("a bad byte: {}", 7) });
    assert_eq!(failed, Err(ArchiveError::Damaged("the database panicked: a bad byte: 7".to_owned())));
}

#[test]
fn a_flipped_bit_or_a_cut_file_is_found_before_it_is_believed() {
    let whole = tempfile::tempdir().unwrap();
    let model = filled(whole.path());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |most: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    };
    let mut seen = BTreeMap::new();
    for round in 0..30 {
        let damaged = tempfile::tempdir().unwrap();
        copy(whole.path(), damaged.path());
        let files = files(damaged.path());
        let file = &files[usize::try_from(draw(files.len() as u64)).unwrap()];
        let mut bytes = fs::read(file).unwrap();
        // What follows the last record of a journal is zero, and read by nobody.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if used == 0 {
            continue;
        }
        let place = usize::try_from(draw(used as u64)).unwrap();
        if round % 3 == 0 {
            bytes.truncate(place);
        } else {
            bytes[place] ^= 1 << draw(8);
        }
        fs::write(file, bytes).unwrap();
        *seen.entry(tells_the_truth(damaged.path(), &model)).or_insert(0) += 1;
    }
    assert!(seen.contains_key("refused") && seen.contains_key("found out"), "{seen:?}");
}

#[test]
fn it_has_no_more_room_than_its_limit_leaves_or_its_disk_has() {
    let directory = tempfile::tempdir().unwrap();
    let model = filled(directory.path());
    let archive = FjallArchive::open(directory.path()).unwrap();
    model.compare(&archive);
    let bytes = archive.bytes().unwrap();
    let room = |limit| archive.room(bytes, limit).unwrap();
    assert!(room(None) > 0);
    assert_eq!(room(Some(bytes + 1000)), 1000);
    assert_eq!(room(Some(0)), 0);
    assert!(room(Some(u64::MAX)) < u64::MAX - bytes, "no more than the disk has");
}
