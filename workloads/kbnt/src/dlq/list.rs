//! `kbnt dlq list`.

use std::process::ExitCode;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use kbnt_wire::text::rfc3339;
use serde_json::json;

use super::letters::{Letter, Letters};
use crate::cli::ListOptions;
use crate::failure::Failure;
use crate::output::{self, plain};

pub(super) async fn run(options: &ListOptions) -> Result<ExitCode, Failure> {
    let (letters, missing) = super::all(&options.trail).await?;
    show(options, &letters)?;
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(options: &ListOptions, letters: &Letters) -> Result<(), Failure> {
    let letters = letters.by_age();
    let open = letters.iter().filter(|letter| letter.is_open()).count();
    let resolved = letters.len() - open;
    let shown: Vec<&Letter> = letters.into_iter().filter(|letter| options.all || letter.is_open()).collect();
    if options.json {
        let list: Vec<_> = shown.iter().map(|letter| letter.to_json()).collect();
        return output::json(&json!({"deadLetters": list, "open": open, "resolved": resolved}));
    }
    if !shown.is_empty() {
        output::page(table(&shown))?;
    }
    output::line(&format!("{open} open, {resolved} resolved"))
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
