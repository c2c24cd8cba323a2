//! Manifests: what a checkpoint consists of.

use kbnt_application::ports::Mark;
use kbnt_application::{Position, Service};
use kbnt_domain::Timestamp;
use kbnt_domain::audit::sha256;
use kbnt_wire::text::hex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::marks::{self, Last, MARKS_MOST, Marks, marks_of};
use super::pack::{ORDERS_MOST, PLACES};
use super::reads::Reads;
use super::{FORMAT, PACK_MOST, PACKS_MOST, SNAPSHOT_MOST, Taken};

/// What a checkpoint consists of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    service: String,
    /// Counted from 1.
    pub(super) number: u64,
    /// In milliseconds.
    taken: i64,
    /// None in a manifest that was written before logs could be cut: nothing is cut for it.
    #[serde(default)]
    reads: Reads,
    /// The last records of the snapshots of checkpoints before, the oldest first, and of its own.
    #[serde(default)]
    pub(super) marks: Vec<Marks>,
    /// The SHA-256 of the manifest before.
    previous: Option<String>,
    pub(super) snapshot: Content,
    /// The place of the first chunk that the snapshot goes with; the first pack may have older ones.
    pub(super) first: u64,
    pub(super) packs: Vec<Pack>,
}

/// What is in an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Chunks of the archive in an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pack {
    /// The checkpoint for which it was written.
    pub(super) number: u64,
    /// The place of its first order.
    pub(super) first: u64,
    /// How many places it covers.
    pub(super) orders: u64,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// The SHA-256 of the list of its chunks, if it has chunks of an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunks: Option<String>,
}

/// A manifest with what vouches for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    /// The SHA-256 of the bytes of the manifest.
    sha256: &'a str,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

/// What manifests of every format say.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Content {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: hex(&sha256(bytes)) }
    }
}

/// The first digits of a hash in the names of objects.
fn short(sha256: &str) -> &str {
    sha256.get(..16).unwrap_or(sha256)
}

impl Pack {
    /// The name of its object.
    pub(super) fn name(&self) -> String {
        format!("{:012}-{:020}-{}", self.number, self.first, short(&self.sha256))
    }

    /// The place after its last order.
    pub(super) const fn end(&self) -> Option<u64> {
        self.first.checked_add(self.orders)
    }
}

impl Manifest {
    pub(super) fn new(
        service: Service,
        number: u64,
        taken: &Taken,
        previous: Option<String>,
        mut marks: Vec<Marks>,
        snapshot: Content,
    ) -> Self {
        let service = service.name().to_owned();
        marks::add(&mut marks, marks_of(&taken.marks));
        let (taken, reads) = (taken.at.as_millis(), Reads::of(&taken.reads));
        Self {
            format: FORMAT,
            service,
            number,
            taken,
            reads,
            marks,
            previous,
            snapshot,
            first: 0,
            packs: Vec::new(),
        }
    }

    /// Its number; a newer checkpoint has a higher one.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// When its snapshot was taken.
    pub const fn taken(&self) -> Timestamp {
        Timestamp::from_millis(self.taken)
    }

    /// From where a process that begins with it reads each partition, at the earliest.
    pub fn reads(&self) -> impl Iterator<Item = Position> {
        self.reads.positions()
    }

    /// The last records of its snapshot, and of those of many checkpoints before: records that count.
    pub fn counting(&self) -> impl Iterator<Item = Mark> {
        let topic = Service::from_name(&self.service).map(Service::output);
        topic
            .into_iter()
            .flat_map(|topic| self.marks.iter().flatten().filter_map(move |last| last.mark(topic)))
    }

    /// How many places of closed orders its packs cover.
    pub fn orders(&self) -> u64 {
        self.packs.iter().map(|pack| pack.orders).sum()
    }

    /// How many bytes its objects have.
    pub fn bytes(&self) -> u64 {
        self.snapshot.bytes + self.packs.iter().map(|pack| pack.bytes).sum::<u64>()
    }

