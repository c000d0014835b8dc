//! What a session is at.

/// What a session waits in, at a moment between two wake-ups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activity {
    /// Nobody has logged in.
    Login,
    /// A password is being verified.
    Password,
    /// A login was throttled, and is answered late.
    Throttled,
    /// An edit of users is being done, or waits for its turn.
    Edit,
    /// Redis is told of the user that scripts run as.
    Mirror,
    /// To judge its request takes long, and others come before it.
    Judgement,
    /// A connection to Redis is being made.
    Connect,
    /// The client does not take its replies.
    Unread,
    /// Redis executes a command that may block: this one, as the client has it.
    Blocked(Box<[u8]>),
    /// Redis sends a replica what changes.
    Replica,
    /// Redis sends what it executes.
    Monitor,
    /// Redis sends messages.
    Subscribed,
    /// Redis owes something.
    Redis,
    /// It is the client's turn.
    Client,
}
