//! `kbnt demo`.

use serde_json::{Value, json};

use crate::support::run;

#[test]
fn every_scenario_of_the_blueprint_ends_with_its_numbers() {
    let output = run(&["demo", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{report}");
    let of = |name: &str| -> Value {
        let found = report["scenarios"].as_array().unwrap().iter().find(|scenario| scenario["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let stock = |scenario: &Value, product: &str| -> Value {
        let found = scenario["stock"].as_array().unwrap().iter().find(|level| level["productId"] == product);
        let level = found.unwrap();
        json!([level["real"], level["reserved"], level["available"]])
    };
    let success = of("success");
    assert_eq!(stock(&success, "PROD-001"), json!([97, 0, 97]));
    assert_eq!(success["orders"][0]["amount"], "1799.97");
    assert_eq!(success["orders"][0]["userId"], "USER-12345");
    let errors = of("payment-declined");
    let ends: Vec<(&str, &str)> = errors["orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| (order["userId"].as_str().unwrap(), order["end"].as_str().unwrap()))
        .collect();
    assert_eq!(
        ends,
        [
            ("USER-001", "CONFIRMED"),
            ("USER-002", "REJECTED INSUFFICIENT_STOCK"),
            ("USER-003", "REJECTED INSUFFICIENT_STOCK"),
            ("USER-004", "CANCELLED PAYMENT_DECLINED"),
            ("USER-005", "CONFIRMED"),
        ]
    );
    assert_eq!(stock(&errors, "PROD-001"), json!([0, 0, 0]));
    assert_eq!(stock(&errors, "PROD-003"), json!([1, 1, 0]));
    assert_eq!(of("unknown-product")["orders"][0]["end"], "REJECTED PRODUCT_NOT_FOUND");
    assert_eq!(of("high-concurrency")["ends"], json!({"CONFIRMED": 100, "REJECTED INSUFFICIENT_STOCK": 900}));
    assert_eq!(of("reservation-expiry")["orders"][0]["end"], "CANCELLED RESERVATION_EXPIRED");
    assert_eq!(report["messages"].as_object().unwrap().len(), 7);
    assert!(report["messages"].as_object().unwrap().values().all(|count| count.as_u64().unwrap() > 0));
    assert!(report["totalMessages"].as_u64().unwrap() > 210);
}

#[test]
fn one_scenario_is_shown_step_by_step_without_colours_where_no_terminal_is() {
    let output = run(&["demo", "--scenario", "success"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [
        "domain",
        "application",
        "infrastructure",
        "UserValidatedEvent",
        "AuditLogCreated x 7",
        "97 available",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours: {text}");
    assert!(!text.contains("high-concurrency"));
}

#[test]
fn wrong_options_are_refused_and_help_helps() {
    for arguments in
        [&["demo", "--scenario", "nonsense"][..], &["serve", "--reservation-ttl", "0s"], &["nonsense"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for command in ["demo", "serve", "service", "simulator", "tail", "audit", "topics"] {
        assert!(help.contains(command), "{help}");
    }
}
