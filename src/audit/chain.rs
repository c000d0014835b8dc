//! The chain of the audit log: each line holds the digest of the one before, so that nobody can change, take away or move
//! one without changing all that follow. Where the last line is known from elsewhere, a tail that was cut is found as well.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The SHA-256 of these bytes, in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut digits, byte| {
        // A String takes everything.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// A line that all before it can be held against: `SEQ:HASH`, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub seq: u64,
    /// Its digest, without the newline at its end.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Head, String> {
        let (seq, hash) = text.split_once(':').unwrap_or_default();
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        match seq.parse() {
            Ok(seq) if is_hash => Ok(Head { seq, hash: hash.to_ascii_lowercase() }),
            _ => Err("not SEQ:HASH, a number and 64 hexadecimal digits".to_owned()),
        }
    }
}

/// What of a line says where its place is.
#[derive(Deserialize)]
struct Link {
    v: u64,
    run: String,
    seq: u64,
    prev: Option<String>,
    torn: Option<String>,
}

impl Link {
    /// `None` where it is no line of an audit log.
    fn of(line: &[u8]) -> Option<Link> {
        serde_json::from_slice(line).ok().filter(|link: &Link| link.v == 1)
    }
}

/// What there is before a line that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Last {
    head: Head,
    run: String,
}

/// What a file ends with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    last: Option<Last>,
    /// The digest of what comes behind the last line and is none: its write was cut off.
    torn: Option<String>,
    /// The file does not end with a newline.
    pub is_open: bool,
}

/// Something that is not empty and holds no line of an audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAuditLog;

impl Tail {
    /// That of a file that ends with these bytes.
    ///
    /// # Errors
    /// There is no line among them.
    pub fn of(bytes: &[u8]) -> Result<Tail, NoAuditLog> {
        let is_open = bytes.last().is_some_and(|last| *last != b'\n');
        let mut end = if is_open { bytes.len() } else { bytes.len().saturating_sub(1) };
        let whole = end;
        while end > 0 {
            let start = bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            let line = &bytes[start..end];
            if let Some(Link { run, seq, .. }) = Link::of(line) {
                let torn = bytes.get(end + 1..whole).map(digest);
                return Ok(Tail { last: Some(Last { head: Head { seq, hash: digest(line) }, run }), torn, is_open });
            }
            end = start.saturating_sub(1);
        }
        if bytes.is_empty() { Ok(Tail::default()) } else { Err(NoAuditLog) }
    }
}

/// The chain of one process, as it is written.
#[derive(Debug, Clone)]
pub struct Chain {
    run: String,
    last: Option<Last>,
    torn: Option<String>,
}

impl Chain {
    /// A chain of the process with this name, which no other has.
    pub fn new(run: String) -> Chain {
        Chain { run, last: None, torn: None }
    }

    /// Goes on behind what a file ends with, where that is not empty.
    pub fn follow(&mut self, tail: Tail) {
        if tail.last.is_some() {
            self.last = tail.last;
            self.torn = tail.torn;
        }
    }

    /// The last line.
    pub fn head(&self) -> Option<&Head> {
        self.last.as_ref().map(|last| &last.head)
    }

    /// The next line, without its end, of this JSON object.
    pub fn seal(&mut self, object: &str) -> String {
        let seq = self.head().map_or(1, |head| head.seq + 1);
        let mut line = format!("{{\"v\":1,\"run\":\"{}\",\"seq\":{seq}", self.run);
        if let Some(Last { head, run }) = &self.last {
            line.extend([",\"prev\":\"", &head.hash, "\""]);
            if *run != self.run {
                line.extend([",\"prev_run\":\"", run, "\""]);
            }
        }
        if let Some(torn) = self.torn.take() {
            line.extend([",\"torn\":\"", &torn, "\""]);
        }
        line.extend([",", object.trim_start_matches('{')]);
        self.last = Some(Last { head: Head { seq, hash: digest(line.as_bytes()) }, run: self.run.clone() });
        line
    }
}

