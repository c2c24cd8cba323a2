//! Users.

use kbnt_domain::UserId;
use kbnt_domain::event::UserStatus;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::text::{parsed, words};

/// A user to be added, or whose data changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = UserRegistration)]
pub(in crate::http) struct UserPost {
    #[serde(deserialize_with = "parsed")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$", examples("USER-12345"))]
    pub(in crate::http) user_id: UserId,
    /// For salutations, 1 to 200 characters.
    #[serde(deserialize_with = "words::<_, 200>")]
    #[schema(min_length = 1, max_length = 200)]
    pub(in crate::http) name: String,
    /// For notifications, 3 to 254 characters with an `@` inside.
    #[serde(deserialize_with = "email")]
    #[schema(min_length = 3, max_length = 254, examples("ana@example.com"))]
    pub(in crate::http) email: String,
}

/// Only what every address has; whether it receives mail only mail can tell.
fn email<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = words::<_, 254>(deserializer)?;
    match text.rsplit_once('@') {
        Some((local, host))
            if !local.is_empty() && !host.is_empty() && !text.contains(char::is_whitespace) =>
        {
            Ok(text)
        }
        _ => Err(D::Error::custom("an address such as ana@example.com")),
    }
}

/// Whether a user may order.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = UserStatus)]
pub(in crate::http) enum UserStatusText {
    /// May order.
    Active,
    /// May not.
    Blocked,
}

impl From<UserStatus> for UserStatusText {
    fn from(status: UserStatus) -> Self {
        match status {
            UserStatus::Active => Self::Active,
            UserStatus::Blocked => Self::Blocked,
        }
    }
}

impl From<UserStatusText> for UserStatus {
    fn from(status: UserStatusText) -> Self {
        match status {
            UserStatusText::Active => Self::Active,
            UserStatusText::Blocked => Self::Blocked,
        }
    }
}

/// Blocks a user or lets it order again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserStatusChange)]
pub(in crate::http) struct UserStatusPut {
    pub(in crate::http) status: UserStatusText,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(in crate::http) struct UserBody {
    pub(in crate::http) user_id: String,
    pub(in crate::http) name: String,
    pub(in crate::http) email: String,
    pub(in crate::http) status: UserStatusText,
}
