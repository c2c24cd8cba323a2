//! The users of a snapshot as rows.

use std::io::{self, Write};

use kbnt_application::ports::Snapshot;
use kbnt_application::user::UserImage;
use kbnt_domain::event::UserStatus;
use kbnt_domain::user::User;
use kbnt_domain::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::rows::{At, Bad, MarkRow, Rows, at, mark_row, marks, parse, positions, put, take};

/// The head before the users.
#[derive(Debug, Serialize, Deserialize)]
struct Head<'a> {
    taken: i64,
    #[serde(borrow)]
    read: Vec<MarkRow<'a>>,
    #[serde(borrow)]
    followed: Vec<At<'a>>,
    users: u64,
}

/// One user.
#[derive(Debug, Serialize, Deserialize)]
struct UserRow<'a> {
    user: &'a str,
    name: &'a str,
    email: &'a str,
    is_blocked: bool,
    revision: u64,
}

impl<'a> UserRow<'a> {
    fn of((id, user): &'a (UserId, User)) -> Self {
        Self {
            user: id.as_str(),
            name: &user.name,
            email: &user.email,
            is_blocked: user.status == UserStatus::Blocked,
            revision: user.revision,
        }
    }

    fn user(&self) -> Result<(UserId, User), Bad> {
        let status = if self.is_blocked { UserStatus::Blocked } else { UserStatus::Active };
        let (name, email) = (self.name.to_owned(), self.email.to_owned());
        Ok((parse(self.user)?, User { name, email, status, revision: self.revision }))
    }
}

fn read(mut rows: &[u8]) -> Result<Snapshot<UserImage>, Bad> {
    let head: Head<'_> = take(&mut rows)?;
    let mut users = Vec::new();
    for _ in 0..head.users {
        users.push(take::<UserRow<'_>>(&mut rows)?.user()?);
    }
    let image = UserImage { users, followed: positions(&head.followed)? };
    let taken = Timestamp::from_millis(head.taken);
    let snapshot = Snapshot { taken, folded: marks(&head.read)?, inputs: Vec::new(), image };
    if rows.is_empty() { Ok(snapshot) } else { Err(Bad) }
}

impl Rows for UserImage {
    const MAGIC: [u8; 8] = *b"KBNTuser";
    const FORMAT: u32 = 1;

    fn put(snapshot: &Snapshot<Self>, to: &mut impl Write) -> io::Result<()> {
        let Self { users, followed } = &snapshot.image;
        let head = Head {
            taken: snapshot.taken.as_millis(),
            read: snapshot.folded.iter().map(mark_row).collect(),
            followed: followed.iter().map(at).collect(),
            users: users.len() as u64,
        };
        put(&head, to)?;
        users.iter().try_for_each(|user| put(&UserRow::of(user), to))
    }

    fn take(rows: &[u8]) -> Option<Snapshot<Self>> {
        read(rows).ok()
    }
}
