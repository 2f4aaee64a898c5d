use super::super::policy;
use super::{
    AUDIT_ARCH, Answer, Case, Condition, FilterInstruction, Half, RETURN_ALLOW, RETURN_ERRNO, RETURN_KILL_PROCESS,
    Rule, Verdict, compile,
};

/// A small interpreter of the instructions that the compiler emits.
fn run(program: &[FilterInstruction], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let (mut counter, mut accumulator) = (0_usize, 0_u32);
    loop {
        let step = program[counter];
        counter += 1;
        let jump = |holds: bool| usize::from(if holds { step.jump_true } else { step.jump_false });
        match step.code {
            0x20 => {
                accumulator = match step.operand {
                    0 => number,
                    4 => arch,
                    offset => {
                        let (argument, half) = ((offset as usize - 16) / 8, (offset as usize - 16) % 8);
                        u32::try_from((arguments[argument] >> (half * 8)) & 0xFFFF_FFFF).unwrap()
                    }
                }
            }
            0x54 => accumulator &= step.operand,
            0x05 => counter += step.operand as usize,
            0x15 => counter += jump(accumulator == step.operand),
            0x35 => counter += jump(accumulator >= step.operand),
            0x45 => counter += jump(accumulator & step.operand != 0),
            0x06 => return step.operand,
            other => panic!("unexpected instruction {other:#x}"),
        }
    }
}

#[test]
fn every_number_gets_exactly_the_verdict_of_its_rule() {
    let rules = policy::rules();
    let program = compile(&rules);
    for number in 0..1_000_u32 {
        let answer = run(&program, AUDIT_ARCH, number, [0; 6]);
        let expected = match rules.iter().find(|rule| rule.number == number).map(|rule| rule.verdict) {
            None => RETURN_ERRNO | 38,
            Some(Verdict::Allow | Verdict::FailIfBits { .. }) => RETURN_ALLOW,
            Some(Verdict::Fail(errno)) => RETURN_ERRNO | u32::from(errno),
            Some(Verdict::Cases { cases, otherwise }) => {
                let holds = |condition: &Condition| condition.values.contains(&0);
                let decides = cases.iter().find(|case| case.conditions.iter().all(holds));
                match decides.map_or(otherwise, |case| case.answer) {
                    Answer::Allow => RETURN_ALLOW,
                    Answer::Fail(errno) => RETURN_ERRNO | u32::from(errno),
                }
            }
        };
        assert_eq!(answer, expected, "call {number}");
    }
}

#[test]
fn foreign_architectures_are_killed_and_x32_numbers_are_unknown() {
    let program = compile(&policy::rules());
    assert_eq!(run(&program, 0x4000_0003, 1, [0; 6]), RETURN_KILL_PROCESS);
    assert_eq!(run(&program, AUDIT_ARCH, 0x4000_0000, [0; 6]), RETURN_ERRNO | 38);
}

#[test]
fn arguments_are_checked() {
    let rules = [
        Rule { number: 3, verdict: Verdict::FailIfBits { argument: 0, bits: 0b100, errno: 1 } },
        Rule { number: 4, verdict: Verdict::Cases { cases: CASES, otherwise: Answer::Fail(1) } },
    ];
    let program = compile(&rules);
    let check = |number, arguments, expected| assert_eq!(run(&program, AUDIT_ARCH, number, arguments), expected);
    check(3, [0b011, 0, 0, 0, 0, 0], RETURN_ALLOW);
    check(3, [0b100, 0, 0, 0, 0, 0], RETURN_ERRNO | 1);
    check(4, [0, 7, 0, 0, 0, 0], RETURN_ALLOW);
    check(4, [0, 9, 0, 0, 0, 0], RETURN_ALLOW);
    check(4, [0, 8, 0, 0, 0, 0], RETURN_ERRNO | 1);
    check(4, [0, 9, 0xFF, 0, 0, 0], RETURN_ERRNO | 2);
    check(4, [0, 9, 0xF1, 0, 0, 0], RETURN_ALLOW);
    check(4, [0, 9 << 32, 0, 0, 0, 0], RETURN_ERRNO);
}

const CASES: &[Case] = &[
    Case {
        conditions: &[
            Condition { argument: 1, half: Half::Low, mask: u32::MAX, values: &[7, 9] },
            Condition { argument: 2, half: Half::Low, mask: 0x0F, values: &[0, 1] },
        ],
        answer: Answer::Allow,
    },
    Case {
        conditions: &[Condition { argument: 2, half: Half::Low, mask: 0x0F, values: &[0xF] }],
        answer: Answer::Fail(2),
    },
    Case {
        conditions: &[Condition { argument: 1, half: Half::High, mask: u32::MAX, values: &[9] }],
        answer: Answer::Fail(0),
    },
];

#[test]
fn sockets_limits_and_socket_options_are_as_the_list_says() {
    let program = compile(&policy::rules());
    let check = |number: libc::c_long, arguments: [u64; 3], expected| {
        let [first, second, third] = arguments;
        let answer = run(&program, AUDIT_ARCH, u32::try_from(number).unwrap(), [first, second, third, 0, 0, 0]);
        assert_eq!(answer, expected, "call {number} {arguments:?}");
    };
    let refused = |errno: u32| RETURN_ERRNO | errno;
    // Local; TCP, also close-on-exec; UDP over IPv6; multipath TCP; raw; netlink's routing and audit families; vsock.
    check(libc::SYS_socket, [1, 5, 0], RETURN_ALLOW);
    check(libc::SYS_socket, [2, 1 | 0o2_000_000, 6], RETURN_ALLOW);
    check(libc::SYS_socket, [10, 2 | 0o4_000, 17], RETURN_ALLOW);
    check(libc::SYS_socket, [2, 1, 262], refused(93));
    check(libc::SYS_socket, [2, 3, 255], refused(1));
    check(libc::SYS_socket, [16, 3, 0], RETURN_ALLOW);
    check(libc::SYS_socket, [16, 3, 9], refused(1));
    check(libc::SYS_socket, [40, 1, 0], refused(1));
    check(libc::SYS_socketpair, [1, 1, 0], RETURN_ALLOW);
    check(libc::SYS_socketpair, [2, 1, 0], refused(1));
    check(libc::SYS_setsockopt, [3, 1, 26], refused(1));
    check(libc::SYS_setsockopt, [3, 6, 26], RETURN_ALLOW);
    // Reading the limit of core dumps works; setting it seems to, wherever the value lies in memory.
    check(libc::SYS_prlimit64, [0, 4, 0], RETURN_ALLOW);
    check(libc::SYS_prlimit64, [0, 4, 0x7FFF_0000], refused(0));
    check(libc::SYS_prlimit64, [0, 4, 1 << 32], refused(0));
    check(libc::SYS_prlimit64, [0, 7, 0x7FFF_0000], RETURN_ALLOW);
    check(libc::SYS_setrlimit, [4, 0x7FFF_0000, 0], refused(0));
}

#[test]
fn the_search_stays_correct_when_jumps_are_long() {
    let rules: Vec<Rule> = (0..900)
        .map(|number| Rule { number: number * 2, verdict: Verdict::Fail(u16::try_from(number % 100 + 1).unwrap()) })
        .collect();
    let program = compile(&rules);
    for rule in &rules {
        let Verdict::Fail(errno) = rule.verdict else { unreachable!() };
        assert_eq!(run(&program, AUDIT_ARCH, rule.number, [0; 6]), RETURN_ERRNO | u32::from(errno));
        assert_eq!(run(&program, AUDIT_ARCH, rule.number + 1, [0; 6]), RETURN_ERRNO | 38);
    }
}