    /// The name of the object of its snapshot.
    pub(super) fn snapshot_name(&self) -> String {
        format!("{:012}-{}", self.number, short(&self.snapshot.sha256))
    }

    /// Whether it was written after the manifest of these bytes.
    pub(super) fn follows(&self, bytes: &[u8]) -> bool {
        self.previous.as_ref().is_none_or(|previous| *previous == hex(&sha256(bytes)))
    }

    /// As it is written.
    pub(super) fn sealed(&self) -> Vec<u8> {
        // Numbers and texts can always be written.
        let manifest = serde_json::to_string(self).unwrap_or_default();
        let sum = hex(&sha256(manifest.as_bytes()));
        format!("{{\"sha256\":\"{sum}\",\"manifest\":{manifest}}}").into_bytes()
    }

    /// The manifest of these bytes, if it is that of this checkpoint; or what is wrong with it.
    pub(super) fn parse(bytes: &[u8], service: Service, number: u64) -> Result<Self, String> {
        let sealed: Sealed<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let manifest = sealed.manifest.get();
        if hex(&sha256(manifest.as_bytes())) != sealed.sha256 {
            return Err("it is not what was written".to_owned());
        }
        let Format { format } = serde_json::from_str(manifest).map_err(|error| error.to_string())?;
        if format != FORMAT {
            return Err(format!("format {format} is none that this program reads"));
        }
        let manifest: Self = serde_json::from_str(manifest).map_err(|error| error.to_string())?;
        if manifest.number != number {
            return Err(format!("it says that it is checkpoint {}", manifest.number));
        }
        if manifest.service != service.name() {
            return Err("it is a checkpoint of another service".to_owned());
        }
        manifest.is_sound().map_err(str::to_owned)?;
        Ok(manifest)
    }

    /// Whether there can be such a checkpoint.
    fn is_sound(&self) -> Result<(), &'static str> {
        let is_hash = |text: &str| {
            text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let hashes = self.packs.iter().flat_map(|pack| [Some(&pack.sha256), pack.chunks.as_ref()]).flatten();
        if !hashes.chain([&self.snapshot.sha256]).chain(&self.previous).all(|hash| is_hash(hash)) {
            return Err("a hash has 64 hexadecimal digits");
        }
        if self.marks.len() > MARKS_MOST {
            return Err("it has more records of checkpoints before than any has");
        }
        let output = Service::from_name(&self.service).map(Service::output);
        let is_its = |last: &Last| output.and_then(|output| last.mark(output)).is_some();
        if !self.reads.is_sound() || !self.marks.iter().flatten().all(is_its) {
            return Err("it is about a partition that there is not");
        }
        if self.snapshot.bytes > SNAPSHOT_MOST {
            return Err("its snapshot is larger than any is");
        }
        if self.packs.len() > PACKS_MOST {
            return Err("it has more packs than any has");
        }
        let is_pack = |pack: &Pack| {
            (1..=PLACES + u64::from(ORDERS_MOST)).contains(&pack.orders)
                && pack.bytes <= PACK_MOST
                && pack.end().is_some()
                && (1..=self.number).contains(&pack.number)
        };
        // Of a history orders may be dropped everywhere, of an archive only the oldest are.
        let is_history = self.service == Service::Order.name();
        let follow = self.packs.is_sorted_by(|one, next| {
            one.end().is_some_and(|end| end == next.first || is_history && end < next.first)
        });
        let have_chunks = self.packs.iter().all(|pack| pack.chunks.is_some() != is_history);
        let begins = self
            .packs
            .first()
            .is_none_or(|pack| pack.first <= self.first && pack.end().is_some_and(|end| self.first < end));
        if self.packs.iter().all(is_pack) && follow && have_chunks && begins {
            Ok(())
        } else {
            Err("its packs are none that there can be")
        }
    }
}
