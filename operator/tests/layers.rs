//! Imports go one way: each part of the operator knows only those below it, so there are no cycles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The parts, a file or a folder each, from the lowest to the highest.
const LAYERS: [&str; 35] = [
    // Needs nothing else.
    "retry",
    "conditions",
    "ownership",
    "labels",
    "readiness",
    "status_throttle",
    // Reports about the process.
    "metrics",
    "health",
    // Clients of other processes.
    "service_client",
    "error",
    "kube",
    // The resources, and the objects that are made for them.
    "queue",
    "resources",
    "kafka_cluster",
    "user_rights",
    "owned",
    "status",
    "finalizer",
    "workloads",
    "topics",
    "users",
    "log",
    // The reconcile.
    "options",
    "leader",
    "discovery",
    "context",
    "controller",
    "pipeline",
    "virtual_stock",
    "order_workflow",
    // Runs the reconciles.
    "drift",
    "watches",
    "run",
    "process",
    "main",
];

fn files(folder: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}

/// The identifier at the beginning of a text.
fn name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The parts that a file imports, apart from its tests.
fn imports(source: &str) -> BTreeSet<String> {
    let code = source.split("mod tests {").next().unwrap_or_default();
    let mut imports = BTreeSet::new();
    for rest in ["crate::", "kbnt_operator::"].into_iter().flat_map(|root| code.split(root).skip(1)) {
        match rest.strip_prefix('{').and_then(|group| group.split_once("};")) {
            // A group inside a group is not supported, and fails.
            Some((group, _)) => imports.extend(group.split(',').map(name).filter(|name| !name.is_empty())),
            None => drop(imports.insert(name(rest))),
        }
    }
    imports
}

#[test]
fn no_part_imports_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all).unwrap();
    let level = |part: &str| LAYERS.iter().position(|layer| *layer == part);
    let mut parts = BTreeSet::new();
    for file in all {
        let path = file.strip_prefix(&root).unwrap();
        let part = path
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if part == "lib" {
            continue;
        }
        let source = std::fs::read_to_string(&file).unwrap();
        let own = level(&part).unwrap_or_else(|| panic!("{part} has no layer"));
        for import in imports(&source) {
            let other = level(&import)
                .unwrap_or_else(|| panic!("{} imports {import}, which is none", path.display()));
            assert!(other <= own, "{} imports {import}, which is above {part}", path.display());
        }
        let code = source.split("mod tests {").next().unwrap_or_default();
        assert!(
            !code.contains("super::super"),
            "{} reaches out of its folder by super::super",
            path.display()
        );
        parts.insert(part);
    }
    let known: BTreeSet<String> = LAYERS.iter().map(|layer| (*layer).to_owned()).collect();
    assert_eq!(known, parts);
}
