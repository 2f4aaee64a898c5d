use super::facts::HostFacts;
use crate::discovery::Runtimes;

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Good,
    /// wuwei works, with something less.
    Degraded,
    /// wuwei does not start with its defaults.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, for example `cgroups`.
    pub name: &'static str,
    /// How good it is.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What is lost, unless it is good.
    pub costs: Option<String>,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Good, found: found.into(), costs: None, fix: None }
    }

    fn lacking(name: &'static str, status: Status, found: impl Into<String>, costs: &str, fix: &str) -> Self {
        Self { name, status, found: found.into(), costs: Some(costs.to_owned()), fix: Some(fix.to_owned()) }
    }
}

/// Oldest kernel with every call that the launcher makes (`mount_setattr`, 5.12; `cgroup.kill`, 5.14).
const KERNEL_MIN: (u32, u32) = (5, 14);

/// What an ordinary user's server lacks without control groups; root's does not start.
pub(crate) const UNLIMITED: &str = "memory, CPU and processes of functions are not limited, their memory is not measured, and what \
                         they leave running between calls goes on";

const REDUCED_AS_ROOT: &str = "functions can only run with `--sandbox=reduced`: they see the host's files and network";
const REDUCED_AS_USER: &str = "functions can only run with `--sandbox=reduced`: they see the host's files and network, run as \
                               your user and can read the server's keys (`master.key`, `credentials.json`)";

pub(super) fn of_attempt(failure: Option<&str>, root: bool) -> Finding {
    match failure {
        None => Finding::good("sandbox", "a full sandbox was built and a program ran in it"),
        Some(reason) => Finding::lacking(
            "sandbox",
            Status::Missing,
            reason,
            if root { REDUCED_AS_ROOT } else { REDUCED_AS_USER },
            "mend what is marked below, or run wuwei as root outside of a container",
        ),
    }
}

/// `works` is whether a full sandbox could be built.
pub(super) fn of_host(facts: &HostFacts, works: bool) -> Vec<Finding> {
    let namespaces = user_namespaces(facts, works);
    vec![kernel(facts), privilege(facts), cgroups(facts), namespaces, seccomp(facts), landlock(facts)]
}

fn kernel(facts: &HostFacts) -> Finding {
    let found = format!("Linux {}", facts.kernel);
    if facts.kernel_version() >= KERNEL_MIN {
        return Finding::good("kernel", found);
    }
    let costs = "the launcher needs Linux 5.14 or newer to build sandboxes";
    Finding::lacking("kernel", Status::Missing, found, costs, "install a newer kernel")
}

fn privilege(facts: &HostFacts) -> Finding {
    if facts.root {
        return Finding::good(
            "privilege",
            "root, which the server gives up: it and each instance get a host user of their own",
        );
    }
    let costs = "all instances share your host user, and limits need a delegated control group";
    Finding::lacking("privilege", Status::Degraded, "an ordinary user", costs, "run `wuwei up` as root")
}

fn cgroups(facts: &HostFacts) -> Finding {
    let v1 = facts.cgroups.v1.iter().any(|(controller, _)| controller == "memory");
    let v2 = facts.v2_controllers.iter().any(|controller| controller == "memory");
    if let (true, Some(reason)) = (v1 || v2, &facts.cgroups_refused) {
        return cgroups_refused(facts.root, v2, reason);
    }
    match (v1, v2, facts.cgroups.v2.is_some()) {
        (_, true, _) => Finding::good("cgroups", format!("version 2 ({})", facts.v2_controllers.join(" "))),
        (true, false, true) => Finding::good("cgroups", "hybrid: limits by version 1, freezing by the unified tree"),
        (true, false, false) => Finding::lacking(
            "cgroups",
            Status::Degraded,
            "version 1 only",
            "freezing an idle instance takes longer, and a frozen one cannot be killed before it is thawed",
            "boot with `systemd.unified_cgroup_hierarchy=1`",
        ),
        (false, false, _) => Finding::lacking(
            "cgroups",
            if facts.root { Status::Missing } else { Status::Degraded },
            "no memory controller",
            UNLIMITED,
            "mount a cgroup hierarchy with the memory, cpu and pids controllers",
        ),
    }
}

/// They are there, and not for this process.
fn cgroups_refused(root: bool, v2: bool, reason: &str) -> Finding {
    let version = if v2 { "version 2" } else { "version 1" };
    let fix = match (root, v2) {
        (true, _) => {
            "give the server control groups that it can write: in a container, mount `/sys/fs/cgroup` writable"
        }
        (false, true) => {
            "run `wuwei up` as root, or in a control group of its own: `systemd-run --user --scope -p Delegate=yes wuwei up`"
        }
        (false, false) => "run `wuwei up` as root: version 1 is not delegated to ordinary users",
    };
    let status = if root { Status::Missing } else { Status::Degraded };
    Finding::lacking("cgroups", status, format!("{version}, but not for this user: {reason}"), UNLIMITED, fix)
}

