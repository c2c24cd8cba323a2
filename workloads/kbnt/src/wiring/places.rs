//! Places for backups and checkpoints.

use kbnt_adapters::objects::{Address, BucketAddress, Place, PlaceError, StoreSettings};

/// A place to which something is to be written: a directory is made if it is not there.
pub(crate) fn place_to_write(address: &Address) -> Result<Place, PlaceError> {
    match address {
        Address::Directory(directory) => Place::create(directory),
        Address::Bucket(bucket) => in_bucket(bucket),
    }
}

/// A place that something is to be read from.
pub(crate) fn place_to_read(address: &Address) -> Result<Place, PlaceError> {
    match address {
        Address::Directory(directory) => Place::open(directory),
        Address::Bucket(bucket) => in_bucket(bucket),
    }
}

/// A part of a bucket, of the store that the environment names.
fn in_bucket(address: &BucketAddress) -> Result<Place, PlaceError> {
    Place::in_bucket(address, StoreSettings::read(|name| std::env::var(name).ok())?)
}
