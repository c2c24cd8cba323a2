//! The targets of the documentation's references exist: files, headings, and targets of the Makefile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folders at the root from which a page may name a file.
const FOLDERS: [&str; 9] =
    ["crds/", "operator/", "workloads/", "charts/", "manifests/", "e2e/", "docs/", ".github/", ".ci/"];

/// A page without its fenced code, and the code within its text: spans, and indented lines.
struct Page {
    path: PathBuf,
    text: String,
    code: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn find(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path.file_name().is_some_and(|name| name == ".git" || name == "target");
        if path.is_dir() && !hidden {
            find(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            into.push(path);
        }
    }
}

fn read(path: PathBuf) -> Page {
    let (mut text, mut code, mut fenced) = (String::new(), Vec::new(), false);
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            code.push(line.trim().to_owned());
        } else {
            // Every second part stands between two backticks.
            for (place, part) in line.split('`').enumerate() {
                if place % 2 == 0 { text.push_str(part) } else { code.push(part.to_owned()) }
            }
            text.push('\n');
        }
    }
    Page { path, text, code }
}

fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    find(&root(), &mut found);
    assert!(found.len() > 15, "{found:?}");
    found.into_iter().map(read).collect()
}

/// The anchor of a heading, as GitHub makes it.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The anchors of a page: a repeated heading gets a number.
fn anchors(path: &Path) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        fenced ^= line.trim_start().starts_with("```");
        let Some((_, heading)) = line.split_once(' ').filter(|(marks, _)| {
            !fenced && !marks.is_empty() && marks.len() <= 6 && marks.chars().all(|c| c == '#')
        }) else {
            continue;
        };
        let name = slug(heading.trim());
        let before = seen.entry(name.clone()).or_default();
        found.insert(if *before == 0 { name } else { format!("{name}-{before}") });
        *before += 1;
    }
    found
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut links = 0;
    for page in pages() {
        for link in page.text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)) {
            // The test does not request external pages.
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.path.parent().unwrap();
            let target = if file.is_empty() { page.path.clone() } else { folder.join(file) };
            let found = target.exists() && (anchor.is_empty() || anchors(&target).contains(anchor));
            if !found {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(links > 40, "only {links} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_that_a_page_names_is_there() {
    let root = root();
    let mut missing = Vec::new();
    for page in pages() {
        for word in page.code.iter().flat_map(|code| code.split([' ', '\'', '"', '=', '('])) {
            let named = word.trim_end_matches([',', ':', ')', '.', ';']);
            let a_path = FOLDERS.iter().any(|folder| named.starts_with(folder));
            // A pattern, or a name that the reader fills in.
            let pattern = named.contains(['*', '{', '<', '$', '…']) || named.contains("NAME");
            if a_path && !pattern && !root.join(named).exists() {
                missing.push(format!("{}: {named}", page.path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_target_that_a_page_names_is_in_the_makefile() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| line.contains(": ##"))
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    assert!(targets.contains("demo") && targets.contains("check"), "{targets:?}");
    let mut missing = Vec::new();
    for page in pages() {
        for code in &page.code {
            let Some(target) = code.strip_prefix("make ").and_then(|rest| rest.split([' ', ';']).next())
            else {
                continue;
            };
            if target.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !targets.contains(target) {
                missing.push(format!("{}: make {target}", page.path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn an_anchor_is_named_as_github_names_it() {
    assert_eq!(slug("What `make test` runs, and why"), "what-make-test-runs-and-why");
    assert_eq!(slug("0.1.0 - 2026-11-30"), "010---2026-11-30");
}
