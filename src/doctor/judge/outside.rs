//! What another host shows to somebody who is not on it.

use std::net::SocketAddr;

use crate::doctor::outside::{Old, Plain, Port, REDIS_PORT, Reach, Seen, Service, Tls};
use crate::doctor::{Finding, kind};
use crate::tls::client::{End, Talk};

/// Of what others say, no more is repeated.
const LONGEST_QUOTE: usize = 100;

/// Judges it, `name` being what it was called.
pub fn outside(name: &str, seen: &Seen) -> Vec<Finding> {
    let ports = match &seen.ports {
        Ok(ports) => ports,
        Err(why) => return vec![Finding::unknown(&kind::OUTSIDE_GATE, format!("{name}: {why}"))],
    };
    let is_there = |port: &Port| {
        let same_host = |other: &&Port| other.address.ip() == port.address.ip();
        ports.iter().filter(same_host).any(|other| !matches!(other.reach, Reach::Nothing(_)))
    };
    let mut findings = Vec::new();
    for port in ports {
        let at = At(name, port.address);
        if port.address.port() == REDIS_PORT {
            findings.push(redis(&at, &port.reach, is_there(port)));
        }
        if port.address.port() == seen.gate_port || is_tls(&port.reach) {
            findings.extend(gate(&at, &port.reach));
        }
    }
    if !seen.left_out.is_empty() {
        let addresses: Vec<String> = seen.left_out.iter().map(|address| address.ip().to_string()).collect();
        let words = format!("{name} has more addresses, which were not looked at: {}", addresses.join(" "));
        findings.push(Finding::unknown(&kind::OUTSIDE_GATE, words));
    }
    findings
}

/// A port, as it is called in findings.
struct At<'a>(&'a str, SocketAddr);

impl At<'_> {
    fn says(&self, words: impl AsRef<str>) -> String {
        let At(name, address) = self;
        let words = words.as_ref();
        if *name == address.ip().to_string() {
            format!("{address} {words}")
        } else {
            format!("{name} ({address}) {words}")
        }
    }
}

/// Whether port 6379 is closed to whoever is where this program runs.
fn redis(at: &At<'_>, reach: &Reach, is_there: bool) -> Finding {
    let kind = &kind::OUTSIDE_REDIS;
    match reach {
        Reach::Closed => Finding::green(kind, at.says("is closed")),
        Reach::Nothing(why) if is_there => Finding::green(kind, at.says(format!("is not let through to ({why})"))),
        Reach::Nothing(why) => {
            let words = at.says(format!("cannot be reached ({why}): it is not let through to, or nobody is there"));
            Finding::unknown(kind, words)
        }
        Reach::Open(_) if is_tls(reach) => Finding::green(kind, at.says("speaks TLS, and is no open door to Redis")),
        Reach::Open(service) => match &service.plain {
            Plain::Line(line) => match Says::of(line) {
                Says::Other(line) => Finding::amber(kind, at.says(format!("is open, and no Redis: it says {line}"))),
                redis => Finding::red(kind, at.says(redis.in_words())),
            },
            Plain::Alert | Plain::Closed => {
                Finding::unknown(kind, at.says("is open, and closes the connection without a word"))
            }
            Plain::Silent => Finding::unknown(kind, at.says("is open, and says nothing")),
        },
    }
}

