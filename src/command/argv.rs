//! The arguments of one request.

use std::ops::Range;

/// Arguments borrowed from the bytes they arrived in.
#[derive(Clone, Copy)]
pub struct Argv<'a> {
    bytes: &'a [u8],
    /// Each lies within `bytes`; checked on every access, an argument outside it does not exist.
    spans: &'a [Range<u32>],
}

impl<'a> Argv<'a> {
    /// `spans` index `bytes`, one per argument, the command name first.
    pub fn new(bytes: &'a [u8], spans: &'a [Range<u32>]) -> Argv<'a> {
        Argv { bytes, spans }
    }

    /// Number of arguments, the command name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// No argument at all.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`; 0 is the command name.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        let argument = self.bytes.get(span.start as usize..span.end as usize);
        #[cfg(test)]
        looks::note(argument);
        argument
    }

    /// The arguments from `first` on, as a request of their own.
    pub fn skip(&self, first: usize) -> Argv<'a> {
        Argv { spans: self.spans.get(first..).unwrap_or_default(), ..*self }
    }

    /// All arguments from `first` on, with their index.
    pub fn iter_from(&self, first: usize) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let argv = *self;
        (first..argv.len()).map_while(move |index| Some((index, argv.get(index)?)))
    }

    /// All arguments, the command name first.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.iter_from(0).map(|(_, argument)| argument)
    }
}

/// Arguments that own their bytes: for tests, `ACL DRYRUN`, `acl explain` and inline requests.
#[derive(Clone, Default)]
pub struct ArgvBuf {
    bytes: Vec<u8>,
    spans: Vec<Range<u32>>,
}

impl ArgvBuf {
    /// Appends one argument. Panics past 4 GiB of arguments, which no request can hold.
    pub fn push(&mut self, argument: &[u8]) {
        let offset = |len: usize| u32::try_from(len).expect("arguments of one request stay under 4 GiB");
        let start = offset(self.bytes.len());
        self.bytes.extend_from_slice(argument);
        self.spans.push(start..offset(self.bytes.len()));
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Range<u32>>()
    }

    /// The borrowed view that everything else takes.
    pub fn as_argv(&self) -> Argv<'_> {
        Argv::new(&self.bytes, &self.spans)
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for ArgvBuf {
    fn from_iter<I: IntoIterator<Item = T>>(arguments: I) -> ArgvBuf {
        let mut argv = ArgvBuf::default();
        for argument in arguments {
            argv.push(argument.as_ref());
        }
        argv
    }
}

/// How much of arguments is looked at: what tests of the amount of work count.
#[cfg(test)]
pub(crate) mod looks {
    use std::cell::Cell;

    thread_local! {
        static BYTES: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn note(argument: Option<&[u8]>) {
        BYTES.set(BYTES.get() + 1 + argument.map_or(0, <[u8]>::len));
    }

    /// Bytes of the arguments that this thread has asked for since this was last called, and one for each.
    pub(crate) fn take() -> usize {
        BYTES.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_arguments_read_back_in_order() {
        let argv = ArgvBuf::from_iter(["SET", "", "v"]);
        let argv = argv.as_argv();
        assert_eq!(argv.iter().collect::<Vec<_>>(), [b"SET".as_slice(), b"", b"v"]);
        assert_eq!(argv.get(3), None);
    }

    #[test]
    fn arguments_can_be_a_request_of_their_own() {
        let argv = ArgvBuf::from_iter(["ACL", "DRYRUN", "bob", "GET", "k"]);
        let request = argv.as_argv().skip(3);
        assert_eq!(request.iter().collect::<Vec<_>>(), [b"GET".as_slice(), b"k"]);
        assert!(request.skip(3).is_empty());
    }

    #[test]
    fn a_span_outside_the_bytes_is_no_argument() {
        assert_eq!(Argv::new(b"abc", std::slice::from_ref(&(1..9))).get(0), None);
    }
}
