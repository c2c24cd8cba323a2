//! The binary format of groups and records.

use kbnt_application::Position;
use kbnt_application::ports::RawRecord;
use kbnt_domain::Timestamp;

use super::{Stored, TOPICS};

/// The first bytes of every group.
pub(super) const MAGIC: [u8; 8] = *b"KBNTlog1";

/// Bytes of a group's header: magic, sequence, count, length, checksum.
pub(super) const HEADER: usize = 8 + 8 + 4 + 4 + 4;

/// Bytes before a record: length and checksum.
pub(super) const PREFIX: usize = 4 + 4;

/// The largest group, and so the most that recovery reads at once.
pub(super) const LARGEST: usize = 64 << 20;

/// The length of an absent text.
const NONE: u32 = u32::MAX;

/// A group's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sequence: u64,
    pub(super) count: u32,
    pub(super) length: u32,
}

impl Header {
    pub(super) fn write(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.count.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.length.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at the beginning of these bytes, if it is valid.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        let mut cursor = Cursor(bytes.get(8..)?);
        let header = Self { sequence: cursor.u64()?, count: cursor.u32()?, length: cursor.u32()? };
        let valid = bytes[..8] == MAGIC && cursor.u32()? == crc32fast::hash(&bytes[..24]);
        (valid && header.length as usize <= LARGEST).then_some(header)
    }
}

/// Adds a record to a group.
pub(super) fn write(group: &mut Vec<u8>, at: Position, record: &RawRecord) {
    let start = group.len();
    group.extend_from_slice(&[0; PREFIX]);
    let topic = TOPICS.iter().position(|topic| *topic == at.topic).unwrap_or(0);
    // Seven topics fit.
    group.push(u8::try_from(topic).unwrap_or(0));
    group.extend_from_slice(&at.partition.to_le_bytes());
    group.extend_from_slice(&at.offset.to_le_bytes());
    group.extend_from_slice(&record.at.as_millis().to_le_bytes());
    optional(group, record.key.as_deref());
    optional(group, record.value.as_deref());
    group.extend_from_slice(&length(record.headers.len()).to_le_bytes());
    for (name, value) in &record.headers {
        optional(group, Some(name.as_bytes()));
        optional(group, value.as_deref());
    }
    let body = &group[start + PREFIX..];
    let (count, checksum) = (length(body.len()), crc32fast::hash(body));
    group[start..start + 4].copy_from_slice(&count.to_le_bytes());
    group[start + 4..start + PREFIX].copy_from_slice(&checksum.to_le_bytes());
}

fn optional(group: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => group.extend_from_slice(&NONE.to_le_bytes()),
        Some(bytes) => {
            group.extend_from_slice(&length(bytes.len()).to_le_bytes());
            group.extend_from_slice(bytes);
        }
    }
}

/// Lengths above the limit of a group are refused earlier.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(NONE - 1)
}

/// The length of the record at the beginning of these bytes, and its checksum.
pub(super) fn prefix(bytes: &[u8]) -> Option<(usize, u32)> {
    let mut cursor = Cursor(bytes);
    Some((cursor.u32()? as usize, cursor.u32()?))
}

/// The body of the record at the beginning of `bytes`, if its checksum is right.
pub(super) fn body(bytes: &[u8]) -> Option<&[u8]> {
    let (length, checksum) = prefix(bytes)?;
    let body = bytes.get(PREFIX..PREFIX.checked_add(length)?)?;
    (crc32fast::hash(body) == checksum).then_some(body)
}

/// The position of the record with this body.
pub(super) fn position(body: &[u8]) -> Option<Position> {
    Cursor(body).position()
}

/// The record with this body.
pub(super) fn read(body: &[u8]) -> Option<Stored> {
    let mut cursor = Cursor(body);
    let at = cursor.position()?;
    let time = Timestamp::from_millis(i64::from_le_bytes(cursor.take(8)?.try_into().ok()?));
    let mut record = RawRecord { at: time, ..RawRecord::default() };
    cursor.optional(&mut record.key)?;
    cursor.optional(&mut record.value)?;
    for _ in 0..cursor.u32()? {
        let (mut name, mut value) = (None, None);
        cursor.optional(&mut name)?;
        cursor.optional(&mut value)?;
        record.headers.push((String::from_utf8(name?).ok()?, value));
    }
    cursor.0.is_empty().then_some(Stored { at, record })
}

/// Reads from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn position(&mut self) -> Option<Position> {
        let topic = *TOPICS.get(usize::from(*self.take(1)?.first()?))?;
        Some(Position { topic, partition: self.u32()?, offset: self.u64()? })
    }

    /// Reads an optional text into `text`; `None` if the bytes end too early.
    fn optional(&mut self, text: &mut Option<Vec<u8>>) -> Option<()> {
        let length = self.u32()?;
        *text = if length == NONE { None } else { Some(self.take(length as usize)?.to_vec()) };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use kbnt_application::Topic;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_record_survives(
            topic in prop::sample::select(TOPICS.to_vec()),
            (partition, offset, at) in any::<(u32, u64, i64)>(),
            key in any::<Option<Vec<u8>>>(),
            value in any::<Option<Vec<u8>>>(),
            headers in any::<Vec<(String, Option<Vec<u8>>)>>(),
        ) {
            let record = RawRecord { key, value, headers, at: Timestamp::from_millis(at) };
            let at = Position { topic, partition, offset };
            let mut group = Vec::new();
            write(&mut group, at, &record);
            let body = body(&group).unwrap();
            prop_assert_eq!(position(body), Some(at));
            prop_assert_eq!(read(body), Some(Stored { at, record }));
        }
    }

    #[test]
    fn one_changed_bit_is_seen() {
        let header = Header { sequence: 7, count: 1, length: 99 }.write();
        let mut record = Vec::new();
        let at = Position { topic: Topic::AuditLogs, partition: 0, offset: 3 };
        write(&mut record, at, &RawRecord { value: Some(vec![1, 2, 3]), ..RawRecord::default() });
        assert!(Header::read(&header).is_some() && body(&record).is_some());
        for bit in 0..HEADER * 8 {
            let mut damaged = header;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::read(&damaged), None, "bit {bit}");
        }
        for bit in 0..record.len() * 8 {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(body(&damaged), None, "bit {bit}");
        }
    }
}
