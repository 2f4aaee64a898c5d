//! Which instances are kept for a function, from what its versions and aliases ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use wuwei_engine::FunctionConcurrency;
use wuwei_model::{Alias, FunctionKey, ProvisionedConcurrency, Version};
use wuwei_store::{Function, Guarantee};

use super::error::ApiError;
use super::lookup::{Qualifier, read_qualifier};
use crate::gateway::Parts;

/// Tells the engine what is kept for a function, as it is stored.
pub(super) async fn apply(parts: &Parts, key: &FunctionKey) -> Result<(), ApiError> {
    let Some((function, _)) = parts.store.functions().get(key).await? else { return Ok(()) };
    let Guarantee { reserved, provisioned } = function.guarantee();
    parts.engine.keep_concurrency(key, FunctionConcurrency { reserved, provisioned });
    let mut wanted = Vec::new();
    for (number, count) in counts(&function) {
        if let Some(version) = parts.store.functions().version(key, number).await? {
            wanted.push((Arc::new(version), count));
        }
    }
    parts.engine.provision(key, &wanted);
    Ok(())
}

/// Instances by version.
fn counts(function: &Function) -> BTreeMap<u64, u32> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for (qualifier, ProvisionedConcurrency { requested, .. }) in &function.provisioned_concurrency {
        for (number, count) in shares(function, qualifier, *requested) {
            let sum = counts.entry(number).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    counts
}

/// What a qualifier asks for, by version: an alias divides it as it divides calls.
pub(super) fn shares(function: &Function, qualifier: &str, requested: u32) -> Vec<(u64, u32)> {
    match read_qualifier(Some(qualifier)) {
        Qualifier::Latest => Vec::new(),
        Qualifier::Number(number) => vec![(number, requested)],
        Qualifier::Name(name) => function.aliases.get(name).map(|alias| divide(alias, requested)).unwrap_or_default(),
    }
}

fn divide(alias: &Alias, requested: u32) -> Vec<(u64, u32)> {
    let Version::Published(first) = alias.version else { return Vec::new() };
    let Some(route) = alias.route else { return vec![(first, requested)] };
    // The first number of instances that is no smaller a part of all than the weight.
    let second = (0..requested).find(|count| f64::from(*count) >= f64::from(requested) * route.weight.get());
    let second = second.unwrap_or(requested);
    vec![(first, requested - second), (route.version, second)]
}

#[cfg(test)]
mod tests {
    use super::counts;
    use crate::lambda::settings::tests::version;
    use wuwei_model::{Alias, AliasRoute, ProvisionedConcurrency, Version, Weight};
    use wuwei_store::Function;

    #[test]
    fn an_alias_divides_instances_as_it_divides_calls() {
        let mut function = Function::new(version(), "g".to_owned());
        let alias = |version, weight: Option<f64>| Alias {
            version,
            description: String::new(),
            route: weight.map(|weight| AliasRoute { version: 2, weight: Weight::new(weight).unwrap() }),
            revision_id: String::new(),
        };
        let mut check = |weight, requested, expected: &[(u64, u32)]| {
            function.aliases.insert("live".to_owned(), alias(Version::Published(1), weight));
            let provision = ProvisionedConcurrency { requested, modified_ms: 0 };
            function.provisioned_concurrency.insert("live".to_owned(), provision);
            assert_eq!(counts(&function).into_iter().collect::<Vec<_>>(), expected, "{weight:?} {requested}");
        };
        check(None, 3, &[(1, 3)]);
        check(Some(0.1), 10, &[(1, 9), (2, 1)]);
        check(Some(0.01), 10, &[(1, 9), (2, 1)]);
        check(Some(0.0), 10, &[(1, 10), (2, 0)]);
        check(Some(1.0), 10, &[(1, 0), (2, 10)]);
        let provision = ProvisionedConcurrency { requested: 5, modified_ms: 0 };
        function.provisioned_concurrency.insert("1".to_owned(), provision);
        assert_eq!(counts(&function).get(&1), Some(&5));
    }
}
