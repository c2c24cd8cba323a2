//! Prints the measurements side by side.

use std::collections::BTreeSet;

use super::contest::Figures;

/// A row: its label, and its value for one contender.
type Row = (String, fn(&Figures) -> String);

fn rows(pairs: u32, quiet: u64) -> Vec<Row> {
    let row = |name: &str, say: fn(&Figures) -> String| (name.to_owned(), say);
    vec![
        (format!("until {pairs} pairs are ready, s"), |f| format!("{:.0}", f.converged.as_secs_f64())),
        row("  processor time, s", |f| format!("{:.1}", f.converging_cpu)),
        row("  writes", |f| f.converging.writes().to_string()),
        row("  reads of one object", |f| f.converging.of("get").to_string()),
        row("  lists", |f| f.converging.of("list").to_string()),
        row("  watches", |f| f.converging.of("watch").to_string()),
        row("  memory at most, MiB", |f| mebibytes(f.peak)),
        (format!("in the next {quiet} s: writes"), |f| f.idle.writes().to_string()),
        row("  reads, lists, watches", |f| {
            (f.idle.of("get") + f.idle.of("list") + f.idle.of("watch")).to_string()
        }),
        row("  processor time, s", |f| format!("{:.2}", f.idle_cpu)),
        row("after a restart, until all is seen, s", |f| format!("{:.1}", f.restart.as_secs_f64())),
        row("  writes", |f| f.restarted.writes().to_string()),
        row("  reads of one object", |f| f.restarted.of("get").to_string()),
        row("  lists and watches", |f| (f.restarted.of("list") + f.restarted.of("watch")).to_string()),
        row("  processor time, s", |f| format!("{:.1}", f.restarted_cpu)),
        row("  memory at most, MiB", |f| mebibytes(f.restarted_peak)),
    ]
}

/// Prints the table: first the main figures, then every write until everything is ready.
pub(super) fn print(all: &[Figures], pairs: u32) {
    let quiet = all.first().map_or(0, |figures| figures.quiet.as_secs());
    let line = |what: &str, cells: Vec<String>| {
        print!("{what:<40}");
        for cell in cells {
            print!("{cell:>20}");
        }
        println!();
    };
    println!();
    line("without the lease", all.iter().map(|figures| figures.name.to_owned()).collect());
    for (what, say) in rows(pairs, quiet) {
        line(&what, all.iter().map(say).collect());
    }
    println!("\nrequests until all is ready");
    let kinds: BTreeSet<_> = all.iter().flat_map(|figures| figures.converging.0.keys()).collect();
    for key in kinds {
        let count =
            |figures: &Figures| figures.converging.0.get(key).copied().unwrap_or_default().to_string();
        line(&format!("  {} {}", key.0, key.1), all.iter().map(count).collect());
    }
}

fn mebibytes(bytes: u64) -> String {
    (bytes >> 20).to_string()
}
