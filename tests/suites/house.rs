//! The house as ARCHITECTURE.md draws it: no file looks at another in a circle, no crate against the arrows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, UseTree};

/// A file as a module: `["run", "engine"]` is `src/run/engine.rs`; empty for the crate's root.
type Module = Vec<String>;
/// Who looks at whom.
type Graph = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn no_file_looks_at_another_in_a_circle() {
    let mut circles = Vec::new();
    for name in crates() {
        if let Some(circle) = circle(&imports(&root().join(&name).join("src"))) {
            let files: Vec<String> = circle.iter().map(|it| file_name(&name, it)).collect();
            circles.push(files.join(" -> "));
        }
    }
    assert!(circles.is_empty(), "files look at each other in a circle:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found_and_what_a_parent_shares_with_its_children_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    write("lib.rs", "mod a; mod b; mod c;");
    write("a.rs", "mod child; use child::X; pub struct A; fn f() { crate::b::g() }");
    write("a/child.rs", "use super::A; pub struct X(A);");
    write("b.rs", "pub fn g() {} #[cfg(test)] mod tests { use crate::c::C; }");
    write("c.rs", "use crate::{a::A, b}; pub struct C(A);");
    assert_eq!(circle(&imports(folder.path())), None);
    write("b.rs", "use super::c::{self, C}; pub fn g() {}");
    let found = circle(&imports(folder.path())).expect("a circle");
    let found: Vec<String> = found.iter().map(|it| it.join("/")).collect();
    assert_eq!(found, ["a", "b", "c", "a"]);
}

#[test]
fn crates_use_each_other_along_the_arrows_and_nothing_that_they_must_not_know() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let arrows = page.split("\nArrows: ").nth(1).expect("a paragraph that begins with Arrows:");
    let below = below(arrows.split(". ").next().unwrap_or_default());
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let shy: BTreeMap<&str, &str> = rows
        .filter_map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let &[_, folder, _, _, unknown, _] = cells.as_slice() else { return None };
            Some((folder.trim_matches(['`', '/']), unknown))
        })
        .collect();
    let mut wrong = Vec::new();
    for name in crates() {
        let unknown = shy.get(name.as_str()).unwrap_or_else(|| panic!("no room {name}/"));
        for dependency in dependencies(&name) {
            if let Some(other) = dependency.strip_prefix("lvs-") {
                let allowed =
                    name == "tests" || below.get(&name).is_some_and(|it| it.contains(other));
                if !allowed {
                    wrong.push(format!("{name} -> {other}: no arrow"));
                }
            }
            if knows(unknown, &dependency) {
                wrong.push(format!("{name} -> {dependency}: it must not know {unknown}"));
            }
        }
    }
    assert!(wrong.is_empty(), "against ARCHITECTURE.md: {wrong:#?}");
}

/// Whether a crate from elsewhere is of what a room must not know.
fn knows(unknown: &str, dependency: &str) -> bool {
    let means = |word: &str| match word {
        "netlink" => dependency.starts_with("netlink-"),
        "tokio" => dependency == "tokio",
        "Kubernetes" => matches!(dependency, "kube" | "k8s-openapi"),
        "sockets" => matches!(dependency, "socket2" | "nix"),
        _ => false,
    };
    unknown.split([',', ' ']).any(means)
}

/// Which crates each may use, from `a <- b, c; d <- b`.
fn below(arrows: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut below: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for chain in arrows.replace('\n', " ").split(';') {
        let mut lower = BTreeSet::new();
        for names in chain.split("<-") {
            let names: Vec<String> =
                names.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            for name in &names {
                below.entry(name.clone()).or_default().extend(lower.iter().cloned());
            }
            lower.extend(names);
        }
    }
    below
}

