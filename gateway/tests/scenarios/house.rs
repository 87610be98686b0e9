//! The house keeps its own rules, and its pages say what is so.
//!
//! Reads the tree as text: manifests, sources, Markdown. What ARCHITECTURE.md promises here is
//! checked here: names of crates, arrows, the tests behind the invariants.

use crate::stage::{FLEETFOOT, before, one_thread, start};
use base::FaultKind;
use scenario::Origin;
use scenario::gateway::{Folder, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let gateway = Path::new(env!("CARGO_MANIFEST_DIR"));
    gateway.parent().expect("the gateway stands in the workspace").to_owned()
}

#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every file with this ending, by its path from the root; what is hidden or built is left out.
fn files(ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with('.') || path.join("CACHEDIR.TAG").exists() || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                let from_root = path.strip_prefix(root()).expect("below the root");
                found.push(from_root.display().to_string());
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {ending}");
    found
}

/// What stands under a heading of the second level.
#[track_caller]
fn chapter(page: &str, title: &str) -> String {
    let text = read(page);
    let start = text.split(&format!("\n## {title}\n")).nth(1);
    let start = start.unwrap_or_else(|| panic!("{page} has no chapter {title}"));
    start.split("\n## ").next().unwrap_or_default().to_owned()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the tables in a chapter, cell by cell, without headings.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

type Names = BTreeSet<String>;

fn members() -> Names {
    let manifest = read("Cargo.toml");
    let list = manifest.lines().find(|line| line.starts_with("members")).expect("a workspace");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The members that a section of a member's manifest names.
fn arrows(member: &str, section: &str) -> Names {
    let (manifest, members) = (read(&format!("{member}/Cargo.toml")), members());
    let lines = manifest.lines().skip_while(|line| *line != section).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| members.contains(*name)).map(str::to_owned).collect()
}

#[test]
fn every_crate_has_its_paragraph_and_every_paragraph_its_crate() {
    let text = chapter("ARCHITECTURE.md", "The rooms")
        + "\n"
        + &chapter("ARCHITECTURE.md", "Beside the rooms");
    let heads = text.lines().filter_map(|line| line.strip_prefix("**`")?.split_once("`**"));
    let named: Names = heads.map(|(name, _)| name.to_owned()).collect();
    assert_eq!(named, members());
}

#[test]
fn the_arrows_are_those_of_the_manifests() {
    let text = chapter("ARCHITECTURE.md", "Arrows");
    let names = |cell: &str| quoted(cell).map(str::to_owned).collect::<Names>();
    let page: BTreeMap<String, (Names, Names)> =
        rows(&text).map(|row| (quoted(row[0]).collect(), (names(row[1]), names(row[2])))).collect();
    let both = |member: String| {
        let tests = arrows(&member, "[dev-dependencies]");
        (member.clone(), (arrows(&member, "[dependencies]"), tests))
    };
    assert_eq!(page, members().into_iter().map(both).collect());
}

/// Is there a test of this name: a function with the attribute between it and the blank line before?
fn is_test(sources: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let mut found = sources.match_indices(&head);
    found.any(|(at, _)| sources[..at].rsplit("\n\n").next().is_some_and(|b| b.contains("#[test]")))
}

#[test]
fn every_invariant_has_its_tests() {
    let text = chapter("ARCHITECTURE.md", "Invariants");
    let sources: String = files(".rs").iter().map(|file| read(file)).collect();
    let mut items: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            items.push(line.to_owned());
        } else if let Some(item) = items.last_mut() {
            item.push_str(line);
        }
    }
    assert!(!items.is_empty());
    for (index, item) in items.iter().enumerate() {
        assert!(item.starts_with(&format!("{}. ", index + 1)), "out of order: {item}");
        let guards = item.split_once("Guarded by").map(|(_, guards)| quoted(guards));
        let guards: Vec<_> = guards.into_iter().flatten().collect();
        assert!(!guards.is_empty(), "no guard: {item}");
        for guard in guards {
            let is_file = guard.contains('/');
            let there =
                if is_file { root().join(guard).exists() } else { is_test(&sources, guard) };
            assert!(there, "no test {guard}: {item}");
        }
    }
}

#[test]
fn every_fault_of_the_matrix_has_its_tests() {
    let page = "docs/offload-matrix.md";
    let sources: String = files(".rs").iter().map(|file| read(file)).collect();
    let mut faults = 0;
    for title in ["Accepting", "Delivering"] {
        for cells in rows(&chapter(page, title)) {
            let tests: Vec<&str> = quoted(cells[2]).collect();
            assert!(!tests.is_empty(), "{page}: nobody plays {}", cells[0]);
            for test in tests {
                assert!(is_test(&sources, test), "{page}: {}: no test {test}", cells[0]);
            }
            faults += 1;
        }
    }
    assert_eq!(faults, 14 + 13, "{page} lost a row");
}

