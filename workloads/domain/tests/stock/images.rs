//! What an image holds, and images that are of no use.

use kbnt_domain::Span;
use kbnt_domain::stock::image::{ImageError, LedgerImage};
use kbnt_domain::stock::{Ledger, StockTerms};

use crate::shop::{Shop, at, order};
use crate::world::TERMS;

/// One order holds units, one has given them back.
fn image() -> LedgerImage {
    let mut shop = Shop::with(&[("A", 9), ("B", 9)]);
    shop.reserve(1, &[("A", 2)]);
    shop.reserve(2, &[("B", 3)]);
    shop.cancel(2);
    shop.ledger.image()
}

#[test]
fn a_ledger_is_restored_as_it_was() {
    let image = image();
    let mut ledger = Ledger::restore(TERMS, image.clone()).unwrap();
    ledger.open(at(0), &mut Vec::new());
    assert!(ledger.verify(), "{:?}", ledger.violations());
    assert_eq!(ledger.image(), image);
    assert!(ledger.knows(order(1)) && ledger.knows(order(2)));
}

#[test]
fn an_order_that_expired_and_was_amended_stands_in_it_once() {
    let mut shop = Shop::with(&[("A", 9)]);
    shop.reserve(1, &[("A", 2)]);
    shop.expire();
    shop.cancel(1);
    assert_eq!(shop.ledger.image().ended.len(), 1);
}

#[test]
fn an_image_that_forgot_what_is_to_be_remembered_is_refused() {
    let longer = StockTerms { window: Span::from_minutes(48 * 60), ..TERMS };
    let refused = Ledger::restore(longer, image()).unwrap_err();
    assert_eq!(refused, ImageError::ShortMemory { taken: TERMS.window, wanted: longer.window });
}

#[test]
fn an_image_that_contradicts_itself_is_refused() {
    let spoilt: [fn(&mut LedgerImage); 5] = [
        |image| image.products[1].id = image.products[0].id.clone(),
        |image| image.active[0].claim.lines[0].product = 2,
        |image| image.active[0].order = image.ended[0].order,
        |image| image.active.push(image.active[0].clone()),
        |image| image.ended.push(image.ended[0].clone()),
    ];
    for spoil in spoilt {
        let mut image = image();
        spoil(&mut image);
        assert_eq!(Ledger::restore(TERMS, image).unwrap_err(), ImageError::Unsound);
    }
}
