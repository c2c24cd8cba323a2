//! What is kept of a PersistentVolumeClaim.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// What is kept of a PersistentVolumeClaim.
#[derive(Clone, Debug)]
pub struct ObservedClaim {
    /// How much room it asks for.
    pub size: Option<Quantity>,
}

impl ObservedClaim {
    /// Extracts it from a claim.
    pub fn of(claim: &PersistentVolumeClaim) -> Self {
        let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        Self { size: requests.and_then(|requests| requests.get("storage").cloned()) }
    }
}
