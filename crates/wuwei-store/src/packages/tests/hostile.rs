//! Zips that must be refused. Where the writer of the zip crate refuses too, they are put together byte by byte.

use super::{CompressionMethod, Cursor, PackageError, Plan, SimpleFileOptions, UNPACKED_BYTES_MAX, ZipWriter, zip_of};
use std::io::Write as _;

/// One stored entry, with everything that a hostile zip may want to lie about.
#[derive(Clone, Copy)]
struct Raw<'a> {
    name: &'a [u8],
    contents: &'a [u8],
    /// Unix mode, file type included.
    mode: u32,
    flags: u16,
    /// 0 stored, 8 deflated.
    method: u16,
    size: u32,
    crc: u32,
    /// Where the directory says that the entry is, instead of its place.
    offset: Option<u32>,
}

fn raw<'a>(name: &'a [u8], contents: &'a [u8], mode: u32) -> Raw<'a> {
    let size = u32::try_from(contents.len()).unwrap();
    Raw { name, contents, mode, flags: 0, method: 0, size, crc: crc32(contents), offset: None }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

fn raw_zip(entries: &[Raw<'_>]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = entry.offset.unwrap_or_else(|| u32::try_from(zip.len()).unwrap());
        let name_bytes = u16::try_from(entry.name.len()).unwrap();
        let mut common = Vec::new();
        for number in [20, entry.flags, entry.method, 0, 0x21] {
            common.extend(number.to_le_bytes());
        }
        for number in [entry.crc, u32::try_from(entry.contents.len()).unwrap(), entry.size] {
            common.extend(number.to_le_bytes());
        }
        common.extend(name_bytes.to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        zip.extend(b"PK\x03\x04");
        zip.extend(&common);
        zip.extend(entry.name);
        zip.extend(entry.contents);
        // Made by Unix (3), version 2.0.
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name);
    }
    let count = u16::try_from(entries.len()).unwrap();
    let start = u32::try_from(zip.len()).unwrap();
    zip.extend(&directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend(count.to_le_bytes());
    zip.extend(count.to_le_bytes());
    zip.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    zip.extend(start.to_le_bytes());
    zip.extend([0, 0]);
    zip
}

const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;

fn refusal(entries: &[Raw<'_>]) -> String {
    format!("{:?}", Plan::of(&raw_zip(entries)).unwrap_err())
}

/// Asserts that the error starts with the name of a variant.
fn check(entries: &[Raw<'_>], variant: &str) {
    let text = refusal(entries);
    assert!(text.starts_with(variant), "{text} instead of {variant}");
}

/// `bytes` zeros, deflated.
fn zeros(name: &str, bytes: u64, writer: &mut ZipWriter<Cursor<Vec<u8>>>) {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file(name, options).unwrap();
    let chunk = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(1 << 20);
        writer.write_all(&chunk[..usize::try_from(now).unwrap()]).unwrap();
        left -= now;
    }
}

#[test]
fn the_raw_writer_of_these_tests_makes_good_zips() {
    let plan = Plan::of(&raw_zip(&[raw(b"a/b", b"hello", FILE), raw(b"a/l", b"b", LINK), raw(b"./", b"", 0)])).unwrap();
    assert_eq!(plan.nodes.keys().collect::<Vec<_>>(), ["a", "a/b", "a/l"]);
}

#[test]
fn what_is_no_zip_or_holds_nothing_is_refused() {
    for bytes in [&b""[..], b"PK", b"hello", &[0; 1000]] {
        assert!(matches!(Plan::of(bytes), Err(PackageError::NotAZip)), "{bytes:?}");
    }
    let whole = zip_of(&[("app.py", b"print()", 0o644)]);
    Plan::of(&whole[..whole.len() - 1]).unwrap_err();
    assert!(matches!(Plan::of(&zip_of(&[])), Err(PackageError::Empty)));
    check(&[raw(b"./", b"", 0o040_755)], "Empty");
}

#[test]
fn names_that_leave_the_package_are_refused() {
    for name in [&b"../x"[..], b"a/../../x", b"/etc/passwd", b"a\0b", b"C:\\x", b"\\\\server\\x", b"..\\x", b".."] {
        check(&[raw(name, b"x", FILE)], "UnsafeEntry");
    }
}

#[test]
fn links_that_leave_the_package_are_refused() {
    for target in [&b"/etc/passwd"[..], b"../x", b"a/../../x", b"", b"a\0b", &[b'a'; 5000]] {
        check(&[raw(b"link", target, LINK)], "UnsafeEntry");
    }
    check(&[raw(b"link/", b"x", LINK)], "UnsafeEntry");
    check(&[raw(b"a", b"b", LINK), raw(b"b", b"a", LINK)], "UnsafeEntry");
}

#[test]
fn entries_below_a_link_or_a_file_are_refused_in_either_order() {
    let (link, below) = (raw(b"d", b".", LINK), raw(b"d/x", b"x", FILE));
    check(&[link, below], "ClashingEntries");
    check(&[below, link], "ClashingEntries");
    let (file, below) = (raw(b"f", b"x", FILE), raw(b"f/g/h", b"x", FILE));
    check(&[file, below], "ClashingEntries");
    check(&[below, file], "ClashingEntries");
}

#[test]
fn names_that_come_twice_are_refused_also_in_disguise() {
    let file = raw(b"a/b", b"x", FILE);
    for twin in [&b"a/b"[..], b"./a/b", b"a//b", b"a/b/"] {
        check(&[file, raw(twin, b"", FILE)], "ClashingEntries");
    }
    // Names that differ by case only are two files here.
    Plan::of(&raw_zip(&[file, raw(b"A/b", b"y", FILE)])).unwrap();
}

#[test]
fn devices_pipes_and_sockets_are_refused() {
    for file_type in [0o020_000, 0o060_000, 0o010_000, 0o140_000] {
        check(&[raw(b"special", b"", file_type | 0o666)], "UnsafeEntry");
    }
}

#[test]
fn encrypted_and_damaged_entries_are_refused() {
    check(&[Raw { flags: 1, ..raw(b"secret", b"0123456789abcdef", FILE) }], "EncryptedEntry");
    check(&[Raw { crc: 1, ..raw(b"a", b"hello", FILE) }], "DamagedEntry");
    check(&[Raw { method: 8, ..raw(b"a", b"\xff\xff\xff\xff", FILE) }], "DamagedEntry");
    check(&[Raw { method: 99, ..raw(b"a", b"hello", FILE) }], "DamagedEntry");
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let first = raw(b"a", b"hello", FILE);
    check(&[first, Raw { offset: Some(0), ..raw(b"b", b"hello", FILE) }], "OverlappingEntries");
}

#[test]
fn a_bomb_is_refused_whatever_its_headers_say() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    zeros("half", UNPACKED_BYTES_MAX / 2, &mut writer);
    zeros("other-half", UNPACKED_BYTES_MAX / 2 + 1, &mut writer);
    let bomb = writer.finish().unwrap().into_inner();
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(Plan::of(&bomb), Err(PackageError::UnpackedTooLarge(UNPACKED_BYTES_MAX))));

    // The same with every header claiming ten bytes an entry.
    let mut liar = bomb;
    for (signature, size_at) in [(b"PK\x01\x02", 24), (b"PK\x03\x04", 22)] {
        let places: Vec<_> = memchr::memmem::find_iter(&liar, signature).collect();
        for place in places {
            liar[place + size_at..place + size_at + 4].copy_from_slice(&10_u32.to_le_bytes());
        }
    }
    Plan::of(&liar).unwrap_err();
}

#[test]
fn exactly_the_limit_is_accepted() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    zeros("a", UNPACKED_BYTES_MAX - 1, &mut writer);
    zeros("b", 1, &mut writer);
    Plan::of(&writer.finish().unwrap().into_inner()).unwrap();
}

