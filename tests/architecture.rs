//! What ARCHITECTURE.md promises, read from the sources: which room may know which, no circle between files, and one
//! door for each outside crate. A `pub use` only passes a name on: it is followed to the file that defines the name,
//! and is no arrow itself. Nor is what a file takes from the module that it is a part of: a folder may keep the type
//! that its files share in its `mod.rs`. Code under `#[cfg(test)]` may look wherever it likes.

#![allow(clippy::unwrap_used)] // a source that cannot be read is a failed test

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use syn::visit::{self, Visit};

/// Each room with the rooms that it may know.
const ROOMS: &[(&str, &[&str])] = &[
    ("mqtt", &[]),
    ("session", &["mqtt"]),
    ("exit_status", &["mqtt"]),
    ("terminal", &["exit_status", "mqtt"]),
    ("template", &[]),
    ("dissect", &["mqtt", "terminal"]),
    ("message_json", &["mqtt", "terminal"]),
    ("recording", &["message_json", "terminal"]),
    ("transport", &["exit_status", "mqtt", "terminal"]),
    ("client", &["dissect", "exit_status", "mqtt", "session", "terminal", "transport"]),
    ("options", &["client", "exit_status", "mqtt", "session", "terminal", "transport"]),
    ("check", &["client", "exit_status", "mqtt", "options", "session", "terminal", "transport"]),
    (
        "publish",
        &[
            "client",
            "exit_status",
            "message_json",
            "mqtt",
            "options",
            "recording",
            "session",
            "template",
            "terminal",
            "transport",
        ],
    ),
    (
        "subscribe",
        &["client", "exit_status", "message_json", "mqtt", "options", "recording", "session", "terminal", "transport"],
    ),
    (
        "request",
        &[
            "client",
            "exit_status",
            "message_json",
            "mqtt",
            "options",
            "publish",
            "session",
            "subscribe",
            "terminal",
            "transport",
        ],
    ),
    (
        "explore",
        &[
            "client",
            "exit_status",
            "message_json",
            "mqtt",
            "options",
            "recording",
            "session",
            "subscribe",
            "terminal",
            "transport",
        ],
    ),
    ("bench", &["client", "exit_status", "mqtt", "options", "session", "template", "terminal", "transport"]),
    ("broker", &["client", "dissect", "exit_status", "mqtt", "options", "session", "terminal", "transport"]),
];

/// Outside crates that belong to one place: the crate and the files (by the start of their module path) that name it.
/// What is not listed here may be used anywhere.
const DOORS: &[(&str, &[&str])] = &[
    ("argon2", &["broker::access"]),
    ("clap", &["options"]),
    ("colored", &["terminal"]),
    ("flate2", &["recording"]),
    ("futures_util", &["transport"]),
    ("hdrhistogram", &["bench::measure", "publish::schedule"]),
    ("httparse", &["transport", "broker::driver", "bench::prometheus"]),
    ("indicatif", &["terminal"]),
    ("jaq_core", &["subscribe::jq"]),
    ("jaq_json", &["subscribe::jq"]),
    ("jaq_std", &["subscribe::jq"]),
    ("maud", &["bench::report::html"]),
    ("mio", &["broker"]),
    ("openssl", &["transport::tls"]),
    ("pbkdf2", &["broker::access"]),
    ("ratatui", &["explore"]),
    ("regex_bites", &["subscribe::expression"]),
    ("prometheus_client", &["bench::prometheus"]),
    ("rumqttc", &["bench::engine::shard::library::connection"]),
    ("redb", &["broker::store"]),
    ("rpassword", &["terminal"]),
    ("rustls", &["transport::tls"]),
    ("rustls_native_certs", &["transport::tls"]),
    ("shlex", &["bench::job", "bench::report", "options"]),
    ("socket2", &["broker"]),
    ("terminal_size", &["terminal"]),
    ("tokio_openssl", &["transport::tls"]),
    ("tokio_rustls", &["transport::tls"]),
    ("tokio_socks", &["transport::proxy"]),
    ("tokio_tungstenite", &["transport", "broker::driver"]),
    ("x509_cert", &["transport::tls"]),
    ("zstd", &["recording"]),
];

