//! A launcher and nothing else, for the tests of this crate.

fn main() -> std::io::Result<()> {
    wuwei_sandbox::run_launcher()
}
