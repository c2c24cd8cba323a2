//! Users.

use std::str::FromStr;

use kbnt_domain::UserId;
use kbnt_domain::event::UserStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::object::object;
use super::text::parsed;

/// A user to be added, or whose data changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = UserRegistration)]
pub(crate) struct UserPost {
    #[serde(deserialize_with = "parsed")]
    #[schema(value_type = String, pattern = r"^([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}|\.\.[A-Za-z0-9._-]{1,62})$", examples("USER-12345"))]
    pub(crate) user_id: UserId,
    /// For salutations, 1 to 200 characters, not only blanks.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub(crate) name: String,
    /// For notifications: an `@` inside, at most 254 bytes in UTF-8. What a pattern can say of that: ASCII, or at most 63 characters.
    #[schema(
        min_length = 3,
        max_length = 254,
        pattern = r"^([!-?A-~]+@[!-?A-~]+|[^\s@\x00-\x1f\x7f-\x9f]{1,31}@[^\s@\x00-\x1f\x7f-\x9f]{1,31})$",
        examples("ana@example.com")
    )]
    pub(crate) email: String,
}

/// Whether a user may order.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = UserStatus)]
pub(crate) enum UserStatusText {
    /// May order.
    Active,
    /// May not.
    Blocked,
}

impl FromStr for UserStatusText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ACTIVE" => Ok(Self::Active),
            "BLOCKED" => Ok(Self::Blocked),
            _ => Err("ACTIVE or BLOCKED"),
        }
    }
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
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = UserStatusChange)]
pub(crate) struct UserStatusPut {
    #[serde(deserialize_with = "parsed")]
    pub(crate) status: UserStatusText,
}

object!(UserPost);
object!(UserStatusPut);

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(crate) struct UserBody {
    pub(crate) user_id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) status: UserStatusText,
}
