//! Makes partitions of inventory-events so long that nobody looks back to their beginnings, as they would be after days.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rskafka::client::partition::{Compression, OffsetAt};
use rskafka::record::Record;
use serde_json::Value;
use uuid::Uuid;

use crate::failure::Failure;
use crate::load::{Sales, Shop};
use crate::topics::Topics;

const TOPIC: &str = "inventory-events";

/// How many records a partition gets at first, which can be cut then.
const FIRST: usize = 20_000;

/// How many it gets then: somewhat more than anybody looks back over.
const MORE: usize = 335_000;

/// How long to wait for a checkpoint between the two.
const PATIENCE: Duration = Duration::from_mins(3);

/// Records of one write.
const BATCH: usize = 5_000;

/// Bytes of the newest records among which the last declaration is looked for.
const FETCH: std::ops::Range<i32> = 1..8_000_000;

/// Lengthens so many partitions. The log is cut only up to a record that a checkpoint has seen, so there is one in between.
pub(super) async fn lengthen(
    topics: &Topics,
    (sales, shop): (&Sales, &Shop),
    partitions: i32,
    checkpoints: &Path,
) -> Result<(), Failure> {
    for partition in 0..partitions {
        fill(topics, partition, FIRST).await?;
    }
    // One may be under way that has seen less.
    for _ in 0..2 {
        next_checkpoint((sales, shop), checkpoints).await?;
    }
    for partition in 0..partitions {
        fill(topics, partition, MORE).await?;
    }
    Ok(())
}

/// Buys until there is another checkpoint of inventory-service: there is none if it has nothing to do.
async fn next_checkpoint((sales, shop): (&Sales, &Shop), checkpoints: &Path) -> Result<(), Failure> {
    let manifests = checkpoints.join("inventory-service/checkpoints");
    let (before, give_up) = (newest(&manifests), Instant::now() + PATIENCE);
    while newest(&manifests) == before {
        if Instant::now() > give_up {
            return Err(Failure::Late("a checkpoint of inventory-service".to_owned()));
        }
        sales.buy_one(shop).await;
    }
    Ok(())
}

/// The last of the files in a directory by name, folders and all.
fn newest(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    entries.filter_map(|path| if path.is_dir() { newest(&path) } else { Some(path) }).max()
}

/// Declares once more in this partition what was declared last, again and again: that changes nothing.
async fn fill(topics: &Topics, partition: i32, count: usize) -> Result<(), Failure> {
    let client = topics.partition(TOPIC, partition).await?;
    let first = client.get_offset(OffsetAt::Earliest).await?;
    let (records, _) = client.fetch_records(first, FETCH, 1_000).await?;
    let declared = |record: &Record| {
        let event: Option<Value> = serde_json::from_slice(record.value.as_deref().unwrap_or_default()).ok();
        event.is_some_and(|event| event["eventName"] == "StockDeclaredEvent")
    };
    let last = records.into_iter().map(|found| found.record).rfind(declared);
    let Some(model) = last else {
        return Err(Failure::Script(format!("no product is declared in {TOPIC}/{partition}")));
    };
    for _ in (0..count).step_by(BATCH) {
        let batch = (0..BATCH).map(|_| anew(&model)).collect::<Option<Vec<Record>>>();
        let batch = batch.ok_or_else(|| Failure::Script("a declaration has no event id".to_owned()))?;
        client.produce(batch, Compression::Lz4).await?;
    }
    Ok(())
}

/// The same record under another id, which also stands in its headers.
fn anew(model: &Record) -> Option<Record> {
    let text = std::str::from_utf8(model.value.as_deref()?).ok()?;
    let event: Value = serde_json::from_str(text).ok()?;
    let (before, id) = (event["eventId"].as_str()?, Uuid::from_u128(fastrand::u128(..)).to_string());
    let mut record = model.clone();
    record.value = Some(text.replace(before, &id).into_bytes());
    for header in record.headers.values_mut().filter(|header| header.as_slice() == before.as_bytes()) {
        *header = id.clone().into_bytes();
    }
    Some(record)
}
