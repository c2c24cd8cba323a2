//! Where backups are kept.

use std::path::Path as Directory;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};

use super::BackupError;

/// The largest object that is read, in bytes: far more than any that is written.
const LARGEST: u64 = 256 << 20;

/// A place for backups: a directory. What it returns from is on disk.
#[derive(Clone, Debug)]
pub struct Place {
    objects: Arc<dyn ObjectStore>,
    name: String,
}

impl Place {
    /// The directory, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn create(directory: &Directory) -> Result<Self, BackupError> {
        let name = directory.display().to_string();
        std::fs::create_dir_all(directory).map_err(|error| {
            let error = Error::Generic { store: "directory", source: Box::new(error) };
            BackupError::Place { place: name.clone(), error }
        })?;
        Self::open(directory)
    }

    /// The directory, which must be there.
    ///
    /// # Errors
    /// It is not there, or cannot be opened.
    pub fn open(directory: &Directory) -> Result<Self, BackupError> {
        let name = directory.display().to_string();
        match LocalFileSystem::new_with_prefix(directory) {
            Ok(objects) => Ok(Self { objects: Arc::new(objects.with_fsync(true)), name }),
            Err(error) => Err(BackupError::Place { place: name, error }),
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn failed(&self, object: &str) -> impl Fn(Error) -> BackupError {
        let place = format!("{}/{object}", self.name);
        move |error| BackupError::Place { place: place.clone(), error }
    }

    /// What an object is damaged by.
    pub(super) fn damaged(&self, object: &str, reason: impl Into<String>) -> BackupError {
        BackupError::Damaged { object: format!("{}/{object}", self.name), reason: reason.into() }
    }

    /// Writes an object, in place of one that was left by an interrupted run.
    pub(super) async fn put(&self, object: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        let put = self.objects.put(&Path::from(object), bytes.into()).await;
        put.map(drop).map_err(self.failed(object))
    }

    /// Writes an object that must not be there.
    pub(super) async fn create_object(&self, object: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.objects.put_opts(&Path::from(object), bytes.into(), options).await {
            Ok(_) => Ok(()),
            Err(Error::AlreadyExists { .. }) => Err(BackupError::Raced(object.to_owned())),
            Err(error) => Err(self.failed(object)(error)),
        }
    }

    /// The bytes of an object.
    pub(super) async fn get(&self, object: &str) -> Result<Vec<u8>, BackupError> {
        let found = self.objects.get(&Path::from(object)).await.map_err(self.failed(object))?;
        if found.meta.size > LARGEST {
            return Err(self.damaged(object, format!("{} bytes are more than any has", found.meta.size)));
        }
        found.bytes().await.map(Into::into).map_err(self.failed(object))
    }

    /// The names of all objects in a folder that end so, without folder and ending.
    pub(super) async fn names(&self, folder: &str, ending: &str) -> Result<Vec<String>, BackupError> {
        let name = |path: &Path| path.filename()?.strip_suffix(ending).map(str::to_owned);
        let listed = self.objects.list(Some(&Path::from(folder)));
        let names = listed.try_filter_map(|found| std::future::ready(Ok(name(&found.location))));
        names.try_collect().await.map_err(self.failed(folder))
    }
}
