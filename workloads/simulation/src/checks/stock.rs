//! Stock recomputed from what was received and what was sold, without the inventory's own word for it.

use std::collections::BTreeMap;

use kbnt_domain::order::OrderStatus;
use kbnt_domain::{OrderId, ProductId};

use super::Story;
use super::invariants::units_of;
use crate::node::Node;
use crate::world::World;

impl World {
    pub(super) fn check_stock(&mut self, stories: &BTreeMap<OrderId, Story<'_>>) -> Result<(), String> {
        let mut sold: BTreeMap<ProductId, u64> = BTreeMap::new();
        for story in stories.values().filter(|story| story.status() == Some(OrderStatus::Confirmed)) {
            for (product, units) in story.basket.into_iter().flat_map(units_of) {
                *sold.entry(product).or_default() += units;
            }
        }
        for (product, units) in &self.books.products {
            let sold = sold.get(product).copied().unwrap_or(0);
            if units.reserved != 0 || units.confirmed != sold {
                return Err(format!("{product}: {sold} were sold, and the books say {units:?}"));
            }
        }
        self.check_receipts()?;
        let books = &self.books;
        let at_work = self.processes.iter_mut().filter(|process| process.is_idle());
        let inventory = at_work.map(|process| process.driver.machine_mut()).find_map(|node| match node {
            Node::Inventory(machine) => Some(machine),
            _ => None,
        });
        let Some(inventory) = inventory else { return Err("no inventory is at work".into()) };
        if !inventory.verify() {
            return Err(format!("the ledger does not balance: {:?}", inventory.summary().violations));
        }
        for shown in inventory.levels() {
            let units = books.products.get(&shown.product).cloned().unwrap_or_default();
            let received: Vec<_> = units.received.clone().into_iter().collect();
            if Some(shown.level.real) != units.real()
                || shown.level.reserved != 0
                || shown.received != received
            {
                return Err(format!("the ledger shows {shown:?}, and the books say {units:?}"));
            }
        }
        Ok(())
    }

    /// What a source was told to be received is received.
    fn check_receipts(&self) -> Result<(), String> {
        for ((product, source), receipts) in &self.clients.receipts {
            let units = self.books.products.get(product);
            let received = units.and_then(|units| units.received.get(source)).copied();
            let from = receipts.sure.unwrap_or(0);
            let possible = &receipts.tried[from..];
            let fits = match received {
                Some(received) => possible.contains(&received),
                None => receipts.sure.is_none(),
            };
            if !fits {
                return Err(format!(
                    "{source} declared {receipts:?} of {product}, and received is {received:?}"
                ));
            }
        }
        Ok(())
    }
}