fn user_namespaces(facts: &HostFacts, works: bool) -> Finding {
    let name = "user namespaces";
    if facts.max_user_namespaces == Some(0) {
        let costs = "no sandbox can be built";
        return Finding::lacking(
            name,
            Status::Missing,
            "switched off",
            costs,
            "sysctl -w user.max_user_namespaces=65536",
        );
    }
    if facts.max_user_namespaces.is_none() {
        let costs = "no sandbox can be built";
        return Finding::lacking(
            name,
            Status::Missing,
            "not in this kernel",
            costs,
            "use a kernel with CONFIG_USER_NS",
        );
    }
    if !facts.root && facts.unprivileged_userns_clone == Some(0) {
        let costs = "ordinary users cannot build sandboxes";
        let fix = "run as root, or sysctl -w kernel.unprivileged_userns_clone=1";
        return Finding::lacking(name, Status::Missing, "for root only", costs, fix);
    }
    if !facts.root && facts.apparmor_restricts_userns == Some(1) {
        // The setting tells nothing about this program, which may have a profile.
        if works {
            return Finding::good(name, "restricted by AppArmor, but not for wuwei");
        }
        let costs = "ordinary users get user namespaces in which they may not mount";
        let fix = "install the profile `packaging/apparmor/wuwei` (it says how), or run `wuwei up` as root";
        return Finding::lacking(name, Status::Missing, "restricted by AppArmor", costs, fix);
    }
    let limit = facts.max_user_namespaces.unwrap_or(0);
    Finding::good(name, format!("available, up to {limit}"))
}