/// How the port is guarded behind which Redis is meant to be.
fn gate(at: &At<'_>, reach: &Reach) -> Vec<Finding> {
    let kind = &kind::OUTSIDE_GATE;
    let Service { plain, tls } = match reach {
        Reach::Closed => {
            return vec![Finding::unknown(
                kind,
                at.says("is closed: nobody serves there, or a firewall refuses whoever comes from here"),
            )];
        }
        Reach::Nothing(why) => return vec![Finding::unknown(kind, at.says(format!("cannot be reached ({why})")))],
        Reach::Open(service) => service.as_ref(),
    };
    if let Plain::Line(line) = plain {
        return vec![match Says::of(line) {
            Says::Other(line) => Finding::amber(kind, at.says(format!("is neither TLS nor Redis: it says {line}"))),
            redis => Finding::red(&kind::OUTSIDE_PLAINTEXT, at.says(format!("{}, without TLS", redis.in_words()))),
        }];
    }
    let Some(tls) = tls.as_ref().filter(|_| is_tls(reach)) else {
        let words = match plain {
            Plain::Silent => "takes connections and says nothing, with TLS and without",
            _ => "takes connections and closes them without a word: what is behind it may be down, or not for you",
        };
        return vec![Finding::unknown(kind, at.says(words))];
    };
    let mut findings = vec![
        Finding::green(&kind::OUTSIDE_PLAINTEXT, at.says("does not answer without TLS")),
        identity(at, tls),
        certificate(at, &tls.nobody),
        versions(at, &tls.old),
        server_name(at, tls),
    ];
    findings.extend(authority(at, tls));
    findings.extend(commands(at, tls.friend.as_ref()));
    findings
}

fn is_tls(reach: &Reach) -> bool {
    let Reach::Open(service) = reach else { return false };
    let Some(tls) = &service.tls else { return false };
    let is_tls = |talk: &Talk| talk.protocol.is_some() || matches!(talk.end, Some(End::Alert(_)));
    service.plain == Plain::Alert
        || tls.talks().any(is_tls)
        || matches!(tls.old, Old::Accepted(_) | Old::Refused(Some(_)))
}

impl Tls {
    fn talks(&self) -> impl Iterator<Item = &Talk> {
        [Some(&self.nobody), self.stranger.as_ref().ok(), self.friend.as_ref()].into_iter().flatten()
    }
}

/// What it is that answers.
fn identity(at: &At<'_>, tls: &Tls) -> Finding {
    let kind = &kind::OUTSIDE_GATE;
    let protocol = tls.talks().find_map(|talk| talk.protocol).unwrap_or("TLS");
    let replies = || tls.talks().flat_map(|talk| &talk.replies);
    if replies().any(|reply| reply.starts_with('-') && reply.contains("respgate")) {
        return Finding::green(kind, at.says(format!("is respgate ({protocol})")));
    }
    match replies().next().map(|reply| Says::of(reply)) {
        None if tls.friend.is_none() => {
            let words = format!("speaks {protocol}; to whom it lets in it may say more: --cert FILE --key FILE");
            Finding::unknown(kind, at.says(words))
        }
        None => Finding::unknown(kind, at.says(format!("speaks {protocol}, and does not let us in"))),
        Some(Says::Other(line)) => {
            Finding::amber(kind, at.says(format!("speaks {protocol}, and behind it is no Redis: it says {line}")))
        }
        Some(_) if tls.friend.as_ref().is_none_or(|talk| talk.replies.len() < 2) => {
            let words =
                format!("is {protocol} before a Redis; to whom it lets in it may say more: --cert FILE --key FILE");
            Finding::unknown(kind, at.says(words))
        }
        Some(_) => {
            let words = format!(
                "is {protocol} before a Redis and not respgate, or respgate without its blocklist for this certificate"
            );
            Finding::amber(kind, at.says(words))
        }
    }
}

/// Whether it lets somebody in who shows no certificate.
fn certificate(at: &At<'_>, nobody: &Talk) -> Finding {
    let kind = &kind::OUTSIDE_CERTIFICATE;
    match Entry::of(nobody) {
        Entry::Refused(alert) => Finding::green(kind, at.says(format!("refuses whoever has no certificate ({alert})"))),
        Entry::LetIn(Says::Open) => {
            Finding::red(kind, at.says("answers whoever comes, without a certificate and without a password"))
        }
        Entry::LetIn(Says::Password) => {
            Finding::amber(kind, at.says("asks whoever has no certificate for no more than a password"))
        }
        Entry::LetIn(says) => {
            Finding::amber(kind, at.says(format!("answers somebody without a certificate: it {}", says.in_words())))
        }
        Entry::Unclear(why) => {
            let words = format!("may or may not let somebody in without a certificate: it {why}");
            Finding::unknown(kind, at.says(words))
        }
    }
}

