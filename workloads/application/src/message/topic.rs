//! The seven topics, the six services, and which partition a key belongs to.

/// A topic of the workflow; its name on a broker may have a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Users, and whether the user of an order may order.
    UserEvents,
    /// Orders from the command to the end.
    OrderEvents,
    /// Charges and refunds.
    PaymentEvents,
    /// Stock and reservations.
    InventoryEvents,
    /// What customers were told.
    NotificationEvents,
    /// The audit chain.
    AuditLogs,
    /// The services' own log lines.
    ApplicationLogs,
}

impl Topic {
    /// All seven.
    pub const ALL: [Self; 7] = [
        Self::UserEvents,
        Self::OrderEvents,
        Self::PaymentEvents,
        Self::InventoryEvents,
        Self::NotificationEvents,
        Self::AuditLogs,
        Self::ApplicationLogs,
    ];

    /// All but the services' own log lines, in the order in which event streams count how far they have come.
    pub const EVENTS: [Self; 6] = [
        Self::OrderEvents,
        Self::UserEvents,
        Self::InventoryEvents,
        Self::PaymentEvents,
        Self::NotificationEvents,
        Self::AuditLogs,
    ];

    /// The name, without prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserEvents => "user-events",
            Self::OrderEvents => "order-events",
            Self::PaymentEvents => "payment-events",
            Self::InventoryEvents => "inventory-events",
            Self::NotificationEvents => "notification-events",
            Self::AuditLogs => "audit-logs",
            Self::ApplicationLogs => "application-logs",
        }
    }

    /// The topic of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// Whether it is an event store: its records never expire, so one that is missing was lost.
    pub const fn is_event_store(self) -> bool {
        match self {
            Self::UserEvents | Self::OrderEvents | Self::PaymentEvents | Self::InventoryEvents => true,
            Self::NotificationEvents | Self::AuditLogs | Self::ApplicationLogs => false,
        }
    }

    /// Every partition of the [events](Self::EVENTS), in their order.
    pub fn event_partitions() -> impl Iterator<Item = (Self, u32)> {
        Self::EVENTS
            .into_iter()
            .flat_map(|topic| (0..topic.partitions()).map(move |partition| (topic, partition)))
    }

    /// How many partitions it has, by contract.
    pub const fn partitions(self) -> u32 {
        match self {
            Self::AuditLogs => 1,
            Self::ApplicationLogs => 2,
            _ => 3,
        }
    }
}

/// One of the six services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Validates and manages users.
    User,
    /// Decides over virtual stock.
    Inventory,
    /// Charges and refunds.
    Payment,
    /// Accepts orders and concludes them.
    Order,
    /// Tells customers.
    Notification,
    /// Writes the audit trail.
    Audit,
}

impl Service {
    /// All six, in the order in which an order meets them.
    pub const ALL: [Self; 6] =
        [Self::Order, Self::User, Self::Inventory, Self::Payment, Self::Notification, Self::Audit];

    /// The name in records and labels, such as `order-service`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user-service",
            Self::Inventory => "inventory-service",
            Self::Payment => "payment-service",
            Self::Order => "order-service",
            Self::Notification => "notification-service",
            Self::Audit => "audit-service",
        }
    }

    /// The service of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// The topic that it writes; no other service writes there.
    pub const fn output(self) -> Topic {
        match self {
            Self::User => Topic::UserEvents,
            Self::Inventory => Topic::InventoryEvents,
            Self::Payment => Topic::PaymentEvents,
            Self::Order => Topic::OrderEvents,
            Self::Notification => Topic::NotificationEvents,
            Self::Audit => Topic::AuditLogs,
        }
    }

    /// The topics whose records it handles.
    pub const fn inputs(self) -> &'static [Topic] {
        match self {
            Self::User | Self::Notification => &[Topic::OrderEvents],
            Self::Inventory => &[Topic::UserEvents, Topic::PaymentEvents, Topic::OrderEvents],
            Self::Payment => &[Topic::InventoryEvents],
            Self::Order => &[Topic::UserEvents, Topic::InventoryEvents, Topic::PaymentEvents],
            Self::Audit => &[
                Topic::OrderEvents,
                Topic::UserEvents,
                Topic::InventoryEvents,
                Topic::PaymentEvents,
                Topic::NotificationEvents,
            ],
        }
    }
}

/// The partition of `key` among `partitions` (at least 1), as Kafka's Java clients choose it: murmur2, sign bit
/// cleared, modulo.
pub fn partition_of(key: impl AsRef<[u8]>, partitions: u32) -> u32 {
    (murmur2::murmur2(key.as_ref(), murmur2::KAFKA_SEED) & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes from Apache Kafka's own `UtilsTest.testMurmur2`, reduced as its partitioner does.
    #[test]
    fn partitions_are_those_of_java_clients() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(partition_of(key, 3), (hash & 0x7fff_ffff).cast_unsigned() % 3, "{key}");
        }
    }
}
