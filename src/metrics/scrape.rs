//! All that is counted, at one moment, and the text of it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use super::events::{Events, TunnelEvents};
use super::page::Page;
use super::process::Process;
use super::redis;
use super::worker::WorkerCounts;
use crate::tls::Expiry;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that is counted, at one moment.
#[derive(Debug)]
pub struct Scrape {
    /// Of this program.
    pub version: &'static str,
    /// The number of the generation in force.
    pub generation: u64,
    /// How reloads have gone.
    pub reloads: Reloads,
    /// The address of each listener.
    pub listeners: Vec<String>,
    /// Where applications connect to each tunnel.
    pub tunnels: Vec<String>,
    /// Users by label.
    pub users: Vec<String>,
    /// What happens rarely.
    pub events: Events,
    /// What each worker has counted.
    pub workers: Vec<WorkerCounts>,
    /// How Redis is; `None` where there are tunnels alone.
    pub upstream: Option<UpstreamHealth>,
    /// When certificates and CRLs end.
    pub expiries: Vec<Expiry>,
    /// Bytes that sessions hold, and how many they may.
    pub held: u64,
    /// `memory-budget`.
    pub held_limit: u64,
    /// Lines of the log that were lost.
    pub log_lost: u64,
    /// Lines of the audit log that were lost.
    pub audit_lost: u64,
    /// The number of its last line.
    pub audit_sequence: u64,
    /// The process.
    pub process: Process,
}

/// How reloads have gone.
#[derive(Debug, Clone, Copy)]
pub struct Reloads {
    /// What the files say is in force, as far as is known.
    pub is_successful: bool,
    /// When what is in force was loaded.
    pub succeeded_at: SystemTime,
}

/// How Redis is.
#[derive(Debug, Clone, Default)]
pub struct UpstreamHealth {
    /// So often it was there and is found to be gone.
    pub lost: u64,
    /// What it says of itself; `None` while it is not there.
    pub info: Option<Arc<str>>,
}

