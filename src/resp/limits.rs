/// What one request may cost. Passed to every scan, because authentication changes it between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Most arguments of a multibulk request, the command name included.
    pub max_args: u32,
    /// Most bytes of one argument.
    pub max_bulk: u64,
    /// Most bytes of an inline request, without its LF.
    pub max_inline: usize,
    /// Which texts a breach is answered with; the numbers above decide alone what is a breach.
    pub authenticated: bool,
}

impl RequestLimits {
    /// Before authentication, as Redis (`processMultibulkBuffer`): 10 arguments of at most 16,384 bytes.
    pub const UNAUTHENTICATED: RequestLimits =
        RequestLimits { max_args: 10, max_bulk: 16_384, max_inline: 64 * 1024, authenticated: false };

    /// After authentication, unless configured otherwise: 1,048,576 arguments, 512 MiB each (Redis's
    /// `proto-max-bulk-len`), and 64 KiB inline (`PROTO_INLINE_MAX_SIZE`).
    pub const AUTHENTICATED: RequestLimits = RequestLimits {
        max_args: 1024 * 1024,
        max_bulk: 512 * 1024 * 1024,
        max_inline: 64 * 1024,
        authenticated: true,
    };
}

impl Default for RequestLimits {
    fn default() -> RequestLimits {
        RequestLimits::AUTHENTICATED
    }
}