/// Holds files against the chain, one after the other.
#[derive(Debug, Default)]
pub struct Verifier {
    head: Option<Head>,
    is_head_found: bool,
    last: Option<Head>,
    /// The digest of what is before the first line.
    before_all: Option<String>,
    /// What came since the last line and is none.
    torn: Vec<u8>,
    is_file_new: bool,
    lines: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The first line of all has others before it, which are not there. No fault.
    BeginsAt(u64),
    /// A file begins that follows nothing. No fault: the process found an empty file.
    BeginsAnew,
    /// Bytes of a write that was cut off; what follows vouches for them. No fault.
    Torn(usize),
    /// The last file ends with so many bytes that are no line: a write that was cut off, or goes on. No fault.
    Unfinished(usize),
    /// So many bytes before it are no line.
    NoLine(usize),
    /// A chain begins in the middle of a file.
    BeginsWithin,
    /// Lines between these are missing.
    Missing(u64, u64),
    /// The first of these stands before the second.
    Order(u64, u64),
    /// It stands before the first line of all.
    BeforeAll(u64),
    /// The line before it is another than the one that was written.
    Changed(u64),
    /// The line that is known is not there as it was: it was changed, or the end was cut off.
    NoHead(u64),
}

impl Finding {
    /// Whether somebody has had a hand in it.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::BeginsAt(_) | Self::BeginsAnew | Self::Torn(_) | Self::Unfinished(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeginsAt(seq) => write!(f, "begins with line {seq}: those before it were not shown"),
            Self::BeginsAnew => f.write_str("a new chain: the process found an empty file"),
            Self::Torn(bytes) => write!(f, "before it {bytes} bytes of a line whose write was cut off"),
            Self::Unfinished(bytes) => write!(f, "ends with {bytes} bytes of a line that is not finished"),
            Self::NoLine(bytes) => write!(f, "before it {bytes} bytes that are no line of an audit log"),
            Self::BeginsWithin => f.write_str("a new chain in the middle of a file: lines before it were taken away"),
            Self::Missing(before, after) => write!(f, "lines are missing between {before} and {after}"),
            Self::Order(before, after) => write!(f, "line {after} after line {before}: moved, or there twice"),
            Self::BeforeAll(seq) => {
                write!(f, "line {seq} stands before the first one: are the files in another order?")
            }
            Self::Changed(seq) => write!(f, "line {seq} was changed"),
            Self::NoHead(seq) => write!(f, "line {seq} is not there as it was: changed, or the end was cut off"),
        }
    }
}

impl Verifier {
    /// One that looks for this line.
    pub fn new(head: Option<Head>) -> Verifier {
        Verifier { head, ..Verifier::default() }
    }

    /// The next file begins.
    pub fn begin_file(&mut self) {
        self.is_file_new = true;
    }

    /// Takes the next line, without its end, and says what is wrong at it.
    pub fn take(&mut self, line: &[u8]) -> Vec<Finding> {
        let Some(link) = Link::of(line) else {
            if !self.torn.is_empty() {
                self.torn.push(b'\n');
            }
            self.torn.extend_from_slice(line);
            return Vec::new();
        };
        let head = Head { seq: link.seq, hash: digest(line) };
        let is_before_all = self.before_all.as_ref() == Some(&head.hash);
        let before_all = is_before_all.then_some(Finding::BeforeAll(link.seq));
        let findings = [self.torn_before(&link, line), self.place(&link), before_all].into_iter().flatten().collect();
        self.is_head_found |= self.head.as_ref() == Some(&head);
        if self.last.is_none() {
            self.before_all = link.prev;
        }
        self.last = Some(head);
        self.is_file_new = false;
        self.lines += 1;
        findings
    }

    /// What was cut off is vouched for by the digest in the next line. What the same process could not finish it has written
    /// again in whole.
    fn torn_before(&mut self, link: &Link, line: &[u8]) -> Option<Finding> {
        let torn = std::mem::take(&mut self.torn);
        let is_vouched_for = match &link.torn {
            Some(hash) => *hash == digest(&torn),
            None => line.starts_with(&torn),
        };
        match torn.len() {
            bytes if !is_vouched_for => Some(Finding::NoLine(bytes)),
            0 => None,
            bytes => Some(Finding::Torn(bytes)),
        }
    }

    fn place(&self, link: &Link) -> Option<Finding> {
        let seq = link.seq;
        match (&self.last, &link.prev) {
            (None, None) if seq == 1 => None,
            (None, _) => Some(Finding::BeginsAt(seq)),
            (Some(_), None) if seq == 1 && self.is_file_new => Some(Finding::BeginsAnew),
            (Some(_), None) => Some(Finding::BeginsWithin),
            (Some(last), Some(_)) if seq > last.seq + 1 => Some(Finding::Missing(last.seq, seq)),
            (Some(last), Some(_)) if seq <= last.seq => Some(Finding::Order(last.seq, seq)),
            (Some(last), Some(prev)) if *prev != last.hash => Some(Finding::Changed(last.seq)),
            (Some(_), Some(_)) => None,
        }
    }

