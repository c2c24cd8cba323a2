//! Makes partitions of inventory-events so long that nobody looks back to their beginnings, as they would be after days.

use rskafka::client::partition::{Compression, OffsetAt};
use rskafka::record::Record;
use serde_json::Value;
use uuid::Uuid;

use crate::failure::Failure;
use crate::topics::Topics;

const TOPIC: &str = "inventory-events";

/// How many records a partition gets: somewhat more than anybody looks back over.
const RECORDS: usize = 302_000;

/// Records of one write.
const BATCH: usize = 5_000;

/// Bytes of the newest records among which the last declaration is looked for.
const FETCH: std::ops::Range<i32> = 1..8_000_000;

/// Declares once more in this partition what was declared last, again and again: that changes nothing.
pub(super) async fn fill(topics: &Topics, partition: i32) -> Result<(), Failure> {
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
    for _ in (0..RECORDS).step_by(BATCH) {
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
