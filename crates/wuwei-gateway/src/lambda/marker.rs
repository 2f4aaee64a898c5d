//! `Marker` and `NextMarker`: where a listing goes on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::ApiError;

/// Most items of a page, whatever `MaxItems` says: AWS's limit.
pub(super) const PAGE_MAX: usize = 50;

/// The last item of the page before. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Name of the function.
    pub(super) name: String,
    /// Number of its last version that was listed, 0 for `$LATEST`; `None` when versions are not listed.
    pub(super) version: Option<u64>,
}

impl Position {
    /// The text of a `NextMarker`.
    pub(super) fn encode(&self) -> String {
        let version = self.version.map(|number| number.to_string()).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(format!("{}:{version}", self.name))
    }

    /// Reads a `Marker`; absent or empty is the beginning.
    pub(super) fn decode(marker: Option<&str>) -> Result<Option<Self>, ApiError> {
        let Some(marker) = marker.filter(|marker| !marker.is_empty()) else { return Ok(None) };
        let text = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let position = text.as_deref().and_then(|text| text.split_once(':')).and_then(|(name, version)| {
            let version = if version.is_empty() { None } else { Some(version.parse().ok()?) };
            Some(Self { name: name.to_owned(), version })
        });
        position.map(Some).ok_or_else(|| ApiError::invalid_parameter("Invalid value for Marker"))
    }
}

/// The items of a page, of all in order of name, and the marker of the next.
pub(super) fn page_of<'items, T>(
    items: impl Iterator<Item = (&'items String, &'items T)>,
    after: Option<&Position>,
    size: usize,
) -> (Vec<(&'items String, &'items T)>, Option<String>) {
    let mut left = items.filter(|(name, _)| after.is_none_or(|after| **name > after.name)).peekable();
    let page: Vec<_> = left.by_ref().take(size).collect();
    let next = match (left.peek(), page.last()) {
        (Some(_more), Some((last, _))) => Some(Position { name: (*last).clone(), version: None }.encode()),
        (Some(_) | None, _) => None,
    };
    (page, next)
}

/// Size of a page.
pub(super) fn page_size(max_items: Option<u64>) -> usize {
    max_items.and_then(|items| usize::try_from(items).ok()).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Position, page_of, page_size};

    #[test]
    fn markers_round_trip_and_strange_ones_are_refused() {
        for version in [None, Some(0), Some(7)] {
            let position = Position { name: "my-function".to_owned(), version };
            assert_eq!(Position::decode(Some(&position.encode())).unwrap(), Some(position));
        }
        assert_eq!(Position::decode(None).unwrap(), None);
        assert_eq!(Position::decode(Some("")).unwrap(), None);
        for strange in ["%", "bm90IG9uZQ", "ZjpvbmU"] {
            assert_eq!(Position::decode(Some(strange)).unwrap_err().name(), "InvalidParameterValueException");
        }
    }

    #[test]
    fn a_page_goes_on_after_the_last_item_of_the_one_before() {
        let items: BTreeMap<String, ()> = ["a", "b", "c"].map(|name| (name.to_owned(), ())).into();
        let (first, next) = page_of(items.iter(), None, 2);
        assert_eq!(first.iter().map(|(name, ())| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let after = Position::decode(next.as_deref()).unwrap();
        let (second, next) = page_of(items.iter(), after.as_ref(), 2);
        assert_eq!(second.iter().map(|(name, ())| name.as_str()).collect::<Vec<_>>(), ["c"]);
        assert_eq!((next, page_of(items.iter(), None, 3).1), (None, None));
    }

    #[test]
    fn pages_have_at_most_fifty_items() {
        let check = |max_items, expected| assert_eq!(page_size(max_items), expected);
        check(None, 50);
        check(Some(1), 1);
        check(Some(50), 50);
        check(Some(10_000), 50);
    }
}
