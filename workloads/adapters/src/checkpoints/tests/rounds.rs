//! What is kept is fetched, and nothing is written twice or kept for ever.

use super::*;
use crate::backup;

#[tokio::test]
async fn what_was_kept_is_fetched_by_a_pod_on_an_empty_node() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    assert_eq!(kept.newest(0).await.unwrap(), None);
    let archive = Archive::filled(1, 300);
    let first = keep(&kept, 1, &archive).await;
    assert_eq!((first.number, first.packs_written, first.packs_there), (1, 2, 0));
    let (other, into) = (checkpoints(directory.path()), Archive::empty());
    let manifest = other.newest(0).await.unwrap().unwrap();
    assert_eq!((manifest.number(), manifest.taken(), manifest.orders()), (1, TAKEN, 300 * u64::from(ORDERS)));
    assert_eq!(manifest.reads().collect::<Vec<_>>(), [READS], "the earliest of a partition");
    assert_eq!(manifest.bytes(), first.bytes_written);
    assert_eq!(other.fetch(&manifest, Some(&into.of)).await.unwrap(), snapshot(1));
    archive.is_equal(&into.of);
    // It is emptied of whatever it has before.
    let into = Archive::filled(2, 3);
    assert_eq!(other.fetch(&manifest, Some(&into.of)).await.unwrap(), snapshot(1));
    archive.is_equal(&into.of);
    assert_eq!(other.newest(1).await.unwrap(), None);
}

#[tokio::test]
async fn a_service_without_an_archive_has_snapshots_alone() {
    let directory = tempfile::tempdir().unwrap();
    let users = Checkpoints::new(Place::create(directory.path()).unwrap(), Service::User);
    for n in 1..=2 {
        assert_eq!(users.keep(&taken(), snapshot(n), None).await.unwrap().number, u64::from(n));
    }
    // Each service has its own numbers.
    let inventory = checkpoints(directory.path());
    assert_eq!(inventory.newest(0).await.unwrap(), None);
    assert_eq!(
        inventory.keep(&taken(), Vec::new(), Some((&Archive::empty().of, &[]))).await.unwrap().number,
        1
    );
    for (skip, n) in [(0, 2), (1, 1)] {
        let manifest = users.newest(skip).await.unwrap().unwrap();
        assert_eq!((manifest.number(), manifest.orders()), (u64::from(n), 0));
        assert_eq!(users.fetch(&manifest, None).await.unwrap(), snapshot(n));
    }
    let into = Archive::filled(1, 2);
    assert_eq!(fetch(&inventory, 0, &into.of).await.unwrap(), Some(Vec::new()));
    assert!(is_empty(&into.of), "there were no closed orders");
}

#[tokio::test]
async fn full_packs_are_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    let mut archive = Archive::filled(1, 300);
    keep(&kept, 1, &archive).await;
    archive.fill(1, 10);
    let second = keep(&kept, 2, &archive).await;
    assert_eq!((second.packs_written, second.packs_there), (1, 1), "only the last one has grown");
    let third = keep(&kept, 3, &archive).await;
    assert_eq!(
        (third.packs_written, third.packs_there, third.bytes_written),
        (0, 2, 100_000),
        "nothing is new"
    );
    // Chunks of the first pack are forgotten, as their orders are older than the window.
    archive.forget(20);
    archive.fill(1, 250);
    let fourth = keep(&kept, 4, &archive).await;
    assert_eq!(
        (fourth.packs_written, fourth.packs_there),
        (2, 1),
        "the second one is full, the third is new"
    );
    archive.forget(1);
    let into = Archive::empty();
    assert_eq!(keep(&kept, 5, &archive).await.packs_written, 0);
    assert_eq!(fetch(&kept, 0, &into.of).await.unwrap(), Some(snapshot(5)));
    archive.is_equal(&into.of);
    // Another process does not know what else the first pack has.
    let other = checkpoints(directory.path());
    let sixth = keep(&other, 6, &archive).await;
    assert_eq!((sixth.packs_written, sixth.packs_there), (1, 2));
    archive.forget(240);
    let seventh = keep(&other, 7, &archive).await;
    assert_eq!((seventh.packs_written, seventh.packs_there), (1, 1), "the first one is forgotten");
    assert_eq!(fetch(&other, 0, &into.of).await.unwrap(), Some(snapshot(7)));
    archive.is_equal(&into.of);
}

#[tokio::test]
async fn a_history_that_went_another_way_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    let mut archive = Archive::filled(1, 280);
    keep(&kept, 1, &archive).await;
    for (n, chunks, written) in [(2, 270, 1), (3, 200, 2)] {
        // The machine began with an older snapshot, and decided otherwise from there on.
        archive.chunks.truncate(chunks);
        assert!(archive.of.go_back_to(&archive.chunks).unwrap());
        let end = archive.end();
        archive.orders.retain(|place, _| *place < end);
        archive.fill(u64::from(n), 280 - chunks);
        let next = keep(&kept, n, &archive).await;
        assert_eq!((next.packs_written, next.packs_there), (written, 2 - written));
        let into = Archive::empty();
        assert_eq!(fetch(&kept, 0, &into.of).await.unwrap(), Some(snapshot(n)));
        archive.is_equal(&into.of);
    }
}

