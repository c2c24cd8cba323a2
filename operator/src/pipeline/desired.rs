//! Everything that a resource needs.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::kafka_cluster::Kafka;
use crate::log::Identity;
use crate::owned::DesiredObject;
use crate::service_client::Declaration;
use crate::topics::Topics;
use crate::users::ServiceUser;
use crate::workloads::Workload;

/// Everything that a resource needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Its topics.
    pub topics: Topics,
    /// The users of its services.
    pub users: Vec<ServiceUser>,
    /// The volume that its services share, if they keep checkpoints on one.
    pub volume: Option<PersistentVolumeClaim>,
    /// Its services.
    pub workloads: Vec<Workload>,
    /// The stock to declare to its services.
    pub declarations: Vec<Declaration>,
    /// The topics that it knows.
    pub known: Identity,
    /// The Kafka cluster with its topics.
    pub kafka: Kafka,
    /// Whether its deletion has to wait for topics or users in another namespace.
    pub finalizer: bool,
}

impl Desired {
    /// All objects that the operator makes for it.
    pub fn objects(&self) -> impl Iterator<Item = &dyn DesiredObject> {
        let users = self.users.iter().map(|user| &user.object as &dyn DesiredObject);
        let volume = self.volume.iter().map(|claim| claim as &dyn DesiredObject);
        let workloads = self.workloads.iter().flat_map(Workload::objects);
        self.topics.desired().into_iter().chain(users).chain(volume).chain(workloads)
    }
}
