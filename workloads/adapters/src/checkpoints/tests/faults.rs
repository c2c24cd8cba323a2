//! Places that fail, lie, or let time pass.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Object;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::*;

/// What is written instead of something.
type OnPut = dyn Fn(&Object, PutPayload) -> Result<PutPayload> + Send + Sync;

/// A directory in which something happens at each write.
#[derive(Clone)]
pub(super) struct Faulty {
    directory: Arc<LocalFileSystem>,
    put: Arc<OnPut>,
    deletes: bool,
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

pub(super) fn failed() -> Error {
    Error::Generic { store: "test", source: "the disk is full".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Object, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.directory.put_opts(at, (self.put)(at, bytes)?, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Object,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.directory.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Object, options: GetOptions) -> Result<GetResult> {
        self.directory.get_opts(at, options).await
    }

    fn delete_stream(&self, all: BoxStream<'static, Result<Object>>) -> BoxStream<'static, Result<Object>> {
        if self.deletes { self.directory.delete_stream(all) } else { all.map(|_| Err(failed())).boxed() }
    }

    fn list(&self, prefix: Option<&Object>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.directory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Object>) -> Result<ListResult> {
        self.directory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Object, to: &Object, options: CopyOptions) -> Result<()> {
        self.directory.copy_opts(from, to, options).await
    }
}

pub(super) fn faulty(
    directory: &Path,
    put: impl Fn(&Object, PutPayload) -> Result<PutPayload> + Send + Sync + 'static,
) -> Faulty {
    let directory = Arc::new(LocalFileSystem::new_with_prefix(directory).unwrap());
    Faulty { directory, put: Arc::new(put), deletes: true }
}

fn in_faulty(place: &Faulty) -> Checkpoints {
    Checkpoints::new(Place::of(place.clone()), Service::Inventory)
}

#[tokio::test]
async fn wherever_an_upload_is_torn_the_one_before_stays_and_the_next_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut archive = Archive::filled(1, 300);
    keep(&checkpoints(directory.path()), 1, &archive).await;
    let (first, before) = (archive.chunks.clone(), archive.orders.clone());
    archive.fill(1, 300);
    // Two packs, the snapshot, the manifest.
    for torn in 0..4 {
        let left = AtomicUsize::new(torn);
        let place = faulty(directory.path(), move |_, bytes| {
            let is_left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            is_left.map(|_| bytes).map_err(|_| failed())
        });
        let given = Some((&archive.of, &archive.chunks[..]));
        let error = in_faulty(&place).keep(&taken(), snapshot(2), given).await.unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
        let into = Archive::empty();
        assert_eq!(fetch(&checkpoints(directory.path()), 0, &into.of).await.unwrap(), Some(snapshot(1)));
        assert!(into.of.range(0..u64::MAX).unwrap().into_iter().eq(before.clone()), "torn at {torn}");
        assert!(into.of.go_back_to(&first).unwrap());
    }
    let kept = checkpoints(directory.path());
    assert_eq!(keep(&kept, 2, &archive).await.number, 2);
    let into = Archive::empty();
    assert_eq!(fetch(&kept, 0, &into.of).await.unwrap(), Some(snapshot(2)));
    archive.is_equal(&into.of);
}

#[tokio::test]
async fn what_a_store_did_not_keep_as_it_was_is_found_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::filled(1, 3);
    for ending in [".pack", ".snapshot"] {
        let place = faulty(directory.path(), move |at, bytes| {
            let [whole] = bytes.as_ref() else { return Err(failed()) };
            let mut altered = whole.to_vec();
            if at.as_ref().ends_with(ending) {
                altered[77] ^= 1;
            }
            Ok(altered.into())
        });
        let given = Some((&archive.of, &archive.chunks[..]));
        let error = in_faulty(&place).keep(&taken(), snapshot(1), given).await.unwrap_err().to_string();
        let says = format!("{ending} is damaged: it is not what has just been written");
        assert!(error.ends_with(&says), "{error}");
        assert_eq!(checkpoints(directory.path()).newest(0).await.unwrap(), None);
    }
    let kept = checkpoints(directory.path());
    assert_eq!(keep(&kept, 1, &archive).await.number, 1);
    let into = Archive::empty();
    assert_eq!(fetch(&kept, 0, &into.of).await.unwrap(), Some(snapshot(1)));
    archive.is_equal(&into.of);
}

#[tokio::test]
async fn where_nothing_can_be_deleted_checkpoints_are_kept_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::filled(1, 3);
    let place = Faulty { deletes: false, ..faulty(directory.path(), |_, bytes| Ok(bytes)) };
    for n in 1..=5 {
        assert_eq!(keep(&in_faulty(&place), n, &archive).await.number, u64::from(n));
    }
    assert_eq!(files_in(directory.path(), "checkpoints").len(), 5);
    keep(&checkpoints(directory.path()), 6, &archive).await;
    assert_eq!(files_in(directory.path(), "checkpoints").len(), 3, "all that waited");
    assert_eq!(files_in(directory.path(), "snapshots").len(), 3);
}

#[tokio::test]
async fn what_is_being_kept_is_not_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::filled(1, 600));
    let forgets = Arc::clone(&archive);
    let forget = move || (0..600).for_each(|_| forgets.of.forget(forgets.end()).unwrap());
    // As a decider does whose window is over.
    let forget_all = forget.clone();
    let place = faulty(directory.path(), move |_, bytes| {
        forget_all();
        Ok(bytes)
    });
    let kept = in_faulty(&place);
    assert_eq!(keep(&kept, 1, &archive).await.packs_written, 3);
    forget();
    assert!(is_empty(&archive.of), "nothing is kept from being forgotten any more");
    let into = Archive::empty();
    assert_eq!(fetch(&kept, 0, &into.of).await.unwrap(), Some(snapshot(1)));
    archive.is_equal(&into.of);
}

#[tokio::test]
async fn an_archive_that_is_reset_meanwhile_ends_the_upload() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::filled(1, 300));
    let resets = Arc::clone(&archive);
    let place = faulty(directory.path(), move |at, bytes| {
        if at.as_ref().contains("/closed-orders/") {
            resets.of.reset().unwrap();
        }
        Ok(bytes)
    });
    let given = Some((&archive.of, &archive.chunks[..]));
    let error = in_faulty(&place).keep(&taken(), snapshot(1), given).await.unwrap_err();
    assert_eq!(error, CheckpointError::Gone(65_536));
    assert_eq!(checkpoints(directory.path()).newest(0).await.unwrap(), None);
    assert_eq!(archive.of.failures(), 0);
}
