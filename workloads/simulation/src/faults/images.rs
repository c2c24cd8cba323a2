//! Images of machines, as they lie on volumes: a process may find another service's.

use kbnt_application::Imaged;
use kbnt_application::audit::AuditImage;
use kbnt_application::event::Writer;
use kbnt_application::inventory::Image;
use kbnt_application::user::UserImage;

use crate::node::Node;

/// An image of any of those that take one.
#[derive(Clone, Debug)]
pub(crate) enum NodeImage {
    Inventory(Image),
    User(UserImage),
    Audit(AuditImage),
}

impl Imaged for Node {
    type Image = NodeImage;
    type Error = String;

    fn image(&self) -> Option<NodeImage> {
        match self {
            Self::Inventory(machine) => machine.image().map(NodeImage::Inventory),
            Self::User(machine) => machine.image().map(NodeImage::User),
            Self::Audit(machine) => machine.image().map(NodeImage::Audit),
            _ => None,
        }
    }

    fn restore(&mut self, image: NodeImage) -> Result<Option<Writer>, String> {
        match (self, image) {
            (Self::Inventory(machine), NodeImage::Inventory(image)) => {
                machine.restore(image).map_err(|error| error.to_string())
            }
            (Self::User(machine), NodeImage::User(image)) => {
                machine.restore(image).map_err(|error| error.to_string())
            }
            (Self::Audit(machine), NodeImage::Audit(image)) => {
                machine.restore(image).map_err(|error| error.to_string())
            }
            _ => Err("it is another service's".to_owned()),
        }
    }
}
