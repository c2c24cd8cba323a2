//! What the checker reads of a record: written anew from docs/events.md, and shared with nobody.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// A UUID, as JSON has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) Uuid);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a record lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub(crate) struct Place {
    /// The topic, without prefix.
    pub(crate) topic: String,
    /// The partition.
    pub(crate) partition: i32,
    /// The offset.
    pub(crate) offset: i64,
}

/// A record's value.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    /// Readers drop ids that they have seen.
    #[serde(rename = "eventId")]
    pub(crate) id: Id,
    /// What happened.
    #[serde(rename = "eventName")]
    pub(crate) name: String,
    /// When, as text that sorts by time.
    pub(crate) timestamp: String,
    /// Who decided, on inventory-events.
    #[serde(default)]
    pub(crate) writer: Option<Writer>,
    /// The rest.
    pub(crate) payload: Payload,
}

/// A writer of inventory-events. The greater term is the newer one; between equal terms the greater name is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Writer {
    /// Its term.
    pub(crate) term: u64,
    /// Its name.
    pub(crate) name: String,
}

/// All fields that any event has and the checker looks at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Payload {
    /// The order.
    pub(crate) order_id: Option<Id>,
    /// The reservation.
    pub(crate) reservation_id: Option<Id>,
    /// What is ordered or reserved.
    pub(crate) items: Vec<Item>,
    /// How the order ended.
    pub(crate) status: Option<String>,
    /// The charge.
    pub(crate) transaction_id: Option<String>,
    /// The product that is declared.
    pub(crate) product_id: Option<String>,
    /// By whom.
    pub(crate) source: Option<String>,
    /// Units ever received from there.
    pub(crate) received: Option<u64>,
    /// A link's number in the audit chain.
    pub(crate) sequence: Option<u64>,
    /// Which record the link is about.
    pub(crate) location: Option<Place>,
    /// The hash of the link before.
    pub(crate) previous_hash: Option<String>,
    /// Its own.
    pub(crate) hash: Option<String>,
}

/// Units of a product.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    /// Which.
    pub(crate) product_id: String,
    /// How many.
    pub(crate) quantity: u64,
}