#[test]
fn no_file_is_in_a_circle() {
    let circles = House::read().circles();
    assert!(circles.is_empty(), "files that need each other:\n{}", circles.concat());
}

#[test]
fn every_room_is_described() {
    let [page, map] = ["ARCHITECTURE.md", "src/lib.rs"]
        .map(|file| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap());
    let drawing = page.split("```").nth(1).unwrap();
    for (room, _) in ROOMS {
        assert!(
            drawing.split_whitespace().any(|word| word == *room),
            "{room} is not in the drawing of ARCHITECTURE.md"
        );
        let is_listed = [format!("[`{room}`]"), format!("- `{room}`"), format!("[`mod@{room}`]")];
        assert!(is_listed.iter().any(|name| map.contains(name)), "{room} is not in the list of src/lib.rs");
    }
}

#[test]
fn no_room_knows_a_room_above_it() {
    let house = House::read();
    let order: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    for (at, (room, known)) in ROOMS.iter().enumerate() {
        assert!(known.iter().all(|it| order[..at].contains(it)), "the table lets {room} know a room above it");
    }
    let mut wrong = String::new();
    for ((from, to), names) in &house.arrows {
        let (room, other) = (room_of(from), room_of(to));
        if room.is_empty() || room == other || room == "lib" {
            continue;
        }
        let known = ROOMS.iter().find(|(it, _)| *it == room).map(|(_, known)| *known);
        let Some(known) = known else { panic!("the room {room} is not in the table") };
        if !known.contains(&other) {
            let _ = writeln!(wrong, "  {from} uses {} of {to}", list(names));
        }
    }
    assert!(wrong.is_empty(), "arrows that the table of rooms does not allow:\n{wrong}");
}

