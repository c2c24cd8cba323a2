//! How far the operator may go for users.

use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::ownership::Owner;

/// What the operator may do for users, according to its installation.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Whether it may have Strimzi make users.
    pub enabled: bool,
    /// Namespaces of Kafka clusters from which it may read Secrets of users.
    pub secrets_from: Vec<String>,
    /// Namespaces of resources to which it may copy them.
    pub secrets_to: Vec<String>,
}

impl Rights {
    /// Checks that it may do what this resource asks for.
    pub fn check(&self, owner: &Owner, kafka: &Kafka) -> Result<(), Error> {
        let (Some(place), Some(_)) = (&kafka.place, kafka.users) else { return Ok(()) };
        if !self.enabled {
            return Err(Error::Invalid(
                "kafka.users: this operator may make no KafkaUsers: set kafkaUsers.enabled in its chart"
                    .into(),
            ));
        }
        let (from, to) = (&place.namespace, &owner.namespace);
        if from == to || (self.secrets_from.contains(from) && self.secrets_to.contains(to)) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "kafka.users: this operator may not copy the users' Secrets from namespace {from} to {to}: add them to \
             kafkaUsers.secretsFrom and kafkaUsers.secretsTo of its chart"
        )))
    }

    /// Namespaces whose Secrets are watched.
    pub fn secret_namespaces(&self) -> Vec<String> {
        if self.enabled { [self.secrets_from.as_slice(), &self.secrets_to].concat() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use kbnt_crds::virtual_stock::UserAuthentication;

    use super::*;
    use crate::kafka_cluster::{Login, Place};

    #[test]
    fn it_goes_no_further_than_it_was_told_to() {
        let kafka = |users| Kafka {
            bootstrap: String::new(),
            prefix: String::new(),
            replicas: 1,
            place: Some(Place { cluster: "kbnt".into(), namespace: "kafka".into() }),
            trust: None,
            login: Login::None,
            users,
        };
        let asked = kafka(Some(UserAuthentication::Tls));
        let owner = |namespace: &str| Owner {
            kind: "VirtualStock".into(),
            namespace: namespace.into(),
            name: "main".into(),
            uid: "u".into(),
        };
        let none = Rights::default();
        let near = Rights { enabled: true, ..Rights::default() };
        let far =
            Rights { secrets_from: vec!["kafka".into()], secrets_to: vec!["shop".into()], ..near.clone() };
        let may = |rights: &Rights, namespace: &str| rights.check(&owner(namespace), &asked).is_ok();
        assert_eq!([may(&none, "kafka"), may(&none, "shop")], [false, false]);
        assert_eq!([may(&near, "kafka"), may(&near, "shop")], [true, false]);
        assert_eq!([may(&far, "kafka"), may(&far, "shop"), may(&far, "other")], [true, true, false]);
        assert!(none.check(&owner("shop"), &kafka(None)).is_ok());
        assert_eq!(far.secret_namespaces(), ["kafka", "shop"]);
        assert!(none.secret_namespaces().is_empty());
    }
}
