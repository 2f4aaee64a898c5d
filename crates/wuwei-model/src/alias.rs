use crate::Version;

/// A name for a version of a function, which can be moved to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// What it stands for.
    pub version: Version,
    /// May be empty.
    pub description: String,
    /// A second version that takes a part of the calls.
    pub route: Option<AliasRoute>,
    /// UUID, new at each change.
    pub revision_id: String,
}

/// The second version of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliasRoute {
    /// Number of a published version.
    pub version: u64,
    /// The part of the calls that it takes.
    pub weight: Weight,
}

/// A part of a whole: a number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight(f64);

// It is never a NaN.
impl Eq for Weight {}

impl Weight {
    /// `None` for what is not from 0 to 1.
    #[must_use]
    pub fn new(weight: f64) -> Option<Self> {
        (0.0..=1.0).contains(&weight).then_some(Self(weight))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Alias {
    /// The version that takes a call; `chance` is a random number, any of them as likely as the others.
    #[must_use]
    pub fn choose(&self, chance: u64) -> Version {
        // 53 bits are what a fraction has room for.
        let fraction = (chance >> 11) as f64 / (1_u64 << 53) as f64;
        match self.route {
            Some(route) if fraction < route.weight.0 => Version::Published(route.version),
            Some(_) | None => self.version,
        }
    }

    /// Whether it may lead to this published version.
    #[must_use]
    pub fn refers_to(&self, number: u64) -> bool {
        self.version == Version::Published(number) || self.route.is_some_and(|route| route.version == number)
    }
}

#[cfg(test)]
mod tests {
    use super::{Alias, AliasRoute, Weight};
    use crate::Version;

    fn alias(weight: Option<f64>) -> Alias {
        let route = weight.map(|weight| AliasRoute { version: 2, weight: Weight::new(weight).unwrap() });
        Alias { version: Version::Published(1), description: String::new(), route, revision_id: String::new() }
    }

    #[test]
    fn the_second_version_takes_its_part_and_no_more() {
        let check = |weight: Option<f64>, chance: u64, expected: u64| {
            let chosen = alias(weight).choose(chance);
            assert_eq!(chosen, Version::Published(expected), "{weight:?} {chance}");
        };
        check(None, 0, 1);
        check(Some(0.0), 0, 1);
        check(Some(0.25), 0, 2);
        check(Some(0.25), (1 << 62) - 1, 2);
        check(Some(0.25), 1 << 62, 1);
        check(Some(1.0), u64::MAX, 2);
    }

    #[test]
    fn a_weight_is_from_0_to_1() {
        for weight in [0.0, 0.3, 1.0] {
            assert_eq!(Weight::new(weight).map(Weight::get), Some(weight));
        }
        for strange in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Weight::new(strange), None);
        }
    }

    #[test]
    fn an_alias_refers_to_both_of_its_versions() {
        let alias = alias(Some(0.5));
        assert!(alias.refers_to(1) && alias.refers_to(2) && !alias.refers_to(3));
    }
}