/// Whether it lets in somebody whose certificate is of another authority. Where it asks for none, that has been said.
fn authority(at: &At<'_>, tls: &Tls) -> Option<Finding> {
    let kind = &kind::OUTSIDE_AUTHORITY;
    let stranger = match &tls.stranger {
        Ok(stranger) => stranger,
        Err(why) => return Some(Finding::unknown(kind, format!("no certificate could be made to try: {why}"))),
    };
    Some(match Entry::of(stranger) {
        Entry::Refused(alert) => {
            Finding::green(kind, at.says(format!("refuses a certificate of an unknown authority ({alert})")))
        }
        Entry::LetIn(_) if !stranger.has_asked => return None,
        Entry::LetIn(Says::Open) => {
            Finding::red(kind, at.says("lets in a certificate of an authority that this program has made up"))
        }
        Entry::LetIn(says) => {
            let words = "takes a certificate of an authority that this program has made up, and";
            Finding::amber(kind, at.says(format!("{words} {}", says.in_words())))
        }
        Entry::Unclear(why) => {
            Finding::unknown(kind, at.says(format!("may or may not take a certificate of another authority: it {why}")))
        }
    })
}

fn versions(at: &At<'_>, old: &Old) -> Finding {
    let kind = &kind::OUTSIDE_VERSIONS;
    match old {
        Old::Refused(Some(alert)) => {
            Finding::green(kind, at.says(format!("refuses TLS 1.1 and older (alert {alert})")))
        }
        Old::Refused(None) => Finding::green(kind, at.says("closes the connection to whoever speaks TLS 1.1 at most")),
        Old::Accepted(version) => Finding::amber(kind, at.says(format!("speaks {version}"))),
        Old::Other(why) => Finding::unknown(kind, at.says(format!("may or may not speak TLS 1.1 or older: {why}"))),
        Old::Silent => Finding::unknown(kind, at.says("may or may not speak TLS 1.1 or older: no answer")),
    }
}

/// Whether its certificate is what clients who know its authority take it for.
fn server_name(at: &At<'_>, tls: &Tls) -> Finding {
    let kind = &kind::OUTSIDE_NAME;
    match tls.talks().find_map(|talk| talk.certificate.as_ref()) {
        Some(Ok(())) => Finding::green(kind, at.says("has a certificate of this name and of this authority")),
        Some(Err(why)) => Finding::red(kind, at.says(format!("does not stand up to --cacert: {why}"))),
        None => Finding::unknown(kind, at.says("has a certificate that was not held against anything: --cacert FILE")),
    }
}

/// What somebody with a certificate of his own may do.
fn commands(at: &At<'_>, friend: Option<&Talk>) -> Vec<Finding> {
    let kind = &kind::OUTSIDE_COMMANDS;
    let Some(friend) = friend else {
        let words = "was not asked whether it refuses FLUSHALL and CONFIG: --cert FILE --key FILE";
        return vec![Finding::unknown(kind, at.says(words))];
    };
    match Entry::of(friend) {
        Entry::LetIn(Says::Open) => {}
        // Who is told so and stays is asked: PING may be refused, and FLUSHALL allowed.
        Entry::LetIn(Says::Error(_)) if friend.replies.len() > 1 => {}
        Entry::LetIn(Says::Password) => {
            return vec![Finding::unknown(kind, at.says("asks for a password whoever has this certificate"))];
        }
        Entry::LetIn(says) => {
            return vec![Finding::unknown(
                kind,
                at.says(format!("{} to whoever has this certificate", says.in_words())),
            )];
        }
        Entry::Refused(alert) => {
            return vec![Finding::unknown(kind, at.says(format!("refuses this certificate ({alert})")))];
        }
        Entry::Unclear(why) => return vec![Finding::unknown(kind, at.says(why))],
    }
    let asked = ["FLUSHALL", "CONFIG"].into_iter().zip([1, 2]);
    let judge =
        |(command, position): (&str, usize)| match friend.replies.get(position).map(|reply| Permission::of(reply)) {
            Some(Permission::Refused) => {
                Finding::green(kind, at.says(format!("refuses {command} with this certificate")))
            }
            Some(Permission::Allowed) => Finding::red(kind, at.says(format!("allows {command} with this certificate"))),
            Some(Permission::Unclear(reply)) => Finding::unknown(
                kind,
                at.says(format!("may or may not allow {command} with this certificate: it says {reply}")),
            ),
            None => Finding::unknown(kind, at.says(format!("does not answer {command}"))),
        };
    asked.map(judge).collect()
}

