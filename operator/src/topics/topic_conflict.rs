//! Finds other resources that want the topics that a Job makes.
//!
//! A KafkaTopic names its owner; a topic has no room for that. So where Strimzi does not run Kafka, the
//! oldest of several resources that want the same topics has them. The operator recognizes this if it sees
//! all of them and their addresses show that they mean the same cluster.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::VirtualStock;
use kbnt_crds::virtual_stock::KafkaSpec;
use kube::Resource;

use crate::kafka_cluster::Kafka;
use crate::ownership::Owner;
use crate::resources::Resources;

/// The resource of the same kind that claimed the topics of `owner` on this cluster earlier.
pub(super) fn earlier_claim(resources: &Resources, owner: &Owner, kafka: &Kafka) -> Option<Owner> {
    let same = |spec: &KafkaSpec, namespace: &str| {
        spec.topic_prefix == kafka.prefix
            && spec.bootstrap_servers.as_deref().is_some_and(|servers| {
                !addresses(servers, namespace).is_disjoint(&addresses(&kafka.bootstrap, &owner.namespace))
            })
    };
    let claims: Vec<(Age, Owner)> = if owner.kind == VirtualStock::kind(&()) {
        let stocks = resources.stocks.state();
        let ours = stocks.iter().filter(|stock| same(&stock.spec.kafka, namespace(&stock.metadata)));
        ours.map(|stock| (age(&stock.metadata), Owner::of(&**stock))).collect()
    } else {
        let workflows = resources.workflows.state();
        let ours = workflows.iter().filter(|workflow| {
            let namespace = namespace(&workflow.metadata);
            resources.stock_of(workflow).is_some_and(|stock| same(&stock.spec.kafka, namespace))
        });
        ours.map(|workflow| (age(&workflow.metadata), Owner::of(&**workflow))).collect()
    };
    let (_, first) = claims.into_iter().min_by(|(one, _), (other, _)| one.cmp(other))?;
    (first.uid != owner.uid).then_some(first)
}

fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

/// When the resource was created, and a tie-breaker for the same second.
type Age = (Option<Timestamp>, Option<String>);

fn age(meta: &ObjectMeta) -> Age {
    (meta.creation_timestamp.as_ref().map(|time| time.0), meta.uid.clone())
}

/// The addresses in a form that is unique in the whole Kubernetes cluster.
fn addresses(servers: &str, namespace: &str) -> BTreeSet<String> {
    let everywhere = |server: &str| {
        let server = server.to_ascii_lowercase();
        let (host, port) = server.rsplit_once(':').unwrap_or((&server, ""));
        let host = host.strip_suffix(".cluster.local").unwrap_or(host);
        let host = host.strip_suffix(".svc").unwrap_or(host);
        if host.contains('.') { format!("{host}:{port}") } else { format!("{host}.{namespace}:{port}") }
    };
    servers.split(',').map(everywhere).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cluster_is_known_by_any_name_of_a_service() {
        let one =
            |servers, namespace| addresses(servers, namespace).into_iter().collect::<Vec<_>>().join(" ");
        for same in
            ["kafka:9092", "KAFKA.shop:9092", "kafka.shop.svc:9092", "kafka.shop.svc.cluster.local:9092"]
        {
            assert_eq!(one(same, "shop"), "kafka.shop:9092");
        }
        assert_eq!(one("kafka:9092,b.example:1", "other"), "b.example:1 kafka.other:9092");
    }
}