/// Is this for tests, or for measuring?
fn is_beside(file: &str) -> bool {
    let beside = ["shop/", "load/", "bench/", "scenario/"];
    file.contains("tests") || beside.iter().any(|folder| file.starts_with(folder))
}

#[test]
fn only_base_moment_reads_a_clock() {
    let clocks = ["Instant", "SystemTime"].map(|clock| format!("{clock}::now"));
    for file in files(".rs").iter().filter(|file| !is_beside(file)) {
        let reads = clocks.iter().any(|clock| read(file).contains(clock));
        assert_eq!(reads, file == "base/src/moment.rs", "{file}");
    }
}

/// From one line on, up to the next that is this.
#[track_caller]
fn between<'s>(source: &'s str, from: &str, to: &str) -> &'s str {
    let rest = source.split(from).nth(1).unwrap_or_else(|| panic!("no {from}"));
    rest.split(to).next().unwrap_or_default()
}

#[test]
fn a_hit_waits_for_nothing_and_takes_no_exclusive_lock() {
    let path = read("gateway/src/caching.rs");
    assert!(!between(&path, "\npub fn look(", "\npub async fn ").contains(".await"), "look waits");
    let cache = read("cache/src/cache.rs");
    assert!(!between(&cache, "\n    pub fn get(", "\n    }\n").contains("update"), "a hit changes");
    let memory = read("cache/src/memory.rs");
    let get = between(&memory, "\n    pub fn get(", "\n    }\n");
    assert!(get.contains(".read()"), "{get}");
    for exclusive in [".write()", "ledger", "lock("] {
        assert!(!get.contains(exclusive), "a hit takes {exclusive}");
    }
}

#[test]
fn a_pick_waits_for_nothing_and_locks_nothing() {
    for file in files(".rs").iter().filter(|file| file.starts_with("balance/src/pick")) {
        let source = read(file);
        for word in [".await", "lock(", ".write()", "Mutex", "RwLock"] {
            assert!(is_beside(file) || !source.contains(word), "{file}: {word}");
        }
    }
    // Who takes a probe locks its member; who finds that there is none to take does not.
    let health = read("balance/src/health.rs");
    let probe = between(&health, "\n    pub(crate) fn try_probe(", "\n    }\n");
    let first = probe.split("self.lock()").next().unwrap_or_default();
    assert!(first.contains("if !free() {\n            return false;"), "{first}");
    let load = read("balance/src/load.rs");
    let end = between(&load, "\n    pub(crate) fn end(", "\n    }\n");
    assert!(end.contains("try_lock()") && !end.contains(".lock()"), "{end}");
}

#[test]
fn nothing_is_left_to_be_written() {
    let later = ["todo", "unimplemented"].map(|word| format!("{word}!("));
    for file in files(".rs") {
        assert!(!later.iter().any(|word| read(&file).contains(word)), "{file}");
    }
}

#[test]
fn every_file_says_what_it_owns() {
    for file in files(".rs") {
        assert!(read(&file).starts_with("//! "), "{file} has no head");
    }
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
    for member in members() {
        let manifest = read(&format!("{member}/Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true\n"), "{member}");
    }
}

#[test]
fn links_lead_somewhere() {
    for file in files(".md") {
        let text = read(&file);
        let folder = root().join(&file).parent().expect("a file has a folder").to_owned();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains(':') && !target.starts_with('#')) {
            let path = target.split('#').next().unwrap_or_default();
            assert!(folder.join(path).exists(), "{file}: {target}");
        }
    }
}

#[test]
fn examples_of_settings_are_legal() {
    let pages = files(".md").into_iter().filter(|file| !file.contains("decisions/"));
    let mut examples = 0;
    for page in pages {
        for rest in read(&page).split("```toml\n").skip(1) {
            let example = rest.split("```").next().unwrap_or_default();
            let parsed = settings::parse(&page, example, &|_| None);
            assert!(
                parsed.is_ok(),
                "{page}:\n{}",
                parsed.map_or_else(|e| e.to_string(), |_| String::new())
            );
            examples += 1;
        }
    }
    assert!(examples >= 2, "the README and the reference have one each");
}