/// The names of what a crate's Cargo.toml brings in, for tests too.
fn dependencies(name: &str) -> Vec<String> {
    let path = root().join(name).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let sections = text.split("\n[").filter(|it| it.starts_with("dependencies]"));
    let lines = sections.flat_map(|section| section.lines().skip(1));
    lines
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The folders of the workspace's crates.
fn crates() -> Vec<String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let members = text.lines().find(|line| line.starts_with("members = ")).expect("members");
    members.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file_name(name: &str, module: &Module) -> String {
    if module.is_empty() {
        format!("{name}/src/lib.rs")
    } else {
        format!("{name}/src/{}.rs", module.join("/"))
    }
}

/// The files below a folder and which others each of them names. A parent and what is below it count as one house: it
/// declares them, they share its private items.
fn imports(source: &Path) -> Graph {
    let mut files = BTreeMap::new();
    find(source, &mut Module::new(), &mut files);
    let known: BTreeSet<&Module> = files.keys().collect();
    let mut graph = Graph::new();
    for (module, path) in &files {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let mut reader = Reader { module, inside: 0, known: &known, named: BTreeSet::new() };
        reader.visit_file(&file);
        let named = reader.named.into_iter();
        graph.insert(
            module.clone(),
            named.filter(|it| !it.starts_with(module) && !module.starts_with(it)).collect(),
        );
    }
    graph
}

fn find(folder: &Path, module: &mut Module, files: &mut BTreeMap<Module, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name == "tests" || name == "bin" {
            continue;
        }
        let is_root = module.is_empty() && (name == "lib" || name == "main");
        if path.is_dir() {
            module.push(name);
            find(&path, module, files);
            module.pop();
        } else if path.extension().is_some_and(|it| it == "rs") && !(is_root && name == "main") {
            let mut this = module.clone();
            if !is_root {
                this.push(name);
            }
            files.insert(this, path);
        }
    }
}

/// Reads which files one file names.
struct Reader<'a> {
    module: &'a Module,
    /// In how many modules that are no files of their own it is.
    inside: usize,
    known: &'a BTreeSet<&'a Module>,
    named: BTreeSet<Module>,
}

impl Reader<'_> {
    fn name(&mut self, path: &[String]) {
        let mut at = self.module.clone();
        let mut inside = self.inside;
        let mut steps = path.iter().peekable();
        match path.first().map(String::as_str) {
            Some("crate") => {
                at.clear();
                steps.next();
            }
            Some("self" | "super") => {
                while let Some(step) = steps.next_if(|it| matches!(it.as_str(), "self" | "super")) {
                    if step == "super" && inside > 0 {
                        inside -= 1;
                    } else if step == "super" {
                        at.pop();
                    }
                }
            }
            Some(first) => {
                let child = [self.module.as_slice(), &[first.to_owned()]].concat();
                if !self.known.contains(&child) {
                    return;
                }
            }
            None => return,
        }
        for step in steps {
            at.push(step.clone());
            if !self.known.contains(&at) {
                at.pop();
                break;
            }
        }
        self.named.insert(at);
    }

    fn tree(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|it| self.tree(it, before)),
            UseTree::Name(name) => self.leaf(name.ident.to_string(), before),
            UseTree::Rename(name) => self.leaf(name.ident.to_string(), before),
            UseTree::Glob(_) => self.name(before),
        }
    }

    fn leaf(&mut self, name: String, before: &mut Vec<String>) {
        if name == "self" && !before.is_empty() {
            return self.name(before);
        }
        before.push(name);
        self.name(before);
        before.pop();
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => item.attrs.as_slice(),
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.inside += 1;
        visit::visit_item_mod(self, item);
        self.inside -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let steps: Vec<String> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        if steps.len() > 1 {
            self.name(&steps);
        }
        visit::visit_path(self, path);
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

/// A way that leads back to where it begins.
fn circle(graph: &Graph) -> Option<Vec<Module>> {
    fn walk(
        at: &Module,
        graph: &Graph,
        way: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) -> Option<Vec<Module>> {
        if let Some(begin) = way.iter().position(|it| it == at) {
            return Some([&way[begin..], std::slice::from_ref(at)].concat());
        }
        if done.contains(at) {
            return None;
        }
        way.push(at.clone());
        let found =
            graph.get(at).into_iter().flatten().find_map(|next| walk(next, graph, way, done));
        way.pop();
        done.insert(at.clone());
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|at| walk(at, graph, &mut Vec::new(), &mut done))
}
