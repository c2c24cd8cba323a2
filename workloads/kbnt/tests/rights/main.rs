//! Each service works with exactly the rights that the operator grants (`docs/kafka-users.yaml`, which a test
//! of the operator keeps up to date), on a broker with its authorizer on. `docs/kafka.md` has the same rights
//! in a table. Starts its own broker by `e2e/kafka/broker.sh`.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broker;
#[path = "../program/support.rs"]
#[expect(dead_code, reason = "each test program uses its own part of this")]
mod support;
mod users;

use std::time::Instant;

use broker::Broker;
use kbnt_application::{Service, Topic};
use serde_json::{Value, json};
use support::{DEADLINE, Running, basket, kbnt};
use users::User;

const PAGE: &str = include_str!("../../../../docs/kafka.md");
const PREFIX: &str = "shop-";

/// A row of the table of rights.
struct Rights {
    service: Service,
    output: String,
    inputs: Vec<String>,
    group: Option<String>,
}

/// The table of rights in the documentation.
fn table() -> Vec<Rights> {
    let rows = PAGE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let service = Service::from_name(cells.next()?)?;
        let output = cells.next()?.to_owned();
        let inputs = cells.next()?.split(", ").map(str::to_owned).collect();
        let group = Some(cells.next()?.trim_matches('`').to_owned()).filter(|group| group != "none");
        Some(Rights { service, output, inputs, group })
    });
    rows.collect()
}

#[test]
fn the_documentation_gives_each_service_what_it_reads_and_writes() {
    let table = table();
    assert_eq!(table.len(), Service::ALL.len());
    for Rights { service, output, inputs, group } in table {
        assert_eq!(output, service.output().name(), "{}", service.name());
        let reads = |topic: &Topic| {
            // Its event streams show all events.
            let shows = service == Service::Order && *topic != Topic::ApplicationLogs;
            *topic != service.output() && (shows || service.inputs().contains(topic))
        };
        let mut expected: Vec<_> =
            Topic::ALL.iter().filter(|topic| reads(topic)).map(|topic| topic.name()).collect();
        let mut inputs: Vec<_> = inputs.iter().map(String::as_str).collect();
        expected.sort_unstable();
        inputs.sort_unstable();
        assert_eq!(inputs, expected, "{}", service.name());
        let expected = (service != Service::Inventory).then(|| format!("<prefix>kbnt-{}", service.name()));
        assert_eq!(group, expected, "{}", service.name());
    }
}

#[test]
fn the_operator_gives_what_the_documentation_says_and_nothing_else() {
    let users = users::all();
    for Rights { service, output, inputs, group } in table() {
        let user = users::of(&users, service);
        let topic = |name: &String, operations| ("topic", format!("{PREFIX}{name}"), operations);
        let mut expected = vec![topic(&output, "Read, Write")];
        expected.extend(inputs.iter().map(|input| topic(input, "Read")));
        expected.push(topic(&"application-logs".to_owned(), "Write"));
        expected.extend(group.map(|group| ("group", group.replace("<prefix>", PREFIX), "Read")));
        let given: Vec<_> = user
            .acls
            .iter()
            .map(|acl| (acl.kind.as_str(), acl.name.clone(), acl.operations.join(", ")))
            .collect();
        let expected: Vec<_> =
            expected.into_iter().map(|(kind, name, what)| (kind, name, what.to_owned())).collect();
        assert_eq!(given, expected, "{}", service.name());
    }
}

/// The options for access as this user at the authenticated listener.
fn access(broker: &Broker, user: &User) -> Vec<String> {
    let path = |name: &str| broker.file(name).to_str().unwrap().to_owned();
    let options = [
        ("--bootstrap-servers", broker.locked_door()),
        ("--topic-prefix", PREFIX.to_owned()),
        ("--kafka-security-protocol", "sasl_ssl".to_owned()),
        ("--kafka-ca-file", path("tls/ca.crt")),
        ("--kafka-username", user.name.clone()),
        ("--kafka-password-file", path("password")),
    ];
    options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

fn start(broker: &Broker, service: Service, user: &User) -> Running {
    let role = service.name().trim_end_matches("-service");
    let access = access(broker, user);
    let mut arguments = vec![
        "service",
        role,
        "--address",
        "127.0.0.1",
        "--allow-unknown-users",
        "--payment-simulated",
        "--payment-test-tokens",
    ];
    arguments.extend(access.iter().map(String::as_str));
    Running::start(&arguments)
}

/// The output of a command, as JSON lines.
fn lines(arguments: &[&str]) -> Vec<Value> {
    let output = kbnt(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka broker"]
async fn the_documented_rights_are_enough_for_all_services() {
    let broker = Broker::start();
    let open = broker.open_door();
    let topics: Vec<_> = Topic::ALL
        .iter()
        .map(|topic| json!({"name": format!("{PREFIX}{}", topic.name()), "partitions": topic.partitions(), "replicas": 1}))
        .collect();
    lines(&["topics", "ensure", "--bootstrap-servers", &open, "--wanted", &json!(topics).to_string()]);
    let users = users::all();
    for user in &users {
        broker.let_in(&user.name);
        for operation in ["Read", "Write"] {
            let allowed =
                user.acls.iter().filter(|acl| acl.operations.iter().any(|given| given == operation));
            broker.allow(&user.name, operation, allowed.map(|acl| (acl.option(), acl.name.clone())));
        }
    }
    let services = Service::ALL.map(|service| start(&broker, service, users::of(&users, service)));
    for service in &services {
        service.until_ready().await;
    }
    let [orders, _, inventory, ..] = &services;
    inventory.declare(10).await;
    for (token, outcome) in [("tok_ok", "CONFIRMED"), ("tok_decline", "CANCELLED")] {
        let (status, order) = orders.post("/v1/orders?wait=30s", &basket("USER-1", token)).await;
        assert_eq!((status, &order["status"]), (200, &json!(outcome)), "{order}");
    }

    // Every topic was read and written: the audit trail is whole, and the event streams show all of it.
    let give_up = Instant::now() + DEADLINE;
    loop {
        let verify = ["audit", "verify", "--bootstrap-servers", &open, "--topic-prefix", PREFIX];
        let output = kbnt(&verify).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        if output.status.success() && stdout.contains("the audit trail is whole") {
            break;
        }
        assert!(Instant::now() < give_up, "{stdout} {}", String::from_utf8_lossy(&output.stderr));
    }
    let shown = |topic: &str| {
        let tail =
            ["tail", "--url", &orders.url, "--from-beginning", "--json", "--limit", "1", "--topic", topic];
        lines(&tail).remove(0)["topic"].as_str().unwrap().to_owned()
    };
    for topic in ["user-events", "inventory-events", "payment-events", "notification-events", "audit-logs"] {
        assert_eq!(shown(topic), topic);
    }
    let logs = ["tail", "--bootstrap-servers", &open, "--topic-prefix", PREFIX, "--from-beginning", "--json"];
    lines(&[logs.as_slice(), &["--limit", "1", "--topic", "application-logs"]].concat());
}
