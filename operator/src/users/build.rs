//! Builds the desired users.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::KafkaUser;
use kbnt_crds::kafka_topic::CLUSTER_LABEL;
use kbnt_crds::kafka_user::{
    Authentication, Authorization, KafkaUserSpec, MetadataTemplate, ObjectTemplate, Template,
};
use kbnt_crds::virtual_stock::UserAuthentication;

use super::acls::acls;
use crate::kafka_cluster::{Kafka, Login, Place};
use crate::kube::short_digest;
use crate::labels::labels;
use crate::owned::USER_LABEL;
use crate::ownership::Owner;
use crate::workloads::Role;

/// The user of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceUser {
    /// The object that Strimzi reads.
    pub object: KafkaUser,
    /// Name of the user, and of its Secret in the namespace of the pods.
    pub name: String,
    /// The service that uses the Secret.
    pub(super) component: String,
    /// How it logs in.
    pub(super) authentication: UserAuthentication,
    /// Whether the Secret must be copied to the namespace of the pods.
    pub(super) copied: bool,
}

/// The users of these services, if Strimzi makes them.
pub fn build(owner: &Owner, kafka: &Kafka, roles: &[Role]) -> Vec<ServiceUser> {
    match (&kafka.place, kafka.users) {
        (Some(place), Some(authentication)) => {
            roles.iter().map(|role| user(owner, kafka, place, authentication, *role)).collect()
        }
        _ => Vec::new(),
    }
}

/// The Kafka cluster with this service's login: its own user, if it has one.
pub fn with_login(owner: &Owner, kafka: &Kafka, role: Role) -> Kafka {
    let name = name(owner, role);
    let login = match kafka.users {
        None => return kafka.clone(),
        Some(UserAuthentication::ScramSha512) => Login::Scram { username: name.clone(), secret: name },
        Some(UserAuthentication::Tls) => Login::Mtls(name),
    };
    Kafka { login, ..kafka.clone() }
}

fn user(
    owner: &Owner,
    kafka: &Kafka,
    place: &Place,
    authentication: UserAuthentication,
    role: Role,
) -> ServiceUser {
    let (name, component) = (name(owner, role), role.component());
    let mut metadata = ObjectMeta {
        name: Some(name.clone()),
        namespace: Some(place.namespace.clone()),
        labels: Some(labels(&owner.name, &component)),
        ..ObjectMeta::default()
    };
    metadata.labels.get_or_insert_default().insert(CLUSTER_LABEL.into(), place.cluster.clone());
    owner.sign(&mut metadata);
    let copied = place.namespace != owner.namespace;
    if !copied {
        metadata.owner_references = Some(vec![owner.reference(false)]);
    }
    let on_secret = MetadataTemplate {
        labels: [(USER_LABEL.into(), name.clone())].into(),
        annotations: metadata.annotations.clone().unwrap_or_default(),
    };
    let spec = KafkaUserSpec {
        authentication: Some(Authentication { type_: authentication }),
        authorization: Some(Authorization { type_: "simple".into(), acls: acls(role, &kafka.prefix) }),
        template: Some(Template { secret: ObjectTemplate { metadata: on_secret } }),
    };
    let object = KafkaUser { types: None, metadata, spec, status: None };
    ServiceUser { object, name, component, authentication, copied }
}

/// A name that is unique across namespaces and fits into a certificate: 64 characters.
fn name(owner: &Owner, role: Role) -> String {
    let digest = short_digest(&format!("{}/{}", owner.namespace, owner.name));
    format!("{}-{}-{}", owner.name, role.argument(), &digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::ALL_ROLES;

    const PAGE: &str = "../docs/kafka-users.yaml";

    fn owner(namespace: &str) -> Owner {
        Owner {
            kind: "VirtualStock".into(),
            namespace: namespace.into(),
            name: "main".into(),
            uid: "UID".into(),
        }
    }

    fn kafka(authentication: Option<UserAuthentication>) -> Kafka {
        Kafka {
            bootstrap: "kafka:9092".into(),
            prefix: "shop-".into(),
            replicas: 3,
            place: Some(Place { cluster: "kbnt".into(), namespace: "kafka".into() }),
            trust: None,
            login: Login::None,
            users: authentication,
        }
    }

    /// With KBNT_GENERATE it writes the page instead. Another test runs the services with these rights on a
    /// broker.
    #[test]
    fn the_documented_users_are_those_that_are_made() {
        let kafka = kafka(Some(UserAuthentication::ScramSha512));
        let mut text = String::from(
            "# The KafkaUsers of the samples with topicPrefix shop- and users: {authentication: scram-sha-512}, as the operator\n\
             # makes them. Written by make generate.\n",
        );
        for role in ALL_ROLES {
            let kind = if role == Role::Inventory { "VirtualStock" } else { "OrderWorkflow" };
            let owner = Owner { kind: kind.into(), ..owner("shop") };
            for user in build(&owner, &kafka, &[role]) {
                let mut object = user.object;
                object.types = Some(kube::api::TypeMeta {
                    api_version: "kafka.strimzi.io/v1".into(),
                    kind: "KafkaUser".into(),
                });
                text.push_str("---\n");
                text.push_str(&serde_yaml::to_string(&object).unwrap());
            }
        }
        if std::env::var_os("KBNT_GENERATE").is_some() {
            std::fs::write(PAGE, &text).unwrap();
        }
        let page = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert_eq!(page, text, "docs/kafka-users.yaml is stale: make generate");
    }

    #[test]
    fn a_name_is_one_of_its_own_and_fits_into_a_certificate() {
        let long = Owner { name: "n".repeat(40), ..owner("shop") };
        for role in ALL_ROLES {
            assert!(name(&long, role).len() <= 64);
        }
        let names = [
            name(&owner("a"), Role::Order),
            name(&owner("b"), Role::Order),
            name(&owner("a"), Role::User),
            name(&Owner { name: "other".into(), ..owner("a") }, Role::Order),
        ];
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn services_log_in_by_their_own_users_and_as_before_without() {
        let owner = owner("shop");
        let login = |authentication| with_login(&owner, &kafka(authentication), Role::Order).login;
        let own = name(&owner, Role::Order);
        assert_eq!(login(None), Login::None);
        assert_eq!(login(Some(UserAuthentication::Tls)), Login::Mtls(own.clone()));
        let scram = Login::Scram { username: own.clone(), secret: own };
        assert_eq!(login(Some(UserAuthentication::ScramSha512)), scram);
        assert!(build(&owner, &kafka(None), &[Role::Order]).is_empty());
    }

    #[test]
    fn only_a_user_elsewhere_has_its_secret_copied_and_none_goes_with_its_owner_by_itself() {
        let kafka = kafka(Some(UserAuthentication::Tls));
        let far = &build(&owner("shop"), &kafka, &[Role::Order])[0];
        assert!(far.copied && far.object.metadata.owner_references.is_none());
        let near = &build(&owner("kafka"), &kafka, &[Role::Order])[0];
        assert!(!near.copied);
        assert_eq!(near.object.metadata.owner_references.as_ref().unwrap()[0].uid, "UID");
    }
}