fn seccomp(facts: &HostFacts) -> Finding {
    match &facts.seccomp_actions {
        Some(actions) if actions.contains("errno") => Finding::good("seccomp", "filters of system calls are available"),
        Some(_) | None => Finding::lacking(
            "seccomp",
            Status::Missing,
            "no filters",
            "functions could reach every system call; wuwei does not start them",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
    }
}

fn landlock(facts: &HostFacts) -> Finding {
    match facts.landlock {
        Some(version) => Finding::good("Landlock", format!("ABI version {version}")),
        None => Finding::lacking(
            "Landlock",
            Status::Degraded,
            "not available",
            "nothing today: sandboxes do not rely on it; programs inside cannot confine themselves further",
            "boot with `lsm=landlock,...` on a kernel with CONFIG_SECURITY_LANDLOCK",
        ),
    }
}

const NODE_FIX: &str =
    "install Node.js 20, 22 or 24: https://nodejs.org, or apt-get install nodejs where that is new enough";

pub(super) fn of_egress(lack: Option<&str>) -> Finding {
    match lack {
        None => Finding::good("egress", "functions can have networks, and policies hold"),
        Some(reason) => Finding::lacking(
            "egress",
            Status::Degraded,
            reason,
            "functions have no network, whatever their policy says",
            "run wuwei as root with nftables installed (apt-get install nftables), on a kernel with nf_tables and veth",
        ),
    }
}

pub(super) fn of_temporary(lack: Option<&str>) -> Finding {
    match lack {
        None => Finding::good("/tmp", "on the disk of the data directory: its files do not count as memory"),
        Some(reason) => Finding::lacking(
            "/tmp",
            Status::Degraded,
            reason,
            "/tmp of functions is in memory: what they write there counts as theirs, and is gone after a crash",
            "run wuwei as root with e2fsprogs installed (apt-get install e2fsprogs), on a kernel with ext4 and loop \
             devices, with the data directory on a disk",
        ),
    }
}

pub(super) fn of_runtimes(runtimes: &Runtimes) -> Finding {
    let found = runtimes.found();
    let (costs, fix) = match (found.contains("python"), found.contains("nodejs")) {
        (true, true) => return Finding::good("runtimes", found),
        (false, true) => ("functions in Python cannot run", "apt-get install python3"),
        (true, false) => ("functions in Node.js cannot run", NODE_FIX),
        (false, false) => (
            "functions in Python and Node.js cannot run",
            "apt-get install python3; for Node.js: 20, 22 or 24 from https://nodejs.org",
        ),
    };
    Finding::lacking("runtimes", Status::Degraded, found, costs, fix)
}

#[cfg(test)]
mod tests {
    use super::super::facts::HostFacts;
    use super::{Finding, Status, of_attempt, of_host};

    fn healthy() -> HostFacts {
        HostFacts {
            kernel: "6.1.0-13-amd64".to_owned(),
            root: true,
            v2_controllers: vec!["cpu".to_owned(), "memory".to_owned(), "pids".to_owned()],
            max_user_namespaces: Some(1_000),
            seccomp_actions: Some("kill_process errno allow".to_owned()),
            landlock: Some(2),
            ..HostFacts::default()
        }
    }

    fn finding(facts: &HostFacts, name: &str) -> Finding {
        of_host(facts, false).into_iter().find(|finding| finding.name == name).unwrap()
    }

    #[test]
    fn a_healthy_host_has_only_good_findings() {
        assert!(of_host(&healthy(), true).iter().all(|finding| finding.status == Status::Good));
    }

    #[test]
    fn every_lack_says_what_it_costs_and_what_to_do() {
        let check = |facts: HostFacts, name: &str, status: Status| {
            let finding = finding(&facts, name);
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.costs.is_some() && finding.fix.is_some(), "{finding:?}");
        };
        check(HostFacts { kernel: "5.4.0".to_owned(), ..healthy() }, "kernel", Status::Missing);
        check(HostFacts { root: false, ..healthy() }, "privilege", Status::Degraded);
        check(HostFacts { v2_controllers: Vec::new(), ..healthy() }, "cgroups", Status::Missing);
        let refused = HostFacts { cgroups_refused: Some("prepare `x`: Permission denied".to_owned()), ..healthy() };
        check(refused.clone(), "cgroups", Status::Missing);
        check(HostFacts { root: false, ..refused }, "cgroups", Status::Degraded);
        check(HostFacts { max_user_namespaces: Some(0), ..healthy() }, "user namespaces", Status::Missing);
        let ubuntu = HostFacts { root: false, apparmor_restricts_userns: Some(1), ..healthy() };
        check(ubuntu, "user namespaces", Status::Missing);
        let v1_only = crate::cgroup::Mounts { v1: vec![("memory".to_owned(), "/x".into())], v2: None };
        let v1_only = HostFacts { cgroups: v1_only, v2_controllers: Vec::new(), ..healthy() };
        check(v1_only, "cgroups", Status::Degraded);
        check(HostFacts { seccomp_actions: None, ..healthy() }, "seccomp", Status::Missing);
        check(HostFacts { landlock: None, ..healthy() }, "Landlock", Status::Degraded);
    }

    #[test]
    fn a_profile_of_apparmor_counts_and_hybrid_hosts_are_good() {
        let ubuntu = HostFacts { root: false, apparmor_restricts_userns: Some(1), ..healthy() };
        let fix = finding(&ubuntu, "user namespaces").fix.unwrap();
        assert!(fix.contains("packaging/apparmor/wuwei"), "{fix}");
        let found = of_host(&ubuntu, true).into_iter().find(|finding| finding.name == "user namespaces").unwrap();
        assert_eq!(found.status, Status::Good, "{found:?}");
        let v1 = vec![("memory".to_owned(), "/x".into())];
        let hybrid = crate::cgroup::Mounts { v1, v2: Some("/x/unified".into()) };
        let hybrid = HostFacts { cgroups: hybrid, v2_controllers: Vec::new(), ..healthy() };
        assert!(finding(&hybrid, "cgroups").found.starts_with("hybrid"));
    }

    #[test]
    fn control_groups_that_cannot_be_written_are_missing_and_the_fix_fits_the_user() {
        let refused = HostFacts { cgroups_refused: Some("Permission denied".to_owned()), ..healthy() };
        let check = |facts: HostFacts, expected: &str| {
            let finding = finding(&facts, "cgroups");
            assert!(finding.found.contains("Permission denied"), "{finding:?}");
            assert!(finding.fix.as_deref().unwrap_or_default().contains(expected), "{finding:?}");
        };
        check(refused.clone(), "writable");
        check(HostFacts { root: false, ..refused.clone() }, "Delegate=yes");
        let memory = vec![("memory".to_owned(), "/sys/fs/cgroup/memory".into())];
        let v1 = crate::cgroup::Mounts { v1: memory, v2: None };
        check(HostFacts { root: false, cgroups: v1, v2_controllers: Vec::new(), ..refused }, "as root");
    }

    #[test]
    fn an_ordinary_user_is_told_that_functions_could_read_the_keys() {
        let costs = |root| of_attempt(Some("no namespaces"), root).costs.unwrap();
        assert!(costs(false).contains("run as your user and can read the server's keys"));
        assert!(!costs(true).contains("keys"));
    }
}
