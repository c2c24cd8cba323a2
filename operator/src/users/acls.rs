//! The rights of each service in Kafka. `docs/kafka.md` has the same table, and a test compares the two.

use kbnt_crds::kafka_user::{Acl, AclResource};

use crate::workloads::Role;

/// Every service writes its log lines to this topic.
const LOGS: &str = "application-logs";

/// The topics that a service uses.
struct Uses {
    /// The topic that it writes, and reads to recover.
    output: &'static str,
    /// Topics that it reads.
    inputs: &'static [&'static str],
    /// Whether its processes share the work as a group.
    group: bool,
}

fn uses(role: Role) -> Uses {
    let of_group = |output, inputs| Uses { output, inputs, group: true };
    match role {
        Role::User => of_group("user-events", &["order-events"]),
        Role::Inventory => Uses {
            output: "inventory-events",
            inputs: &["user-events", "payment-events", "order-events"],
            group: false,
        },
        Role::Payment => of_group("payment-events", &["inventory-events"]),
        // Its event streams show all events.
        Role::Order => of_group(
            "order-events",
            &["user-events", "inventory-events", "payment-events", "notification-events", "audit-logs"],
        ),
        Role::Notification => of_group("notification-events", &["order-events"]),
        Role::Audit => of_group(
            "audit-logs",
            &["order-events", "user-events", "inventory-events", "payment-events", "notification-events"],
        ),
    }
}

/// The rights of a service whose topics and group have this prefix. Read and Write include Describe.
pub(super) fn acls(role: Role, prefix: &str) -> Vec<Acl> {
    let Uses { output, inputs, group } = uses(role);
    let entry = |type_: &str, name: &str, operations: &[&str]| Acl {
        resource: AclResource {
            type_: type_.into(),
            name: format!("{prefix}{name}"),
            pattern_type: "literal".into(),
        },
        operations: operations.iter().map(|operation| (*operation).into()).collect(),
    };
    let mut acls = vec![entry("topic", output, &["Read", "Write"])];
    acls.extend(inputs.iter().map(|topic| entry("topic", topic, &["Read"])));
    acls.push(entry("topic", LOGS, &["Write"]));
    if group {
        acls.push(entry("group", &format!("kbnt-{}", role.component()), &["Read"]));
    }
    acls
}
