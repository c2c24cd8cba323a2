//! The payment gateway is chosen explicitly, never guessed.

use crate::support::run;

fn refused(arguments: &[&str]) -> String {
    let output = run(&[&["service", "payment", "--bootstrap-servers", "127.0.0.1:1"], arguments].concat());
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn payment_service_does_not_start_without_a_gateway_or_with_two() {
    let none = refused(&[]);
    assert!(none.contains("--payment-url") && none.contains("--payment-simulated"), "{none}");
    let off = refused(&["--payment-simulated=false"]);
    assert!(off.contains("--payment-url"), "{off}");
    let two = refused(&["--payment-simulated", "--payment-url", "http://127.0.0.1:1"]);
    assert!(two.contains("one gateway"), "{two}");
}
