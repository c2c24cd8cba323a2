//! The end-to-end suites, the cluster they run on and the stand-in for Strimzi.
