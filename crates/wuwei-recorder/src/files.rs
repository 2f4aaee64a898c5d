//! Where logs lie: `<directory>/<account>/<region>/<function>/<YYYY-MM-DD>.jsonl`, days in UTC. A day that is too long
//! for one file goes on in `<YYYY-MM-DD>.000001.jsonl`, and so on.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use time::macros::format_description;
use time::{Date, OffsetDateTime};
use wuwei_model::FunctionKey;

/// Days that a log is kept of which nobody has said how long.
pub(crate) const RETENTION_DAYS: i64 = 14;

const EXTENSION: &str = "jsonl";

/// The directory of a function's log.
pub(crate) fn function_directory(directory: &Path, function: &FunctionKey) -> PathBuf {
    let FunctionKey { account, region, name } = function;
    [account, region, name].iter().fold(directory.to_owned(), |path, component| path.join(file_name_of(component)))
}

/// A file of a function's log. In order of age.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) day: Date,
    /// 0 is the first of its day.
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
}

/// The first file that holds a function's records of a day.
pub(crate) fn day_file(function_directory: &Path, day: Date) -> PathBuf {
    part_file(function_directory, day, 0)
}

/// A file that holds a function's records of a day.
pub(crate) fn part_file(function_directory: &Path, day: Date, number: u32) -> PathBuf {
    let day = day.format(format_description!("[year]-[month]-[day]")).expect("dates have all three parts");
    function_directory.join(match number {
        0 => format!("{day}.{EXTENSION}"),
        number => format!("{day}.{number:06}.{EXTENSION}"),
    })
}

/// Files of a function, oldest first; none when it has no log.
pub(crate) fn parts(function_directory: &Path) -> io::Result<Vec<Part>> {
    let entries = match fs::read_dir(function_directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut parts = Vec::new();
    for entry in entries {
        parts.extend(part_at(entry?.path()));
    }
    parts.sort();
    Ok(parts)
}

fn part_at(path: PathBuf) -> Option<Part> {
    if path.extension()? != EXTENSION {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    let (day, number) = match stem.split_once('.') {
        Some((day, number)) => (day, number.parse().ok()?),
        None => (stem, 0),
    };
    let day = Date::parse(day, format_description!("[year]-[month]-[day]")).ok()?;
    Some(Part { day, number, path })
}

/// Days that the logs of functions are kept, by directory, where somebody has said so.
pub(crate) type Retentions = BTreeMap<PathBuf, i64>;

/// Removes files of days that need not be kept any more, and directories that are empty then. Returns what each
/// function's directory still holds, in bytes.
pub(crate) fn sweep(directory: &Path, today: Date, retentions: &Retentions) -> io::Result<BTreeMap<PathBuf, u64>> {
    let mut held = BTreeMap::new();
    for account in subdirectories(directory)? {
        for region in subdirectories(&account)? {
            for function in subdirectories(&region)? {
                let mut bytes = 0;
                let days = retentions.get(&function).copied().unwrap_or(RETENTION_DAYS);
                for part in parts(&function)? {
                    if (today - part.day).whole_days() > days {
                        fs::remove_file(part.path)?;
                    } else {
                        bytes += fs::metadata(part.path)?.len();
                    }
                }
                remove_if_empty(&function)?;
                if bytes > 0 {
                    held.insert(function, bytes);
                }
            }
        }
    }
    Ok(held)
}

/// What each function's directory holds, in bytes.
pub(crate) fn held(directory: &Path) -> io::Result<BTreeMap<PathBuf, u64>> {
    let mut held = BTreeMap::new();
    for account in subdirectories(directory)? {
        for region in subdirectories(&account)? {
            for function in subdirectories(&region)? {
                held.insert(function.clone(), held_of(&function)?);
            }
        }
    }
    Ok(held)
}

/// What a function's directory holds, in bytes.
pub(crate) fn held_of(function_directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for part in parts(function_directory)? {
        bytes += fs::metadata(part.path)?.len();
    }
    Ok(bytes)
}

fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut directories = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            directories.push(entry.path());
        }
    }
    Ok(directories)
}