    /// What there is to say behind the last line.
    pub fn end(&self) -> Vec<Finding> {
        let unfinished = Some(self.torn.len()).filter(|bytes| *bytes > 0).map(Finding::Unfinished);
        let no_head = self.head.as_ref().filter(|_| !self.is_head_found).map(|head| Finding::NoHead(head.seq));
        unfinished.into_iter().chain(no_head).collect()
    }

    /// How many lines were taken.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The last of them.
    pub fn last(&self) -> Option<&Head> {
        self.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(run: &str) -> Chain {
        Chain::new(run.to_owned())
    }

    fn write(chain: &mut Chain, count: usize) -> Vec<u8> {
        (0..count).map(|number| chain.seal(&format!("{{\"event\":\"e{number}\"}}")) + "\n").collect::<String>().into()
    }

    fn verify(files: &[&[u8]], head: Option<&Head>) -> Vec<Finding> {
        let mut verifier = Verifier::new(head.cloned());
        let mut findings = Vec::new();
        for file in files {
            verifier.begin_file();
            let lines = file.strip_suffix(b"\n").unwrap_or(file).split(|byte| *byte == b'\n');
            lines.for_each(|line| findings.extend(verifier.take(line)));
        }
        findings.extend(verifier.end());
        findings
    }

    fn has_fault(file: &[u8], head: Option<&Head>) -> bool {
        verify(&[file], head).iter().any(Finding::is_fault)
    }

    #[test]
    fn one_changed_byte_anywhere_is_found_with_a_head() {
        let mut chain = chain("a");
        let file = write(&mut chain, 100);
        let head = chain.head().unwrap().clone();
        assert_eq!(verify(&[&file], Some(&head)), []);
        // The last newline alone is no part of a line.
        for at in 0..file.len() - 1 {
            for bit in [1, 1 << 5] {
                let mut changed = file.clone();
                changed[at] ^= bit;
                assert!(has_fault(&changed, Some(&head)), "byte {at}");
            }
        }
    }

    #[test]
    fn without_a_head_only_changes_of_the_last_line_go_unseen() {
        let file = write(&mut chain("a"), 10);
        let last_line = file[..file.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for at in 0..last_line - 1 {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(has_fault(&changed, None), "byte {at}");
        }
    }

    #[test]
    fn missing_reordered_and_repeated_lines_are_found() {
        let file = write(&mut chain("a"), 9);
        let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
        let of = |numbers: &[usize]| numbers.iter().map(|number| lines[*number]).collect::<Vec<_>>().concat();
        let found = |numbers: &[usize]| verify(&[&of(numbers)], None);
        assert_eq!(found(&[0, 1, 2]), []);
        assert_eq!(found(&[0, 2]), [Finding::Missing(1, 3)]);
        assert_eq!(found(&[0, 2, 1, 3]), [Finding::Missing(1, 3), Finding::Order(3, 2), Finding::Missing(2, 4)]);
        assert_eq!(found(&[0, 1, 1, 2]), [Finding::Order(2, 2)]);
        assert_eq!(found(&[3, 4]), [Finding::BeginsAt(4)]);
        assert_eq!(found(&[1, 0]), [Finding::BeginsAt(2), Finding::BeginsWithin, Finding::BeforeAll(1)]);
    }

    #[test]
    fn a_tail_that_was_cut_is_found_with_a_head() {
        let mut chain = chain("a");
        let file = write(&mut chain, 10);
        let head = chain.head().unwrap().clone();
        for length in 0..file.len() - 1 {
            assert!(has_fault(&file[..length], Some(&head)), "{length} bytes");
        }
    }

    #[test]
    fn a_line_that_was_replaced_with_all_that_follow_is_found_with_a_head() {
        let (mut original, mut forger) = (chain("a"), chain("a"));
        write(&mut original, 3);
        let forgery = [write(&mut forger, 1), write(&mut forger, 2)].concat();
        assert_eq!(verify(&[&forgery], None), []);
        assert_eq!(verify(&[&forgery], original.head()), [Finding::NoHead(3)]);
    }

    #[test]
    fn another_process_goes_on_with_the_chain_and_names_the_run_before() {
        let mut file = write(&mut chain("a"), 2);
        let mut next = chain("b");
        next.follow(Tail::of(&file).unwrap());
        file.extend(write(&mut next, 2));
        assert_eq!(verify(&[&file], next.head()), []);
        let text = String::from_utf8(file).unwrap();
        let prev_runs = text.lines().map(|line| line.contains("\"prev_run\":\"a\"")).collect::<Vec<_>>();
        assert_eq!(prev_runs, [false, false, true, false]);
    }

    #[test]
    fn a_file_goes_on_where_the_one_before_ended_and_in_no_other_order() {
        let mut chain = chain("a");
        let files = [write(&mut chain, 2), write(&mut chain, 2)];
        assert_eq!(verify(&[&files[0], &files[1]], chain.head()), []);
        let findings = [Finding::BeginsAt(3), Finding::BeginsAnew, Finding::BeforeAll(2)];
        assert_eq!(verify(&[&files[1], &files[0]], None), findings);
        assert_eq!(verify(&[&files[1]], None), [Finding::BeginsAt(3)]);
        let anew = write(&mut super::Chain::new("b".to_owned()), 1);
        assert_eq!(verify(&[&files[0], &anew], None), [Finding::BeginsAnew]);
        assert_eq!(verify(&[&[&files[0][..], &anew].concat()], None), [Finding::BeginsWithin]);
    }

    /// A file whose last write was cut off at each byte, and what another process has written behind it.
    #[test]
    fn a_line_that_was_torn_is_kept_and_vouched_for_by_the_next() {
        let mut before = chain("a");
        let whole = write(&mut before, 2);
        let last_line = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for cut in last_line..=whole.len() {
            let mut file = whole[..cut].to_vec();
            let tail = Tail::of(&file).unwrap();
            if tail.is_open {
                file.push(b'\n');
            }
            let mut next = chain("b");
            next.follow(tail);
            file.extend(write(&mut next, 2));
            let torn = match cut - last_line {
                bytes if bytes == 0 || cut >= whole.len() - 1 => vec![],
                bytes => vec![Finding::Torn(bytes)],
            };
            assert_eq!(verify(&[&file], next.head()), torn, "cut at {cut}");
            if !torn.is_empty() {
                file[last_line] ^= 1;
                assert!(has_fault(&file, None), "a fragment that was changed");
            }
        }
    }

    #[test]
    fn a_process_may_be_torn_twice() {
        let mut first = chain("a");
        let mut file = [&write(&mut first, 1)[..], b"{\"v\":1,\"ru"].concat();
        let mut second = chain("b");
        second.follow(Tail::of(&file).unwrap());
        file.push(b'\n');
        let line = write(&mut second, 1);
        file.extend(&line[..line.len() / 2]);
        let mut third = chain("c");
        third.follow(Tail::of(&file).unwrap());
        file.push(b'\n');
        file.extend(write(&mut third, 1));
        assert!(matches!(verify(&[&file], third.head())[..], [Finding::Torn(_)]));
    }

    #[test]
    fn what_could_not_be_finished_before_the_file_was_moved_is_written_again_in_the_next() {
        let mut chain = chain("a");
        let first = write(&mut chain, 1);
        let second = write(&mut chain, 1);
        let old = [&first[..], &second[..20]].concat();
        assert_eq!(verify(&[&old, &second], chain.head()), [Finding::Torn(20)]);
        assert_eq!(verify(&[&old], None), [Finding::Unfinished(20)]);
    }

    #[test]
    fn what_is_no_audit_log_is_not_gone_on_with() {
        assert_eq!(Tail::of(b""), Ok(Tail::default()));
        for other in [&b"\n"[..], b"text\n", b"{\"v\":2,\"run\":\"a\",\"seq\":1}\n", b"text"] {
            assert_eq!(Tail::of(other), Err(NoAuditLog), "{other:?}");
        }
    }

    #[test]
    fn a_head_is_read_as_it_is_shown() {
        let head = Head { seq: 7, hash: digest(b"") };
        assert_eq!(head.to_string().parse(), Ok(head));
        for wrong in ["", "7", "7:", ":7", "x:00", "7:00"] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }
}
