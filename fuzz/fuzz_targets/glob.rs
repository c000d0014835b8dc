//! Any pattern: on short strings the verdict of the definition; on long ones a verdict, in bounded time.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/acl/pattern.rs"]
mod pattern;

const SHORT: usize = 16;

fuzz_target!(|data: &[u8]| {
    let Some((control, bytes)) = data.split_first() else { return };
    let at = usize::from(*control) * bytes.len() / 255;
    let (text, string) = bytes.split_at(at);
    let compiled = pattern::Pattern::new(text);
    assert_eq!(compiled.text(), text);
    let verdict = compiled.matches(string);
    if text.len() <= SHORT && string.len() <= SHORT {
        assert_eq!(verdict, matches(text, string), "\"{}\" \"{}\"", text.escape_ascii(), string.escape_ascii());
    }
    // Repeated, they make the hostile patterns: many stars, none of which can hold.
    let times = 4096 / bytes.len().max(1);
    let _ = pattern::Pattern::new(&text.repeat(times)).matches(&string.repeat(times));
});

/// One element of a pattern.
enum Element {
    Star,
    AnyByte,
    Byte(u8),
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

/// What Redis's `stringmatchlen` decides, said the plain way: parse first, then try everything.
fn matches(pattern: &[u8], string: &[u8]) -> bool {
    match string {
        [] => pattern.is_empty(),
        _ => takes(&parse(pattern), string),
    }
}

fn takes(elements: &[Element], string: &[u8]) -> bool {
    match (elements, string) {
        ([], _) => string.is_empty(),
        ([Element::Star, rest @ ..], _) => (0..=string.len()).any(|taken| takes(rest, &string[taken..])),
        ([element, rest @ ..], [byte, more @ ..]) => element.takes(*byte) && takes(rest, more),
        _ => false,
    }
}

fn parse(pattern: &[u8]) -> Vec<Element> {
    let mut bytes = pattern.iter().copied().peekable();
    let mut elements = Vec::new();
    while let Some(byte) = bytes.next() {
        let after_star = matches!(elements.last(), Some(Element::Star));
        elements.push(match byte {
            b'*' if after_star => continue,
            b'*' => Element::Star,
            b'?' => Element::AnyByte,
            b'\\' => Element::Byte(bytes.next().unwrap_or(b'\\')),
            b'[' => {
                let negated = bytes.next_if_eq(&b'^').is_some();
                let class: Vec<u8> = bytes.clone().collect();
                let (ranges, len) = ranges(&class);
                bytes.by_ref().take(len).for_each(drop);
                Element::Class { negated, ranges }
            }
            literal => Element::Byte(literal),
        });
    }
    elements
}

/// The ranges of a class and its length with the final `]`, which may be missing.
fn ranges(class: &[u8]) -> (Vec<(u8, u8)>, usize) {
    let (mut ranges, mut at) = (Vec::new(), 0);
    while at < class.len() {
        let rest = &class[at..];
        let (range, len) = match rest[0] {
            b'\\' if rest.len() > 1 => ((rest[1], rest[1]), 2),
            b']' => return (ranges, at + 1),
            low if rest.len() > 2 && rest[1] == b'-' => ((low, rest[2]), 3),
            byte => ((byte, byte), 1),
        };
        ranges.push(range);
        at += len;
    }
    (ranges, at)
}

impl Element {
    fn takes(&self, byte: u8) -> bool {
        // Redis compares signed bytes.
        let signed = |byte: u8| i16::from(byte.cast_signed());
        let within = |(one, other): &(u8, u8)| {
            let (low, high) = (signed(*one).min(signed(*other)), signed(*one).max(signed(*other)));
            low <= signed(byte) && signed(byte) <= high
        };
        match self {
            Element::Star => false,
            Element::AnyByte => true,
            Element::Byte(wanted) => *wanted == byte,
            Element::Class { negated, ranges } => ranges.iter().any(within) != *negated,
        }
    }
}
