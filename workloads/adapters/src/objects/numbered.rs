//! Objects that are numbered, in folders of a thousand, so that the newest of very many are found without a list of all.

use super::{Place, PlaceError};

/// Objects in one folder.
const FOLDER: u64 = 1_000;

/// The name of the object of a number, counted from 1.
pub(crate) fn numbered(folder: &str, number: u64) -> String {
    format!("{}/{number:012}.json", folder_of(folder, number / FOLDER))
}

fn folder_of(folder: &str, thousand: u64) -> String {
    format!("{folder}/{thousand:09}")
}

/// The number that a name of so many digits is; anything else was written by somebody else.
pub(crate) fn digits(name: &str, count: usize) -> Option<u64> {
    let is_number = name.len() == count && name.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| name.parse().ok()).flatten()
}

impl Place {
    /// The newest numbers below `folder`, the newest first, at most so many.
    pub(crate) async fn newest_numbers(&self, folder: &str, most: usize) -> Result<Vec<u64>, PlaceError> {
        let folders = self.folders(folder).await?;
        let mut thousands: Vec<u64> = folders.iter().filter_map(|name| digits(name, 9)).collect();
        thousands.sort_unstable();
        let mut newest = Vec::new();
        // The last one may be empty: a run was interrupted that made it.
        for thousand in thousands.into_iter().rev() {
            let listed = self.list(&folder_of(folder, thousand), ".json").await?;
            let mut numbers: Vec<u64> = listed.iter().filter_map(|(name, _)| digits(name, 12)).collect();
            numbers.retain(|number| number / FOLDER == thousand);
            numbers.sort_unstable();
            newest.extend(numbers.into_iter().rev().take(most - newest.len()));
            if newest.len() == most {
                break;
            }
        }
        Ok(newest)
    }
}
