use std::collections::{BTreeMap, BTreeSet};

/// Keys that this server knows: it says what they are, or that a request does not have them. In lower case.
const KNOWN: &[&str] = &[
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:currenttime",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principaltype",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:tokenissuetime",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpcsourceip",
    "iam:associatedresourcearn",
    "iam:passedtoservice",
    "iam:permissionsboundary",
    "iam:policyarn",
    "sts:externalid",
    "sts:rolesessionname",
    "sts:sourceidentity",
];
/// The same, of keys that have names in them.
const KNOWN_PREFIXES: &[&str] = &["aws:principaltag/"];

/// What is known of a request, by the names of condition keys, which are the same in whatever case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextKeys {
    values: BTreeMap<String, Vec<String>>,
    /// Beginnings of keys that are known of this request beside those that always are.
    known: BTreeSet<&'static str>,
}

impl ContextKeys {
    /// Says what a key has, instead of what it had.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.values.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    /// Says that a key has several values.
    pub fn set_all(&mut self, key: &str, values: Vec<String>) {
        self.values.insert(key.to_ascii_lowercase(), values);
    }

    /// Says that what is not set of the keys beginning so (in lower case) is not there.
    pub fn know(&mut self, beginning: &'static str) {
        self.known.insert(beginning);
    }

    /// Says all that another says, too.
    pub fn add(&mut self, other: Self) {
        self.values.extend(other.values);
        self.known.extend(other.known);
    }

    /// The values of a key; `None` when the request has no such thing.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.values.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }

    /// Whether it is certain what a key has, or that the request does not have it.
    pub(super) fn is_certain(&self, key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        let begins = |beginning: &&str| key.starts_with(*beginning);
        KNOWN.contains(&key.as_str())
            || self.values.contains_key(&key)
            || KNOWN_PREFIXES.iter().any(begins)
            || self.known.iter().any(begins)
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest<'request> {
    /// For example `lambda:GetFunction`.
    pub action: &'request str,
    /// ARN; `*` where an action is about nothing in particular.
    pub resource: &'request str,
    /// All else.
    pub context: &'request ContextKeys,
}
