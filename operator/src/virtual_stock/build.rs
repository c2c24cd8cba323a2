//! Builds the objects that a VirtualStock needs.

use kbnt_crds::VirtualStock;
use kbnt_crds::common::TopicDeletionPolicy;
use kbnt_crds::virtual_stock::Product;

use super::validate::Valid;
use crate::error::Error;
use crate::log::{self, Identity};
use crate::ownership::Owner;
use crate::pipeline::Desired;
use crate::service_client::Declaration;
use crate::topics::{self, Asked, OF_STOCK, TopicIds};
use crate::users;
use crate::workloads::{self, Checkpoints, Plan, Role, in_turn, plain};

/// What the operator has for all stocks.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Image of the services.
    pub(super) image: &'a str,
    /// Ids of topics of other resources that the service must know.
    pub(super) others: &'a TopicIds,
}

/// Everything that this resource needs.
pub(super) fn build(
    stock: &VirtualStock,
    owner: &Owner,
    valid: &Valid,
    known: Identity,
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
        plain("KBNT_LOW_STOCK_THRESHOLD", threshold(spec.low_stock_threshold).to_string()),
    ];
    let mut ids = setting.others.clone();
    ids.extend(known.ids());
    env.extend(log::variable(&ids).map(|(name, value)| plain(name, value)));
    // A single pod, too: during a rolling update there are two for a while.
    env.extend(in_turn(owner, &Role::Inventory.object_name(&owner.name))?);
    let checkpoints = spec.checkpoints.as_ref().map(|asked| Checkpoints::of(owner, asked)).transpose()?;
    let volume = checkpoints.as_ref().and_then(Checkpoints::claim).cloned();
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
        closed_orders: Some(spec.closed_orders.clone()),
        read_model: None,
        checkpoints,
        in_turn: true,
    };
    let declaration = |product: &Product| Declaration {
        id: product.id.clone(),
        name: product.name.clone(),
        unit_price: product.unit_price.clone(),
        received: product.received,
        low_stock_threshold: threshold(product.low_stock_threshold.unwrap_or(spec.low_stock_threshold)),
    };
    let users = users::build(owner, &valid.kafka, &[Role::Inventory]);
    let elsewhere = valid.kafka.place.as_ref().is_some_and(|place| place.namespace != owner.namespace);
    Ok(Desired {
        finalizer: elsewhere
            && (!users.is_empty() || spec.topic_deletion_policy == TopicDeletionPolicy::Delete),
        known,
        kafka: valid.kafka.clone(),
        users,
        topics: topics::build(owner, &valid.kafka, asked)?,
        volume,
        workloads: vec![workloads::build(owner, &plan)?],
        declarations: spec
            .products
            .iter()
            .filter(|product| objection(product).is_none())
            .map(declaration)
            .collect(),
    })
}

/// The nearest threshold that the service accepts. The resource may be older than the bounds, and there are
/// never more units than the upper bound.
fn threshold(asked: i64) -> i64 {
    asked.clamp(0, i64::try_from(kbnt_rules::UNITS_MOST).unwrap_or(i64::MAX))
}

/// Why a product is invalid. The resource may be older than the rule.
pub(super) fn objection(product: &Product) -> Option<String> {
    let advice = kbnt_rules::product_objection(&product.id, &product.name)?;
    Some(format!("{:?}: {advice}", product.id))
}

#[cfg(test)]
pub(super) mod tests {
    use k8s_openapi::api::core::v1::{PodSpec, Volume};
    use serde_json::json;

    use super::super::validate::validate;
    use super::*;
    use crate::kube::Scope;

    pub(in super::super) fn stock() -> VirtualStock {
        let text = include_str!("../../../manifests/samples/virtualstock.yaml");
        let mut stock: VirtualStock = serde_yaml::from_str(text).unwrap();
        stock.metadata.uid = Some("u1".into());
        stock.metadata.generation = Some(1);
        stock
    }

    pub(in super::super) fn desired(stock: &VirtualStock) -> Desired {
        let valid = validate(stock, &Scope::Cluster).unwrap();
        let others = TopicIds::new();
        let setting = Setting { image: "services:1", others: &others };
        build(stock, &Owner::of(stock), &valid, Identity::default(), setting).unwrap()
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
    fn a_product_that_cannot_be_is_left_out_and_the_others_are_not() {
        let mut stock = stock();
        stock.spec.products[0].id = "summary".into();
        stock.spec.products[2].name = "a\tb".into();
        let declared: Vec<_> = desired(&stock).declarations.into_iter().map(|made| made.id).collect();
        assert_eq!(declared, ["PROD-002"]);
        let objections: Vec<_> = stock.spec.products.iter().filter_map(objection).collect();
        assert!(objections[0].contains("addresses of the API") && objections.len() == 2, "{objections:?}");
    }

    #[test]
    fn a_threshold_of_before_the_bounds_is_brought_within_them() {
        let mut stock = stock();
        stock.spec.low_stock_threshold = i64::MAX;
        stock.spec.products[1].low_stock_threshold = Some(-1);
        let made = desired(&stock);
        let declared: Vec<_> = made.declarations.iter().map(|made| made.low_stock_threshold).collect();
        assert_eq!(declared, [1 << 53, 0, 1 << 53]);
        let env = made.workloads[0]
            .deployment
            .spec
            .template
            .spec
            .clone()
            .unwrap()
            .containers
            .remove(0)
            .env
            .unwrap();
        let given =
            env.into_iter().find(|variable| variable.name == "KBNT_LOW_STOCK_THRESHOLD").unwrap().value;
        assert_eq!(given.as_deref(), Some("9007199254740992"));
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
            let standby = made.workloads[0].standby.as_ref().unwrap();
            let binding = &standby.binding;
            assert_eq!(
                (binding.role_ref.kind.as_str(), binding.role_ref.name.as_str()),
                ("Role", "main-inventory-service")
            );
            assert_eq!(binding.subjects.as_ref().unwrap()[0].name, "main-inventory-service");
            for rule in standby.role.rules.as_ref().unwrap() {
                let own = rule.resource_names.as_deref() == Some(&["main-inventory-service".to_owned()]);
                assert!(own || rule.verbs == ["create"], "{rule:?}");
            }
        }
    }

