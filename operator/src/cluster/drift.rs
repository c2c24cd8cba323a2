//! Whether a live object still is what it should be.

use serde_json::Value;

/// Whether `live` has all that `wanted` has. The API server adds defaults, so `live` may have more fields; a list
/// has to have the same items, as another container or variable would change what runs.
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

/// The API server leaves out what is empty. It also leaves out some that are false or 0, but others of these mean
/// something else when they are absent.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        _ => false,
    }
}

/// The API server writes quantities in its own way: `0.5` comes back as `500m`.
fn same_quantity(wanted: &Value, live: &Value) -> bool {
    match (quantity(wanted), quantity(live)) {
        (Some(wanted), Some(live)) => (wanted - live).abs() <= f64::EPSILON * wanted.abs().max(live.abs()),
        _ => false,
    }
}

fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Number(number) => return number.as_f64(),
        _ => return None,
    };
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::holds;

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
