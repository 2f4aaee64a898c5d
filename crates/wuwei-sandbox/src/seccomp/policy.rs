//! The reviewed list: which system calls a function may make, and why, group by group.
//!
//! What is not named here answers `ENOSYS`, so that libraries take their fallback; what is named in [`REFUSED`] answers
//! `EPERM`, because programs probe for it and `EPERM` is what they handle.

use super::program::{Answer, Case, Condition, Half, Rule, Verdict};

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// `CLONE_NEW*` for every namespace: time, mount, cgroup, uts, ipc, user, pid, net.
const NEW_NAMESPACES: u32 = 0x7E02_0080;

/// `socket`: local sockets; TCP and UDP over IPv4 and IPv6; netlink's routing family, for name lookup and `getifaddrs`.
const SOCKETS_ALLOWED: &[Case] = &[
    Case { conditions: &[one_of(0, &[AF_UNIX])], answer: Answer::Allow },
    Case { conditions: &[INTERNET, STREAM_OR_DATAGRAM, one_of(2, &[0, 6, 17])], answer: Answer::Allow },
    // Others would have the kernel load modules, or are code that few have looked at. Programs that would like multipath
    // TCP take this answer as that of a kernel without it.
    Case { conditions: &[INTERNET, STREAM_OR_DATAGRAM], answer: Answer::Fail(EPROTONOSUPPORT) },
    Case { conditions: &[one_of(0, &[AF_NETLINK]), one_of(2, &[0])], answer: Answer::Allow },
];
/// `socketpair`: local sockets.
const PAIRS_ALLOWED: &[Case] = &[Case { conditions: &[one_of(0, &[AF_UNIX])], answer: Answer::Allow }];
const AF_UNIX: u32 = 1;
const AF_NETLINK: u32 = 16;
const EPROTONOSUPPORT: u16 = 93;
/// `AF_INET`, `AF_INET6`.
const INTERNET: Condition = one_of(0, &[2, 10]);
/// The low bits of the type; the others say how the descriptor behaves.
const STREAM_OR_DATAGRAM: Condition = Condition { argument: 1, half: Half::Low, mask: 0xF, values: &[1, 2] };

/// `setsockopt`: no programs in the kernel, also not the older kind: `SO_ATTACH_FILTER`, `SO_ATTACH_BPF`,
/// `SO_ATTACH_REUSEPORT_CBPF`, `SO_ATTACH_REUSEPORT_EBPF` of `SOL_SOCKET`.
const SOCKET_OPTIONS_REFUSED: &[Case] =
    &[Case { conditions: &[one_of(1, &[1]), one_of(2, &[26, 50, 51, 52])], answer: Answer::Fail(EPERM) }];

/// `RLIMIT_CORE`: stays at the one value with which a crash does not run the host's handler of core dumps. Many programs
/// set it to 0, which would not do, and are told that it worked.
const CORE_LIMIT: u32 = 4;
const SETRLIMIT_PRETENDED: &[Case] = &[Case { conditions: &[one_of(0, &[CORE_LIMIT])], answer: Answer::Fail(0) }];
const PRLIMIT_PRETENDED: &[Case] = &[
    // Without a new value it only reads.
    Case {
        conditions: &[
            one_of(1, &[CORE_LIMIT]),
            one_of(2, &[0]),
            Condition { argument: 2, half: Half::High, mask: u32::MAX, values: &[0] },
        ],
        answer: Answer::Allow,
    },
    Case { conditions: &[one_of(1, &[CORE_LIMIT])], answer: Answer::Fail(0) },
];

/// They would write out what the host's other programs have written, while all that a function can write is memory: it
/// seems to work.
const PRETENDED: &[libc::c_long] = &[libc::SYS_sync, libc::SYS_syncfs];

const fn one_of(argument: u8, values: &'static [u32]) -> Condition {
    Condition { argument, half: Half::Low, mask: u32::MAX, values }
}

/// Files below the root that the sandbox shows; what they may reach is a matter of mounts and permissions.
const FILES: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_umask,
    libc::SYS_utimensat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_vmsplice,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_memfd_create,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    libc::SYS_renameat,
    libc::SYS_mknodat,
];

/// Memory of the process itself; bounded by the memory cgroup.
const MEMORY: &[libc::c_long] = &[
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    libc::SYS_mlockall,
    libc::SYS_munlockall,
    libc::SYS_membarrier,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_mbind,
];

