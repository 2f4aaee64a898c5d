use super::Session;
use crate::compose::{self, FindingStatus, HostFinding};
use crate::failure::{Exit, Failure};
use crate::output::{BAD, FAINT, GOOD, STRONG, WARNING};

/// Shows what this host offers, and what each missing piece costs.
pub(crate) async fn run(session: &Session) -> Result<Exit, Failure> {
    let findings = compose::examine_host(&session.environment).await?;
    if session.console.is_json() {
        session.console.json(&findings)?;
    } else {
        for line in render(&findings) {
            session.console.line(&line)?;
        }
    }
    Ok(exit_of(&findings))
}

fn exit_of(findings: &[HostFinding]) -> Exit {
    let is_missing = |finding: &HostFinding| finding.status == FindingStatus::Missing;
    if findings.iter().any(is_missing) { Exit::Negative } else { Exit::Done }
}

/// A line for each finding; below what is not good, what its absence costs and what to do.
fn render(findings: &[HostFinding]) -> Vec<String> {
    let width = findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for finding in findings {
        let (style, word) = match finding.status {
            FindingStatus::Good => (GOOD, "good    "),
            FindingStatus::Degraded => (WARNING, "degraded"),
            FindingStatus::Missing => (BAD, "missing "),
        };
        let name = format!("{:width$}", finding.name);
        lines.push(format!("{style}{word}{style:#}  {STRONG}{name}{STRONG:#}  {}", finding.found));
        let remarks = [("costs", &finding.costs), ("fix", &finding.fix)];
        for (label, text) in remarks.into_iter().filter(|(_, text)| !text.is_empty()) {
            lines.push(format!("{:10}{:width$}  {FAINT}{label}:{FAINT:#} {text}", "", ""));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Exit, FindingStatus, HostFinding, exit_of, render};

    fn finding(status: FindingStatus, costs: &str) -> HostFinding {
        HostFinding {
            name: "cgroups".to_owned(),
            status,
            found: "version 1".to_owned(),
            costs: costs.to_owned(),
            fix: String::new(),
        }
    }

    #[test]
    fn only_something_essential_that_is_missing_fails() {
        assert_eq!(exit_of(&[]), Exit::Done);
        assert_eq!(exit_of(&[finding(FindingStatus::Good, ""), finding(FindingStatus::Degraded, "x")]), Exit::Done);
        assert_eq!(exit_of(&[finding(FindingStatus::Good, ""), finding(FindingStatus::Missing, "x")]), Exit::Negative);
    }

    #[test]
    fn what_is_not_good_says_what_it_costs() {
        let lines = render(&[finding(FindingStatus::Good, ""), finding(FindingStatus::Degraded, "slower kills")]);
        let text: Vec<String> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(
            text,
            ["good      cgroups  version 1", "degraded  cgroups  version 1", "                   costs: slower kills"]
        );
    }
}