#[test]
fn too_many_entries_are_refused_also_when_they_are_only_implied() {
    let names: Vec<_> = (0..60_000_u32).map(|number| format!("{number}/x")).collect();
    let entries: Vec<_> = names.iter().map(|name| raw(name.as_bytes(), b"", FILE)).collect();
    check(&entries, "TooManyEntries");
    Plan::of(&raw_zip(&entries[..40_000])).unwrap();
    assert!(matches!(Plan::of(&b"PK\x01\x02".repeat(400_001)), Err(PackageError::TooManyEntries(_))));
}

#[test]
fn any_damage_to_a_zip_gives_an_answer_and_no_path_outside() {
    use proptest::prelude::{any, prop};
    let whole = raw_zip(&[raw(b"a/b", b"hello", FILE), raw(b"a/l", b"b", LINK), raw(b"c/", b"", 0o040_755)]);
    let length = whole.len();
    proptest::proptest!(|(changes in prop::collection::vec((0..length, any::<u8>()), 1..6))| {
        let mut zip = whole.clone();
        for (place, byte) in changes {
            zip[place] = byte;
        }
        if let Ok(plan) = Plan::of(&zip) {
            for path in plan.nodes.keys() {
                let inside = !path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
                proptest::prop_assert!(inside, "{path}");
            }
        }
    });
}

#[test]
fn many_links_with_long_targets_are_refused_before_they_fill_the_memory() {
    let target = "x".repeat(4_000);
    let check = |count: usize| {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for number in 0..count {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            writer.add_symlink(format!("{number}"), &target, options).unwrap();
        }
        Plan::of(&writer.finish().unwrap().into_inner())
    };
    // 8 MiB hold 2,097 of them.
    assert_eq!(check(2_097).unwrap().nodes.len(), 2_097);
    assert!(matches!(check(2_098), Err(PackageError::UnsafeEntry(_))));
}
