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
    REDIS_EXPOSED: "redis.exposed", 4, "whoever reaches this host reaches Redis";
    REDIS_OPEN: "redis.open", 4, "it asks for no password: whoever connects reads, changes and deletes everything";
    GATE_CONFIG: "gate.config", 9, "what `respgate check` says of the configuration";
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
    fn no_two_kinds_share_an_id() {
        let ids: BTreeSet<&str> = ALL.iter().map(|kind| kind.id).collect();
        assert_eq!(ids.len(), ALL.len());
    }
}
