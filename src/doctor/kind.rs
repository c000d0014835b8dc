//! What is looked at: each kind of finding with its words, which stand here alone.

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// What it is called, in reports and in scripts.
    pub id: &'static str,
    /// The point of `docs/hardening.md` that it belongs to, from 1.
    pub point: usize,
    /// Why it matters, where it is not as it should be.
    pub why: &'static str,
}

/// The points of `docs/hardening.md`, from 1 on.
pub const POINTS: [&str; 13] = [
    "What an open Redis means",
    "Contain it now",
    "Containers",
    "redis.conf",
    "Secrets",
    "Applications",
    "TLS",
    "Firewall",
    "Validate",
    "After an incident",
    "Watch it",
    "All at once",
    "The checklist",
];

macro_rules! kinds {
    ($($name:ident: $id:literal, $point:literal, $why:literal;)*) => {
        $(#[doc = concat!("`", $id, "`")] pub static $name: Kind = Kind { id: $id, point: $point, why: $why };)*

        /// All of them.
        pub static ALL: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    REDIS_FOUND: "redis.found", 1, "what is not found cannot be judged";
    REDIS_TOLD: "redis.told", 1, "what Redis does not tell cannot be judged";
    REDIS_CLIENTS: "redis.clients", 2, "what does not come through respgate is bound by no ACL and no blocklist of it";
    COMPOSE_PUBLISHED: "compose.published", 3, "a published port is reachable from everywhere, past the firewall of the host";
    COMPOSE_GATE: "compose.gate", 3, "a port that is published without an address is published on all of them";
    COMPOSE_PROXY: "compose.proxy", 3, "every client then has the address of the bridge: allow, deny and allow-from cannot tell them apart";
    REDIS_EXPOSED: "redis.exposed", 4, "whoever reaches this host reaches Redis";
    REDIS_BUS: "redis.bus", 4, "whoever reaches it may join the cluster, take slots and read what nodes tell each other";
    PORT_TAKEN: "port.6379", 4, "whatever answers there answers whoever reaches this host";
    REDIS_OPEN: "redis.open", 4, "it asks for no password: whoever connects reads, changes and deletes everything";
    REDIS_PROTECTED_MODE: "redis.protected", 4, "without it an open Redis answers everybody, and not this host alone";
    REDIS_COMMANDS: "redis.commands", 4, "it lets clients run code in Redis, or move its files";
    REDIS_NOPASS: "redis.nopass", 4, "any password makes somebody this user";
    REDIS_ANNOUNCED: "redis.announced", 4, "who asks Sentinel or the cluster where to go is sent past respgate, and speaks without TLS";
    REDIS_ROOT: "redis.root", 4, "whoever has Redis write a file can write every file of this host";
    REDIS_LITERAL: "redis.literal", 5, "Redis knows no variables: everybody can guess what stands there";
    REDIS_WEAK: "redis.weak", 5, "Redis answers thousands of guesses a second";
    REDIS_READABLE: "redis.readable", 5, "every account of this host can log in";
    REDIS_DUMP: "redis.dump", 5, "every account of this host can read all of the data";
    FILES: "files", 5, "whoever can read a secret has it, and whoever can change a file decides";
    REDIS_TLS: "redis.tls", 7, "TLS keeps others from listening, and lets everybody in";
    CRL_MISSING: "crl.missing", 7, "a certificate that was stolen is good until it ends";
    OUTSIDE_PLAINTEXT: "outside.plaintext", 7, "without TLS everybody on the way reads passwords and data, and changes them";
    OUTSIDE_CERTIFICATE: "outside.certificate", 7, "without a certificate a password is all that it takes, or nothing";
    OUTSIDE_AUTHORITY: "outside.authority", 7, "everybody can make a certificate of an authority of their own";
    OUTSIDE_VERSIONS: "outside.versions", 7, "TLS 1.1 and older are too weak, and given up (RFC 8996)";
    OUTSIDE_NAME: "outside.name", 7, "clients cannot tell it from somebody in between";
    OUTSIDE_REDIS: "outside.redis", 8, "whoever reaches this port reaches Redis, without TLS and past respgate";
    FIREWALL: "firewall", 8, "only somebody outside sees what a firewall lets through";
    GATE_CONFIG: "gate.config", 9, "what `respgate check` says of the configuration";
    GATE_UPSTREAM: "gate.upstream", 9, "without its Redis respgate serves nobody";
    GATE_RUNNING: "gate.running", 9, "what does not run guards nothing";
    GATE_RELOAD: "gate.reload", 9, "what was changed since guards nothing";
    OUTSIDE_GATE: "outside.gate", 9, "what is not respgate does not do what respgate does";
    OUTSIDE_COMMANDS: "outside.commands", 9, "whoever has this certificate can delete everything, or have Redis write files";
    ACL_NOPASS: "acl.nopass", 6, "any password makes somebody this user";
    ACL_WEAK: "acl.weak", 6, "its hash stands for a word that everybody tries";
    ACL_WIDE: "acl.wide", 6, "one password that leaks is all of the data";
    ACL_SHADOW: "acl.shadow", 6, "what its rules refuse is let through, and only recorded";
    ACL_EXEMPT: "acl.exempt", 6, "the blocklist does not hold for this user: one password that leaks is FLUSHALL";
    GATE_STRAY_AUTH: "gate.stray-auth", 6, "it is for a migration: what clients still send are passwords that leak";
    REDIS_KEYS: "redis.keys", 10, "somebody was here: take this host for theirs until you know better";
    REDIS_WRITES: "redis.writes", 10, "CONFIG SET can have Redis write cron tables, keys of SSH and programs";
    REDIS_MODULES: "redis.modules", 10, "a module is code: attackers load one that runs commands of the shell";
    REDIS_REPLICATION: "redis.replication", 10, "a master decides what is in a replica, and a replica has everything; attackers use both";
    REDIS_MEMORY: "redis.memory", 11, "one client can fill the memory of the whole host";
    REDIS_PERSISTENCE: "redis.persistence", 11, "a restart loses everything; for a cache that may be meant";
    GATE_AUDIT: "gate.audit", 10, "after an incident nobody knows who was refused what, and who changed users";
    GATE_METRICS: "gate.metrics", 11, "nobody is told of refusals, failed logins and certificates that end";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    /// The sections of `docs/hardening.md`: number, heading and text.
    fn sections() -> Vec<(usize, String, String)> {
        let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hardening.md")).unwrap();
        let section = |section: &str| {
            let (heading, text) = section.split_once('\n').unwrap();
            let (number, heading) = heading.split_once(". ")?;
            Some((number.parse().ok()?, heading.to_owned(), text.to_owned()))
        };
        text.split("\n## ").skip(1).filter_map(section).collect()
    }

    #[test]
    fn the_points_are_the_sections_of_the_document_and_its_anchors() {
        let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hardening.md")).unwrap();
        let sections = sections();
        assert_eq!(sections.iter().map(|(_, heading, _)| heading.as_str()).collect::<Vec<_>>(), POINTS);
        for (index, (number, heading, _)) in sections.iter().enumerate() {
            assert_eq!(*number, index + 1, "{heading}");
            assert!(text.contains(&format!("<a id=\"{number}\"></a>\n\n## {number}. {heading}\n")), "{heading}");
        }
    }

    #[test]
    fn the_document_has_every_kind_at_its_point_and_no_other() {
        let sections = sections();
        let documented: BTreeSet<(usize, &str)> = sections
            .iter()
            .flat_map(|(number, _, text)| text.lines().map(move |line| (*number, line)))
            .filter_map(|(number, line)| Some((number, line.strip_prefix("| `")?.split_once('`')?.0)))
            .collect();
        let known: BTreeSet<(usize, &str)> = ALL.iter().map(|kind| (kind.point, kind.id)).collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn no_two_kinds_share_an_id_and_all_have_room_in_a_report() {
        assert!(ALL.iter().all(|kind| kind.id.len() <= 19), "they stand in a column");
        let ids: BTreeSet<&str> = ALL.iter().map(|kind| kind.id).collect();
        assert_eq!(ids.len(), ALL.len());
    }
}
