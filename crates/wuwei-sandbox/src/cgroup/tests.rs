//! The control groups of this host, whichever version it has, with a real process in them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::defence::Defences;

use super::{Hierarchies, Limits, Meter, Mounts, SlotCgroup, files};

const MEBIBYTE: u64 = 1024 * 1024;
/// Takes and frees memory, a step for each line it is sent.
const ALLOCATOR: &str = "import mmap, sys\n\
    size = 64 << 20\n\
    sys.stdin.readline()\n\
    m = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n\
    for at in range(0, size, 4096): m[at] = 1\n\
    print('taken', flush=True); sys.stdin.readline()\n\
    m.close()\n\
    print('freed', flush=True); sys.stdin.readline()\n";

fn prepare(server: &str) -> Hierarchies {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    Hierarchies::prepare(&Mounts::of_this_host(), &own, server).unwrap()
}

struct Allocator {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Allocator {
    fn start(slot: &SlotCgroup) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the sandbox crate, which starts processes")]
        let mut process = Command::new("/usr/bin/python3")
            .args(["-I", "-S", "-c", ALLOCATOR])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a Python interpreter in /usr/bin: apt-get install python3");
        for directory in slot.directories() {
            files::write(directory, "cgroup.procs", &process.id().to_string()).unwrap();
        }
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    fn step(&mut self) -> String {
        self.input.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

/// v1 always starts the peak afresh; v2 does from Linux 6.12 on, by descriptor.
fn kernel_resets_peaks(slot: &SlotCgroup) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).filter_map(|part| part.parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap(), numbers.next().unwrap());
    slot.limits_are_v1() || version >= (6, 12)
}

#[test]
fn memory_is_metered_and_its_peak_starts_afresh_where_the_kernel_can() {
    let hierarchies = prepare("testpeak");
    let slot = SlotCgroup::create(&hierarchies, "peak", Limits { memory_mb: 256 }, &Defences::default()).unwrap();
    let meter = Meter::new(slot.open_meter().unwrap());
    let mut allocator = Allocator::start(&slot);
    assert_eq!(allocator.step(), "taken\n");
    let peak = meter.usage().peak_memory_bytes;
    assert!((64 * MEBIBYTE..256 * MEBIBYTE).contains(&peak), "{peak}");
    assert_eq!(allocator.step(), "freed\n");
    assert!(meter.usage().peak_memory_bytes >= peak);
    meter.reset_peak_memory();
    assert_eq!(meter.usage().peak_memory_bytes < 64 * MEBIBYTE, kernel_resets_peaks(&slot));
    assert!(meter.usage().cpu_us > 0);
    slot.kill();
    allocator.process.wait().unwrap();
    slot.remove().unwrap();
    hierarchies.remove().unwrap();
}

#[test]
fn all_sandboxes_together_leave_process_numbers_to_the_host() {
    let hierarchies = prepare("testpids");
    let numbers: u64 = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
    let limits: Vec<String> = hierarchies
        .directories()
        .filter_map(|directory| std::fs::read_to_string(directory.join("pids.max")).ok())
        .collect();
    assert!(limits.contains(&format!("{}\n", numbers / 4 * 3)), "{limits:?}");
    hierarchies.remove().unwrap();
}

#[test]
fn what_an_earlier_server_left_is_killed_and_removed() {
    let hierarchies = prepare("testsweep");
    let slot = SlotCgroup::create(&hierarchies, "orphan", Limits { memory_mb: 128 }, &Defences::default()).unwrap();
    let mut orphan = Allocator::start(&slot);
    let again = prepare("testsweep");
    orphan.process.wait().unwrap();
    again.remove().unwrap();
    let left: Vec<&Path> = slot.directories().filter(|directory| directory.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_a_peak_the_memory_in_use_is_metered() {
    let group = tempfile::tempdir().unwrap();
    std::fs::write(group.path().join("memory.current"), "4096\n").unwrap();
    let slot = SlotCgroup::by_hand(group.path());
    assert_eq!(Meter::new(slot.open_meter().unwrap()).usage().peak_memory_bytes, 4096);
}
