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
    /// It fails with this `errno`; with 0 it seems to succeed.
    Fail(u16),
    /// It runs unless the low 32 bits of an argument have one of these bits; else it fails with the `errno`.
    FailIfBits { argument: u8, bits: u32, errno: u16 },
    /// The first case whose conditions all hold decides.
    Cases { cases: &'static [Case], otherwise: Answer },
}

/// What a case decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The call runs.
    Allow,
    /// It fails with this `errno`; with 0 it seems to succeed.
    Fail(u16),
}

/// Conditions on arguments, and the answer when all of them hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) conditions: &'static [Condition],
    pub(super) answer: Answer,
}

/// Half of an argument, masked, is one of these values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: u8,
    pub(super) half: Half,
    pub(super) mask: u32,
    pub(super) values: &'static [u32],
}

/// Which 32 bits of an argument: a filter sees no more at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Low,
    High,
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
const AND: u16 = 0x54;
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
        Verdict::Cases { cases, otherwise } => {
            let mut code: Vec<FilterInstruction> = cases.iter().flat_map(case_code).collect();
            code.push(answer_code(otherwise));
            code
        }
    }
}

fn answer_code(answer: Answer) -> FilterInstruction {
    let value = match answer {
        Answer::Allow => RETURN_ALLOW,
        Answer::Fail(errno) => RETURN_ERRNO | u32::from(errno),
    };
    instruction(RETURN, 0, 0, value)
}

/// Answers when all conditions hold, and else goes on behind its last instruction.
fn case_code(case: &Case) -> Vec<FilterInstruction> {
    // Backwards, so that each condition knows how much is to be skipped when it does not hold.
    let mut code = vec![answer_code(case.answer)];
    for condition in case.conditions.iter().rev() {
        let rest = u32::try_from(code.len()).expect("a case is short");
        let mut test = condition_code(condition);
        test.push(instruction(JUMP, 0, 0, rest));
        test.append(&mut code);
        code = test;
    }
    code
}

/// Skips one instruction when the condition holds.
fn condition_code(condition: &Condition) -> Vec<FilterInstruction> {
    let offset = OFFSET_ARGUMENTS + 8 * u32::from(condition.argument);
    let offset = match condition.half {
        Half::Low => offset,
        Half::High => offset + 4,
    };
    let mut code = vec![instruction(LOAD, 0, 0, offset)];
    if condition.mask != u32::MAX {
        code.push(instruction(AND, 0, 0, condition.mask));
    }
    for (index, value) in condition.values.iter().enumerate() {
        let behind = u8::try_from(condition.values.len() - index).expect("a short list of values");
        code.push(instruction(JUMP_EQUAL, behind, 0, *value));
    }
    code
}

#[cfg(test)]
mod tests;
