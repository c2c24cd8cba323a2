//! Whether memory and disk have stayed as they were.
//!
//! The rule: only rows from when the log has its steady size count, which is when each partition of the event stores has been cut.
//! They are divided into quarters. What must be flat is so if the median of the last quarter is at most a tenth above that of the first.
//! What grows with each order by design must not have grown by more bytes for each order between these medians than it may.

use std::fmt;

use super::table::Table;

/// The largest share by which something flat may grow.
const TOLERANCE: f64 = 0.1;

/// Rows that a quarter must have at least.
const LEAST: usize = 6;

/// How a column may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Course {
    /// It does not grow.
    Flat,
    /// It grows by at most so many bytes for each order.
    WithOrders(f64),
}

/// All columns that are judged. docs/state-store.md says what an order takes in the archive, docs/history.md what it takes in the
/// history, and docs/checkpoints.md what both take in a checkpoint; there each has something added for what is being compacted or replaced.
pub(super) const COURSES: [(&str, Course); 12] = [
    ("rss_user", Course::Flat),
    ("rss_inventory", Course::Flat),
    ("rss_payment", Course::Flat),
    ("rss_order", Course::Flat),
    ("rss_notification", Course::Flat),
    ("rss_audit", Course::Flat),
    ("log_stores", Course::Flat),
    ("log_trail", Course::Flat),
    ("snapshots", Course::Flat),
    ("archive", Course::WithOrders(200.0)),
    ("history", Course::WithOrders(800.0)),
    ("checkpoints", Course::WithOrders(600.0)),
];

/// What became of a column.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    column: &'static str,
    course: Course,
    first: f64,
    last: f64,
    /// Orders between the two medians.
    orders: f64,
}

/// What is found, or why nothing can be said.
pub(super) fn judge(table: &Table) -> Result<Vec<Finding>, String> {
    let uncut = table.column("uncut");
    let Some(steady) = uncut.iter().position(|uncut| *uncut < 0.5) else {
        let left = uncut.last().copied().unwrap_or_default();
        return Err(format!("the log has not reached its steady size: {left:.0} partitions were never cut"));
    };
    let quarter = (uncut.len() - steady) / 4;
    if quarter < LEAST {
        let rows = uncut.len() - steady;
        return Err(format!("only {rows} rows were measured since the log has its steady size"));
    }
    let medians = |name: &str| {
        let rows = table.column(name).split_off(steady);
        (median(&rows[..quarter]), median(&rows[rows.len() - quarter..]))
    };
    let (before, after) = medians("orders");
    let finding = |(column, course)| {
        let (first, last) = medians(column);
        Finding { column, course, first, last, orders: after - before }
    };
    Ok(COURSES.into_iter().map(finding).collect())
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

impl Finding {
    /// Whether it went as it may.
    pub(super) fn is_well(&self) -> bool {
        match self.course {
            Course::Flat => self.last <= self.first * (1.0 + TOLERANCE),
            Course::WithOrders(most) => self.last - self.first <= most * self.orders,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, first, last, orders, .. } = self;
        let mib = |bytes: &f64| bytes / 1_048_576.0;
        let verdict = if self.is_well() { "" } else { "VIOLATION " };
        write!(f, "{verdict}{column}: {:.1} MiB, then {:.1} MiB: ", mib(first), mib(last))?;
        match self.course {
            Course::Flat => {
                write!(f, "{:+.1} %, may be {:+.0} %", (last / first - 1.0) * 100.0, TOLERANCE * 100.0)
            }
            Course::WithOrders(most) => {
                let each = (last - first) / orders;
                write!(f, "{each:.0} bytes for each of {orders:.0} orders, may be {most:.0}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of 400 rows that is steady from the hundredth on, in which a column has these values.
    fn run(column: &'static str, value: impl Fn(u32) -> f64) -> Table {
        let names = ["orders", "uncut"].into_iter().chain(COURSES.map(|(name, _)| name));
        let columns: Vec<String> = names.map(str::to_owned).collect();
        let mut table = Table::new(columns.clone());
        for row in 0..400 {
            let at = |name: &String| match name.as_str() {
                "orders" => f64::from(row) * 1_000.0,
                "uncut" => f64::from(u32::from(row < 100)),
                name if name == column => value(row),
                _ => 5e6,
            };
            table.push(columns.iter().map(at).collect());
        }
        table
    }

    fn wrong(table: &Table) -> Vec<&'static str> {
        let findings = judge(table).unwrap();
        findings.iter().filter(|finding| !finding.is_well()).map(|finding| finding.column).collect()
    }

    #[test]
    fn what_stays_as_it_is_is_flat_also_where_it_goes_up_and_down_or_grew_before() {
        assert_eq!(wrong(&run("rss_order", |_| 1e8)), Vec::<&str>::new());
        assert_eq!(wrong(&run("rss_order", |row| 1e8 + f64::from(row % 40) * 1e6)), Vec::<&str>::new());
        assert_eq!(wrong(&run("log_stores", |row| f64::from(row.min(100)) * 1e7)), Vec::<&str>::new());
        assert_eq!(wrong(&run("rss_order", |row| if row % 10 == 0 { 9e9 } else { 1e8 })), Vec::<&str>::new());
    }

    #[test]
    fn what_grows_is_found() {
        for (column, course) in COURSES {
            if course == Course::Flat {
                assert_eq!(wrong(&run(column, |row| 1e8 + f64::from(row) * 1e5)), [column]);
            }
        }
        let jump = |row| if row < 320 { 1e8 } else { 1.2e8 };
        assert_eq!(wrong(&run("rss_audit", jump)), ["rss_audit"]);
    }

    #[test]
    fn what_grows_with_each_order_by_more_than_it_may_is_found() {
        for (column, course) in COURSES {
            if let Course::WithOrders(most) = course {
                assert_eq!(
                    wrong(&run(column, |row| f64::from(row) * 1_000.0 * most * 0.99)),
                    Vec::<&str>::new()
                );
                assert_eq!(wrong(&run(column, |row| f64::from(row) * 1_000.0 * most * 1.01)), [column]);
            }
        }
    }

    #[test]
    fn a_log_that_still_grows_by_design_is_not_judged() {
        let mut table = Table::new(vec!["uncut".to_owned()]);
        (0..400).for_each(|_| table.push(vec![3.0]));
        assert!(judge(&table).unwrap_err().contains("3 partitions were never cut"));
        (0..10).for_each(|_| table.push(vec![0.0]));
        assert!(judge(&table).unwrap_err().contains("only 10 rows"));
    }
}