#[test]
fn an_outside_crate_has_one_door() {
    let mut wrong = String::new();
    for (module, crates) in &House::read().crates {
        for (name, doors) in DOORS {
            let inside = doors.iter().any(|door| module == door || module.starts_with(&format!("{door}::")));
            if crates.contains(*name) && !inside {
                let _ = writeln!(wrong, "  {module} names {name}, whose door is {}", doors.join(" and "));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A process that is started beside the harness is one that nobody ends when its test fails, and that a test may wait
/// for without end.
#[test]
fn tests_start_processes_by_their_harness_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let harness = root.join("support/process.rs");
    let (mut folders, mut wrong) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && path != harness {
                let source = std::fs::read_to_string(&path).unwrap();
                if [".spawn", "wait_with_output"].iter().any(|call| source.contains(&format!("{call}()"))) {
                    wrong.push(path);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "use tests/support/process.rs: {wrong:#?}");
}

#[test]
fn a_planted_circle_is_found() {
    let sources = [
        ("lib", "pub mod a; pub mod b;"),
        ("a", "pub use first::Thing; mod first; mod second;"),
        ("a::first", "use super::second::helper; pub struct Thing; fn call() { helper() }"),
        ("a::second", "pub fn helper() -> Option<crate::a::Thing> { None }"),
        ("b", "use crate::a::Thing; #[cfg(test)] mod tests { use crate::c::Gone; }"),
    ];
    let house = House::of(sources.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned())));
    let circles = house.circles();
    assert_eq!(circles.len(), 1, "{circles:?}");
    assert!(circles[0].contains("a::first uses helper of a::second"), "{circles:?}");
    assert!(circles[0].contains("a::second uses Thing of a::first"), "{circles:?}");
    assert_eq!(house.arrows.keys().filter(|(from, _)| from == "b").count(), 1, "the door is looked through");
}

fn room_of(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// All modules with a file, what they use of each other, and the outside crates that they name.
struct House {
    modules: BTreeMap<String, Module>,
    arrows: BTreeMap<(String, String), BTreeSet<String>>,
    crates: BTreeMap<String, BTreeSet<String>>,
}

/// One file.
#[derive(Default)]
struct Module {
    /// Names that it passes on, with the path at which they are found.
    passed_on: BTreeMap<String, Vec<String>>,
    /// Modules whose every name it passes on.
    globs: Vec<Vec<String>>,
    /// Names that it defines.
    defined: BTreeSet<String>,
    /// Paths that it uses, from the root of the library.
    used: BTreeSet<Vec<String>>,
    crates: BTreeSet<String>,
    test_modules: BTreeSet<String>,
}

impl House {
    fn read() -> &'static Self {
        static HOUSE: OnceLock<House> = OnceLock::new();
        HOUSE.get_or_init(Self::read_sources)
    }

    fn read_sources() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut sources = Vec::new();
        collect(&root, "", &mut sources);
        assert!(sources.len() > 100, "the sources are where the test looks for them");
        Self::of(sources.into_iter())
    }

    fn of(sources: impl Iterator<Item = (String, String)>) -> Self {
        let mut modules: BTreeMap<String, Module> = BTreeMap::new();
        let sources: Vec<_> = sources.collect();
        for (name, text) in &sources {
            let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut reader = Reader::new(name);
            reader.visit_file(&file);
            modules.insert(name.clone(), reader.module);
        }
        let tests: Vec<String> =
            modules.iter().flat_map(|(name, module)| module.test_modules.iter().map(|it| child(name, it))).collect();
        modules.retain(|name, _| !tests.iter().any(|test| name == test || name.starts_with(&format!("{test}::"))));
        let mut house = Self { modules, arrows: BTreeMap::new(), crates: BTreeMap::new() };
        for (name, module) in &house.modules {
            house.crates.insert(name.clone(), module.crates.clone());
            for path in &module.used {
                let Some((target, item)) = house.resolve(path, 0) else { continue };
                if target != *name && target != "lib" {
                    house.arrows.entry((name.clone(), target)).or_default().insert(item);
                }
            }
        }
        house
    }

    /// The file that defines what a path from the root names, and the name.
    fn resolve(&self, path: &[String], depth: usize) -> Option<(String, String)> {
        assert!(depth < 20, "{path:?} is passed on in a ring");
        let mut module = "lib".to_owned();
        for (at, segment) in path.iter().enumerate() {
            let inner = child(&module, segment);
            if self.modules.contains_key(&inner) {
                module = inner;
                continue;
            }
            let here = self.modules.get(&module)?;
            if let Some(onward) = here.passed_on.get(segment) {
                let onward: Vec<String> = onward.iter().chain(&path[at + 1..]).cloned().collect();
                return self.resolve(&onward, depth + 1);
            }
            if !here.defined.contains(segment) {
                for glob in &here.globs {
                    let onward: Vec<String> = glob.iter().chain(&path[at..]).cloned().collect();
                    if let Some((found, item)) = self.resolve(&onward, depth + 1)
                        && self.modules[&found].defined.contains(&item)
                    {
                        return Some((found, item));
                    }
                }
            }
            return Some((module, segment.clone()));
        }
        let last = path.last().cloned().unwrap_or_default();
        Some((module, last))
    }

    /// Groups of files that reach each other, each as lines of what ties it.
    fn circles(&self) -> Vec<String> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.modules.keys().map(|name| (name.as_str(), self.reachable(name))).collect();
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for name in self.modules.keys().map(String::as_str) {
            let group: Vec<&str> = reach[name].iter().copied().filter(|other| reach[other].contains(name)).collect();
            if group.len() < 2 || !seen.insert(group.clone()) {
                continue;
            }
            let mut text = format!("- {} files\n", group.len());
            for ((from, to), names) in &self.arrows {
                if group.contains(&from.as_str()) && group.contains(&to.as_str()) && !is_part_of(from, to) {
                    let _ = writeln!(text, "  {from} uses {} of {to}", list(names));
                }
            }
            circles.push(text);
        }
        circles
    }

    fn reachable(&self, from: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut next = vec![from];
        while let Some(name) = next.pop() {
            let start = (name.to_owned(), String::new());
            for (_, to) in self.arrows.range(start..).map(|(arrow, _)| arrow).take_while(|(from, _)| from == name) {
                if !is_part_of(name, to) && found.insert(to.as_str()) {
                    next.push(to);
                }
            }
        }
        found
    }
}

fn is_part_of(module: &str, whole: &str) -> bool {
    module.strip_prefix(whole).is_some_and(|rest| rest.starts_with("::"))
}

fn child(module: &str, name: &str) -> String {
    if module == "lib" { name.to_owned() } else { format!("{module}::{name}") }
}

