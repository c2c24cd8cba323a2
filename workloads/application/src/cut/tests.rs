use super::*;

fn at(topic: Topic, partition: u32, offset: u64) -> Position {
    Position { topic, partition, offset }
}

fn kept(first: u64, end: u64) -> Kept {
    Topic::event_partitions().map(|place| (place, Bounds { first, end })).collect()
}

/// From where a partition is kept, and for whom.
fn cut_of(cuts: &[Cut], topic: Topic, partition: u32) -> (u64, u64, Option<Reader>) {
    let cut = cuts.iter().find(|cut| (cut.to.topic, cut.to.partition) == (topic, partition)).unwrap();
    (cut.to.offset, cut.records, cut.by)
}

#[test]
fn all_stays_of_which_nobody_is_known_to_need_any() {
    let cuts = wanted(&kept(5, 9), &[]);
    assert_eq!(cuts.len(), 12, "four event stores of three partitions");
    assert!(cuts.iter().all(|cut| cut.to.offset == 5 && cut.records == 0 && cut.by.is_none()));
}

#[test]
fn whoever_needs_the_earliest_record_says_how_far() {
    let topic = Topic::PaymentEvents;
    let need = |reader, partition, offset| Need { reader, at: at(topic, partition, offset) };
    let (old, new) = (Reader::Checkpoint(Service::Inventory, 3), Reader::Checkpoint(Service::Inventory, 4));
    let needs = [
        need(new, 0, 80),
        need(old, 0, 70),
        need(Reader::Wish, 0, 90),
        Need::committed(Service::Payment, at(topic, 1, 60)),
        need(Reader::Wish, 1, 61),
        need(Reader::Wish, 2, 7),
        Need { reader: Reader::Wish, at: at(Topic::OrderEvents, 0, 500) },
    ];
    let cuts = wanted(&kept(10, 100), &needs);
    assert_eq!(cut_of(&cuts, topic, 0), (70, 60, Some(old)));
    assert_eq!(
        cut_of(&cuts, topic, 1),
        (59, 49, Some(Reader::Group(Service::Payment))),
        "and the one before"
    );
    assert_eq!(cut_of(&cuts, topic, 2), (10, 0, Some(Reader::Wish)), "it is gone already");
    assert_eq!(cut_of(&cuts, Topic::OrderEvents, 0), (100, 90, Some(Reader::Wish)), "not beyond the end");
}

#[test]
fn who_looks_back_needs_the_newest_records_of_each_partition() {
    let kept = kept(0, 100);
    // And a tenth more.
    for (records, first) in [(30, 67), (100, 0), (u64::MAX, 0)] {
        let reader = Reader::LooksBack(Service::Payment);
        let needs: Vec<Need> = Need::looking_back(reader, Topic::PaymentEvents, records, &kept).collect();
        let expected: Vec<Need> =
            (0..3).map(|partition| Need { reader, at: at(Topic::PaymentEvents, partition, first) }).collect();
        assert_eq!(needs, expected);
    }
}

#[test]
fn what_is_left_of_the_inventory_begins_with_a_record_that_counts() {
    let topic = Topic::InventoryEvents;
    let needs: Vec<Need> =
        (0..3).map(|partition| Need { reader: Reader::Wish, at: at(topic, partition, 70) }).collect();
    let counting = [at(topic, 0, 30), at(topic, 0, 60), at(topic, 0, 80), at(topic, 1, 70), at(topic, 2, 5)];
    let cuts = to_records_that_count(wanted(&kept(10, 100), &needs), &counting);
    let expected = [(60, 50, Reader::Beginning), (70, 60, Reader::Wish), (10, 0, Reader::Beginning)];
    for (partition, (offset, records, by)) in (0..).zip(expected) {
        assert_eq!(cut_of(&cuts, topic, partition), (offset, records, Some(by)));
    }
    let others = to_records_that_count(
        wanted(&kept(10, 100), &[Need { reader: Reader::Wish, at: at(Topic::UserEvents, 0, 70) }]),
        &counting,
    );
    assert_eq!(cut_of(&others, Topic::UserEvents, 0), (70, 60, Some(Reader::Wish)));
}
