//! `kbnt dlq list`.

use std::io::Write;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use kbnt_infrastructure::text::rfc3339;
use serde_json::json;

use super::letters::Letter;
use super::show::plain;
use crate::cli::ListOptions;
use crate::failure::Failure;

pub(super) async fn run(options: &ListOptions) -> Result<(), Failure> {
    let letters = super::all(&options.trail).await?;
    let letters = letters.by_age();
    let open = letters.iter().filter(|letter| letter.is_open()).count();
    let resolved = letters.len() - open;
    let shown: Vec<&Letter> = letters.into_iter().filter(|letter| options.all || letter.is_open()).collect();
    let mut out = std::io::stdout().lock();
    if options.json {
        let list: Vec<_> = shown.iter().map(|letter| letter.to_json()).collect();
        writeln!(out, "{}", json!({"deadLetters": list, "open": open, "resolved": resolved}))?;
        return Ok(());
    }
    if !shown.is_empty() {
        writeln!(out, "{}", table(&shown))?;
    }
    writeln!(out, "{open} open, {resolved} resolved")?;
    Ok(())
}

fn table(letters: &[&Letter]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["ID", "STORED", "BYTES", "STATE", "REASON"]);
    for letter in letters {
        table.add_row([
            letter.at.to_string(),
            rfc3339(letter.stored_at),
            letter.stored.value_bytes.to_string(),
            letter.state().to_owned(),
            plain(&letter.stored.reason),
        ]);
    }
    table
}
