//! Seven topics, with the documented partition counts, on the objects and on the broker.

use kbnt_e2e::harness::{Failure, Kafka, Kubectl, Shop};

/// Topic and partitions, as documented.
const TOPICS: [(&str, u32); 7] = [
    ("user-events", 3),
    ("order-events", 3),
    ("payment-events", 3),
    ("inventory-events", 3),
    ("notification-events", 3),
    ("audit-logs", 1),
    ("application-logs", 2),
];

#[test]
fn the_seven_topics_are_declared_and_the_broker_agrees() -> Result<(), Failure> {
    let shop = Shop::shared()?;
    for (name, partitions) in TOPICS {
        let topic = shop.topic(name);
        let object = Kubectl::new("kafka").get(&["kafkatopic", &topic])?;
        assert_eq!(object["spec"]["partitions"], partitions, "{topic}");
        assert_eq!(object["metadata"]["labels"]["strimzi.io/cluster"], "kbnt", "{topic}");
        assert_eq!(Kafka::default().partitions(&topic)?, partitions, "{topic}");
    }
    Ok(())
}

/// It stores unreadable records of the other topics as text.
#[test]
fn the_audit_trail_takes_larger_records_than_a_broker_does_by_default() -> Result<(), Failure> {
    let topic = Kubectl::new("kafka").get(&["kafkatopic", &Shop::shared()?.topic("audit-logs")])?;
    assert_eq!(topic["spec"]["config"]["max.message.bytes"], 4_194_304);
    Ok(())
}

#[test]
fn state_topics_are_kept_for_ever_and_never_compacted() -> Result<(), Failure> {
    let shop = Shop::shared()?;
    for name in ["user-events", "order-events", "payment-events", "inventory-events"] {
        let config = &Kubectl::new("kafka").get(&["kafkatopic", &shop.topic(name)])?["spec"]["config"];
        assert_eq!(config["cleanup.policy"], "delete", "{name}");
        let retention =
            config["retention.ms"].as_i64().or_else(|| config["retention.ms"].as_str()?.parse().ok());
        assert_eq!(retention, Some(-1), "{name}");
        let bytes =
            config["retention.bytes"].as_i64().or_else(|| config["retention.bytes"].as_str()?.parse().ok());
        assert_eq!(bytes, Some(-1), "{name}");
    }
    Ok(())
}