impl Scrape {
    /// The text of it, in OpenMetrics.
    pub fn into_text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &registry);
        text
    }

    fn encode_proxy(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauges("respgate_build_info", "What runs.", [([("version", self.version)], 1.0)])?;
        page.gauge("respgate_generation", "The number of the generation in force.", self.generation as f64)?;
        page.gauge(
            "respgate_config_last_reload_successful",
            "1 if the last reload succeeded.",
            f64::from(u8::from(self.reloads.is_successful)),
        )?;
        page.gauge(
            "respgate_config_last_reload_success_timestamp_seconds",
            "When what is in force was loaded, since 1970 UTC.",
            unix_seconds(self.reloads.succeeded_at),
        )?;
        page.gauge("respgate_held_bytes", "Bytes that all sessions hold.", self.held as f64)?;
        page.gauge("respgate_held_bytes_limit", "How many they may: memory-budget.", self.held_limit as f64)?;
        page.counter("respgate_log_lost", "Lines of the log that were lost.", self.log_lost)?;
        page.counter("respgate_audit_lost", "Lines of the audit log that were lost.", self.audit_lost)?;
        page.gauge(
            "respgate_audit_sequence",
            "The number of the last line of the audit log.",
            self.audit_sequence as f64,
        )
    }

    fn encode_connections(&self, all: &WorkerCounts, page: &mut Page<'_>) -> fmt::Result {
        let events = &self.events;
        let listeners =
            || self.listeners.iter().enumerate().map(|(number, address)| (number, [("listener", &**address)]));
        page.gauges(
            "respgate_sessions",
            "Live sessions.",
            listeners().map(|(number, labels)| (labels, all.sessions(number) as f64)),
        )?;
        page.counters(
            "respgate_connections",
            "Connections that came in.",
            listeners().map(|(number, labels)| (labels, events.connections.get(number).copied().unwrap_or_default())),
        )?;
        page.counters(
            "respgate_connections_refused",
            "Connections that were turned away.",
            events.connections_refused.iter().map(|(reason, count)| ([("reason", *reason)], *count)),
        )?;
        page.counters(
            "respgate_sessions_closed",
            "Sessions that have ended.",
            events.closed.iter().map(|((reason, side), count)| ([("reason", *reason), ("side", *side)], *count)),
        )?;
        let handshake = |result, reason, version| [("result", result), ("reason", reason), ("version", version)];
        let done = events.handshakes.iter().map(|(version, count)| (handshake("accepted", "", *version), *count));
        let failed = events.handshakes_failed.iter().map(|(reason, count)| (handshake("failed", *reason, ""), *count));
        page.counters("respgate_handshakes", "TLS handshakes.", done.chain(failed))?;
        page.histograms(
            "respgate_handshake_duration_seconds",
            "From the arrival of a connection to the end of its handshake.",
            ["false", "true"]
                .into_iter()
                .zip(&events.handshake_durations)
                .map(|(is, durations)| ([("resumed", is)], durations)),
        )?;
        page.counters(
            "respgate_logins",
            "Logins, and passwords that were not looked at.",
            events.logins.iter().map(|((method, result), count)| ([("method", *method), ("result", *result)], *count)),
        )
    }

    fn encode_tunnels(&self, all: &WorkerCounts, page: &mut Page<'_>) -> fmt::Result {
        if self.tunnels.is_empty() {
            return Ok(());
        }
        let nothing = TunnelEvents::default();
        let tunnels = || {
            let events = |number| self.events.tunnels.get(number).unwrap_or(&nothing);
            self.tunnels.iter().enumerate().map(move |(number, name)| (&**name, all.tunnel(number), events(number)))
        };
        page.gauges(
            "respgate_tunnel_open",
            "Applications that have a tunnel to a server.",
            tunnels().map(|(name, counts, _)| ([("tunnel", name)], counts.open as f64)),
        )?;
        page.counters(
            "respgate_tunnel_connections",
            "Applications that came.",
            tunnels().map(|(name, _, events)| ([("tunnel", name)], events.connections)),
        )?;
        page.counters(
            "respgate_tunnel_failures",
            "Servers that could not be had or were lost, and applications for which there was no place.",
            tunnels().flat_map(|(name, _, events)| {
                events.failures.iter().map(move |(reason, count)| ([("tunnel", name), ("reason", *reason)], *count))
            }),
        )?;
        page.counters(
            "respgate_tunnel_bytes",
            "Bytes of applications, as they say and hear them.",
            tunnels().flat_map(|(name, counts, _)| {
                [("received", counts.received), ("sent", counts.sent)]
                    .map(|(direction, bytes)| ([("tunnel", name), ("direction", direction)], bytes))
            }),
        )
    }

    fn encode_requests(&self, all: &WorkerCounts, page: &mut Page<'_>) -> fmt::Result {
        let name = |label: usize| self.users.get(label).map_or("", String::as_str);
        let verdicts = all.users().flat_map(|(label, user)| {
            let traffic = user.traffic;
            let counts =
                [("forwarded", traffic.forwarded), ("answered", traffic.answered), ("refused", traffic.all_refused())];
            counts.map(|(verdict, count)| ([("user", name(label)), ("verdict", verdict)], count))
        });
        page.counters("respgate_requests", "Requests, by what became of them.", verdicts)?;
        let refused = all.users().flat_map(|(label, user)| {
            user.refused.iter().map(move |(reason, count)| ([("user", name(label)), ("reason", reason)], count))
        });
        page.counters("respgate_refused", "Requests that were refused.", refused)?;
        let would_refuse = all.users().flat_map(|(label, user)| {
            user.would_refuse.iter().map(move |(reason, count)| ([("user", name(label)), ("reason", reason)], count))
        });
        page.counters("respgate_would_refuse", "Requests that were let through in shadow.", would_refuse)?;
        let commands = all.refused_commands();
        page.counters(
            "respgate_refused_commands",
            "The same by command.",
            commands.map(|(command, reason, count)| ([("command", command), ("reason", reason)], count)),
        )?;
        page.histograms(
            "respgate_reply_duration_seconds",
            "From a request to Redis's reply, of one request at a time in each session.",
            [([], all.replies())],
        )?;
        page.counters(
            "respgate_bytes",
            "Bytes of clients, decrypted.",
            [([("direction", "received")], all.received()), ([("direction", "sent")], all.sent())],
        )?;
        let numbers: Vec<String> = (0..self.workers.len()).map(|number| number.to_string()).collect();
        page.fractions(
            "respgate_worker_busy_seconds",
            "CPU time of each worker.",
            numbers
                .iter()
                .zip(&self.workers)
                .map(|(number, worker)| ([("worker", &**number)], worker.busy().as_secs_f64())),
        )
    }

    fn encode_upstream(&self, all: &WorkerCounts, page: &mut Page<'_>) -> fmt::Result {
        let Some(UpstreamHealth { lost, info }) = &self.upstream else { return Ok(()) };
        page.gauge("respgate_upstream_up", "1 if Redis answers.", f64::from(u8::from(info.is_some())))?;
        page.counter("respgate_upstream_lost", "How often Redis was there and was found to be gone.", *lost)?;
        page.histograms(
            "respgate_upstream_connect_duration_seconds",
            "How long it took to connect to Redis and log in there.",
            [([], all.connects())],
        )?;
        redis::encode(info.as_deref(), page)
    }

    fn encode_expiries(&self, page: &mut Page<'_>) -> fmt::Result {
        let certificates = self.expiries.iter().filter(|expiry| !expiry.kind.is_crl());
        page.gauges(
            "respgate_certificate_not_after_timestamp_seconds",
            "When the first certificate of a file ends, since 1970 UTC.",
            certificates.map(|expiry| ([("kind", expiry.kind.word()), ("file", &*expiry.file)], expiry.at as f64)),
        )?;
        let lists = self.expiries.iter().filter(|expiry| expiry.kind.is_crl());
        page.gauges(
            "respgate_crl_next_update_timestamp_seconds",
            "When the first CRL of a file has to be renewed, since 1970 UTC.",
            lists.map(|expiry| ([("file", &*expiry.file)], expiry.at as f64)),
        )
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut all = WorkerCounts::default();
        self.workers.iter().for_each(|worker| all.add(worker));
        let mut page = Page(encoder);
        self.encode_proxy(&mut page)?;
        self.encode_connections(&all, &mut page)?;
        self.encode_tunnels(&all, &mut page)?;
        self.encode_requests(&all, &mut page)?;
        self.encode_upstream(&all, &mut page)?;
        self.encode_expiries(&mut page)?;
        self.process.encode(&mut page)
    }
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::acl::UserName;
    use crate::metrics::{EventCounts, Labels};
    use crate::session::Traffic;
    use crate::tls::ExpiryKind;

    const DOCUMENT: &str = include_str!("../../docs/metrics.md");

    const INFO: &str = "uptime_in_seconds:1\nconnected_clients:1\nblocked_clients:1\ntotal_connections_received:1\n\
        rejected_connections:1\ntotal_commands_processed:1\nused_memory:1\nused_memory_rss:1\nmaxmemory:1\n\
        mem_fragmentation_ratio:1\nkeyspace_hits:1\nkeyspace_misses:1\nevicted_keys:1\nexpired_keys:1\n\
        total_net_input_bytes:1\ntotal_net_output_bytes:1\nconnected_slaves:1\nloading:0\nrdb_last_bgsave_status:ok\n\
        rdb_last_save_time:1\naof_last_write_status:ok\nmaster_link_status:up\ndb0:keys=1,expires=1\n";

    /// One in which everything has happened.
    fn scrape() -> Scrape {
        let (events, labels, mut worker) = (EventCounts::default(), Labels::default(), WorkerCounts::default());
        events.arrived(0);
        events.connection_refused("maxclients");
        events.handshake_done("TLSv1.3", true, Duration::from_millis(3));
        events.handshake_failed("expired");
        events.logins("password", "accepted", 2);
        events.closed("quit", "downstream");
        let user = labels.user(UserName::new(b"alice").as_ref());
        worker.requests(user, Traffic { forwarded: 3, answered: 1, refused: 1, refused_later: 1 });
        worker.refused(&labels, user, "flushall", "blocked", 2);
        worker.would_refuse(user, "acl-key", 1);
        worker.session_started(0, user);
        events.tunnel_arrived(0);
        events.tunnel_failed(0, "connect");
        worker.tunnel_opened(0);
        worker.tunnel_bytes(0, 3, 4);
        worker.bytes(10, 20);
        let worker = worker.as_of(Duration::from_millis(1500));
        let expiry = |kind| Expiry { kind, file: "file".to_owned(), at: 1_900_000_000 };
        Scrape {
            version: "1.2.3",
            generation: 7,
            reloads: Reloads { is_successful: true, succeeded_at: SystemTime::UNIX_EPOCH + Duration::from_secs(5) },
            listeners: vec!["192.0.2.1:6380".to_owned()],
            tunnels: vec!["unix:/run/redis.sock".to_owned()],
            users: labels.users(),
            events: events.so_far(),
            workers: vec![worker.clone(), worker],
            upstream: Some(UpstreamHealth { lost: 1, info: Some(INFO.into()) }),
            expiries: [ExpiryKind::Server, ExpiryKind::Crl].map(expiry).into(),
            held: 5,
            held_limit: 10,
            log_lost: 0,
            audit_lost: 3,
            audit_sequence: 18,
            process: Process::now(SystemTime::now()),
        }
    }

    #[test]
    fn what_workers_have_counted_is_summed_and_the_rest_is_as_it_is() {
        let text = scrape().into_text();
        for series in [
            "respgate_build_info{version=\"1.2.3\"} 1.0",
            "respgate_generation 7.0",
            "respgate_config_last_reload_successful 1.0",
            "respgate_config_last_reload_success_timestamp_seconds 5.0",
            "respgate_sessions{listener=\"192.0.2.1:6380\"} 2.0",
            "respgate_connections_total{listener=\"192.0.2.1:6380\"} 1",
            "respgate_connections_refused_total{reason=\"maxclients\"} 1",
            "respgate_sessions_closed_total{reason=\"quit\",side=\"downstream\"} 1",
            "respgate_handshakes_total{result=\"accepted\",reason=\"\",version=\"TLSv1.3\"} 1",
            "respgate_handshakes_total{result=\"failed\",reason=\"expired\",version=\"\"} 1",
            "respgate_handshake_duration_seconds_bucket{le=\"0.0025\",resumed=\"true\"} 0",
            "respgate_handshake_duration_seconds_bucket{le=\"0.005\",resumed=\"true\"} 1",
            "respgate_handshake_duration_seconds_bucket{le=\"+Inf\",resumed=\"false\"} 0",
            "respgate_logins_total{method=\"password\",result=\"accepted\"} 2",
            "respgate_requests_total{user=\"alice\",verdict=\"forwarded\"} 6",
            "respgate_requests_total{user=\"alice\",verdict=\"refused\"} 4",
            "respgate_refused_total{user=\"alice\",reason=\"blocked\"} 4",
            "respgate_would_refuse_total{user=\"alice\",reason=\"acl-key\"} 2",
            "respgate_refused_commands_total{command=\"flushall\",reason=\"blocked\"} 4",
            "respgate_bytes_total{direction=\"sent\"} 40",
            "respgate_tunnel_open{tunnel=\"unix:/run/redis.sock\"} 2.0",
            "respgate_tunnel_connections_total{tunnel=\"unix:/run/redis.sock\"} 1",
            "respgate_tunnel_failures_total{tunnel=\"unix:/run/redis.sock\",reason=\"connect\"} 1",
            "respgate_tunnel_bytes_total{tunnel=\"unix:/run/redis.sock\",direction=\"sent\"} 8",
            "respgate_worker_busy_seconds_total{worker=\"1\"} 1.5",
            "respgate_audit_lost_total 3",
            "respgate_audit_sequence 18.0",
            "respgate_upstream_up 1.0",
            "respgate_certificate_not_after_timestamp_seconds{kind=\"server\",file=\"file\"} 1900000000.0",
            "respgate_crl_next_update_timestamp_seconds{file=\"file\"} 1900000000.0",
        ] {
            assert!(text.lines().any(|line| line == series), "{series} in\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }

    #[test]
    fn every_family_is_documented_with_its_type_and_labels_and_nothing_else_is() {
        let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<String>>();
        let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
        let documented: BTreeMap<String, (String, Vec<String>)> = rows
            .map(|row| row.split(" |").map(|cell| cell.trim_start_matches('|')).collect::<Vec<_>>())
            .map(|cells| (words(cells[0])[0].clone(), (cells[1].trim().to_owned(), words(cells[2]))))
            .collect();
        assert_eq!(families(&scrape().into_text()), documented);
    }

    #[test]
    fn rules_and_dashboard_name_no_family_that_there_is_not() {
        let families = families(&scrape().into_text());
        for text in [
            include_str!("../../deploy/prometheus/respgate.rules.yml"),
            include_str!("../../deploy/grafana/respgate.json"),
        ] {
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let named: Vec<&str> =
                words.filter(|word| word.starts_with("respgate_") || word.starts_with("redis_")).collect();
            assert!(named.len() > 10, "{named:?}");
            for name in named {
                assert!(families.contains_key(name.trim_end_matches("_bucket")), "{name}");
            }
        }
    }

    /// Each family with its type and the labels of its series.
    fn families(text: &str) -> BTreeMap<String, (String, Vec<String>)> {
        let mut families = BTreeMap::new();
        let mut family = (String::new(), String::new());
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
                let suffix = if kind == "counter" { "_total" } else { "" };
                family = (format!("{name}{suffix}"), kind.to_owned());
            } else if !line.starts_with('#') {
                let keys = line.split_once('{').map_or("", |(_, labels)| labels).split(',');
                let keys = keys.filter_map(|pair| pair.split_once("=\"")).map(|(key, _)| key.to_owned());
                let keys = keys.filter(|key| key != "le").collect();
                families.insert(family.0.clone(), (family.1.clone(), keys));
            }
        }
        families
    }
}