fn remove_if_empty(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The day of a time in milliseconds since the Unix epoch, in UTC.
pub(crate) fn day_of(time_ms: i64) -> Date {
    let time = OffsetDateTime::from_unix_timestamp(time_ms.div_euclid(1000));
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH).date()
}

/// Milliseconds since the Unix epoch; 0 before it.
pub(crate) fn unix_ms(at: SystemTime) -> i64 {
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// `2026-11-20T08:00:00.000Z`.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from(at).format(format).expect("every component is there and the year has four digits")
}

/// Names are validated at the edge; should one slip through, it still cannot leave the directory.
fn file_name_of(component: &str) -> String {
    let is_harmless = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '$');
    component.chars().map(|character| if is_harmless(character) { character } else { '%' }).collect()
}

#[cfg(test)]
mod tests {
    use super::{day_file, day_of, function_directory, part_file, parts, sweep};
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;
    use time::Duration;
    use wuwei_model::FunctionKey;

    fn key(name: &str) -> FunctionKey {
        FunctionKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_file_is_named_by_its_function_and_day() {
        let directory = function_directory(Path::new("/logs"), &key("f"));
        let file = day_file(&directory, day_of(1_795_000_000_123));
        assert_eq!(file, Path::new("/logs/000000000000/us-east-1/f/2026-11-18.jsonl"));
        assert_eq!(
            function_directory(Path::new("/logs"), &key("../x")),
            Path::new("/logs/000000000000/us-east-1/%%%x")
        );
    }

    #[test]
    fn the_sweep_keeps_fourteen_days_and_what_is_not_a_log() {
        let root = tempfile::tempdir().unwrap();
        let today = day_of(1_795_000_000_123);
        let (kept, gone) =
            (function_directory(root.path(), &key("kept")), function_directory(root.path(), &key("gone")));
        for directory in [&kept, &gone] {
            fs::create_dir_all(directory).unwrap();
            for days in [15, 16, 400] {
                fs::write(day_file(directory, today - Duration::days(days)), "").unwrap();
            }
        }
        fs::write(day_file(&kept, today - Duration::days(14)), "").unwrap();
        fs::write(day_file(&kept, today + Duration::days(1)), "").unwrap();
        fs::write(kept.join("notes.txt"), "").unwrap();
        sweep(root.path(), today, &BTreeMap::new()).unwrap();
        let days: Vec<_> = parts(&kept).unwrap().into_iter().map(|part| part.day).collect();
        assert_eq!(days, [today - Duration::days(14), today + Duration::days(1)]);
        assert!(kept.join("notes.txt").exists());
        assert!(!gone.exists());
    }

    #[test]
    fn a_log_is_kept_as_long_as_somebody_has_said() {
        let root = tempfile::tempdir().unwrap();
        let today = day_of(1_795_000_000_123);
        let (short, long) =
            (function_directory(root.path(), &key("short")), function_directory(root.path(), &key("long")));
        for directory in [&short, &long] {
            fs::create_dir_all(directory).unwrap();
            for days in [0, 1, 2, 30, 31] {
                fs::write(day_file(directory, today - Duration::days(days)), "x").unwrap();
            }
        }
        let held = sweep(root.path(), today, &BTreeMap::from([(short.clone(), 1), (long.clone(), 30)])).unwrap();
        assert_eq!(held, BTreeMap::from([(short, 2), (long, 4)]));
    }

    #[test]
    fn parts_of_a_day_are_in_the_order_in_which_they_were_written() {
        let root = tempfile::tempdir().unwrap();
        let today = day_of(1_795_000_000_123);
        let names = [(today, 2), (today, 10), (today, 0), (today - Duration::days(1), 3)];
        for (day, number) in names {
            fs::write(part_file(root.path(), day, number), "").unwrap();
        }
        fs::write(root.path().join("2026-11-18.x.jsonl"), "").unwrap();
        let found: Vec<_> = parts(root.path()).unwrap().into_iter().map(|part| (part.day, part.number)).collect();
        assert_eq!(found, [(today - Duration::days(1), 3), (today, 0), (today, 2), (today, 10)]);
    }
}