/// Processes and threads of its own pid namespace; bounded by the pids cgroup. (`clone` is checked, see [`rules`].)
const PROCESSES: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getpgid,
    libc::SYS_setpgid,
    libc::SYS_getsid,
    libc::SYS_setsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_prctl,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_getrlimit,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_getpriority,
    libc::SYS_setpriority,
    libc::SYS_ioprio_get,
    libc::SYS_ioprio_set,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_setparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_sched_rr_get_interval,
    libc::SYS_sched_getattr,
    libc::SYS_sched_setattr,
    libc::SYS_getcpu,
    libc::SYS_personality,
    libc::SYS_seccomp,
];

/// Waiting, signals, timers and locks.
const WAITING: &[libc::c_long] = &[
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_getitimer,
    libc::SYS_setitimer,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_gettime,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_delete,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd4,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_restart_syscall,
    libc::SYS_pipe2,
    libc::SYS_ioctl,
];

/// Sockets as in [`SOCKETS_ALLOWED`]; what they reach is a matter of the network namespace.
const SOCKETS: &[libc::c_long] = &[
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_getsockopt,
    libc::SYS_shutdown,
];

/// System V and POSIX message passing inside the instance's own ipc namespace.
const LOCAL_MESSAGES: &[libc::c_long] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmdt,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive,
    libc::SYS_mq_notify,
    libc::SYS_mq_getsetattr,
];

/// Harmless questions about the machine, and random bytes.
const QUESTIONS: &[libc::c_long] = &[libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getrandom];

/// Landlock lets a program confine itself further.
const SELF_CONFINEMENT: &[libc::c_long] =
    &[libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];

/// Older forms that x86-64 kept and other architectures never had; C libraries and Go still use them.
#[cfg(target_arch = "x86_64")]
const OLDER_FORMS: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_signalfd,
    libc::SYS_inotify_init,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_getpgrp,
    libc::SYS_pause,
    libc::SYS_alarm,
    libc::SYS_time,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_getdents,
    libc::SYS_mknod,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_FORMS: &[libc::c_long] = &[];

/// Kernel interfaces that no function needs, and that widen the attack surface: mounting, namespaces, tracing, kernel
/// programs and modules, keys, asynchronous rings, user-handled page faults, clocks and quotas of the host.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

/// All rules, sorted by call number.
pub(super) fn rules() -> Vec<Rule> {
    let allowed =
        [FILES, MEMORY, PROCESSES, WAITING, SOCKETS, LOCAL_MESSAGES, QUESTIONS, SELF_CONFINEMENT, OLDER_FORMS];
    let mut rules: Vec<Rule> = allowed.concat().into_iter().map(|number| rule(number, Verdict::Allow)).collect();
    rules.extend(REFUSED.iter().map(|&number| rule(number, Verdict::Fail(EPERM))));
    // New namespaces would hand out capabilities over kernel code that is out of reach otherwise.
    rules.push(rule(libc::SYS_clone, Verdict::FailIfBits { argument: 0, bits: NEW_NAMESPACES, errno: EPERM }));
    // The flags of clone3 are in memory, where a filter cannot see them: libraries fall back to clone on ENOSYS.
    rules.push(rule(libc::SYS_clone3, Verdict::Fail(ENOSYS)));
    rules.extend(PRETENDED.iter().map(|&number| rule(number, Verdict::Fail(0))));
    let refused = Answer::Fail(EPERM);
    rules.extend([
        rule(libc::SYS_socket, Verdict::Cases { cases: SOCKETS_ALLOWED, otherwise: refused }),
        rule(libc::SYS_socketpair, Verdict::Cases { cases: PAIRS_ALLOWED, otherwise: refused }),
        rule(libc::SYS_setsockopt, Verdict::Cases { cases: SOCKET_OPTIONS_REFUSED, otherwise: Answer::Allow }),
        rule(libc::SYS_setrlimit, Verdict::Cases { cases: SETRLIMIT_PRETENDED, otherwise: Answer::Allow }),
        rule(libc::SYS_prlimit64, Verdict::Cases { cases: PRLIMIT_PRETENDED, otherwise: Answer::Allow }),
    ]);
    rules.sort_by_key(|rule| rule.number);
    rules
}

fn rule(number: libc::c_long, verdict: Verdict) -> Rule {
    Rule { number: u32::try_from(number).expect("system call numbers are small and positive"), verdict }
}

#[cfg(test)]
mod tests {
    use super::rules;

    #[test]
    fn no_call_has_two_rules() {
        let rules = rules();
        for pair in rules.windows(2) {
            assert!(pair[0].number < pair[1].number, "call {} stands twice", pair[1].number);
        }
    }

    #[test]
    fn the_compiled_filter_is_small() {
        let length = crate::seccomp::Filter::for_functions().len();
        assert!(length < 500, "{length} instructions");
    }
}
