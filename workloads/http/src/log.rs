//! Damage of the log, reported in the same way by every service.

use axum::Json;
use axum::extract::State;
use kbnt_application::intact::Damage;
use serde::Serialize;
use utoipa::ToSchema;

use super::health::Health;
use super::params::Params;
use super::problem::Problem;
use super::responses::Malformed;

/// Whether the log is the one that the services of this process know.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogBody {
    /// Nothing is wrong, and every topic is there.
    intact: bool,
    /// What is wrong. A service that is named here does not decide until its process is started anew.
    damage: Vec<DamageBody>,
}

/// Something that is wrong with a topic.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DamageBody {
    /// Who does not decide.
    #[schema(examples("inventory-service"))]
    service: &'static str,
    /// The topic, without prefix.
    #[schema(examples("inventory-events"))]
    topic: &'static str,
    /// The partition; null if it is about the whole topic.
    partition: Option<u32>,
    /// Records are missing at its beginning or its end, or it is another topic of the same name.
    #[schema(examples("cut", "short", "replaced"))]
    kind: &'static str,
    /// For "cut" the first offset that must be read, for "short" the offset after the last record that is known.
    wanted: Option<u64>,
    /// For "cut" the first offset that is there, for "short" the offset after the last record that is there.
    found: Option<u64>,
    /// For "replaced" the id of the topic that is known.
    known_topic_id: Option<String>,
    /// For "replaced" the id of the topic that is there.
    topic_id: Option<String>,
    /// The same for people.
    message: String,
}

impl From<&Damage> for DamageBody {
    fn from(damage: &Damage) -> Self {
        let (wanted, found) = damage.fault.offsets().unzip();
        let (known, id) = damage.fault.ids().unzip();
        Self {
            service: damage.service.name(),
            topic: damage.topic.name(),
            partition: damage.fault.partition(),
            kind: damage.fault.kind(),
            wanted,
            found,
            known_topic_id: known.map(|id| id.to_string()),
            topic_id: id.map(|id| id.to_string()),
            message: damage.to_string(),
        }
    }
}

/// Whether the log is the one that is known, and what is wrong with it
#[utoipa::path(get, path = "/v1/log", tag = "operations", responses(
    (status = 200, description = "What is known of the log", body = LogBody), Malformed))]
pub(super) async fn log(State(health): State<Health>, params: Params) -> Result<Json<LogBody>, Problem> {
    params.only(&[])?;
    let damage = health.integrity.damage().iter().map(DamageBody::from).collect();
    Ok(Json(LogBody { intact: health.integrity.is_intact(), damage }))
}
