//! Where objects are kept.

use std::fmt;
use std::path::{Path as Directory, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};

use super::address::BucketAddress;
use super::bucket::StoreSettings;
use super::reason::Reason;
use super::{Mark, PlaceError, mark};

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
    /// If it is one.
    directory: Option<PathBuf>,
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
            Ok(objects) => {
                let objects = Arc::new(objects.with_fsync(true));
                Ok(Self { objects, name, directory: Some(directory.to_owned()) })
            }
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
        Ok(Self { objects, name: address.to_string(), directory: None })
    }

    /// The objects of a test.
    #[cfg(test)]
    pub(crate) fn of(objects: impl ObjectStore) -> Self {
        Self { objects: Arc::new(objects), name: "test".to_owned(), directory: None }
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

    /// Makes sure that this is a place with this mark, in which nothing is overwritten.
    pub(crate) async fn prepare(&self, mark: &Mark) -> Result<(), PlaceError> {
        match self.is_marked(mark).await {
            Err(error) if error.is_missing() => {}
            marked => return marked,
        }
        // A store that does not know the condition overwrites.
        let is_new = self.create_object(mark.object, mark.bytes()).await? == Created::Yes;
        if is_new && self.create_object(mark.object, mark.bytes()).await? == Created::Yes {
            return Err(PlaceError::Overwrites(self.name.clone()));
        }
        self.is_marked(mark).await
    }

    /// Makes sure that this is a place with this mark, and with no other one.
    pub(crate) async fn is_marked(&self, mark: &Mark) -> Result<(), PlaceError> {
        let mine = self.get(mark.object).await;
        if let Err(error) = &mine
            && !error.is_missing()
        {
            return Err(error.clone());
        }
        for other in mark::all().into_iter().filter(|other| other.object != mark.object) {
            match self.get(other.object).await {
                Err(error) if error.is_missing() => {}
                Err(error @ PlaceError::Failed { .. }) => return Err(error),
                _ => {
                    let place = self.name.clone();
                    return Err(PlaceError::OfElse { place, found: other.of, wanted: mark.of });
                }
            }
        }
        if mine? == mark.bytes() {
            Ok(())
        } else {
            Err(self.damaged(mark.object, format!("it is not that of {}", mark.of)))
        }
    }

    /// Writes an object unless one of this name is there. May be repeated: whatever was lost on the way, there is at most one.
    pub(crate) async fn create_object(
        &self,
        object: &str,
        bytes: impl Into<PutPayload>,
    ) -> Result<Created, PlaceError> {
        let (path, bytes) = (Path::from(object), bytes.into());
        let mut tried = 0;
        loop {
            tried += 1;
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let Err(refused) = self.objects.put_opts(&path, bytes.clone(), options).await else {
                return Ok(Created::Yes);
            };
            let is_there = matches!(refused, Error::AlreadyExists { .. });
            let mut reason = Reason::of(&refused);
            // A store may break the connection off instead of reading what it will not write: its answer is lost then.
            if is_there || reason.is_open {
                match self.has(object, &bytes).await {
                    Ok(true) => return Ok(Created::Before),
                    Ok(false) => return Ok(Created::Other),
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

    /// Whether an object has these bytes. It is read bit by bit, as there may be no room for a second one.
    pub(crate) async fn has(&self, object: &str, bytes: &PutPayload) -> Result<bool, PlaceError> {
        let found = self.objects.get(&Path::from(object)).await.map_err(self.failed(object))?;
        if found.meta.size != bytes.content_length() as u64 {
            return Ok(false);
        }
        let mut wanted = bytes.iter().flatten();
        let mut stream = found.into_stream();
        while let Some(some) = stream.try_next().await.map_err(self.failed(object))? {
            if !some.iter().eq(wanted.by_ref().take(some.len())) {
                return Ok(false);
            }
        }
        Ok(wanted.next().is_none())
    }

    /// The bytes of an object.
    pub(crate) async fn get(&self, object: &str) -> Result<Vec<u8>, PlaceError> {
        self.get_up_to(object, LARGEST).await
    }

    /// The bytes of an object that should have no more than so many.
    pub(crate) async fn get_up_to(&self, object: &str, most: u64) -> Result<Vec<u8>, PlaceError> {
        let found = self.objects.get(&Path::from(object)).await.map_err(self.failed(object))?;
        if found.meta.size > most {
            return Err(self.damaged(object, format!("{} bytes are more than any has", found.meta.size)));
        }
        found.bytes().await.map(Into::into).map_err(self.failed(object))
    }

    /// Deletes an object, unless it is gone already.
    pub(crate) async fn delete(&self, object: &str) -> Result<(), PlaceError> {
        match self.objects.delete(&Path::from(object)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(object)(error)),
        }
    }

    /// Removes from a folder what writers that were killed have left of objects whose names are stale. Only in a directory is there such
    /// a thing: a file that gets its name, without `#` and a number, when all of it is written.
    pub(crate) fn sweep(&self, folder: &str, is_stale: impl Fn(&str) -> bool) -> Result<(), PlaceError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let is_rest = |name: &str| {
            name.rsplit_once('#').is_some_and(|(object, number)| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && is_stale(object)
            })
        };
        let removed = std::fs::read_dir(directory.join(folder)).and_then(|entries| {
            for entry in entries {
                let entry = entry?;
                if entry.file_name().to_str().is_some_and(is_rest) {
                    std::fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        });
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(self.failed(folder)(Error::Generic { store: "directory", source: Box::new(error) }))
            }
            _ => Ok(()),
        }
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
