//! Which checkpoints a log may be cut below.

use kbnt_application::audit::AuditImage;
use kbnt_application::ports::{Mark, Snapshot};
use kbnt_application::user::UserImage;
use kbnt_domain::EventId;
use kbnt_domain::audit::Head;

use super::*;
use crate::checkpoints::Verified;
use crate::snapshots::{Rows, file};

/// The snapshot of a trail that has so many records.
fn trail(offset: u64) -> Snapshot<AuditImage> {
    let at = Position { topic: Topic::AuditLogs, partition: 0, offset };
    let image = AuditImage { begins: Some(0), head: Head::default(), linked: Vec::new() };
    let folded = vec![Mark { at, id: EventId::named(&at.to_string()) }];
    Snapshot { taken: TAKEN, folded, inputs: Vec::new(), image }
}

async fn keep_trail(checkpoints: &Checkpoints, offset: u64) {
    let snapshot = trail(offset);
    let (reads, marks) = (Rows::reads(&snapshot), snapshot.folded.clone());
    let bytes = file::bytes(&snapshot).unwrap();
    checkpoints.keep(&Taken { at: TAKEN, reads, marks }, bytes, None).await.unwrap();
}

/// The marks of those that are whole, and what is wrong with the others.
async fn verified(checkpoints: &Checkpoints) -> (Vec<u64>, Vec<String>) {
    let Verified { whole, refused } = checkpoints.verify::<AuditImage>().await.unwrap();
    let marks = whole.iter().flat_map(|whole| &whole.marks).map(|mark| mark.at.offset).collect();
    (marks, refused.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn those_that_are_whole_say_what_a_start_reads_and_which_records_ever_counted() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Checkpoints::new(Place::create(directory.path()).unwrap(), Service::Audit);
    assert_eq!(verified(&kept).await, (vec![], vec![]), "there is none yet");
    for offset in 1..=5 {
        keep_trail(&kept, offset).await;
    }
    assert_eq!(verified(&kept).await, (vec![5, 4, 3], vec![]), "the newest three stay");
    let newest = kept.newest(0).await.unwrap().unwrap();
    let counting: Vec<Mark> = newest.counting().collect();
    assert_eq!(counting, (1..=5).flat_map(|offset| trail(offset).folded).collect::<Vec<_>>());
    let reads: Vec<Position> = newest.reads().collect();
    assert_eq!(reads.iter().filter(|at| at.topic.is_event_store()).count(), 12, "of all inputs");
    assert!(
        reads.iter().all(|at| at.offset == if at.topic == Topic::AuditLogs { 5 } else { 0 }),
        "{reads:?}"
    );
}

#[tokio::test]
async fn one_that_is_damaged_counts_for_nothing_and_leaves_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Checkpoints::new(Place::create(directory.path()).unwrap(), Service::Audit);
    for offset in 1..=3 {
        keep_trail(&kept, offset).await;
    }
    let mut snapshots = files(directory.path());
    snapshots.retain(|file| file.ends_with(".snapshot"));
    let newest = directory.path().join(&snapshots[2]);
    let whole = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &whole[1..]).unwrap();
    let (marks, refused) = verified(&kept).await;
    assert_eq!(marks, [2, 1]);
    assert!(refused.len() == 1 && refused[0].contains(&snapshots[2]), "{refused:?}");
    std::fs::remove_file(&newest).unwrap();
    let (marks, refused) = verified(&kept).await;
    assert!(marks == [2, 1] && refused[0].contains("it is not there"), "{refused:?}");
    // Another service's rows are no snapshot of this one.
    let Verified { whole, refused } = kept.verify::<UserImage>().await.unwrap();
    assert_eq!((whole.len(), refused.len()), (0, 3));
    assert!(matches!(refused[2], CheckpointError::Unusable { number: 1, .. }), "{refused:?}");
}

#[tokio::test]
async fn one_without_its_closed_orders_is_not_whole() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    keep(&kept, 1, &Archive::filled(1, 2)).await;
    let mut packs = files(directory.path());
    packs.retain(|file| file.contains("closed-orders"));
    std::fs::remove_file(directory.path().join(&packs[0])).unwrap();
    let Verified { whole, refused } = kept.verify::<AuditImage>().await.unwrap();
    assert!(whole.is_empty() && refused[0].to_string().contains(&packs[0]), "{refused:?}");
}