#[test]
fn the_readme_names_every_verb() {
    let help = run(&FLEETFOOT, &["--help"]).stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    // A verb stands two columns in; what goes on from the line before stands further.
    let verbs = commands.filter(|line| !line.starts_with("   "));
    let mut verbs: Vec<&str> = verbs.filter_map(|line| line.split_whitespace().next()).collect();
    verbs.retain(|verb| *verb != "help");
    let page = chapter("README.md", "Verbs");
    let named: Vec<&str> = rows(&page).filter_map(|row| quoted(row[0]).next()).collect();
    assert_eq!(named, verbs);
}

#[test]
fn operations_names_every_metric() {
    let origin = Origin::start();
    // With all tiers, for each has families of its own; that the shared one does not answer is no matter.
    let folder = Folder::new();
    let disk = folder.path().join("disk").display().to_string();
    let store = folder.path().join("jobs").display().to_string();
    let tiers = format!(
        "[cache]\nredis = \"redis://127.0.0.1:1\"\ndisk = {{ path = \"{disk}\", size = \"16 MiB\" }}\n\
         [offload]\nstore = \"{store}\"\n"
    );
    let gateway = start(&one_thread(&origin).rest(&tiers));
    gateway.get("/");
    let metrics = gateway.metrics();
    let families =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let page = chapter("docs/operations.md", "Metrics");
    let named: BTreeSet<&str> = rows(&page).filter_map(|row| quoted(row[0]).next()).collect();
    assert_eq!(named, families.collect());
}

/// Names of metrics in a text of `PromQL`, without the ends of histograms' samples.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("fleetfoot_") || word.starts_with("process_"));
    let ends = |word| ["_bucket", "_sum", "_count"].iter().find_map(|e| str::strip_suffix(word, e));
    ours.map(|word| ends(word).unwrap_or(word)).collect()
}

#[test]
fn the_dashboard_is_one_that_grafana_loads_and_asks_for_what_there_is() {
    let text = read("dashboards/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for field in ["title", "uid", "schemaVersion", "time", "templating"] {
        assert!(!dashboard[field].is_null(), "no {field}");
    }
    let panels = dashboard["panels"].as_array().expect("panels");
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "an id twice: {panel}");
        let place = |side: &str| panel["gridPos"][side].as_u64().expect("a place");
        let (x, y) = (place("x"), place("y"));
        assert!(x + place("w") <= 24, "{panel}");
        let all = (x..x + place("w")).flat_map(|x| (y..y + place("h")).map(move |y| (x, y)));
        all.for_each(|cell| assert!(cells.insert(cell), "panels overlap: {panel}"));
        let kind = panel["type"].as_str().expect("a type");
        assert!(["row", "stat", "timeseries", "heatmap"].contains(&kind), "{kind}");
        let targets = panel["targets"].as_array().map_or(0, Vec::len);
        assert_eq!(targets == 0, kind == "row", "{panel}");
        assert!(kind == "row" || panel["datasource"]["uid"] == "${datasource}", "{panel}");
    }
    let page = chapter("docs/operations.md", "Metrics");
    let named: BTreeSet<&str> = rows(&page).filter_map(|row| quoted(row[0]).next()).collect();
    let asked = metrics_in(&text);
    let unknown: Vec<_> = asked.difference(&named).collect();
    assert!(unknown.is_empty() && asked.len() > 20, "{unknown:?}");
}

#[test]
fn operations_names_every_fault_with_its_status() {
    let page = chapter("docs/operations.md", "Faults");
    let row = |row: Vec<&str>| (quoted(row[0]).collect::<String>(), row[1].to_owned());
    let named: BTreeMap<String, String> = rows(&page).map(row).collect();
    let status = |kind: &FaultKind| gateway::depart::status_of(*kind).to_string();
    let all = FaultKind::ALL.iter().map(|kind| (kind.name().to_owned(), status(kind)));
    assert_eq!(named, all.collect());
}

#[test]
fn operations_names_every_field_of_the_log() {
    let source = read("gateway/src/access.rs");
    let fields = source.split("(&mut line, \"").skip(1).filter_map(|rest| rest.split('"').next());
    let page = chapter("docs/operations.md", "The access log");
    let named: Vec<&str> = rows(&page).filter_map(|row| quoted(row[0]).next()).collect();
    // The second kind of line repeats fields of the first.
    let mut once: Vec<&str> = Vec::new();
    fields.for_each(|field| {
        if !once.contains(&field) {
            once.push(field);
        }
    });
    assert_eq!(named, once);
}

#[test]
fn nothing_a_client_sends_becomes_a_label() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send("ODDITY /oddity?oddity HTTP/1.1\r\nHost: oddity.test\r\nOddity: oddity\r\n\r\n");
    assert_eq!(client.response("ODDITY").status, 200);
    let metrics = gateway.metrics();
    assert!(!metrics.to_ascii_lowercase().contains("oddity"), "{metrics}");
}
