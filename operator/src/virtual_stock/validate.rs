//! Validates what the rules of the CRD cannot check.

use kbnt_crds::VirtualStock;

use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::kube::Scope;
use crate::workloads;

/// A VirtualStock that can be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid {
    pub(super) kafka: Kafka,
}

impl AsRef<Kafka> for Valid {
    fn as_ref(&self) -> &Kafka {
        &self.kafka
    }
}

/// Checks that this resource can be carried out within the operator's `reach`.
pub(super) fn validate(stock: &VirtualStock, reach: &Scope) -> Result<Valid, Error> {
    workloads::check("inventory", &stock.spec.inventory.pod_template)?;
    let namespace = stock.metadata.namespace.as_deref().unwrap_or_default();
    Ok(Valid { kafka: Kafka::of(&stock.spec.kafka, namespace, reach)? })
}

#[cfg(test)]
mod tests {
    use kbnt_crds::virtual_stock::KafkaTls;

    use super::super::build::tests::stock;
    use super::*;
    use crate::kafka_cluster::Trust;

    #[test]
    fn the_cluster_is_found_where_the_reference_says_if_the_operator_reaches_there() {
        let valid = validate(&stock(), &Scope::Cluster).unwrap();
        assert_eq!(valid.kafka.bootstrap, "kbnt-kafka-bootstrap.kafka.svc:9092");
        let mut encrypted = stock();
        encrypted.spec.kafka.tls = Some(KafkaTls::default());
        let kafka = validate(&encrypted, &Scope::Cluster).unwrap().kafka;
        assert_eq!(kafka.bootstrap, "kbnt-kafka-bootstrap.kafka.svc:9093");
        assert_eq!(kafka.trust, Some(Trust::Secret("kbnt-cluster-ca-cert".into())));
        let mut near = stock();
        near.spec.kafka.cluster_ref.as_mut().unwrap().namespace = None;
        assert_eq!(
            validate(&near, &Scope::Cluster).unwrap().kafka.bootstrap,
            "kbnt-kafka-bootstrap.shop.svc:9092"
        );
        let error = validate(&stock(), &Scope::of(&["shop".into()])).unwrap_err();
        assert!(error.to_string().contains("kafkaNamespaces"), "{error}");
        assert!(validate(&stock(), &Scope::of(&["shop".into(), "kafka".into()])).is_ok());
    }

    #[test]
    fn a_cluster_without_strimzi_has_no_place_for_topics() {
        let mut other = stock();
        other.spec.kafka.cluster_ref = None;
        other.spec.kafka.bootstrap_servers = Some("a:9092,b:9092".into());
        let kafka = validate(&other, &Scope::Cluster).unwrap().kafka;
        assert_eq!((kafka.bootstrap.as_str(), kafka.place), ("a:9092,b:9092", None));
        other.spec.kafka.bootstrap_servers = Some("a:99999".into());
        let error = validate(&other, &Scope::Cluster).unwrap_err();
        assert!(error.to_string().contains("with a port from 1 to 65535"), "{error}");
        other.spec.kafka.bootstrap_servers = None;
        assert!(validate(&other, &Scope::Cluster).is_err());
    }
}
