//! A member that has begun with a snapshot knows what the records of its topic come to.

use kbnt_application::ports::Fetched;
use kbnt_application::{Imaged as _, Machine as _};
use kbnt_domain::UserId;
use kbnt_domain::event::UserStatus;

use crate::faults::images::NodeImage;
use crate::log::Log;
use crate::node::Node;
use crate::plan::Plan;
use crate::process::Process;

/// What must be the same: of users all but how often they were changed, which each process counts by itself.
#[derive(Debug, PartialEq)]
enum Known {
    Users(Vec<(UserId, String, String, UserStatus)>),
    Other(Option<String>),
}

fn known(machine: &Node) -> Known {
    match machine.image() {
        Some(NodeImage::User(image)) => {
            let mut users: Vec<_> =
                image.users.into_iter().map(|(id, user)| (id, user.name, user.email, user.status)).collect();
            users.sort_by(|one, other| one.0.cmp(&other.0));
            Known::Users(users)
        }
        image => Known::Other(image.map(|image| format!("{image:?}"))),
    }
}

impl Process {
    /// It joins its group: what it began with is checked.
    pub(crate) fn check_member(&mut self, log: &Log, plan: &Plan) -> Result<(), String> {
        if !std::mem::take(&mut self.mount.unchecked) {
            return Ok(());
        }
        let mut straight = plan.machine(self.service, self.id, None);
        for at in &self.readers.output {
            let records = log.slice((at.topic, at.partition), 0, at.offset);
            records.iter().filter_map(Fetched::record).for_each(|record| straight.follow(record));
        }
        let (found, wanted) = (known(self.driver.machine()), known(&straight));
        if found == wanted {
            return Ok(());
        }
        Err(format!("{} knows {found:?}, and its records come to {wanted:?}", self.name()))
    }
}
