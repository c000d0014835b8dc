//! What somebody should look at.

use super::{ExpiryStatus, Status, UnansweredFile, seconds_between};
use crate::serve::health::Health;

const DAY: i64 = 86_400;

/// How long before its end a certificate is a problem, in seconds: as the alerting rules have it.
const CERTIFICATE_ENDS_SOON: i64 = 14 * DAY;

/// The same of a CRL. Some are made each day.
const CRL_ENDS_SOON: i64 = DAY / 2;

/// Of a hundred parts of `memory-budget` that sessions hold.
const MEMORY_NEAR_LIMIT: u64 = 90;

impl Status {
    /// The same, with what somebody should look at.
    pub(in crate::serve) fn with_problems(self) -> Status {
        let mut problems: Vec<String> = self.health_problem().into_iter().collect();
        let ends = self.expiries.iter().filter_map(|expiry| self.expiry_problem(expiry));
        let (over, soon): (Vec<_>, Vec<_>) = ends.partition(|(_, is_over)| *is_over);
        let words = |(problem, _): (String, bool)| problem;
        problems.extend(over.into_iter().map(words));
        if let Some(UnansweredFile { since, file }) = &self.reloads.unanswered {
            problems.push(format!("{file} does not answer since {since}: no change of a file takes effect"));
        }
        if self.reloads.last_failure.as_ref().is_some_and(|failure| !failure.is_mended) {
            problems.push("the last reload failed: what the files say is not in force".to_owned());
        }
        let memory = &self.memory;
        if memory.limit_bytes > 0 && memory.held_bytes >= memory.limit_bytes / 100 * MEMORY_NEAR_LIMIT {
            problems.push("sessions hold nearly as much as memory-budget lets them".to_owned());
        }
        let shadows = self.shadows.iter();
        problems.extend(shadows.map(|user| format!("user {user} is in shadow: what its rules refuse is let through")));
        problems.extend(soon.into_iter().map(words));
        Status { problems, ..self }
    }

    fn health_problem(&self) -> Option<String> {
        Some(match Health::from_word(&self.health)? {
            Health::Serving => return None,
            Health::Draining => "the proxy ends, and takes no new clients".to_owned(),
            Health::Stuck => "a worker does not turn: its clients wait".to_owned(),
            Health::AuditFull => "the audit log cannot be written, and requests wait for it".to_owned(),
            Health::UpstreamDown if self.upstream.is_up => "Redis loads its data".to_owned(),
            Health::UpstreamDown => match &self.upstream.last_failure {
                Some(failure) => format!("Redis is not there: {}", failure.error),
                None => "Redis is not there".to_owned(),
            },
        })
    }

    /// In words, and whether it is over.
    fn expiry_problem(&self, expiry: &ExpiryStatus) -> Option<(String, bool)> {
        let left = seconds_between(&self.time, &expiry.ends)?;
        let ExpiryStatus { kind, file, .. } = expiry;
        let (what, soon) = match kind.as_str() {
            "crl" => ("CRL".to_owned(), CRL_ENDS_SOON),
            kind => (format!("{kind} certificate"), CERTIFICATE_ENDS_SOON),
        };
        if left <= 0 {
            Some((format!("the {what} of {file} is over"), true))
        } else if left < soon {
            Some((format!("the {what} of {file} ends in {}", time_left(left)), false))
        } else {
            None
        }
    }
}

fn time_left(seconds: i64) -> String {
    match (seconds / DAY, seconds / 3600) {
        (0, 0) => "less than an hour".to_owned(),
        (0, 1) => "an hour".to_owned(),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "a day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::status::{FailedReload, MemoryStatus, UpstreamFailure};

    /// One with nothing to look at.
    fn good() -> Status {
        let document = r#"{"time": "2026-11-03T09:12:00Z", "version": "0.1.0", "pid": 1, "started": "", "health": "serving",
            "connections": 0, "generation": {"number": 1, "since": ""}, "reloads": {"failed": 0}}"#;
        serde_json::from_str(document).unwrap()
    }

    fn ends(kind: &str, ends: &str) -> ExpiryStatus {
        ExpiryStatus { kind: kind.to_owned(), file: "a.crt".to_owned(), ends: ends.to_owned() }
    }

    #[test]
    fn where_nothing_is_wrong_there_is_nothing_to_look_at() {
        let expiries =
            vec![ends("server", "2026-11-18T09:12:00Z"), ends("crl", "2026-11-04T09:12:00Z"), ends("crl", "")];
        assert_eq!(Status { expiries, ..good() }.with_problems().problems, Vec::<String>::new());
    }

    #[test]
    fn the_worst_comes_first() {
        let failure =
            FailedReload { time: String::new(), cause: String::new(), problems: Vec::new(), is_mended: false };
        let mut status = good();
        status.health = "upstream-down".to_owned();
        status.upstream.last_failure = Some(UpstreamFailure { time: String::new(), error: "refused".to_owned() });
        status.reloads.last_failure = Some(failure);
        let (since, file) = ("2026-11-03T09:11:00Z".to_owned(), "/etc/respgate/ca.crt".to_owned());
        status.reloads.unanswered = Some(UnansweredFile { since, file });
        status.memory = MemoryStatus { held_bytes: 95, limit_bytes: 100 };
        let ending = ["2026-11-03T09:12:00Z", "2026-11-03T10:13:00Z", "2026-11-05T10:13:00Z"];
        status.expiries = ending.map(|time| ends("client-ca", time)).into();
        status.expiries.push(ends("crl", "2026-11-03T20:12:00Z"));
        assert_eq!(
            status.with_problems().problems,
            [
                "Redis is not there: refused",
                "the client-ca certificate of a.crt is over",
                "/etc/respgate/ca.crt does not answer since 2026-11-03T09:11:00Z: no change of a file takes effect",
                "the last reload failed: what the files say is not in force",
                "sessions hold nearly as much as memory-budget lets them",
                "the client-ca certificate of a.crt ends in an hour",
                "the client-ca certificate of a.crt ends in 2 days",
                "the CRL of a.crt ends in 11 hours",
            ]
        );
    }
}
