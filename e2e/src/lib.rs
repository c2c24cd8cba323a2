//! The end-to-end suites, the cluster they run on and the stand-in for Strimzi.
//!
//! The suites themselves are in `tests/`, the cluster's scripts in `cluster/`.

pub mod harness;
pub mod standin;
