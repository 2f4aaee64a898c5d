//! Symbolic links of a package: each must end inside it, also by way of others.

use std::collections::BTreeMap;

use super::PackageError;

/// Links that one path may go through, as on Linux.
const HOPS_MAX: usize = 40;
/// Work that all links of a package together may make, in components of the paths that are looked up on the way; far
/// beyond honest packages.
const WORK_MAX: usize = 10_000_000;

/// Checks all links (path and target) of a package.
pub(super) fn check(links: &BTreeMap<String, String>) -> Result<(), PackageError> {
    let mut work_left = WORK_MAX;
    for (path, target) in links {
        if !stays_inside(path, target, links, &mut work_left) {
            let (path, target) = (path.escape_debug(), target.escape_debug());
            return Err(PackageError::UnsafeEntry(format!("`{path}` links out of the package, to `{target}`")));
        }
    }
    Ok(())
}

/// Walks as the kernel would: `..` after a link leaves the directory that the link leads to, not the link's own.
fn stays_inside(path: &str, target: &str, links: &BTreeMap<String, String>, work_left: &mut usize) -> bool {
    if target.starts_with('/') {
        return false;
    }
    let mut place: Vec<&str> = path.split('/').collect();
    place.pop();
    let mut ahead: Vec<&str> = target.split('/').rev().collect();
    let mut hops = 0;
    while let Some(component) = ahead.pop() {
        // A deep place costs more: all of its components are joined to look it up.
        let Some(left) = work_left.checked_sub(1 + place.len()) else { return false };
        *work_left = left;
        match component {
            "" | "." => {}
            ".." => {
                if place.pop().is_none() {
                    return false;
                }
            }
            name => {
                place.push(name);
                let Some(next) = links.get(&place.join("/")) else { continue };
                hops += 1;
                if hops > HOPS_MAX || next.starts_with('/') {
                    return false;
                }
                place.pop();
                ahead.extend(next.split('/').rev());
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::check;
    use std::collections::BTreeMap;

    fn inside(links: &[(&str, &str)]) -> bool {
        let links: BTreeMap<_, _> =
            links.iter().map(|(path, target)| ((*path).to_owned(), (*target).to_owned())).collect();
        check(&links).is_ok()
    }

    #[test]
    fn links_that_stay_inside_are_kept() {
        assert!(inside(&[("lib/a.so", "a.so.1"), ("lib/a.so.1", "./a.so.1.2")]));
        assert!(inside(&[("bin/x", "../lib/x")]));
        assert!(inside(&[("here", "."), ("a/up", "..")]));
        assert!(inside(&[("dangling", "nowhere/at/all")]));
    }

    #[test]
    fn links_that_leave_are_refused() {
        assert!(!inside(&[("x", "/etc/passwd")]));
        assert!(!inside(&[("x", "..")]));
        assert!(!inside(&[("a/b", "../../x")]));
        assert!(!inside(&[("a/b", "c/../../../x")]));
    }

    #[test]
    fn a_link_that_leaves_by_way_of_another_is_refused() {
        // By the letters `a/b/c/..` is `a/b`, but `a/b/c` is the root, and its parent is outside.
        assert!(!inside(&[("a/b/c", "../.."), ("x", "a/b/c/../y")]));
    }

    #[test]
    fn circles_and_long_chains_are_refused() {
        assert!(!inside(&[("a", "b"), ("b", "a")]));
        let doubling: Vec<_> = (1..60).map(|number| (format!("l{number}"), format!("l{0}/l{0}", number - 1))).collect();
        let doubling: Vec<_> = doubling.iter().map(|(path, target)| (path.as_str(), target.as_str())).collect();
        assert!(!inside(&doubling));
    }

    #[test]
    fn honest_numbers_of_links_are_kept_and_deep_targets_cost_what_they_take() {
        let check = |count: usize, target: &str, expected: bool| {
            let links: BTreeMap<_, _> =
                (0..count).map(|number| (format!("a/b/c/d/{number}"), target.to_owned())).collect();
            assert_eq!(super::check(&links).is_ok(), expected, "{count} links");
        };
        check(20_000, "../../../lib/node_modules/some-package/bin/program.js", true);
        check(20_000, &"a/".repeat(2_000), false);
    }
}