#[tokio::test]
async fn three_checkpoints_stay_and_what_they_need() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    let mut archive = Archive::filled(1, 10);
    let place = directory.path().join("inventory-service");
    for n in 1..=5 {
        keep(&kept, n, &archive).await;
        archive.fill(1, 1);
        if n == 1 {
            // Of writers that were too slow, were killed, or are at work for a checkpoint to come.
            for name in ["000000000002-00000000000000000000-0123456789abcdef.pack", "of-somebody-else.pack"] {
                std::fs::write(place.join("closed-orders").join(name), "rest").unwrap();
            }
            std::fs::write(place.join("snapshots/000000000001-0123456789abcdef.snapshot"), "rest").unwrap();
            std::fs::write(place.join("snapshots/000000000001-0123456789abcdef.snapshot#1"), "rest").unwrap();
            std::fs::write(place.join("snapshots/000000000003-0123456789abcdef.snapshot"), "at work")
                .unwrap();
        }
    }
    let manifests = files_in(directory.path(), "checkpoints");
    assert_eq!(manifests, [3, 4, 5].map(|n| format!("000000000/00000000000{n}.json")));
    let packs = files_in(directory.path(), "closed-orders");
    assert_eq!(packs.len(), 4, "one of each, and what is none: {packs:?}");
    assert!(packs[0].starts_with("000000000003-") && packs[3] == "of-somebody-else.pack", "{packs:?}");
    let snapshots = files_in(directory.path(), "snapshots");
    assert_eq!(snapshots.len(), 4, "{snapshots:?}");
    assert!(snapshots.contains(&"000000000003-0123456789abcdef.snapshot".to_owned()));
    let into = Archive::empty();
    for (skip, n) in [(0, 5), (1, 4), (2, 3)] {
        assert_eq!(fetch(&kept, skip, &into.of).await.unwrap(), Some(snapshot(n)));
        assert!(into.of.go_back_to(&archive.chunks[..usize::from(n) + 9]).unwrap());
    }
    assert_eq!(fetch(&kept, 3, &into.of).await.unwrap(), None);
    keep(&kept, 6, &archive).await;
    assert!(!place.join("snapshots/000000000003-0123456789abcdef.snapshot").exists(), "it is stale by now");
}

#[tokio::test]
async fn a_snapshot_that_is_too_large_and_chunks_that_cannot_be_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    let huge = vec![0; usize::try_from(super::super::SNAPSHOT_MOST).unwrap() + 1];
    let refused = kept.keep(&taken(), huge, None).await.unwrap_err();
    assert!(matches!(refused, CheckpointError::TooLarge { found: 268_435_457, .. }), "{refused}");
    assert_eq!(refused.class(), kbnt_application::ports::ErrorClass::Permanent);
    assert_eq!(files(directory.path()), [""; 0], "nothing was written");
    let archive = Archive::filled(1, 3);
    let mut chunks = archive.chunks.clone();
    chunks.remove(1);
    let refused = kept.keep(&taken(), Vec::new(), Some((&archive.of, &chunks))).await.unwrap_err();
    assert_eq!(refused, CheckpointError::Chunks(512));
    let other = Archive::filled(2, 3);
    let refused = kept.keep(&taken(), Vec::new(), Some((&other.of, &archive.chunks))).await.unwrap_err();
    assert_eq!(refused, CheckpointError::Gone(0));
    assert_eq!(refused.class(), kbnt_application::ports::ErrorClass::Transient);
    assert_eq!(kept.newest(0).await.unwrap(), None);
}

#[tokio::test]
async fn a_place_of_a_backup_is_none_for_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    kept.place().prepare(&backup::MARK).await.unwrap();
    let refused = [
        kept.keep(&taken(), snapshot(1), None).await.map(drop).unwrap_err(),
        kept.newest(0).await.map(drop).unwrap_err(),
    ];
    for refused in refused {
        let says = "is a place of a backup, and cannot be one of checkpoints, too: take another one";
        assert!(refused.to_string().ends_with(says), "{refused}");
    }
    assert_eq!(files(directory.path()), ["backup.json"]);
}

#[tokio::test]
async fn a_place_of_checkpoints_is_none_for_a_backup() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    let nothing = backup::check(kept.place()).await.unwrap_err();
    assert!(matches!(nothing, backup::BackupError::Nothing(_)), "{nothing}");
    kept.keep(&taken(), snapshot(1), None).await.unwrap();
    let refused = backup::check(kept.place()).await.unwrap_err().to_string();
    let says = "is a place of checkpoints, and cannot be one of a backup, too: take another one";
    assert!(refused.ends_with(says), "{refused}");
}
