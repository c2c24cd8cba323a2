//! Uploads that are interrupted, and several at the same time.

use kbnt_application::ports::ErrorClass;

use super::*;

#[tokio::test]
async fn of_an_upload_that_was_torn_the_checkpoint_before_stays() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    let mut archive = Archive::filled(1, 260);
    keep(&kept, 1, &archive).await;
    let before = archive.orders.clone();
    let chunks = archive.chunks.clone();
    archive.fill(1, 300);
    keep(&kept, 2, &archive).await;
    // It was killed when all was there but one pack and the manifest, and in the middle of a file.
    let place = directory.path().join("inventory-service");
    let manifest = place.join("checkpoints/000000000/000000000002.json");
    std::fs::remove_file(manifest).unwrap();
    let packs = files_in(directory.path(), "closed-orders");
    assert_eq!(packs.len(), 4, "{packs:?}");
    let (missing, cut) =
        (place.join("closed-orders").join(&packs[3]), place.join("closed-orders").join(&packs[2]));
    std::fs::remove_file(missing).unwrap();
    let whole = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let into = Archive::empty();
    let other = checkpoints(directory.path());
    assert_eq!(fetch(&other, 0, &into.of).await.unwrap(), Some(snapshot(1)));
    assert!(into.of.range(0..u64::MAX).unwrap() == before.into_iter().collect::<Vec<_>>());
    assert!(into.of.go_back_to(&chunks).unwrap());
    // The next one completes it, and writes anew what was cut.
    let again = keep(&other, 2, &archive).await;
    assert_eq!((again.number, again.packs_written, again.packs_there), (2, 2, 1));
    assert_eq!(fetch(&other, 0, &into.of).await.unwrap(), Some(snapshot(2)));
    archive.is_equal(&into.of);
    assert!(std::fs::read(&cut).unwrap() == whole);
}

#[tokio::test]
async fn a_pack_that_was_lost_or_cut_is_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    let archive = Archive::filled(1, 520);
    keep(&kept, 1, &archive).await;
    let packs = files_in(directory.path(), "closed-orders");
    let [lost, cut] =
        [0, 1].map(|n| directory.path().join("inventory-service/closed-orders").join(&packs[n]));
    std::fs::remove_file(lost).unwrap();
    std::fs::write(cut, "cut").unwrap();
    let second = keep(&kept, 2, &archive).await;
    assert_eq!((second.packs_written, second.packs_there), (2, 1));
    let into = Archive::empty();
    assert_eq!(fetch(&kept, 0, &into.of).await.unwrap(), Some(snapshot(2)));
    archive.is_equal(&into.of);
}

#[tokio::test]
async fn after_a_damaged_manifest_the_next_one_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    let archive = Archive::filled(1, 4);
    keep(&kept, 1, &archive).await;
    keep(&kept, 2, &archive).await;
    let newest = directory.path().join("inventory-service/checkpoints/000000000/000000000002.json");
    std::fs::write(newest, "{").unwrap();
    assert!(kept.newest(0).await.unwrap_err().to_string().contains("000000000002.json is damaged"));
    assert_eq!(kept.newest(1).await.unwrap().unwrap().number(), 1, "the one before it");
    let third = keep(&kept, 3, &archive).await;
    assert_eq!((third.number, third.packs_written), (3, 1));
    let into = Archive::empty();
    assert_eq!(fetch(&kept, 0, &into.of).await.unwrap(), Some(snapshot(3)));
    archive.is_equal(&into.of);
    for n in 4..=5 {
        keep(&kept, n, &archive).await;
    }
    assert_eq!(files_in(directory.path(), "checkpoints").len(), 3, "it is deleted in its turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_at_the_same_time_one_is_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (Archive::filled(1, 30), Archive::filled(2, 40));
    let (mut wins, mut races) = (0, 0);
    for round in 0..20 {
        let writers = [checkpoints(directory.path()), checkpoints(directory.path())];
        let taken = taken();
        let (first, second) = tokio::join!(
            writers[0].keep(&taken, snapshot(1), Some((&one.of, &one.chunks))),
            writers[1].keep(&taken, snapshot(2), Some((&other.of, &other.chunks))),
        );
        assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
        for done in [&first, &second] {
            match done {
                Ok(_) => wins += 1,
                Err(error) => {
                    assert!(matches!(error, CheckpointError::Raced(_)), "{error}");
                    assert_eq!(error.class(), ErrorClass::Transient);
                    races += 1;
                }
            }
        }
        let manifest = writers[0].newest(0).await.unwrap().unwrap();
        assert_eq!(manifest.number(), wins, "in round {round}");
        let into = Archive::empty();
        let found = writers[0].fetch(&manifest, Some(&into.of)).await.unwrap();
        // All of one writer, nothing of the other.
        if found == snapshot(1) { one.is_equal(&into.of) } else { other.is_equal(&into.of) }
    }
    assert!(races > 0, "they never met");
    assert_eq!(files_in(directory.path(), "checkpoints").len(), 3);
    let packs = files_in(directory.path(), "closed-orders").len();
    assert!(packs <= 8, "what losers wrote is deleted, too: {packs}");
}

#[tokio::test]
async fn a_writer_that_is_later_than_all_others_has_not_kept_one() {
    let directory = tempfile::tempdir().unwrap();
    let kept = checkpoints(directory.path());
    let archive = Archive::filled(1, 3);
    keep(&kept, 1, &archive).await;
    let stale = kept.newest(0).await.unwrap().unwrap();
    for n in 2..=4 {
        keep(&kept, n, &archive).await;
    }
    // The first one is gone, and somebody writes it now.
    let path = directory.path().join("inventory-service/checkpoints/000000000/000000000001.json");
    assert!(!path.exists());
    std::fs::write(&path, stale.sealed()).unwrap();
    assert!(!kept.prune(&stale).await.unwrap());
    assert!(!path.exists(), "it does not stay");
    assert!(kept.prune(&kept.newest(2).await.unwrap().unwrap()).await.unwrap());
    let into = Archive::empty();
    assert_eq!(fetch(&kept, 0, &into.of).await.unwrap(), Some(snapshot(4)));
    archive.is_equal(&into.of);
}
