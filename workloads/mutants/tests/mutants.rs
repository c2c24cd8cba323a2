//! The list of planted bugs fits the code that they are planted in, and the page about them.

use std::collections::BTreeSet;

use kbnt_mutants::list;

/// What follows it is written here.
const GENERATED: &str = "<!-- make generate writes what follows -->\n";

/// The bugs by the part that they are planted in, as tables.
fn tables(list: &str) -> String {
    let mut tables = String::new();
    let mut name = "";
    for line in list.lines() {
        if let Some(part) = line.strip_prefix("# --- ") {
            tables.extend(["\n## ", part, "\n| bug | planted in |\n|---|---|\n"]);
        } else if let Some(of_bug) = line.strip_prefix("- name: ") {
            name = of_bug;
        } else if let Some(file) = line.strip_prefix("  file: ") {
            tables.extend(["| ", name, " | `", file, "` |\n"]);
        }
    }
    tables
}

/// With `KBNT_GENERATE`, as `make generate` sets it, the page is written anew.
#[test]
fn the_page_lists_every_bug() {
    let root = list::root();
    let list = std::fs::read_to_string(root.join("workloads/mutants/list.yaml")).unwrap();
    let page = root.join("docs/planted-bugs.md");
    let before = std::fs::read_to_string(&page).unwrap();
    let (head, _) = before.split_once(GENERATED).unwrap();
    let whole = [head, GENERATED, &tables(&list)].concat();
    if std::env::var_os("KBNT_GENERATE").is_some() {
        std::fs::write(&page, &whole).unwrap();
    } else {
        assert_eq!(before, whole, "docs/planted-bugs.md is stale: make generate");
    }
    assert_eq!(whole.matches("` |\n").count(), list.matches("\n- name: ").count());
}

#[test]
fn each_bug_has_one_place_to_be_planted_at() {
    let mutants = list::read().unwrap();
    assert!(mutants.len() >= 20);
    let names: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.name).collect();
    assert_eq!(names.len(), mutants.len());
    for mutant in mutants {
        let source = std::fs::read_to_string(list::root().join(&mutant.file)).unwrap();
        mutant.planted(&source).unwrap();
        assert_ne!(mutant.search, mutant.replace, "{}", mutant.name);
    }
}
