//! What a runtime reads of its environment when it starts, and never again.
//!
//! A sandbox that was built ahead has a runtime that has started already. A function that says other things to one that
//! starts gets a runtime of its own, started for it.

use wuwei_model::RuntimeFamily;

/// `LANG` of every function that has no own.
///
/// AWS says `en_US.UTF-8`. Many hosts lack that locale, and then `setlocale`
/// fails in user code and shells print warnings into the log; `C.UTF-8` is part of the C library and means the same
/// encoding.
pub const LANGUAGE: &str = "C.UTF-8";
/// `LD_LIBRARY_PATH` of every function that has no own.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>.
pub const LIBRARY_PATH: &str = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib";
/// `TZ` of every function that has no own.
pub const TIME_ZONE: &str = ":UTC";
/// `PYTHONPATH` of every Python function that has no own.
pub const PYTHON_PATH: &str = "/var/runtime";

/// Variables that runtimes of managed languages are started with when they are started ahead of their function.
const STARTED_WITH: [(&str, &str); 4] =
    [("LANG", LANGUAGE), ("LD_LIBRARY_PATH", LIBRARY_PATH), ("PYTHONPATH", PYTHON_PATH), ("TZ", TIME_ZONE)];

/// Who reads a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// What every runtime is linked to, or wuwei itself.
    Every,
    /// The interpreter of Python.
    Python,
    /// Node.js.
    Node,
}

/// Names that are read at the start only, or name prefixes (with a final `*`); who reads them; why.
const READ_AT_START: [(&str, Reader, &str); 15] = [
    ("AWS_LAMBDA_EXEC_WRAPPER", Reader::Every, "the function's own program starts the runtime"),
    ("LD_*", Reader::Every, "the dynamic linker: libraries to load first, where to look, how to bind"),
    ("GLIBC_TUNABLES", Reader::Every, "the C library"),
    ("MALLOC_*", Reader::Every, "the allocator of the C library"),
    ("LANG", Reader::Every, "the locale of the process, and the encoding of its streams"),
    ("LANGUAGE", Reader::Every, "the languages of messages"),
    ("LC_*", Reader::Every, "as LANG"),
    ("LOCPATH", Reader::Every, "where locales are"),
    ("GCONV_PATH", Reader::Every, "where conversions of encodings are"),
    ("TZ", Reader::Every, "the time zone: C libraries and engines keep what it was"),
    ("PYTHON*", Reader::Python, "the interpreter: hash seed, search path, optimisation, encodings, warnings"),
    ("NODE_*", Reader::Node, "options of the interpreter, certificates, warnings"),
    ("UV_*", Reader::Node, "the event loop: number of threads, io_uring"),
    ("OPENSSL_*", Reader::Node, "configuration of cryptography"),
    ("SSL_CERT_*", Reader::Node, "trusted certificates"),
];

/// Variables of Node.js that it, or its bootstrap, reads when it needs them.
const READ_LATER: [&str; 2] = ["NODE_ENV", "NODE_PATH"];

/// What a runtime that is started ahead of its function is started with, beside `PATH`.
pub(crate) fn started_with(family: RuntimeFamily) -> Vec<(String, String)> {
    let reads = |name: &&(&str, &str)| family == RuntimeFamily::Python || name.0 != "PYTHONPATH";
    STARTED_WITH.iter().filter(reads).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Whether a runtime that was started ahead can go on as that of a function with this environment.
pub(crate) fn can_follow(family: RuntimeFamily, environment: &[(String, String)]) -> bool {
    let reader = match family {
        // Its program is started for the function in any case.
        RuntimeFamily::Provided => return true,
        RuntimeFamily::Python => Reader::Python,
        RuntimeFamily::NodeJs => Reader::Node,
        RuntimeFamily::Other => return false,
    };
    let started = started_with(family);
    let is_read = |name: &str| {
        READ_AT_START.iter().any(|(pattern, by, _why)| {
            let matches = pattern.strip_suffix('*').map_or(*pattern == name, |prefix| name.starts_with(prefix));
            matches && (*by == Reader::Every || *by == reader)
        })
    };
    let unchanged = |(name, value): &(String, String)| {
        !is_read(name)
            || READ_LATER.contains(&name.as_str())
            || started.iter().any(|known| known.0 == *name && known.1 == *value)
    };
    // Every function has those that a runtime is started with: one that has lost one is none of ours.
    environment.iter().all(unchanged) && started.iter().all(|known| environment.contains(known))
}

#[cfg(test)]
mod tests {
    use super::{LIBRARY_PATH, can_follow, started_with};
    use wuwei_model::RuntimeFamily::{self, NodeJs, Other, Provided, Python};

    fn check(family: RuntimeFamily, name: &str, value: &str, expected: bool) {
        let mut environment = started_with(family);
        environment.retain(|(known, _)| known != name);
        environment.push((name.to_owned(), value.to_owned()));
        assert_eq!(can_follow(family, &environment), expected, "{family:?} {name}={value}");
    }

    #[test]
    fn what_a_runtime_reads_at_its_start_only_is_not_left_to_one_that_has_started() {
        for family in [Python, NodeJs] {
            for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "LANG", "LC_ALL", "TZ"]
            {
                check(family, name, "mine", false);
            }
            check(family, "AWS_LAMBDA_EXEC_WRAPPER", "/var/task/wrapper", false);
            check(family, "LD_LIBRARY_PATH", LIBRARY_PATH, true);
            check(family, "TABLE", "users", true);
            check(family, "PATH", "/var/task/bin:/usr/bin", true);
        }
        for name in ["PYTHONHASHSEED", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONWARNINGS", "PYTHONUTF8"] {
            check(Python, name, "0", false);
        }
        for name in ["NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NODE_NO_WARNINGS", "UV_THREADPOOL_SIZE", "SSL_CERT_FILE"] {
            check(NodeJs, name, "1", false);
        }
    }

    #[test]
    fn what_belongs_to_another_language_or_is_read_later_hinders_nothing() {
        check(NodeJs, "PYTHONHASHSEED", "0", true);
        check(Python, "NODE_OPTIONS", "--inspect", true);
        check(NodeJs, "NODE_ENV", "production", true);
        check(NodeJs, "NODE_PATH", "/opt/mine", true);
    }

    #[test]
    fn a_program_that_is_started_for_its_function_takes_any_environment_and_unknown_languages_take_none() {
        check(Provided, "LD_PRELOAD", "/var/task/mine.so", true);
        check(Other, "TABLE", "users", false);
    }
}
