//! Durable state behind small traits: the catalog of functions, code packages, access keys.
