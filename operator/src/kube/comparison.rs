//! Compares a live object with what it should be.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

/// Whether `live` contains everything in `wanted`. The API server adds defaults, so `live` may have more
/// fields. Lists must have the same items: one more container or variable would change what runs.
pub fn holds(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            wanted.iter().all(|(key, value)| match live.get(key) {
                Some(present) => holds(value, present),
                None => is_empty(value),
            })
        }
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| holds(wanted, live))
        }
        _ => wanted == live || same_quantity(wanted, live),
    }
}

/// The API server drops empty values. It drops some that are false or 0, too, but for others absence means
/// something else.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        _ => false,
    }
}

/// Compares quantities. The API server normalizes them: `0.5` becomes `500m`, `0.5Ti` becomes `512Gi`, and
/// anything finer than a billionth is rounded up.
fn same_quantity(wanted: &Value, live: &Value) -> bool {
    match (quantity(wanted), quantity(live)) {
        (Some(wanted), Some(live)) => {
            let rounding = f64::EPSILON * 4.0 * wanted.abs().max(live.abs());
            (wanted - live).abs() <= rounding.max(FINEST)
        }
        _ => false,
    }
}

/// Whether one amount is more than the other, however they are written.
pub fn is_more(one: &Quantity, other: &Quantity) -> bool {
    let amount = |amount: &Quantity| quantity(&Value::String(amount.0.clone()));
    amount(one) > amount(other)
}

/// The finest quantity.
const FINEST: f64 = 1e-9;

/// A Kubernetes quantity: a number with a decimal or binary suffix, or with a decimal exponent.
fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Number(number) => return number.as_f64(),
        _ => return None,
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10.0_f64.powi(exponent)
        }
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{holds, same_quantity};

    #[test]
    fn a_quantity_is_the_same_however_it_is_written() {
        for (wanted, live) in [
            (json!("1.5e9"), json!("1500M")),
            (json!("1.5e9"), json!("1500e6")),
            (json!("0.5Ti"), json!("512Gi")),
            (json!("2E"), json!("2000P")),
            (json!("1E3"), json!("1k")),
            (json!("+0.5Pi"), json!("512Ti")),
            (json!("0.1n"), json!("1n")),
            (json!("100u"), json!("100000n")),
            (json!("1e-3"), json!("1m")),
            (json!(2), json!("2")),
            (json!("1Ei"), json!("1024Pi")),
        ] {
            assert!(same_quantity(&wanted, &live) && same_quantity(&live, &wanted), "{wanted} {live}");
        }
        for (wanted, live) in [
            (json!("1.5e9"), json!("1.5e8")),
            (json!("0.5Ti"), json!("0.5T")),
            (json!("1m"), json!("2m")),
            (json!("1e"), json!("1e")),
            (json!("x"), json!("x")),
        ] {
            assert!(!same_quantity(&wanted, &live), "{wanted} {live}");
        }
    }

    #[test]
    fn what_the_api_server_adds_is_no_drift_and_what_people_change_is() {
        let wanted = json!({"spec": {"token": false, "replicas": 1, "env": [{"name": "A", "value": "1", "empty": ""}],
            "resources": {"limits": {"memory": "0.5Gi", "cpu": "0.5"}}, "empty": {}, "none": []}});
        let same = json!({"spec": {"token": false, "replicas": 1, "env": [{"name": "A", "value": "1", "more": true}],
            "resources": {"limits": {"memory": "512Mi", "cpu": "500m"}}, "default": 3}, "status": {}});
        assert!(holds(&wanted, &same));
        for (path, value) in [
            ("/spec/token", json!(null)),
            ("/spec/replicas", json!(2)),
            ("/spec/env", json!([])),
            ("/spec/env", json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])),
            ("/spec/env/0/value", json!("2")),
            ("/spec/resources/limits/memory", json!("512M")),
            ("/spec/resources/limits", json!({})),
        ] {
            let mut changed = same.clone();
            *changed.pointer_mut(path).unwrap() = value;
            assert!(!holds(&wanted, &changed), "{path}");
        }
    }
}
