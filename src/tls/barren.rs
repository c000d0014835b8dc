//! What TLS is given and makes no plaintext of: KeyUpdates, tickets, pieces of what never becomes whole. It costs time and brings
//! nothing, and rustls bounds little of it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::task::yield_now;

/// Bytes without plaintext at most: a whole record of 16 KiB, behind the end of another one (RFC 8446 section 5.2). After the
/// handshake nobody has anything to say that is longer.
const MOST_BYTES: usize = 24 << 10;

/// Records without plaintext at most. BoringSSL takes as many KeyUpdates.
const MOST_RECORDS: usize = 32;

/// Of so many records without plaintext others have their turn. A KeyUpdate takes 4 µs.
const RECORDS_AT_ONCE: usize = 8;

/// For each so many bytes in it a record counts as one more. A server's tickets take 1.5 µs each, and 900 of them fit in one.
const RECORD: usize = 1 << 10;

/// Bytes that TLS 1.3 adds to what is in a record: its type and the tag.
const ADDED: usize = 17;

/// What was given since there was plaintext. Knows where records begin, if it has seen all that was given from the first byte on.
#[derive(Default)]
pub(super) struct Barren {
    /// How much of the header of a record has gone by, up to [`HEADER`].
    header: usize,
    /// How much of the record is missing, once the header is whole.
    missing: usize,
    /// The length of the record.
    length: usize,
    bytes: usize,
    records: usize,
    /// Those since others had their turn.
    records_at_once: usize,
}

/// Bytes of the header of a record: its type, a version and its length (RFC 8446 section 5.1).
const HEADER: usize = 5;

impl Barren {
    /// The beginning of `bytes` that may be given now, up to the end of [`RECORDS_AT_ONCE`] records. Counts as given.
    pub(super) fn give<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (mut at, mut ended) = (0, 0);
        while at < bytes.len() && ended < RECORDS_AT_ONCE {
            if self.header < HEADER {
                self.missing = (self.missing << 8 | usize::from(bytes[at])) & 0xffff;
                self.header += 1;
                self.length = self.missing;
                at += 1;
            } else {
                let step = self.missing.min(bytes.len() - at);
                self.missing -= step;
                at += step;
            }
            if self.header == HEADER && self.missing == 0 {
                self.header = 0;
                ended += 1;
                self.records_at_once += cost(self.length.saturating_sub(ADDED));
            }
        }
        self.bytes += at;
        self.records += ended;
        &bytes[..at]
    }

    /// The same, of what was given already.
    pub(super) fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.give(bytes).len()..];
        }
    }

    /// There is so much plaintext of one of the records.
    pub(super) fn note_plaintext(&mut self, bytes: usize) {
        (self.bytes, self.records) = (0, 0);
        self.records_at_once = self.records_at_once.saturating_sub(cost(bytes));
    }

    /// The handshake, in which there is none, is over.
    pub(super) fn begin(&mut self) {
        (self.bytes, self.records, self.records_at_once) = (0, 0, 0);
    }

    /// Bytes since there was plaintext.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nobody has to send so much of it.
    pub(super) fn is_too_much(&self) -> bool {
        self.bytes > MOST_BYTES || self.records > MOST_RECORDS
    }

    /// Ready if more may be given now; otherwise whoever is polled is woken when the others have had their turn.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.records_at_once < RECORDS_AT_ONCE {
            return Poll::Ready(());
        }
        self.records_at_once = 0;
        pin!(yield_now()).poll(cx)
    }
}

/// As how many records one counts that has so much in it.
fn cost(bytes: usize) -> usize {
    1 + bytes / RECORD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(length: usize) -> Vec<u8> {
        let mut record = vec![23, 3, 3];
        record.extend(u16::try_from(length).expect("a length").to_be_bytes());
        record.resize(HEADER + length, 0xff);
        record
    }

    #[test]
    fn records_are_counted_wherever_they_are_cut() {
        let records = [record(0), record(300), record(1), record(22)].concat();
        for size in 1..records.len() {
            let mut barren = Barren::default();
            records.chunks(size).for_each(|piece| barren.note(piece));
            assert_eq!((barren.records, barren.bytes), (4, records.len()), "{size}");
        }
    }

    #[test]
    fn eight_records_are_given_at_once_and_more_than_32_without_plaintext_are_too_many() {
        let records = record(22).repeat(MOST_RECORDS + 1);
        let eight = record(22).len() * RECORDS_AT_ONCE;
        let mut barren = Barren::default();
        let mut left = &records[..];
        for _ in 0..4 {
            assert_eq!(barren.give(left).len(), eight);
            assert!(!barren.is_too_much());
            left = &left[eight..];
        }
        barren.note(left);
        assert!(barren.is_too_much());
        barren.note_plaintext(5);
        assert!(!barren.is_too_much());
    }

    #[test]
    fn a_record_counts_by_its_length_and_is_taken_back_by_what_came_of_it() {
        let mut barren = Barren::default();
        for length in [0, 1, 1023, 1024, 16 << 10] {
            barren.note(&record(length + ADDED));
            barren.note_plaintext(length);
            assert_eq!(barren.records_at_once, 0, "{length}");
        }
        barren.note(&record((13 << 10) + ADDED));
        barren.note(&record(1 + ADDED));
        barren.note_plaintext(1);
        assert!(barren.records_at_once > RECORDS_AT_ONCE, "a byte is not what takes a record of tickets back");
    }

    #[test]
    fn a_whole_record_is_never_too_much() {
        let mut barren = Barren::default();
        barren.note(&record((16 << 10) + 256));
        assert!(!barren.is_too_much());
        barren.note(&record(8 << 10));
        assert!(barren.is_too_much());
    }

    #[tokio::test]
    async fn others_have_a_turn_after_eight_records() {
        let mut barren = Barren::default();
        let mut turns = 0;
        std::future::poll_fn(|cx| {
            turns += 1;
            while barren.records < MOST_RECORDS {
                if barren.poll_turn(cx).is_pending() {
                    return Poll::Pending;
                }
                barren.give(&record(22));
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(turns, MOST_RECORDS / RECORDS_AT_ONCE);
    }
}
