//! The modules of a target, the file of each, and the module that a path leads to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, UseTree};

/// Index of a module; the root is 0.
pub(crate) type ModuleId = usize;

const ROOT: ModuleId = 0;

/// Bound on imports followed from one path: imports may lead back to where they started.
const IMPORTS: u32 = 8;

pub(crate) struct Modules(pub(crate) Vec<Module>);

pub(crate) struct Module {
    pub(crate) file: PathBuf,
    pub(crate) code: Vec<Item>,
    parent: ModuleId,
    children: HashMap<String, ModuleId>,
    imports: Vec<Import>,
    /// Names that are defined here.
    names: HashSet<String>,
}

/// A name brought in by `use`.
pub(crate) struct Import {
    /// Unset for a glob.
    name: Option<String>,
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

impl Modules {
    pub(crate) fn load(root: &Path) -> Self {
        let mut modules = Modules(Vec::new());
        modules.add(root, root.parent().expect("a file in a folder"), ROOT, parse(root));
        modules
    }

    /// The modules that define the name at the end of a path, as seen from a module. Empty for names of other crates.
    pub(crate) fn resolve(&self, from: ModuleId, path: &[String]) -> BTreeSet<ModuleId> {
        self.resolve_within(from, path, IMPORTS)
    }

    fn resolve_within(&self, from: ModuleId, path: &[String], imports: u32) -> BTreeSet<ModuleId> {
        let module = &self.0[from];
        let Some((first, rest)) = path.split_first() else { return [from].into() };
        match first.as_str() {
            "crate" => return self.resolve_within(ROOT, rest, imports),
            "super" => return self.resolve_within(module.parent, rest, imports),
            "self" => return self.resolve_within(from, rest, imports),
            _ => {}
        }
        let mut found = BTreeSet::new();
        if let Some(child) = module.children.get(first) {
            let inside = self.resolve_within(*child, rest, imports);
            // A name that nothing defines comes from a macro of that module.
            found.extend(if inside.is_empty() { [*child].into() } else { inside });
            if !rest.is_empty() {
                return found; // only a module has paths into it, not a function of the same name
            }
        }
        if module.names.contains(first) {
            found.insert(from);
        }
        if imports == 0 {
            return found;
        }
        let follow = |import: &Import, rest: &[String]| {
            self.resolve_within(from, &[&import.path, rest].concat(), imports - 1)
        };
        for import in module.imports.iter().filter(|import| import.name.as_ref() == Some(first)) {
            found.extend(follow(import, rest));
        }
        if found.is_empty() {
            let globs = module.imports.iter().filter(|import| import.name.is_none());
            found.extend(globs.flat_map(|glob| follow(glob, path)));
        }
        found
    }

    /// Adds a module whose child modules have their files in `folder`.
    fn add(&mut self, file: &Path, folder: &Path, parent: ModuleId, mut code: Vec<Item>) -> ModuleId {
        let id = self.0.len();
        let mut module = Module {
            file: file.to_owned(),
            code: Vec::new(),
            parent,
            children: HashMap::new(),
            imports: Vec::new(),
            names: HashSet::new(),
        };
        for item in code.iter().filter(|item| !is_test_only(attributes(item))) {
            match item {
                Item::Use(item) => module.imports.extend(imports(&item.tree)),
                item => module.names.extend(name(item)),
            }
        }
        self.0.push(module);
        for item in &mut code {
            let Item::Mod(child) = item else { continue };
            if is_test_only(&child.attrs) {
                continue;
            }
            let name = child.ident.to_string();
            let folder = folder.join(&name);
            let child = if let Some((_, code)) = child.content.take() {
                self.add(file, &folder, id, code)
            } else {
                let beside = folder.with_extension("rs");
                let file = if beside.exists() { beside } else { folder.join("mod.rs") };
                self.add(&file, &folder, id, parse(&file))
            };
            self.0[id].children.insert(name, child);
        }
        self.0[id].code = code;
        id
    }
}

pub(crate) fn imports(tree: &UseTree) -> Vec<Import> {
    let mut found = Vec::new();
    flatten(tree, &[], &mut found);
    found
}

fn flatten(tree: &UseTree, before: &[String], found: &mut Vec<Import>) {
    let path = |last: &syn::Ident| [before, &[last.to_string()]].concat();
    let line = |last: &syn::Ident| last.span().start().line;
    match tree {
        UseTree::Path(tree) => flatten(&tree.tree, &path(&tree.ident), found),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, found)),
        // `a::{self}` names `a` itself.
        UseTree::Name(name) if name.ident == "self" => found.push(Import {
            name: before.last().cloned(),
            path: before.to_vec(),
            line: line(&name.ident),
        }),
        UseTree::Name(name) => found.push(Import {
            name: Some(name.ident.to_string()),
            path: path(&name.ident),
            line: line(&name.ident),
        }),
        UseTree::Rename(name) => found.push(Import {
            name: Some(name.rename.to_string()),
            path: path(&name.ident),
            line: line(&name.ident),
        }),
        UseTree::Glob(glob) => {
            found.push(Import { name: None, path: before.to_vec(), line: glob.star_token.span.start().line });
        }
    }
}

/// Whether the code exists in tests only.
pub(crate) fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = |list: &syn::MetaList| list.path.is_ident("cfg") && list.tokens.to_string() == "test";
        attribute.meta.require_list().is_ok_and(is_test)
    })
}

pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name of an item that is not a module.
fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(ident.to_string())
}

fn parse(file: &Path) -> Vec<Item> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())).items
}