fn collect(folder: &Path, module: &str, sources: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let inner = if module.is_empty() { stem.clone() } else { format!("{module}::{stem}") };
        if path.is_dir() {
            if inner != "bin" {
                collect(&path, &inner, sources);
            }
        } else if path.extension().is_some_and(|it| it == "rs") {
            let name = if stem == "mod" { module.to_owned() } else { inner };
            sources.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Reads one file's arrows.
struct Reader {
    /// The path of the module from the root.
    place: Vec<String>,
    module: Module,
    /// What `use` brought into the file under which name.
    imported: BTreeSet<String>,
}

impl Reader {
    fn new(name: &str) -> Self {
        let place = if name == "lib" { Vec::new() } else { name.split("::").map(str::to_owned).collect() };
        Self { place, module: Module::default(), imported: BTreeSet::new() }
    }

    /// The path from the root; none if it leads out of the library (then its crate is written down).
    fn absolute(&mut self, path: &[String]) -> Option<Vec<String>> {
        let first = path.first()?.as_str();
        let rest = match first {
            "crate" => return Some(path[1..].to_vec()),
            "self" => return Some([&self.place, &path[1..]].concat()),
            "super" => {
                let up = path.iter().take_while(|it| *it == "super").count();
                let kept = self.place.len().checked_sub(up)?;
                return Some([&self.place[..kept], &path[up..]].concat());
            }
            _ => path,
        };
        self.module.crates.insert(first.to_owned());
        let inner = [&self.place[..], rest].concat();
        Some(inner)
    }

    fn read_use(&mut self, prefix: &[String], tree: &syn::UseTree, public: bool) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.read_use(&with(&path.ident), &path.tree, public),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.read_use(prefix, tree, public);
                }
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let last = prefix.last().cloned().unwrap_or_default();
                self.take(prefix.to_vec(), last, public);
            }
            syn::UseTree::Name(name) => self.take(with(&name.ident), name.ident.to_string(), public),
            syn::UseTree::Rename(rename) => self.take(with(&rename.ident), rename.rename.to_string(), public),
            syn::UseTree::Glob(_) => {
                if let Some(path) = self.absolute(prefix) {
                    if public {
                        self.module.globs.push(path);
                    } else {
                        self.module.used.insert(path);
                    }
                }
            }
        }
    }

    fn take(&mut self, path: Vec<String>, name: String, public: bool) {
        let Some(path) = self.absolute(&path) else { return };
        if public {
            self.module.passed_on.insert(name, path);
        } else {
            self.imported.insert(name);
            self.module.used.insert(path);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("cfg")
            && it.meta.require_list().is_ok_and(|list| {
                let condition = list.tokens.to_string();
                condition == "test" || condition.starts_with("all (test") || condition.starts_with("all(test")
            })
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        use syn::Item;
        let (attributes, name) = match item {
            Item::Mod(it) => (&it.attrs, Some(&it.ident)),
            Item::Fn(it) => (&it.attrs, Some(&it.sig.ident)),
            Item::Struct(it) => (&it.attrs, Some(&it.ident)),
            Item::Enum(it) => (&it.attrs, Some(&it.ident)),
            Item::Const(it) => (&it.attrs, Some(&it.ident)),
            Item::Static(it) => (&it.attrs, Some(&it.ident)),
            Item::Trait(it) => (&it.attrs, Some(&it.ident)),
            Item::Type(it) => (&it.attrs, Some(&it.ident)),
            Item::Use(it) => (&it.attrs, None),
            Item::Impl(it) => (&it.attrs, None),
            _ => return visit::visit_item(self, item),
        };
        if is_test(attributes) {
            if let Item::Mod(module) = item {
                self.module.test_modules.insert(module.ident.to_string());
            }
            return;
        }
        if let Some(name) = name {
            self.module.defined.insert(name.to_string());
        }
        match item {
            Item::Use(it) => {
                let public = !matches!(it.vis, syn::Visibility::Inherited);
                self.read_use(&[], &it.tree, public);
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        let relative = segments.len() > 1 && !self.imported.contains(&segments[0]) && segments[0] != "Self";
        if relative && let Some(path) = self.absolute(&segments) {
            self.module.used.insert(path);
        }
        visit::visit_path(self, path);
    }
}
