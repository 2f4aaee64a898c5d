//! Compiles rules to classic BPF as a binary search over call numbers.
//!
//! A tree, because the kernel emulates the filter for every call number when it is installed (to build its bitmap of
//! constant answers): a linear list of some 300 instructions costs about 0.4 ms per cold start, a tree a tenth of that.

use crate::sys::FilterInstruction;

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It runs.
    Allow,
    /// It fails with this `errno`.
    Fail(u16),
    /// It runs unless the low 32 bits of an argument have one of these bits; else it fails with the `errno`.
    FailIfBits { argument: u8, bits: u32, errno: u16 },
    /// It runs if the low 32 bits of an argument equal one of these values; else it fails with `EPERM`.
    AllowValues { argument: u8, values: &'static [u32] },
}

/// A rule for one call number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) number: u32,
    pub(super) verdict: Verdict,
}

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xC000_00B7;

// Offsets in `struct seccomp_data`; arguments are 64-bit, the low half first on little-endian machines.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

const RETURN_ALLOW: u32 = 0x7FFF_0000;
const RETURN_ERRNO: u32 = 0x0005_0000;
const RETURN_KILL_PROCESS: u32 = 0x8000_0000;

/// `ENOSYS`: what a call that the policy does not know answers, so that libraries fall back to older calls.
const UNKNOWN: Verdict = Verdict::Fail(38);
const EPERM: u16 = 1;

fn instruction(code: u16, jump_true: u8, jump_false: u8, operand: u32) -> FilterInstruction {
    FilterInstruction { code, jump_true, jump_false, operand }
}

/// Compiles `rules` (sorted by number, no doubles). Calls without a rule answer `ENOSYS`; another architecture's entry
/// (32-bit `int 0x80`) kills the process; x32 numbers (bit 30) have no rule.
pub(super) fn compile(rules: &[Rule]) -> Vec<FilterInstruction> {
    let mut program = vec![
        instruction(LOAD, 0, 0, OFFSET_ARCH),
        instruction(JUMP_EQUAL, 1, 0, AUDIT_ARCH),
        instruction(RETURN, 0, 0, RETURN_KILL_PROCESS),
        instruction(LOAD, 0, 0, OFFSET_NUMBER),
    ];
    program.extend(search(&ranges(rules)));
    program
}

/// First number of each range of equal verdicts, from 0 to the end of the number space.
fn ranges(rules: &[Rule]) -> Vec<(u32, Verdict)> {
    let mut ranges = vec![(0, UNKNOWN)];
    let mut push = |start: u32, verdict: Verdict| match ranges.last_mut() {
        Some(last) if last.0 == start => last.1 = verdict,
        Some(last) if last.1 == verdict => {}
        _ => ranges.push((start, verdict)),
    };
    for (index, rule) in rules.iter().enumerate() {
        push(rule.number, rule.verdict);
        if rules.get(index + 1).is_none_or(|next| next.number != rule.number + 1) {
            push(rule.number + 1, UNKNOWN);
        }
    }
    ranges
}

fn search(ranges: &[(u32, Verdict)]) -> Vec<FilterInstruction> {
    let [(_, verdict)] = ranges else {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let (low_code, high_code) = (search(low), search(high));
        let first_high = high.first().map_or(u32::MAX, |range| range.0);
        let distance = u32::try_from(low_code.len()).expect("a filter has far fewer than 2^32 instructions");
        // Conditional jumps reach 255 instructions; farther ones go by way of an unconditional jump.
        let mut code = match u8::try_from(distance) {
            Ok(near) => vec![instruction(JUMP_GREATER_OR_EQUAL, near, 0, first_high)],
            Err(_far) => {
                vec![instruction(JUMP_GREATER_OR_EQUAL, 0, 1, first_high), instruction(JUMP, 0, 0, distance)]
            }
        };
        code.extend(low_code);
        code.extend(high_code);
        return code;
    };
    leaf(*verdict)
}

fn leaf(verdict: Verdict) -> Vec<FilterInstruction> {
    let allow = instruction(RETURN, 0, 0, RETURN_ALLOW);
    let fail = |errno: u16| instruction(RETURN, 0, 0, RETURN_ERRNO | u32::from(errno));
    let load = |argument: u8| instruction(LOAD, 0, 0, OFFSET_ARGUMENTS + 8 * u32::from(argument));
    match verdict {
        Verdict::Allow => vec![allow],
        Verdict::Fail(errno) => vec![fail(errno)],
        Verdict::FailIfBits { argument, bits, errno } => {
            vec![load(argument), instruction(JUMP_BITS, 0, 1, bits), fail(errno), allow]
        }
        Verdict::AllowValues { argument, values } => {
            let mut code = vec![load(argument)];
            for (index, value) in values.iter().enumerate() {
                let to_allow = u8::try_from(values.len() - index).expect("a short list of values");
                code.push(instruction(JUMP_EQUAL, to_allow, 0, *value));
            }
            code.extend([fail(EPERM), allow]);
            code
        }
    }
}

#[cfg(test)]
mod tests;
