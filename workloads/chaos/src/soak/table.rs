//! What is measured: a row of numbers each time, kept as CSV.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::failure::Failure;

/// Named columns of numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl Table {
    /// One without rows.
    pub(super) const fn new(columns: Vec<String>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; what is missing in it is 0.
    pub(super) fn push(&mut self, mut row: Vec<f64>) {
        row.resize(self.columns.len(), 0.0);
        self.rows.push(row);
    }

    /// A column from the first row on; of zeros if there is none of this name.
    pub(super) fn column(&self, name: &str) -> Vec<f64> {
        let index = self.columns.iter().position(|column| column == name);
        let value = |row: &Vec<f64>| index.and_then(|index| row.get(index)).copied().unwrap_or_default();
        self.rows.iter().map(value).collect()
    }

    /// The names of its columns.
    pub(super) fn names(&self) -> String {
        self.columns.join(",")
    }

    /// The last row as a line.
    pub(super) fn last(&self) -> String {
        let shown = |value: &f64| format!("{value:.1}").trim_end_matches(".0").to_owned();
        self.rows.last().map(|row| row.iter().map(shown).collect::<Vec<_>>().join(",")).unwrap_or_default()
    }

    /// What a file has.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)?;
        let mut lines = text.lines();
        let columns = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let mut table = Self::new(columns);
        for line in lines {
            let row: Result<Vec<f64>, _> = line.split(',').map(str::parse).collect();
            table.push(row.map_err(|error| Failure::Script(format!("{}: {line}: {error}", path.display())))?);
        }
        Ok(table)
    }
}

/// A table of which each row is in a file as soon as it is there.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) table: Table,
    file: File,
}

impl Kept {
    /// A new file.
    pub(super) fn create(path: &Path, table: Table) -> Result<Self, Failure> {
        let mut file = File::create(path)?;
        writeln!(file, "{}", table.names())?;
        Ok(Self { table, file })
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: Vec<f64>) -> Result<(), Failure> {
        self.table.push(row);
        writeln!(self.file, "{}", self.table.last())?;
        Ok(())
    }
}
