//! Options of a service of which one process works and others stand by.

use std::net::IpAddr;

use clap::Args;
use kbnt_adapters::lease::OwnerReference;

/// Whose turn it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Standby of inventory-service")]
pub(crate) struct StandbyOptions {
    /// Work only in turn, by this Lease of the Kubernetes cluster, and stand by until then
    #[arg(long, env = "KBNT_LEASE", value_name = "NAMESPACE/NAME", value_parser = lease, requires = "advertised_address")]
    pub(crate) lease: Option<(String, String)>,
    /// What the lease goes with where it has to be made: an ownerReference as JSON
    #[arg(long, env = "KBNT_LEASE_OWNER", value_name = "JSON", value_parser = owner)]
    pub(crate) lease_owner: Option<OwnerReference>,
    /// Where other processes reach this one; they hand it requests while it is its turn
    #[arg(long, env = "KBNT_ADVERTISED_ADDRESS", value_name = "IP")]
    pub(crate) advertised_address: Option<IpAddr>,
}

fn lease(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("a lease is named by NAMESPACE/NAME".to_owned()),
    }
}

fn owner(text: &str) -> Result<OwnerReference, serde_json::Error> {
    serde_json::from_str(text)
}
