//! What a VirtualStock takes.

use kbnt_crds::VirtualStock;
use kbnt_crds::common::TopicDeletionPolicy;

use super::validate::Valid;
use crate::error::Error;
use crate::services::Declaration;
use crate::topics::{self, Asked, OF_STOCK, Owner, Place, Topics};
use crate::users::{self, ServiceUser};
use crate::workloads::{self, Plan, Role, StandbyRole, Workload, in_turn, plain};

/// Everything that a VirtualStock takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Desired {
    pub(super) topics: Topics,
    pub(super) users: Vec<ServiceUser>,
    pub(super) workloads: Vec<Workload>,
    pub(super) declarations: Vec<Declaration>,
    /// Where its topics and users are, if Strimzi makes them.
    pub(super) place: Option<Place>,
    /// Whether the resource has to wait for topics or users elsewhere when it is deleted.
    pub(super) finalizer: bool,
}

/// What the operator has for all stocks.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Image of the services.
    pub(super) image: &'a str,
    /// What lets pods hold a lease.
    pub(super) standby: &'a StandbyRole,
}

/// Everything that this resource takes.
pub(super) fn build(
    stock: &VirtualStock,
    owner: &Owner,
    valid: &Valid,
    setting: Setting<'_>,
) -> Result<Desired, Error> {
    let spec = &stock.spec;
    let asked = Asked {
        topics: &OF_STOCK,
        settings: &spec.topics,
        policy: spec.topic_deletion_policy,
        image: setting.image,
        template: &spec.inventory.pod_template,
    };
    let mut env = vec![
        plain("KBNT_RESERVATION_TTL", &spec.reservation.ttl),
        plain("KBNT_LOW_STOCK_THRESHOLD", spec.low_stock_threshold.to_string()),
    ];
    // A single pod, too: in a rolling update there are two for a while.
    env.extend(in_turn(owner, &Role::Inventory.object_name(&owner.name))?);
    let plan = Plan {
        role: Role::Inventory,
        image: setting.image.to_owned(),
        kafka: users::with_login(owner, &valid.kafka, Role::Inventory),
        replicas: spec.inventory.replicas,
        scaling: None,
        resources: spec.inventory.resources.clone(),
        template: spec.inventory.pod_template.clone(),
        env,
        files: Vec::new(),
        standby: Some(setting.standby.clone()),
    };
    let declaration = |product: &kbnt_crds::virtual_stock::Product| Declaration {
        id: product.id.clone(),
        name: product.name.clone(),
        unit_price: product.unit_price.clone(),
        received: product.received,
        low_stock_threshold: product.low_stock_threshold.unwrap_or(spec.low_stock_threshold),
    };
    let users = users::build(owner, &valid.kafka, &[Role::Inventory]);
    let place = valid.kafka.place.clone();
    let elsewhere = place.as_ref().is_some_and(|place| place.namespace != owner.namespace);
    Ok(Desired {
        finalizer: elsewhere
            && (!users.is_empty() || spec.topic_deletion_policy == TopicDeletionPolicy::Delete),
        place,
        users,
        topics: topics::build(owner, &valid.kafka, asked)?,
        workloads: vec![workloads::build(owner, &plan)?],
        declarations: spec.products.iter().map(declaration).collect(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::validate::validate;
    use super::*;
    use crate::cluster::Scope;

    pub(in super::super) fn stock() -> VirtualStock {
        let text = include_str!("../../../manifests/samples/virtualstock.yaml");
        let mut stock: VirtualStock = serde_yaml::from_str(text).unwrap();
        stock.metadata.uid = Some("u1".into());
        stock.metadata.generation = Some(1);
        stock
    }

    pub(in super::super) fn desired(stock: &VirtualStock) -> Desired {
        let valid = validate(stock, &Scope::Cluster).unwrap();
        let standby = "ClusterRole/kbnt-standby".parse().unwrap();
        build(stock, &Owner::of(stock), &valid, Setting { image: "services:1", standby: &standby }).unwrap()
    }

    #[test]
    fn the_sample_takes_one_topic_one_service_and_three_declarations() {
        let made = desired(&stock());
        let topics = made.topics.objects();
        assert_eq!(topics.len(), 1);
        assert_eq!(topics[0].metadata.name.as_deref(), Some("inventory-events"));
        assert_eq!(topics[0].metadata.namespace.as_deref(), Some("kafka"));
        assert_eq!(made.workloads[0].deployment.metadata.name.as_deref(), Some("main-inventory-service"));
        let declared: Vec<_> =
            made.declarations.iter().map(|d| (d.id.as_str(), d.received, d.low_stock_threshold)).collect();
        assert_eq!(declared, [("PROD-001", 100, 10), ("PROD-002", 50, 10), ("PROD-003", 25, 10)]);
        assert!(!made.finalizer);
    }

    #[test]
    fn pods_take_turns_by_a_lease_however_many_there_are() {
        let pod = |made: &Desired| made.workloads[0].deployment.spec.template.spec.clone().unwrap();
        let lease = |made: &Desired| {
            let env = pod(made).containers[0].env.clone().unwrap();
            env.into_iter().find(|variable| variable.name == "KBNT_LEASE").and_then(|variable| variable.value)
        };
        let mut stock = stock();
        for replicas in [1, 2] {
            stock.spec.inventory.replicas = replicas;
            let made = desired(&stock);
            assert_eq!(lease(&made).as_deref(), Some("shop/main-inventory-service"));
            assert_eq!(pod(&made).automount_service_account_token, Some(true));
            let binding = made.workloads[0].binding.as_ref().unwrap();
            assert_eq!(
                (binding.role_ref.kind.as_str(), binding.role_ref.name.as_str()),
                ("ClusterRole", "kbnt-standby")
            );
            assert_eq!(binding.subjects.as_ref().unwrap()[0].name, "main-inventory-service");
        }
    }

    #[test]
    fn the_service_writes_its_snapshots_to_a_volume_that_goes_with_the_pod() {
        let pod = desired(&stock()).workloads.remove(0).deployment.spec.template.spec.unwrap();
        let env = pod.containers[0].env.clone().unwrap();
        let folder = env.into_iter().find(|variable| variable.name == "KBNT_SNAPSHOT_DIR").unwrap().value;
        let mounts = pod.containers[0].volume_mounts.clone().unwrap();
        let mount = mounts.into_iter().find(|mount| Some(&mount.mount_path) == folder.as_ref()).unwrap();
        assert_ne!(mount.read_only, Some(true));
        let volume = pod.volumes.unwrap().into_iter().find(|volume| volume.name == mount.name).unwrap();
        assert!(volume.empty_dir.unwrap().size_limit.is_some());
    }

    #[test]
    fn only_topics_elsewhere_that_are_to_be_deleted_take_a_finalizer() {
        let mut stock = stock();
        stock.spec.topic_deletion_policy = TopicDeletionPolicy::Delete;
        assert!(desired(&stock).finalizer);
        stock.spec.kafka.cluster_ref.as_mut().unwrap().namespace = None;
        assert!(!desired(&stock).finalizer);
        stock.spec.kafka.cluster_ref = None;
        stock.spec.kafka.bootstrap_servers = Some("a:1".into());
        stock.spec.topic_deletion_policy = TopicDeletionPolicy::Retain;
        let made = desired(&stock);
        assert!(!made.finalizer && made.topics.job().is_some());
    }
}
