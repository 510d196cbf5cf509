//! Uses of one file by another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::modules::{ModuleId, Modules, attributes, imports, is_test_only};

pub(crate) struct Use {
    pub(crate) from: PathBuf,
    pub(crate) line: usize,
    pub(crate) to: PathBuf,
    /// As it is written.
    pub(crate) path: String,
}

/// The first use for each pair of files of the target that starts at this file.
pub(crate) fn uses(root: &Path) -> Vec<Use> {
    let modules = Modules::load(root);
    let mut found = BTreeMap::new();
    for (id, module) in modules.0.iter().enumerate() {
        let mut search = Search { modules: &modules, module: id, found: &mut found };
        module.code.iter().for_each(|item| search.visit_item(item));
    }
    found.into_values().collect()
}

struct Search<'a> {
    modules: &'a Modules,
    module: ModuleId,
    found: &'a mut BTreeMap<(PathBuf, PathBuf), Use>,
}

impl Search<'_> {
    fn add(&mut self, path: &[String], line: usize) {
        let from = &self.modules.0[self.module].file;
        for to in self.modules.resolve(self.module, path) {
            let to = &self.modules.0[to].file;
            if to != from {
                self.found.entry((from.clone(), to.clone())).or_insert_with(|| Use {
                    from: from.clone(),
                    line,
                    to: to.clone(),
                    path: path.join("::"),
                });
            }
        }
    }

    /// Paths in the arguments of a macro, which need not be Rust.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add_qualified(&std::mem::take(&mut path), line);
                        line = ident.span().start().line;
                    }
                    colons = 0;
                    path.push(ident.to_string());
                }
                other => {
                    self.add_qualified(&std::mem::take(&mut path), line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.scan(group.stream());
                    }
                }
            }
        }
        self.add_qualified(&path, line);
    }

    /// Adds a path that names where to look; a lone name came in by a `use`, which counts already.
    fn add_qualified(&mut self, path: &[String], line: usize) {
        if path.len() > 1 {
            self.add(path, line);
        }
    }
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test_only(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for import in imports(&item.tree) {
            self.add(&import.path, import.line);
        }
    }

    // A module inside this file is searched by itself.
    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
        self.add_qualified(&names, line);
        visit::visit_path(self, path); // its generic arguments
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.scan(call.tokens.clone());
    }

    // `pub(in path)` and attributes use nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