/// What a line says of whoever says it, to a PING.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    /// Redis, to everybody.
    Open,
    /// Redis that wants a password.
    Password,
    /// Redis in protected mode.
    Protected,
    /// Redis with another error.
    Error(String),
    /// No Redis.
    Other(String),
}

impl Says {
    pub(super) fn of(line: &str) -> Says {
        let is_code = |word: &str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        let code = line.strip_prefix('-').and_then(|error| error.split(' ').next()).filter(|word| is_code(word));
        match code {
            _ if line == "+PONG" => Says::Open,
            Some("NOAUTH") => Says::Password,
            Some("DENIED") => Says::Protected,
            Some(_) => Says::Error(quoted(line)),
            None => Says::Other(quoted(line)),
        }
    }

    pub(super) fn in_words(&self) -> String {
        match self {
            Says::Open => "is a Redis that asks for no password".to_owned(),
            Says::Password => "is a Redis that asks for a password".to_owned(),
            Says::Protected => {
                "is a Redis in protected mode: it turns away whoever is not on its host, as long as it has no password"
                    .to_owned()
            }
            Says::Error(line) => format!("is a Redis that says {line}"),
            Says::Other(line) => format!("says {line}"),
        }
    }
}

/// Whether it let somebody in.
enum Entry {
    /// With this alert.
    Refused(String),
    /// And answered.
    LetIn(Says),
    /// In words.
    Unclear(String),
}

impl Entry {
    fn of(talk: &Talk) -> Entry {
        if let Some(line) = talk.replies.first() {
            return Entry::LetIn(Says::of(line));
        }
        match &talk.end {
            // Before it asks for a certificate, it refuses something else.
            Some(End::Alert(alert)) if talk.has_asked => Entry::Refused(alert.clone()),
            Some(End::Alert(alert)) => Entry::Unclear(format!("ends the handshake: {alert}")),
            Some(End::NotTls) => Entry::Unclear("does not speak TLS".to_owned()),
            Some(End::Closed) => Entry::Unclear("closes the connection without a word".to_owned()),
            Some(End::Silent) | None => Entry::Unclear("does not answer".to_owned()),
            Some(End::Broken(why)) => Entry::Unclear(format!("cannot be talked to: {why}")),
        }
    }
}

/// What the answer to a command says that is refused before it is executed, or only reads.
enum Permission {
    Allowed,
    Refused,
    Unclear(String),
}

impl Permission {
    fn of(reply: &str) -> Permission {
        let is = |texts: &[&str]| texts.iter().any(|text| reply.starts_with(text));
        if is(&["-NOPERM ", "-ERR unknown command"]) {
            Permission::Refused
        } else if is(&["*", "%", "-ERR syntax error", "-ERR wrong number of arguments"]) {
            Permission::Allowed
        } else {
            Permission::Unclear(quoted(reply))
        }
    }
}