    /// The pod, and the volume on which a folder lies that one of its variables names.
    fn pod_and_volume(stock: &VirtualStock, variable: &str) -> (PodSpec, Volume) {
        let pod = desired(stock).workloads.remove(0).deployment.spec.template.spec.unwrap();
        let env = pod.containers[0].env.clone().unwrap();
        let folder = env.into_iter().find(|found| found.name == variable).unwrap().value;
        let mounts = pod.containers[0].volume_mounts.clone().unwrap();
        let mount = mounts.into_iter().find(|mount| Some(&mount.mount_path) == folder.as_ref()).unwrap();
        assert_ne!(mount.read_only, Some(true));
        let mut volumes = pod.volumes.clone().unwrap().into_iter();
        let volume = volumes.find(|volume| volume.name == mount.name).unwrap();
        (pod, volume)
    }

    #[test]
    fn snapshots_and_closed_orders_lie_on_volumes_that_go_with_the_pod() {
        for variable in ["KBNT_SNAPSHOT_DIR", "KBNT_STATE_DIR"] {
            let (pod, volume) = pod_and_volume(&stock(), variable);
            assert!(volume.empty_dir.unwrap().size_limit.is_some(), "{variable}");
            assert_eq!(pod.security_context.unwrap().fs_group, None, "everybody may write there");
        }
    }

    #[test]
    fn a_claim_for_closed_orders_leaves_the_snapshots_where_they_are() {
        let mut stock = stock();
        let claim = json!({"volumeClaim": {"size": "1Gi"}});
        stock.spec.closed_orders = serde_json::from_value(claim).unwrap();
        let (pod, volume) = pod_and_volume(&stock, "KBNT_STATE_DIR");
        assert!(volume.ephemeral.is_some() && volume.empty_dir.is_none());
        assert_eq!(pod.security_context.unwrap().fs_group, Some(65_532));
        assert!(pod_and_volume(&stock, "KBNT_SNAPSHOT_DIR").1.empty_dir.is_some());
    }

    #[test]
    fn checkpoints_change_nothing_but_what_the_service_is_told() {
        let mut stock = stock();
        let without = desired(&stock);
        let store = json!({"url": "s3://shop/main", "secretRef": {"name": "bucket"}});
        stock.spec.checkpoints = Some(serde_json::from_value(json!({"objectStore": store})).unwrap());
        let with = desired(&stock);
        let container = |made: &Desired| {
            made.workloads[0].deployment.spec.template.spec.clone().unwrap().containers.remove(0)
        };
        let (without, mut with) = (container(&without), container(&with));
        let (few, all) = (without.env.clone().unwrap(), with.env.take().unwrap());
        assert_eq!(all[..few.len()], few);
        assert_eq!(all[few.len()].name, "KBNT_CHECKPOINT_TO");
        with.env = Some(few);
        assert_eq!(with, without);
    }

    #[test]
    fn a_volume_for_checkpoints_is_shared_by_the_pods_before_and_after_an_update() {
        let mut stock = stock();
        let without = desired(&stock);
        let claim = json!({"volumeClaim": {"size": "1Gi"}});
        stock.spec.checkpoints = Some(serde_json::from_value(claim).unwrap());
        let with = desired(&stock);
        assert_eq!((without.volume, with.volume.is_some()), (None, true));
        assert!(with.objects().any(|object| object.is("PersistentVolumeClaim", "main-stock-checkpoints")));
        let strategy = |made: &Desired| made.workloads[0].deployment.spec.strategy.clone();
        assert_eq!(strategy(&with), strategy(&desired(&self::stock())));
        let (pod, volume) = pod_and_volume(&stock, "KBNT_CHECKPOINT_TO");
        let source = volume.persistent_volume_claim.unwrap();
        assert_eq!((source.claim_name.as_str(), source.read_only), ("main-stock-checkpoints", None));
        let security = pod.security_context.unwrap();
        assert_eq!(security.fs_group, Some(65_532));
        assert_eq!(security.fs_group_change_policy.as_deref(), Some("OnRootMismatch"));
        assert!(pod_and_volume(&stock, "KBNT_SNAPSHOT_DIR").1.empty_dir.is_some());
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
