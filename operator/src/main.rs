//! The operator: reconciles VirtualStock and OrderWorkflow.

fn main() {}
