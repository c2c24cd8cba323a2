//! What a place is for.

/// The object that every place has, and that says what it is.
#[derive(Debug)]
pub(crate) struct Mark {
    /// Its name.
    pub(crate) object: &'static str,
    /// The one key in it.
    pub(crate) key: &'static str,
    /// The version of the format of what is in the place.
    pub(crate) format: u32,
    /// What the place has, for people.
    pub(crate) of: &'static str,
}

impl Mark {
    /// What it says.
    pub(super) fn bytes(&self) -> Vec<u8> {
        format!("{{\"{}\":{}}}\n", self.key, self.format).into_bytes()
    }
}

/// All that there are.
pub(super) const fn all() -> [&'static Mark; 2] {
    [&crate::backup::MARK, &crate::checkpoints::MARK]
}
