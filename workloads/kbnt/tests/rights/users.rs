//! The users that the operator makes for the samples.

use kbnt_application::Service;
use serde::Deserialize;
use serde_json::Value;

const USERS: &str = include_str!("../../../../docs/kafka-users.yaml");

/// The user of a service.
pub struct User {
    pub name: String,
    /// The service, such as `order-service`.
    service: String,
    pub acls: Vec<Acl>,
}

/// A right on a topic or group.
pub struct Acl {
    pub kind: String,
    pub name: String,
    pub operations: Vec<String>,
}

impl Acl {
    /// The option of `kafka-acls.sh` for it.
    pub fn option(&self) -> &'static str {
        match self.kind.as_str() {
            "topic" => "--topic",
            "group" => "--group",
            other => panic!("{other}"),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// All users.
pub fn all() -> Vec<User> {
    let documents =
        serde_yaml::Deserializer::from_str(USERS).map(|document| Value::deserialize(document).unwrap());
    documents
        .filter(|user| !user.is_null())
        .map(|user| {
            let authorization = &user["spec"]["authorization"];
            assert_eq!(authorization["type"], "simple");
            let acl = |acl: &Value| {
                let resource = &acl["resource"];
                // Nothing is denied, and no pattern covers more than the name.
                assert_eq!((acl.get("type"), &resource["patternType"]), (None, &Value::from("literal")));
                let operations = acl["operations"].as_array().unwrap().iter().map(text).collect();
                Acl { kind: text(&resource["type"]), name: text(&resource["name"]), operations }
            };
            User {
                name: text(&user["metadata"]["name"]),
                service: text(&user["metadata"]["labels"]["app.kubernetes.io/component"]),
                acls: authorization["acls"].as_array().unwrap().iter().map(acl).collect(),
            }
        })
        .collect()
}

/// The user of this service.
pub fn of(users: &[User], service: Service) -> &User {
    users.iter().find(|user| user.service == service.name()).unwrap()
}
