use super::tree::Tree;
use super::{Wishes, javascript};
use crate::commands::runtimes::OfferedRuntime;
use crate::failure::Failure;

/// Modules that are looked at for a handler, in this order.
const MODULES: &[&str] = &["app", "lambda_function", "handler", "index", "main"];
/// Functions that count as a handler, in this order.
const FUNCTIONS: &[&str] = &["handler", "lambda_handler"];
/// Runtime of a package that brings its own executable.
const NATIVE_RUNTIME: &str = "provided.al2023";

/// How a package is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recognised {
    pub(super) runtime: String,
    pub(super) handler: String,
}

/// Finds runtime and handler, as far as they were not given. `shown` names the package in messages.
pub(super) fn recognise(
    tree: &Tree,
    wishes: &Wishes,
    offered: &[OfferedRuntime],
    shown: &str,
) -> Result<Recognised, Failure> {
    let runtime = match &wishes.runtime {
        Some(runtime) => runtime.clone(),
        None => runtime_of(tree, offered, shown)?,
    };
    if runtime.starts_with("provided") {
        check_bootstrap(tree, shown)?;
    }
    let handler = match &wishes.handler {
        Some(handler) => handler.clone(),
        None if runtime.starts_with("python") => python_handler(tree, shown)?,
        None if runtime.starts_with("nodejs") => javascript::handler(tree, shown)?,
        None => "bootstrap".to_owned(),
    };
    Ok(Recognised { runtime, handler })
}

fn runtime_of(tree: &Tree, offered: &[OfferedRuntime], shown: &str) -> Result<String, Failure> {
    if tree.get("bootstrap").is_some() {
        return Ok(NATIVE_RUNTIME.to_owned());
    }
    let has_manifest = tree.get("package.json").is_some();
    if tree.get("requirements.txt").is_some() || (top_modules(tree).next().is_some() && !has_manifest) {
        return newest(offered, "python3.", "").ok_or_else(|| {
            Failure::usage(format!("`{shown}` is a Python function, but the server has no Python"))
                .hint("install python3 on the server's machine and restart it; `wuwei runtimes` lists what it has")
        });
    }
    if has_manifest || javascript::is_at_top(tree) {
        return newest(offered, "nodejs", ".x").ok_or_else(|| {
            Failure::usage(format!("`{shown}` is a Node.js function, but the server has no Node.js"))
                .hint("install Node.js 20, 22 or 24 on the server's machine and restart it")
        });
    }
    if let Some(failure) = javascript::typescript_only(tree, shown) {
        return Err(failure);
    }
    Err(Failure::usage(format!("cannot recognise the runtime of `{shown}`")).hint(
        "add app.py with `def handler(event, context)`, index.mjs that exports `handler`, or an executable \
         `bootstrap`, or give --runtime",
    ))
}

/// The runtime with this beginning and end that has the greatest number between them.
fn newest(offered: &[OfferedRuntime], beginning: &str, end: &str) -> Option<String> {
    let number =
        |runtime: &OfferedRuntime| runtime.identifier.strip_prefix(beginning)?.strip_suffix(end)?.parse::<u32>().ok();
    let newest = offered.iter().filter_map(|runtime| Some((number(runtime)?, &runtime.identifier))).max();
    newest.map(|(_, identifier)| identifier.clone())
}

fn check_bootstrap(tree: &Tree, shown: &str) -> Result<(), Failure> {
    match tree.get("bootstrap") {
        Some(entry) if entry.mode & 0o111 != 0 => Ok(()),
        Some(_) => {
            Err(Failure::usage(format!("`bootstrap` in `{shown}` is not executable")).hint("chmod +x bootstrap"))
        }
        None => Err(Failure::usage(format!("`{shown}` has no `bootstrap`, which this runtime starts"))
            .hint("name the executable `bootstrap`")),
    }
}

fn top_modules(tree: &Tree) -> impl Iterator<Item = &str> {
    tree.iter().filter_map(|(name, _)| name.strip_suffix(".py")).filter(|module| !module.contains('/'))
}

/// `module.function` of the first handler found: well-known modules first, then a module that stands alone.
fn python_handler(tree: &Tree, shown: &str) -> Result<String, Failure> {
    let mut candidates: Vec<&str> = MODULES.to_vec();
    let mut modules = top_modules(tree).filter(|module| *module != "__init__" && *module != "setup");
    if let (Some(only), None) = (modules.next(), modules.next()) {
        candidates.push(only);
    }
    for module in candidates {
        let Some(text) = tree.get(&format!("{module}.py")).and_then(super::tree::Entry::text) else { continue };
        if let Some(function) = FUNCTIONS.iter().find(|function| defines(&text, function)) {
            return Ok(format!("{module}.{function}"));
        }
    }
    Err(Failure::usage(format!("cannot find the handler in `{shown}`"))
        .hint("define `def handler(event, context)` in app.py, or give --handler MODULE.FUNCTION"))
}

/// Whether Python text defines a function at its top level.
fn defines(text: &str, function: &str) -> bool {
    text.lines().any(|line| {
        let rest = line.strip_prefix("def ").and_then(|rest| rest.trim_start().strip_prefix(function));
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
    })
}
