use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::table::Operation;

/// Result of looking a request line up.
#[derive(Debug)]
pub enum Route<'model> {
    /// The operation, and its decoded URI labels (`FunctionName` → text).
    Found {
        /// What is asked for.
        operation: &'model Operation,
        /// Names as in [`Operation::uri`].
        labels: Vec<(String, String)>,
    },
    /// The path is known, the method is not.
    MethodNotAllowed,
    /// No operation has this path.
    Unknown,
}

/// Paths of all operations, grouped by their first segment (an API date).
#[derive(Debug, Default)]
pub(super) struct Router {
    entries: BTreeMap<String, Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// Position in the list of operations.
    operation: usize,
    method: String,
    segments: Vec<Segment>,
    /// A parameter that the query must have.
    parameter: Option<(String, String)>,
}

#[derive(Debug)]
enum Segment {
    Literal(String),
    Label(String),
}

impl Router {
    pub(super) fn new(operations: &[Operation]) -> Self {
        let mut router = Self::default();
        for (position, operation) in operations.iter().enumerate() {
            let (path, query) = split_target(&operation.uri);
            let segments: Vec<Segment> = path.split('/').map(Segment::parse).collect();
            let first = path.split('/').next().unwrap_or_default();
            let parameter = query.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            let entry = Entry { operation: position, method: operation.method.clone(), segments, parameter };
            router.entries.entry(first.to_owned()).or_default().push(entry);
        }
        router
    }

    pub(super) fn route<'model>(&self, operations: &'model [Operation], method: &str, target: &str) -> Route<'model> {
        if !target.starts_with('/') {
            return Route::Unknown;
        }
        let (path, query) = split_target(target);
        let segments: Vec<&str> = path.split('/').collect();
        let entries = segments.first().and_then(|first| self.entries.get(*first)).map_or(&[][..], Vec::as_slice);
        let mut known = entries.iter().filter(|entry| entry.accepts(&segments, query)).peekable();
        if known.peek().is_none() {
            return Route::Unknown;
        }
        let best = known
            .filter(|entry| entry.method == method)
            .min_by(|left, right| {
                let by_path = left.specificity().cmp(right.specificity());
                by_path.then_with(|| right.parameter.is_some().cmp(&left.parameter.is_some()))
            })
            .and_then(|entry| operations.get(entry.operation).map(|operation| (entry, operation)));
        best.map_or(Route::MethodNotAllowed, |(entry, operation)| Route::Found {
            operation,
            labels: entry.labels(&segments),
        })
    }
}

impl Entry {
    fn accepts(&self, segments: &[&str], query: &str) -> bool {
        let same_path = self.segments.len() == segments.len()
            && self.segments.iter().zip(segments).all(|(expected, segment)| match expected {
                Segment::Literal(literal) => literal == segment,
                Segment::Label(_) => !segment.is_empty(),
            });
        same_path
            && self.parameter.as_ref().is_none_or(|(name, value)| {
                query.split('&').any(|pair| pair.split_once('=') == Some((name.as_str(), value.as_str())))
            })
    }

    /// `false` for a literal, `true` for a label, segment by segment: the smallest is the most specific.
    fn specificity(&self) -> impl Iterator<Item = bool> {
        self.segments.iter().map(|segment| matches!(segment, Segment::Label(_)))
    }

    fn labels(&self, segments: &[&str]) -> Vec<(String, String)> {
        let pairs = self.segments.iter().zip(segments);
        pairs
            .filter_map(|(expected, segment)| match expected {
                Segment::Literal(_) => None,
                Segment::Label(name) => {
                    Some((name.clone(), percent_decode_str(segment).decode_utf8_lossy().into_owned()))
                }
            })
            .collect()
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        text.strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .map_or_else(|| Self::Literal(text.to_owned()), |label| Self::Label(label.to_owned()))
    }
}

/// Path without its leading and one trailing slash, and query without its question mark.
fn split_target(target: &str) -> (&str, &str) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.strip_prefix('/').unwrap_or(path);
    (path.strip_suffix('/').unwrap_or(path), query)
}
