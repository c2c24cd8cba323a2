//! Users: who they are, and whether they may order.

use std::collections::HashMap;

use thiserror::Error;

use crate::event::{Event, UserRegistered, UserStatus, UserStatusChanged};
use crate::{Reason, UserId};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// For salutations.
    pub name: String,
    /// For notifications.
    pub email: String,
    /// Whether the user may order.
    pub status: UserStatus,
    /// How often the user was changed, the first registration included.
    pub revision: u64,
}

/// What a user says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The user.
    pub user: UserId,
    /// For salutations: 1 to 200 characters.
    pub name: String,
    /// For notifications: at most 254 bytes with one `@` inside.
    pub email: String,
}

/// What is wrong with a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidRegistration {
    /// An id that an address cannot have.
    #[error("{}", kbnt_rules::USER_ID_ADVICE)]
    Id,
    /// Empty, too long, or with control characters.
    #[error("{}", kbnt_rules::NAME_ADVICE)]
    Name,
    /// No address.
    #[error("{}", kbnt_rules::EMAIL_ADVICE)]
    Email,
}

impl Registration {
    /// Checks id, name and address. Users that the log knows already are not checked again.
    pub fn new(user: UserId, name: String, email: String) -> Result<Self, InvalidRegistration> {
        if !kbnt_rules::is_user_id(user.as_str()) {
            return Err(InvalidRegistration::Id);
        }
        if !kbnt_rules::is_name(&name) {
            return Err(InvalidRegistration::Name);
        }
        if !kbnt_rules::is_email(&email) {
            return Err(InvalidRegistration::Email);
        }
        Ok(Self { user, name, email })
    }
}

/// No such user.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no user {0}")]
pub struct UnknownUser(pub UserId);

/// All users, folded from the events of user management. The last event of a user in the log stands, so everybody
/// who has read the same log knows the same users.
#[derive(Clone, Debug, Default)]
pub struct UserRegistry {
    users: HashMap<UserId, User>,
}

impl UserRegistry {
    /// One user.
    pub fn get(&self, user: &UserId) -> Option<&User> {
        self.users.get(user)
    }

    /// All users, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (&UserId, &User)> {
        self.users.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Takes in an event; those that are not of user management change nothing.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::UserRegistered(e) => {
                let (status, revision) = self
                    .users
                    .get(&e.user)
                    .map_or((UserStatus::Active, 0), |user| (user.status, user.revision));
                let (name, email) = (e.name.clone(), e.email.clone());
                self.users.insert(e.user.clone(), User { name, email, status, revision: revision + 1 });
            }
            Event::UserStatusChanged(e) => {
                if let Some(user) = self.users.get_mut(&e.user) {
                    user.status = e.status;
                    user.revision += 1;
                }
            }
            _ => {}
        }
    }

    /// The event that makes the user known as described; `None` if it is so already.
    pub fn register(&self, registration: Registration) -> Option<UserRegistered> {
        let Registration { user, name, email } = registration;
        let known = self.get(&user).is_some_and(|known| known.name == name && known.email == email);
        (!known).then_some(UserRegistered { user, name, email })
    }

    /// The event that gives the user this status; `None` if it has it already.
    pub fn change_status(
        &self,
        user: &UserId,
        status: UserStatus,
    ) -> Result<Option<UserStatusChanged>, UnknownUser> {
        let known = self.get(user).ok_or_else(|| UnknownUser(user.clone()))?;
        Ok((known.status != status).then(|| UserStatusChanged { user: user.clone(), status }))
    }

    /// Why the user may not order; `None` if it may. Without `allow_unknown` nobody orders who is not registered.
    pub fn objection(&self, user: &UserId, allow_unknown: bool) -> Option<Reason> {
        match self.get(user).map(|user| user.status) {
            Some(UserStatus::Blocked) => Some(Reason::UserBlocked),
            None if !allow_unknown => Some(Reason::UserNotFound),
            Some(UserStatus::Active) | None => None,
        }
    }
}

/// These users and no others.
impl FromIterator<(UserId, User)> for UserRegistry {
    fn from_iter<I: IntoIterator<Item = (UserId, User)>>(users: I) -> Self {
        Self { users: users.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> UserId {
        text.parse().unwrap()
    }

    fn ana() -> Registration {
        Registration::new(id("ana"), "Ana".into(), "ana@example.com".into()).unwrap()
    }

    #[test]
    fn a_registration_names_what_is_wrong() {
        let check = |name: &str, email: &str| {
            Registration::new(id("u"), name.into(), email.into())
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("Ana Maria", "ana@example.com"), Ok(()));
        for name in ["", " ", "a\nb", &"x".repeat(201)] {
            assert!(check(name, "ana@example.com").unwrap_err().starts_with("name"), "{name:?}");
        }
        for email in ["", "ana", "@x", "ana@", "a@b@c", "a b@c", &format!("{}@x", "a".repeat(254))] {
            assert!(check("Ana", email).unwrap_err().starts_with("email"), "{email:?}");
        }
        let dots = Registration::new(id(".."), "Ana".into(), "ana@example.com".into());
        assert_eq!(dots, Err(InvalidRegistration::Id));
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let mut registry = UserRegistry::default();
        let event = registry.register(ana()).unwrap();
        registry.apply(&event.into());
        assert_eq!(registry.register(ana()), None);
        let renamed = Registration { name: "Ana M.".into(), ..ana() };
        registry.apply(&registry.register(renamed).unwrap().into());
        let user = registry.get(&id("ana")).unwrap();
        assert_eq!((user.name.as_str(), user.revision), ("Ana M.", 2));
    }

    #[test]
    fn blocked_users_stay_blocked_whatever_is_registered() {
        let mut registry = UserRegistry::default();
        assert_eq!(registry.change_status(&id("ana"), UserStatus::Blocked), Err(UnknownUser(id("ana"))));
        registry.apply(&registry.register(ana()).unwrap().into());
        let event = registry.change_status(&id("ana"), UserStatus::Blocked).unwrap().unwrap();
        registry.apply(&event.into());
        assert_eq!(registry.change_status(&id("ana"), UserStatus::Blocked), Ok(None));
        registry.apply(&registry.register(Registration { name: "A".into(), ..ana() }).unwrap().into());
        assert_eq!(registry.objection(&id("ana"), true), Some(Reason::UserBlocked));
        assert_eq!(registry.objection(&id("bob"), false), Some(Reason::UserNotFound));
        assert_eq!(registry.objection(&id("bob"), true), None);
    }
}
