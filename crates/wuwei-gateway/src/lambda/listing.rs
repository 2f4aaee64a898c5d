//! Walks over functions and their versions, a page at a time.

use wuwei_model::{FunctionKey, FunctionVersion};
use wuwei_store::Function;

use super::error::ApiError;
use super::marker::Position;
use crate::auth::Principal;
use crate::gateway::Parts;

/// A page of items, and where the next one begins.
pub(super) struct Page {
    pub(super) items: Vec<FunctionVersion>,
    pub(super) next: Option<Position>,
}

/// Items gathered so far: one more than a page shows that there is a next one.
struct Gathering {
    items: Vec<(FunctionVersion, Position)>,
    size: usize,
}

impl Gathering {
    fn new(size: usize) -> Self {
        Self { items: Vec::new(), size }
    }

    fn room(&self) -> usize {
        (self.size + 1).saturating_sub(self.items.len())
    }

    fn take(&mut self, version: FunctionVersion, number: Option<u64>) {
        if self.room() > 0 {
            let position = Position { name: version.key.name.clone(), version: number };
            self.items.push((version, position));
        }
    }

    fn page(mut self) -> Page {
        let more = self.items.len() > self.size;
        self.items.truncate(self.size);
        let next = if more { self.items.last().map(|(_, position)| position.clone()) } else { None };
        Page { items: self.items.into_iter().map(|(version, _)| version).collect(), next }
    }
}

/// Functions in order of name, their `$LATEST` only, or with all their versions.
///
/// A key with a function pattern sees only the functions that match.
pub(super) async fn functions(
    parts: &Parts,
    principal: &Principal,
    after: Option<Position>,
    size: usize,
    all_versions: bool,
) -> Result<Page, ApiError> {
    let region = &parts.options.region;
    let mut gathering = Gathering::new(size);
    let mut after_name = None;
    if let Some(position) = after {
        if let (true, Some(number)) = (all_versions, position.version) {
            let key =
                FunctionKey { account: principal.account.clone(), region: region.clone(), name: position.name.clone() };
            if principal.sees(&key.name) {
                take_versions(parts, &key, number, &mut gathering).await?;
            }
        }
        after_name = Some(position.name);
    }
    while gathering.room() > 0 {
        let room = gathering.room();
        let page = parts.store.functions().list(&principal.account, region, after_name.as_deref(), room).await?;
        let last_page = page.len() < room;
        after_name = page.last().map(|function| function.latest.key.name.clone());
        for function in page {
            if !principal.sees(&function.latest.key.name) {
                continue;
            }
            if all_versions {
                take_all(parts, function, &mut gathering).await?;
            } else {
                gathering.take(function.latest, None);
            }
        }
        if last_page {
            break;
        }
    }
    Ok(gathering.page())
}

/// Versions of one function, `$LATEST` first.
pub(super) async fn versions(
    parts: &Parts,
    function: Function,
    after: Option<Position>,
    size: usize,
) -> Result<Page, ApiError> {
    let mut gathering = Gathering::new(size);
    match after {
        Some(position) => {
            let number = position.version.unwrap_or_default();
            take_versions(parts, &function.latest.key, number, &mut gathering).await?;
        }
        None => take_all(parts, function, &mut gathering).await?,
    }
    Ok(gathering.page())
}

async fn take_all(parts: &Parts, function: Function, gathering: &mut Gathering) -> Result<(), ApiError> {
    let key = function.latest.key.clone();
    let has_versions = function.last_published > 0;
    gathering.take(function.latest, Some(0));
    if has_versions { take_versions(parts, &key, 0, gathering).await } else { Ok(()) }
}

async fn take_versions(
    parts: &Parts,
    key: &FunctionKey,
    after: u64,
    gathering: &mut Gathering,
) -> Result<(), ApiError> {
    if gathering.room() == 0 {
        return Ok(());
    }
    for version in parts.store.functions().versions(key, after, gathering.room()).await? {
        let number = match version.version {
            wuwei_model::Version::Latest => 0,
            wuwei_model::Version::Published(number) => number,
        };
        gathering.take(version, Some(number));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Gathering;
    use crate::lambda::settings::tests::version;

    #[test]
    fn a_page_names_the_next_one_only_when_there_is_more() {
        let check = |items: u64, size, expected: (usize, Option<u64>)| {
            let mut gathering = Gathering::new(size);
            for number in 0..items {
                gathering.take(version(), Some(number));
            }
            let page = gathering.page();
            let next = page.next.and_then(|position| position.version);
            assert_eq!((page.items.len(), next), expected, "{items} of {size}");
        };
        check(0, 2, (0, None));
        check(2, 2, (2, None));
        check(3, 2, (2, Some(1)));
        check(9, 2, (2, Some(1)));
    }
}
