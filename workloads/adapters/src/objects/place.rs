//! Where objects are kept.

use std::fmt;
use std::path::Path as Directory;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};

use super::address::BucketAddress;
use super::bucket::StoreSettings;
use super::reason::Reason;
use super::{Mark, PlaceError};

/// The largest object that is read, in bytes: far more than any that is written.
const LARGEST: u64 = 256 << 20;

/// How often an object is written whose fate is not known.
const TRIES: u32 = 5;

/// The longest pause before the second of them; it doubles, and each pause is a random part of it.
const PAUSE: Duration = Duration::from_millis(500);

/// The most objects of a folder that are listed: far more than there ever are.
const LISTED_MOST: usize = 1_000_000;

/// A place for objects: a directory, or a part of a bucket. What it returns from is there to stay.
#[derive(Clone)]
pub struct Place {
    objects: Arc<dyn ObjectStore>,
    name: String,
}

impl fmt::Debug for Place {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.name).finish()
    }
}

/// What became of an object that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is there.
    Yes,
    /// One of this name was there before, with the same bytes.
    Before,
    /// One of this name is there, with other bytes.
    Other,
}

impl Place {
    /// The directory, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn create(directory: &Directory) -> Result<Self, PlaceError> {
        let name = directory.display().to_string();
        std::fs::create_dir_all(directory).map_err(|error| {
            let error = Error::Generic { store: "directory", source: Box::new(error) };
            PlaceError::Failed { place: name.clone(), reason: Reason::of(&error) }
        })?;
        Self::open(directory)
    }

    /// The directory, which must be there.
    ///
    /// # Errors
    /// It is not there, or cannot be opened.
    pub fn open(directory: &Directory) -> Result<Self, PlaceError> {
        let name = directory.display().to_string();
        match LocalFileSystem::new_with_prefix(directory) {
            Ok(objects) => Ok(Self { objects: Arc::new(objects.with_fsync(true)), name }),
            Err(error) => Err(PlaceError::Failed { place: name, reason: Reason::of(&error) }),
        }
    }

    /// A part of a bucket. The bucket must be there, which the first request tells.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub fn in_bucket(address: &BucketAddress, settings: StoreSettings) -> Result<Self, PlaceError> {
        let bucket = settings.bucket(&address.bucket)?;
        let objects = Arc::new(PrefixStore::new(bucket, address.prefix.as_str()));
        Ok(Self { objects, name: address.to_string() })
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn failed(&self, object: &str) -> impl Fn(Error) -> PlaceError {
        let place = format!("{}/{object}", self.name);
        move |error| PlaceError::Failed { place: place.clone(), reason: Reason::of(&error) }
    }

    /// What an object is damaged by.
    pub(crate) fn damaged(&self, object: &str, reason: impl Into<String>) -> PlaceError {
        PlaceError::Damaged { object: format!("{}/{object}", self.name), reason: reason.into() }
    }

    fn is_not_of(&self, mark: &Mark) -> PlaceError {
        self.damaged(mark.object, format!("it is not that of {}", mark.of))
    }

    /// Makes sure that this is a place with this mark, in which nothing is overwritten.
    pub(crate) async fn prepare(&self, mark: &Mark) -> Result<(), PlaceError> {
        let created = self.create_object(mark.object, mark.bytes()).await?;
        match created {
            Created::Before => Ok(()),
            Created::Other => Err(self.is_not_of(mark)),
            // A store that does not know the condition overwrites.
            Created::Yes => match self.create_object(mark.object, mark.bytes()).await? {
                Created::Yes => Err(PlaceError::Overwrites(self.name.clone())),
                _ => self.is_marked(mark).await,
            },
        }
    }

    /// Makes sure that this is a place with this mark.
    pub(crate) async fn is_marked(&self, mark: &Mark) -> Result<(), PlaceError> {
        if self.get(mark.object).await? == mark.bytes() { Ok(()) } else { Err(self.is_not_of(mark)) }
    }

    /// Writes an object unless one of this name is there. May be repeated: whatever was lost on the way, there is at most one.
    pub(crate) async fn create_object(&self, object: &str, bytes: Vec<u8>) -> Result<Created, PlaceError> {
        let path = Path::from(object);
        let mut tried = 0;
        loop {
            tried += 1;
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let Err(refused) = self.objects.put_opts(&path, bytes.clone().into(), options).await else {
                return Ok(Created::Yes);
            };
            let is_there = matches!(refused, Error::AlreadyExists { .. });
            let mut reason = Reason::of(&refused);
            // A store may break the connection off instead of reading what it will not write: its answer is lost then.
            if is_there || reason.is_open {
                match self.get(object).await {
                    Ok(found) if found == bytes => return Ok(Created::Before),
                    Ok(_) => return Ok(Created::Other),
                    // It is being written by somebody who may not finish, or never came there.
                    Err(PlaceError::Failed { reason: missing, .. }) if missing.is_missing => {
                        reason = if is_there { missing } else { reason };
                    }
                    Err(error) if is_there => return Err(error),
                    Err(_) => {}
                }
            }
            if tried >= TRIES || !(reason.is_open || reason.is_missing) {
                return Err(PlaceError::Failed { place: format!("{}/{object}", self.name), reason });
            }
            tokio::time::sleep((PAUSE * 2_u32.pow(tried - 1)).mul_f64(fastrand::f64())).await;
        }
    }

    /// The bytes of an object.
    pub(crate) async fn get(&self, object: &str) -> Result<Vec<u8>, PlaceError> {
        let found = self.objects.get(&Path::from(object)).await.map_err(self.failed(object))?;
        if found.meta.size > LARGEST {
            return Err(self.damaged(object, format!("{} bytes are more than any has", found.meta.size)));
        }
        found.bytes().await.map(Into::into).map_err(self.failed(object))
    }

    /// The names of the folders in a folder.
    pub(crate) async fn folders(&self, folder: &str) -> Result<Vec<String>, PlaceError> {
        let listed = self.objects.list_with_delimiter(Some(&Path::from(folder))).await;
        let listed = listed.map_err(self.failed(folder))?;
        Ok(listed.common_prefixes.iter().filter_map(Path::filename).map(str::to_owned).collect())
    }

    /// All objects in a folder whose names end so: their names without folder and ending, and their sizes.
    pub(crate) async fn list(&self, folder: &str, ending: &str) -> Result<Vec<(String, u64)>, PlaceError> {
        let name = |path: &Path| path.filename()?.strip_suffix(ending).map(str::to_owned);
        let mut listed = self.objects.list(Some(&Path::from(folder)));
        let mut found = Vec::new();
        while let Some(object) = listed.try_next().await.map_err(self.failed(folder))? {
            found.extend(name(&object.location).map(|name| (name, object.size)));
            if found.len() > LISTED_MOST {
                return Err(self.damaged(folder, "it has more objects than anybody writes"));
            }
        }
        Ok(found)
    }
}
