//! What a backlog costs: memory, start and drain, as `docs/decisions/0010-an-event-log-and-its-index.md` has them.
//!
//! `cargo run --release -p wuwei-queue --example backlog -- DIRECTORY [EVENTS] [BYTES] [MILLISECONDS]`
//!
//! The last is how long each sync takes at least.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wuwei_model::FunctionKey;
use wuwei_queue::{DiskFiles, DurableQueue, EventQueue, Files, Lane, LogFile, NewEvent, QueueOptions, SystemClock};

/// Callers at a time.
const CALLERS: usize = 512;
const LEASE: Duration = Duration::from_secs(900);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("a directory that is not there yet")?;
    let events = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let bytes = arguments.next().map_or(Ok(300), |text| text.parse())?;
    let sync = Duration::from_millis(arguments.next().map_or(Ok(0), |text| text.parse())?);
    let before = resident_kib()?;
    let queue = open(Path::new(&directory), sync)?;
    let started = Instant::now();
    let mut waits = fill(&queue, events, bytes).await?;
    say("accepted", events, started)?;
    waits.sort_unstable();
    let (half, most) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
    print(&format!("acknowledged after {half:?}, and 99 % of them after {most:?}"))?;
    print(&format!("memory: {} MiB for {events} events", (resident_kib()? - before) / 1_024))?;
    drop(queue);
    let started = Instant::now();
    let queue = open(Path::new(&directory), sync)?;
    say("read back", events, started)?;
    let tenth = events / 10;
    for _ in 0..10 {
        let started = Instant::now();
        drain(&queue, tenth).await?;
        say("drained", tenth, started)?;
    }
    print(&format!("left: {:?}", queue.counts()))?;
    Ok(())
}

fn open(directory: &Path, sync: Duration) -> Result<Arc<DurableQueue>, Box<dyn Error>> {
    let files = Arc::new(SlowFiles { files: DiskFiles::open(directory)?, sync });
    Ok(Arc::new(DurableQueue::open(files, Arc::new(SystemClock::default()), QueueOptions::default())?))
}

/// A disk whose syncs take a while.
#[derive(Debug)]
struct SlowFiles {
    files: DiskFiles,
    sync: Duration,
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn LogFile>,
    sync: Duration,
}

impl SlowFiles {
    fn slow(&self, file: io::Result<Arc<dyn LogFile>>) -> io::Result<Arc<dyn LogFile>> {
        let sync = self.sync;
        file.map(|file| Arc::new(SlowFile { file, sync }) as _)
    }
}

impl Files for SlowFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }
    fn create(&self, name: &str, length: u64) -> io::Result<Arc<dyn LogFile>> {
        self.slow(self.files.create(name, length))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.slow(self.files.open(name))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.files.sync_directory()
    }
}

impl LogFile for SlowFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        let begun = Instant::now();
        self.file.sync()?;
        while let Some(rest) = self.sync.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero()) {
            std::thread::park_timeout(rest);
        }
        Ok(())
    }
    fn settle(&self) -> io::Result<()> {
        self.file.settle()
    }
}

fn lane() -> Arc<Lane> {
    let key = FunctionKey { account: "000000000000".into(), region: "us-east-1".into(), name: "function".into() };
    Arc::new(Lane { function: key, generation: "00000000-0000-4000-8000-000000000000".into() })
}

async fn fill(queue: &Arc<DurableQueue>, events: usize, bytes: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let content = Bytes::from(vec![b'x'; bytes]);
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (queue, lane, content) = (Arc::clone(queue), lane(), content.clone());
            tokio::spawn(async move {
                let mut waits = Vec::new();
                for _ in (caller..events).step_by(CALLERS) {
                    let begun = Instant::now();
                    queue.enqueue(NewEvent { lane: Arc::clone(&lane), content: content.clone() }).await?;
                    waits.push(begun.elapsed());
                }
                Ok::<_, wuwei_queue::EnqueueError>(waits)
            })
        })
        .collect();
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await??);
    }
    Ok(waits)
}

async fn drain(queue: &Arc<DurableQueue>, events: usize) -> Result<(), Box<dyn Error>> {
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (queue, lane) = (Arc::clone(queue), lane());
            tokio::spawn(async move {
                for _ in (caller..events).step_by(CALLERS) {
                    let Some(claimed) = queue.claim(&lane, LEASE).await? else { break };
                    queue.ack(claimed.lease).await?;
                }
                Ok::<_, wuwei_queue::QueueError>(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(())
}

fn say(what: &str, events: usize, started: Instant) -> Result<(), Box<dyn Error>> {
    let elapsed = started.elapsed();
    let rate = events as u128 * 1_000 / elapsed.as_millis().max(1);
    print(&format!("{what}: {events} in {} ms, {rate} a second", elapsed.as_millis()))
}

fn print(line: &str) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}
