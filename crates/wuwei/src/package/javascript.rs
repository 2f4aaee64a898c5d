//! What tells a Node.js function from its files.

use serde::Deserialize;

use super::tree::{Entry, Tree};
use crate::failure::Failure;

/// Endings of modules, in the order in which the runtime tries them.
const ENDINGS: [&str; 3] = [".js", ".mjs", ".cjs"];
/// Modules that are looked at for a handler, in this order.
const MODULES: [&str; 5] = ["index", "app", "handler", "main", "lambda"];

/// What matters of a package.json.
#[derive(Debug, Default, Deserialize)]
struct Manifest {
    #[serde(default)]
    main: Option<String>,
}

/// Whether a JavaScript module lies at the top of the package.
pub(super) fn is_at_top(tree: &Tree) -> bool {
    modules_at_top(tree).next().is_some()
}

/// `module.handler` of the first module that exports it: the package's main module, well-known ones, then one that stands
/// alone.
pub(super) fn handler(tree: &Tree, shown: &str) -> Result<String, Failure> {
    let manifest: Manifest = tree
        .get("package.json")
        .and_then(Entry::text)
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let main = manifest.main.as_deref().map(|main| main.trim_start_matches("./"));
    let main = main.map(|main| ENDINGS.iter().find_map(|ending| main.strip_suffix(ending)).unwrap_or(main));
    let mut at_top = modules_at_top(tree);
    let alone = match (at_top.next(), at_top.next()) {
        (Some(only), None) => Some(only),
        (Some(_) | None, _) => None,
    };
    let candidates = main.into_iter().chain(MODULES).chain(alone);
    for module in candidates.filter(|module| !module.contains('.')) {
        let text = ENDINGS.iter().find_map(|ending| tree.get(&format!("{module}{ending}"))).and_then(Entry::text);
        if text.is_some_and(|text| exports_handler(&text)) {
            return Ok(format!("{module}.handler"));
        }
    }
    Err(typescript_only(tree, shown).unwrap_or_else(|| {
        Failure::usage(format!("cannot find the handler in `{shown}`")).hint(
            "export it from index.mjs (`export const handler = async (event, context) => ...`), or give \
             --handler MODULE.FUNCTION",
        )
    }))
}

/// The failure for a package whose code is TypeScript that nobody has compiled.
pub(super) fn typescript_only(tree: &Tree, shown: &str) -> Option<Failure> {
    let has_typescript = tree.iter().any(|(name, _)| {
        let is_code = [".ts", ".mts", ".cts"].iter().any(|ending| name.ends_with(ending)) && !name.ends_with(".d.ts");
        is_code && !name.starts_with("node_modules/")
    });
    has_typescript.then(|| {
        Failure::usage(format!("`{shown}` is TypeScript, which wuwei does not compile")).hint(
            "compile it first, for example: npx esbuild index.ts --bundle --platform=node --outfile=dist/index.js; \
             then deploy dist",
        )
    })
}

fn modules_at_top(tree: &Tree) -> impl Iterator<Item = &str> {
    let modules = tree.iter().filter_map(|(name, _)| ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)));
    // Settings of tools (`eslint.config.js`) are no modules of the function.
    modules.filter(|module| !module.contains(['/', '.']))
}

/// Whether JavaScript text exports something called `handler`, in whatever way: the runtime decides, this only finds.
fn exports_handler(text: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || character == '_' || character == '$';
    text.contains("export") && text.split(|character| !is_word(character)).any(|word| word == "handler")
}