fn quoted(line: &str) -> String {
    let mut text: String = line.chars().take(LONGEST_QUOTE).collect();
    if text.len() < line.len() {
        text.push('…');
    }
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Kind, Severity};

    fn port(number: u16, reach: Reach) -> Port {
        Port { address: SocketAddr::new([192, 0, 2, 7].into(), number), reach }
    }

    fn says(line: &str) -> Reach {
        Reach::Open(Box::new(Service { plain: Plain::Line(line.into()), tls: None }))
    }

    fn nothing() -> Reach {
        Reach::Nothing("no answer".into())
    }

    fn judged(redis: Reach, gate: Reach) -> Vec<(&'static str, Severity)> {
        let ports = Ok(vec![port(REDIS_PORT, redis), port(6380, gate)]);
        let findings = outside("redis.example", &Seen { gate_port: 6380, ports, left_out: Vec::new() });
        findings.iter().map(|finding| (finding.kind.id, finding.severity)).collect()
    }

    fn alert(name: &str) -> Talk {
        Talk { protocol: Some("TLSv1.3"), has_asked: true, end: Some(End::Alert(name.into())), ..Talk::default() }
    }

    fn replies(replies: &[&str]) -> Talk {
        let replies = replies.iter().map(|reply| (*reply).to_owned()).collect();
        Talk { protocol: Some("TLSv1.3"), has_asked: true, replies, ..Talk::default() }
    }

    fn tls(nobody: Talk, stranger: Talk, friend: Option<Talk>) -> Vec<Finding> {
        let tls = Tls { nobody, stranger: Ok(stranger), old: Old::Refused(Some(70)), friend };
        let reach = Reach::Open(Box::new(Service { plain: Plain::Closed, tls: Some(tls) }));
        gate(&At("redis.example", SocketAddr::new([192, 0, 2, 7].into(), 6380)), &reach)
    }

    fn severities(findings: &[Finding], kind: &Kind) -> Vec<Severity> {
        findings.iter().filter(|finding| finding.kind == kind).map(|finding| finding.severity).collect()
    }

    #[test]
    fn redis_that_is_reached_is_red_whatever_it_says() {
        for line in
            ["+PONG", "-NOAUTH Authentication required.", "-DENIED Redis is running in protected mode", "-LOADING x"]
        {
            assert_eq!(judged(says(line), Reach::Closed)[0], ("outside.redis", Severity::Red), "{line}");
            assert_eq!(judged(Reach::Closed, says(line))[1], ("outside.plaintext", Severity::Red), "{line}");
        }
        for line in ["SSH-2.0-x", "+OK", "HTTP/1.0 400 Bad request", "-", "- x", ""] {
            assert_eq!(judged(says(line), Reach::Closed)[0], ("outside.redis", Severity::Amber), "{line}");
        }
    }

    #[test]
    fn a_port_from_which_nothing_comes_is_filtered_only_where_somebody_is_there() {
        assert_eq!(judged(nothing(), Reach::Closed)[0], ("outside.redis", Severity::Green));
        assert_eq!(
            judged(nothing(), nothing()),
            [("outside.redis", Severity::Unknown), ("outside.gate", Severity::Unknown)]
        );
    }

    #[test]
    fn of_a_port_that_says_nothing_nothing_is_green() {
        for plain in [Plain::Closed, Plain::Silent] {
            let tls = Tls {
                nobody: Talk { end: Some(End::Closed), ..Talk::default() },
                stranger: Ok(Talk { end: Some(End::NotTls), ..Talk::default() }),
                old: Old::Refused(None),
                friend: Some(Talk { end: Some(End::Silent), ..Talk::default() }),
            };
            let reach = Reach::Open(Box::new(Service { plain, tls: Some(tls) }));
            assert_eq!(judged(Reach::Closed, reach)[1..], [("outside.gate", Severity::Unknown)]);
        }
    }

    #[test]
    fn an_alert_turns_nobody_away_unless_a_certificate_was_asked_for() {
        let refused = tls(alert("certificate_required"), alert("unknown_ca"), None);
        let unclear = Talk { has_asked: false, ..alert("protocol_version") };
        let unclear = tls(unclear.clone(), unclear, None);
        for kind in [&kind::OUTSIDE_CERTIFICATE, &kind::OUTSIDE_AUTHORITY] {
            assert_eq!(severities(&refused, kind), [Severity::Green]);
            assert_eq!(severities(&unclear, kind), [Severity::Unknown]);
        }
    }

    #[test]
    fn who_lets_everybody_in_is_red_and_who_asks_for_a_password_amber() {
        for (line, severity) in [("+PONG", Severity::Red), ("-NOAUTH x", Severity::Amber), ("-ERR x", Severity::Amber)]
        {
            let findings = tls(replies(&[line]), replies(&[line]), None);
            assert_eq!(severities(&findings, &kind::OUTSIDE_CERTIFICATE), [severity], "{line}");
            assert_eq!(severities(&findings, &kind::OUTSIDE_AUTHORITY), [severity], "{line}");
        }
        let without = Talk { has_asked: false, ..replies(&["+PONG"]) };
        let findings = tls(without.clone(), without, None);
        assert_eq!(severities(&findings, &kind::OUTSIDE_AUTHORITY), [], "it has been said that it asks for none");
    }

    #[test]
    fn a_syntax_error_is_what_who_may_run_a_command_is_told() {
        let of = |flushall: &str, config: &str| {
            let friend = replies(&["+PONG", flushall, config]);
            severities(&tls(alert("a"), alert("b"), Some(friend)), &kind::OUTSIDE_COMMANDS)
        };
        assert_eq!(of("-ERR syntax error", "*2"), [Severity::Red, Severity::Red]);
        assert_eq!(of("-ERR wrong number of arguments for 'flushall' command", "%1"), [Severity::Red, Severity::Red]);
        assert_eq!(of("-NOPERM x", "-ERR unknown command 'CONFIG'"), [Severity::Green, Severity::Green]);
        assert_eq!(of("+OK", "-LOADING x"), [Severity::Unknown, Severity::Unknown]);
    }

    #[test]
    fn what_was_not_asked_or_not_answered_is_unknown() {
        let of = |friend| severities(&tls(alert("a"), alert("b"), friend), &kind::OUTSIDE_COMMANDS);
        assert_eq!(of(None), [Severity::Unknown]);
        assert_eq!(of(Some(alert("unknown_ca"))), [Severity::Unknown]);
        assert_eq!(of(Some(replies(&["-NOAUTH x", "-NOAUTH x", "-NOAUTH x"]))), [Severity::Unknown]);
        assert_eq!(of(Some(replies(&["-ERR no user", ""]))), [Severity::Unknown, Severity::Unknown]);
        assert_eq!(of(Some(replies(&["+PONG"]))), [Severity::Unknown, Severity::Unknown]);
        let findings = tls(alert("a"), alert("b"), None);
        assert_eq!(severities(&findings, &kind::OUTSIDE_NAME), [Severity::Unknown]);
    }

    #[test]
    fn it_is_respgate_only_where_it_says_so() {
        let of = |friend: &[&str]| severities(&tls(alert("a"), alert("b"), Some(replies(friend))), &kind::OUTSIDE_GATE);
        assert_eq!(of(&["+PONG", "-NOPERM no 'flushall' (blocked by respgate)", "-NOPERM x"]), [Severity::Green]);
        assert_eq!(of(&["+PONG", "-NOPERM x", "-NOPERM x"]), [Severity::Amber]);
        assert_eq!(of(&["+PONG"]), [Severity::Unknown]);
        assert_eq!(of(&["HTTP/1.1 400 Bad Request"]), [Severity::Amber]);
        assert_eq!(severities(&tls(alert("a"), alert("b"), None), &kind::OUTSIDE_GATE), [Severity::Unknown]);
    }

    #[test]
    fn what_others_say_is_repeated_in_part() {
        let long = "é".repeat(500);
        let findings = outside(
            "redis.example",
            &Seen { gate_port: 6380, ports: Ok(vec![port(6380, says(&long))]), left_out: Vec::new() },
        );
        assert!(findings[0].subject.chars().count() < 200, "{findings:?}");
    }
}
