//! The product on a real cluster: a real API server, kubelet and Kafka.
//!
//! Needs `KUBECONFIG` and `kubectl` as `make shell` sets them up; `make test` runs it there.

mod admission;
mod closed_orders;
mod deletion;
mod direct;
mod footprint;
mod history;
mod log;
mod orders;
mod standby;
mod status;
mod topics;
