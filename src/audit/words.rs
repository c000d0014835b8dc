//! The words of the log: why something ended, failed or was refused. They stay the same from version to version, because
//! people search for them and count them. `docs/log.md` lists them all.

use crate::acl::AclDenial;
use crate::identity::CertificateRefusal;
use crate::policy::{DenialReason, Proof, UserRefusal};
use crate::session::{CloseReason, Fault, LoginFailure, RequestRefusal};
use crate::tls::handshake::HandshakeError;
use crate::tls::{ServerFault, ServerRefusal};

/// Why nobody may connect from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressRefusal {
    /// `deny` names it.
    Denied,
    /// There is an `allow`, which does not name it.
    NotAllowed,
}

/// What there is no more of for a client that is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// Places for clients (`maxclients`).
    Clients,
    /// Places for clients of its address (`max-connections-per-address`).
    ClientsOfAddress,
    /// Places for connections that nobody has logged in on, which it waited for.
    Unauthenticated,
}

/// Why a tunnel has no server, or has it no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelFault {
    /// The server's name means no address.
    Name,
    /// No connection to the address.
    Connect,
    /// Nor one in time.
    Timeout,
    /// Something is wrong with the server.
    Server(ServerFault),
}

/// Why an application has its tunnel no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelEnd {
    /// The application closed it first.
    ApplicationGone,
    /// Its connection broke.
    ApplicationLost,
    /// The server closed it first.
    ServerGone,
    /// One of them was done, and nothing came from the other for too long.
    HalfCloseTimeout,
    /// Nothing went through for too long after an answer.
    Idle,
    /// The process ends.
    Drained,
    /// The process ended in the middle of something.
    CutOff,
}

/// What clients can cause, and as often as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A client did not get through its handshake, or a balancer announced nobody.
    HandshakeFailed,
    /// A client came and went without a word.
    Probe,
    /// A client is there.
    ConnectionAccepted,
    /// A client may not enter.
    ConnectionRefused,
    /// A password was right.
    LoginAccepted,
    /// It was not, or was not looked at.
    LoginFailed,
    /// One that can make nobody else of the session was answered as a wrong one.
    LoginRefused,
    /// Such a one was answered as if it were right.
    LoginIgnored,
    /// A request was refused.
    RequestRefused,
    /// One was permitted that `audit-commands` names.
    RequestPermitted,
    /// One was let through that the rules of its user refuse.
    RequestWouldRefuse,
    /// A session has ended.
    Close,
    /// Redis lets no user be made for scripts.
    MirrorFailed,
    /// The system lets no connection be accepted.
    AcceptFailed,
    /// No connection to Redis can be had for a session.
    UpstreamFailed,
    /// An application has its tunnel.
    TunnelOpened,
    /// A tunnel has no server, or has it no more.
    TunnelFailed,
    /// A tunnel of an application has ended.
    TunnelClosed,
    /// There is no place for one more.
    TunnelRefused,
}

/// The outcome of a change of rights that is in force, where Redis may still execute what was sent before.
pub const NOT_CONFIRMED: &str = "not-confirmed";

/// In the audit log: the proxy serves.
pub const SERVICE_STARTED: &str = "service.started";

/// In the audit log: the proxy has ended in good order.
pub const SERVICE_STOPPED: &str = "service.stopped";

/// In the audit log: somebody has changed users.
pub const ACL_CHANGED: &str = "acl.changed";

/// In the audit log: another generation is in force.
pub const CONFIG_RELOADED: &str = "config.reloaded";

/// In the audit log: nothing of a reload could be taken.
pub const CONFIG_RELOAD_FAILED: &str = "config.reload-failed";

/// In the audit log: lines could not be written.
pub const AUDIT_LOST: &str = "audit.lost";

/// In the audit log: events of more kinds than are told apart.
pub const AUDIT_OTHERS: &str = "audit.others";

/// What the audit log calls an event; `None` where it has none. A login that was not looked at, for this reason, has a word
/// of its own.
pub fn audit_event(event: Event, reason: &str) -> Option<&'static str> {
    Some(match event {
        Event::HandshakeFailed => "handshake.failed",
        Event::ConnectionAccepted => "session.started",
        Event::ConnectionRefused => "connection.refused",
        Event::LoginAccepted => "login.accepted",
        Event::LoginFailed
            if [LoginFailure::Busy, LoginFailure::Throttled].iter().any(|failure| login(*failure) == reason) =>
        {
            "login.throttled"
        }
        Event::LoginFailed | Event::LoginRefused => "login.refused",
        Event::LoginIgnored => "login.ignored",
        Event::RequestRefused => "request.refused",
        Event::RequestPermitted => "request.permitted",
        Event::RequestWouldRefuse => "request.would-refuse",
        Event::Close => "session.ended",
        Event::Probe
        | Event::MirrorFailed
        | Event::AcceptFailed
        | Event::UpstreamFailed
        | Event::TunnelOpened
        | Event::TunnelFailed
        | Event::TunnelClosed
        | Event::TunnelRefused => return None,
    })
}

/// The command of a request whose name is not in the command table.
pub const UNKNOWN_COMMAND: &str = "unknown";

/// The name of a command, empty where it is not in the table, as it is told.
pub fn command(name: &str) -> &str {
    if name.is_empty() { UNKNOWN_COMMAND } else { name }
}

/// One function from reasons to words, and the list of its words.
macro_rules! words {
    ($(#[$documentation:meta])* $function:ident, $list:ident: $reason:ty {
        $($pattern:pat => $word:literal,)*
    }) => {
        $(#[$documentation])*
        pub fn $function(reason: $reason) -> &'static str {
            match reason {
                $($pattern => $word,)*
            }
        }

        #[cfg(test)]
        const $list: &[&str] = &[$($word),*];
    };
}

words! {
    /// What happened.
    event, EVENTS: Event {
        Event::HandshakeFailed | Event::Probe => "handshake",
        Event::ConnectionAccepted | Event::ConnectionRefused => "connection",
        Event::LoginAccepted | Event::LoginFailed | Event::LoginRefused | Event::LoginIgnored => "login",
        Event::RequestRefused => "refusal",
        Event::RequestPermitted | Event::RequestWouldRefuse => "request",
        Event::Close => "close",
        Event::MirrorFailed => "mirror",
        Event::AcceptFailed => "accept",
        Event::UpstreamFailed => "upstream",
        Event::TunnelOpened | Event::TunnelFailed | Event::TunnelClosed | Event::TunnelRefused => "tunnel",
    }
}

words! {
    /// How it went; empty where there is one way only.
    outcome, OUTCOMES: Event {
        Event::ConnectionAccepted | Event::LoginAccepted => "accepted",
        Event::ConnectionRefused | Event::LoginRefused | Event::TunnelRefused => "refused",
        Event::HandshakeFailed
        | Event::Probe
        | Event::LoginFailed
        | Event::MirrorFailed
        | Event::AcceptFailed
        | Event::UpstreamFailed
        | Event::TunnelFailed => "failed",
        Event::TunnelOpened => "opened",
        Event::TunnelClosed => "closed",
        Event::LoginIgnored => "ignored",
        Event::RequestPermitted => "permitted",
        Event::RequestWouldRefuse => "would-refuse",
        Event::RequestRefused | Event::Close => "",
    }
}

words! {
    /// Why a session ended.
    close, CLOSES: CloseReason {
        CloseReason::ClientGone => "client-gone",
        CloseReason::ClientLost => "client-lost",
        CloseReason::Quit => "quit",
        CloseReason::Protocol(_) => "protocol-error",
        CloseReason::RequestTooLarge => "request-too-large",
        CloseReason::UnreadReplies => "unread-replies",
        CloseReason::AuthenticationTimeout => "authentication-timeout",
        CloseReason::RequestTimeout => "request-timeout",
        CloseReason::Idle => "idle",
        CloseReason::HalfCloseTimeout => "half-close-timeout",
        CloseReason::AuthenticationBusy => "authentication-busy",
        CloseReason::Throttled => "throttled",
        CloseReason::ResetStorm => "reset-storm",
        CloseReason::ReplicationMisuse => "replication-misuse",
        CloseReason::Revoked(UserRefusal::Unmapped) => "revoked-unmapped",
        CloseReason::Revoked(UserRefusal::HostileName) => "revoked-hostile-name",
        CloseReason::Revoked(UserRefusal::NoSuchUser) => "revoked-no-such-user",
        CloseReason::Revoked(UserRefusal::UserOff) => "revoked-user-off",
        CloseReason::Revoked(UserRefusal::ReservedName) => "revoked-reserved-name",
        CloseReason::Revoked(UserRefusal::Address) => "revoked-address",
        CloseReason::Revoked(UserRefusal::CertificateRequired) => "revoked-certificate-required",
        CloseReason::Revoked(UserRefusal::Reauth) => "revoked-reauth",
        CloseReason::Revoked(UserRefusal::PasswordRemoved) => "revoked-password-removed",
        CloseReason::Certificate(CertificateRefusal::UnknownIssuer) => "certificate-unknown-issuer",
        CloseReason::Certificate(CertificateRefusal::Expired) => "certificate-expired",
        CloseReason::Certificate(CertificateRefusal::NotYetValid) => "certificate-not-yet-valid",
        CloseReason::Certificate(CertificateRefusal::Revoked) => "certificate-revoked",
        CloseReason::Certificate(CertificateRefusal::NoRevocationList) => "certificate-no-revocation-list",
        CloseReason::Certificate(CertificateRefusal::RevocationListExpired) => "certificate-revocation-list-expired",
        CloseReason::Certificate(CertificateRefusal::BadRevocationList) => "certificate-bad-revocation-list",
        CloseReason::Certificate(CertificateRefusal::WrongPurpose) => "certificate-wrong-purpose",
        CloseReason::Certificate(CertificateRefusal::WrongKeyUsage) => "certificate-wrong-key-usage",
        CloseReason::Certificate(CertificateRefusal::CaAsLeaf) => "certificate-ca-as-leaf",
        CloseReason::Certificate(CertificateRefusal::OldVersion) => "certificate-old-version",
        CloseReason::Certificate(CertificateRefusal::BadSignature) => "certificate-bad-signature",
        CloseReason::Certificate(CertificateRefusal::UnsupportedAlgorithm) => "certificate-unsupported-algorithm",
        CloseReason::Certificate(CertificateRefusal::ChainTooWide) => "certificate-chain-too-wide",
        CloseReason::Certificate(CertificateRefusal::Constraint) => "certificate-constraint",
        CloseReason::Certificate(CertificateRefusal::Malformed) => "certificate-malformed",
        CloseReason::Certificate(CertificateRefusal::NotAsked) => "certificate-not-asked",
        CloseReason::Certificate(CertificateRefusal::Other) => "certificate-other",
        CloseReason::Denied => "denied",
        CloseReason::ListenerChanged => "listener-changed",
        CloseReason::IdentityChanged => "identity-changed",
        CloseReason::OngoingRightLost => "ongoing-right-lost",
        CloseReason::PolicyChanged => "policy-changed",
        CloseReason::NoMirror => "no-mirror",
        CloseReason::MemoryBudget => "memory-budget",
        CloseReason::UpstreamUnavailable => "upstream-unavailable",
        CloseReason::UpstreamTimeout => "upstream-timeout",
        CloseReason::UpstreamGone => "upstream-gone",
        CloseReason::UpstreamRefused => "upstream-refused",
        CloseReason::UpstreamFull => "upstream-full",
        CloseReason::UpstreamDesynchronised => "upstream-desynchronised",
        CloseReason::Kicked => "kicked",
        CloseReason::Drained => "drained",
    }
}

words! {
    /// What is wrong with a server.
    tunnel_fault, TUNNEL_FAULTS: TunnelFault {
        TunnelFault::Name => "name",
        TunnelFault::Connect => "connect",
        TunnelFault::Timeout => "timeout",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::UnknownIssuer)) => "unknown-issuer",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::Name)) => "wrong-name",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::Pin)) => "wrong-key",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::Expired)) => "expired",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::NotYetValid)) => "not-yet-valid",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::Revoked)) => "revoked",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::NoRevocationList)) => "no-revocation-list",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::RevocationListExpired)) => "revocation-list-expired",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::WrongPurpose)) => "wrong-purpose",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::BadSignature)) => "bad-signature",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::ChainTooWide)) => "chain-too-wide",
        TunnelFault::Server(ServerFault::Certificate(ServerRefusal::Other)) => "bad-certificate",
        TunnelFault::Server(ServerFault::Rejected) => "rejected",
        TunnelFault::Server(ServerFault::Incompatible) => "incompatible",
        TunnelFault::Server(ServerFault::NotTls) => "not-tls",
        TunnelFault::Server(ServerFault::Truncated) => "truncated",
        TunnelFault::Server(ServerFault::Protocol) => "protocol-error",
        TunnelFault::Server(ServerFault::Broken) => "server-lost",
    }
}

words! {
    /// Why an application has its tunnel no more, where nothing is wrong.
    tunnel_end, TUNNEL_ENDS: TunnelEnd {
        TunnelEnd::ApplicationGone => "application-gone",
        TunnelEnd::ApplicationLost => "application-lost",
        TunnelEnd::ServerGone => "server-gone",
        TunnelEnd::HalfCloseTimeout => "half-close-timeout",
        TunnelEnd::Idle => "idle",
        TunnelEnd::Drained => "drained",
        TunnelEnd::CutOff => "cut-off",
    }
}

words! {
    /// Whose doing the end of a session was.
    side, SIDES: Fault {
        Fault::Downstream => "downstream",
        Fault::Upstream => "upstream",
        Fault::Internal => "internal",
    }
}

words! {
    /// Why a trusted certificate may not enter.
    user, USERS: UserRefusal {
        UserRefusal::Unmapped => "unmapped",
        UserRefusal::HostileName => "hostile-name",
        UserRefusal::NoSuchUser => "no-such-user",
        UserRefusal::UserOff => "user-off",
        UserRefusal::ReservedName => "reserved-name",
        UserRefusal::Address => "address",
        UserRefusal::CertificateRequired => "certificate-required",
        UserRefusal::Reauth => "reauth",
        UserRefusal::PasswordRemoved => "password-removed",
    }
}

words! {
    /// By what a session acts for its user.
    method, METHODS: Proof {
        Proof::Certificate => "certificate",
        Proof::Password => "password",
        Proof::Nopass => "nopass",
    }
}

words! {
    /// Why a login failed.
    login, LOGINS: LoginFailure {
        LoginFailure::WrongPassword => "wrong-password",
        LoginFailure::Busy => "busy",
        LoginFailure::Throttled => "throttled",
        LoginFailure::Refused(UserRefusal::NoSuchUser) => "no-such-user",
        LoginFailure::Refused(UserRefusal::UserOff) => "user-off",
        LoginFailure::Refused(UserRefusal::Address) => "address",
        LoginFailure::Refused(UserRefusal::CertificateRequired) => "certificate-required",
        LoginFailure::Refused(UserRefusal::Reauth) => "reauth",
        LoginFailure::Refused(UserRefusal::PasswordRemoved) => "password-removed",
        LoginFailure::Refused(UserRefusal::Unmapped) => "unmapped",
        LoginFailure::Refused(UserRefusal::HostileName) => "hostile-name",
        LoginFailure::Refused(UserRefusal::ReservedName) => "reserved-name",
    }
}

words! {
    /// What became of a login that failed: whether the password was looked at, or the client put off.
    login_result, LOGIN_RESULTS: LoginFailure {
        LoginFailure::WrongPassword | LoginFailure::Refused(_) => "refused",
        LoginFailure::Busy | LoginFailure::Throttled => "throttled",
    }
}

words! {
    /// Why a request was refused.
    denial, DENIALS: DenialReason {
        DenialReason::UnknownCommand => "unknown-command",
        DenialReason::Disabled => "disabled",
        DenialReason::Renamed => "renamed",
        DenialReason::UnknownSubcommand => "unknown-subcommand",
        DenialReason::Arity => "arity",
        DenialReason::Unauthenticated => "unauthenticated",
        DenialReason::InTransaction => "in-transaction",
        DenialReason::Unsupported => "unsupported",
        DenialReason::Blocked => "blocked",
        DenialReason::Acl(AclDenial::Database { .. }) => "acl-database",
        DenialReason::Acl(AclDenial::Command) => "acl-command",
        DenialReason::Acl(AclDenial::Key { .. } | AclDenial::Unextractable) => "acl-key",
        DenialReason::Acl(AclDenial::Channel { .. }) => "acl-channel",
        DenialReason::Acl(AclDenial::SortBy | AclDenial::SortGet) => "acl-sort",
        DenialReason::Acl(AclDenial::Effort) => "acl-effort",
        DenialReason::Subscriber => "subscriber",
        DenialReason::Monitor => "monitor",
        DenialReason::NulInKeyword => "nul-in-keyword",
    }
}

words! {
    /// Why a certificate is not trusted.
    certificate, CERTIFICATES: CertificateRefusal {
        CertificateRefusal::UnknownIssuer => "unknown-issuer",
        CertificateRefusal::Expired => "expired",
        CertificateRefusal::NotYetValid => "not-yet-valid",
        CertificateRefusal::Revoked => "revoked",
        CertificateRefusal::NoRevocationList => "no-revocation-list",
        CertificateRefusal::RevocationListExpired => "revocation-list-expired",
        CertificateRefusal::BadRevocationList => "bad-revocation-list",
        CertificateRefusal::WrongPurpose => "wrong-purpose",
        CertificateRefusal::WrongKeyUsage => "wrong-key-usage",
        CertificateRefusal::CaAsLeaf => "ca-as-leaf",
        CertificateRefusal::OldVersion => "old-version",
        CertificateRefusal::BadSignature => "bad-signature",
        CertificateRefusal::UnsupportedAlgorithm => "unsupported-algorithm",
        CertificateRefusal::ChainTooWide => "chain-too-wide",
        CertificateRefusal::Constraint => "constraint",
        CertificateRefusal::Malformed => "malformed",
        CertificateRefusal::NotAsked => "not-asked",
        CertificateRefusal::Other => "other",
    }
}

words! {
    /// Why nobody may connect from an address.
    address, ADDRESSES: AddressRefusal {
        AddressRefusal::Denied => "denied",
        AddressRefusal::NotAllowed => "not-allowed",
    }
}

words! {
    /// Why a client was turned away.
    exhausted, EXHAUSTED: Exhausted {
        Exhausted::Clients => "maxclients",
        Exhausted::ClientsOfAddress => "max-connections-per-address",
        Exhausted::Unauthenticated => "unauthenticated",
    }
}

words! {
    /// Why a handshake failed.
    handshake, HANDSHAKES: HandshakeError {
        HandshakeError::Plaintext(_) => "plaintext",
        HandshakeError::Timeout => "timeout",
        HandshakeError::Silent => "silent",
        HandshakeError::Closed => "closed",
        HandshakeError::NoCertificate => "no-certificate",
        HandshakeError::RejectedByPeer(_) => "rejected-by-peer",
        HandshakeError::Incompatible => "incompatible",
        HandshakeError::ServerName => "server-name",
        HandshakeError::Protocol => "protocol",
        HandshakeError::Io(_) => "io",
        HandshakeError::Certificate(CertificateRefusal::UnknownIssuer) => "unknown-issuer",
        HandshakeError::Certificate(CertificateRefusal::Expired) => "expired",
        HandshakeError::Certificate(CertificateRefusal::NotYetValid) => "not-yet-valid",
        HandshakeError::Certificate(CertificateRefusal::Revoked) => "revoked",
        HandshakeError::Certificate(CertificateRefusal::NoRevocationList) => "no-revocation-list",
        HandshakeError::Certificate(CertificateRefusal::RevocationListExpired) => "revocation-list-expired",
        HandshakeError::Certificate(CertificateRefusal::BadRevocationList) => "bad-revocation-list",
        HandshakeError::Certificate(CertificateRefusal::WrongPurpose) => "wrong-purpose",
        HandshakeError::Certificate(CertificateRefusal::WrongKeyUsage) => "wrong-key-usage",
        HandshakeError::Certificate(CertificateRefusal::CaAsLeaf) => "ca-as-leaf",
        HandshakeError::Certificate(CertificateRefusal::OldVersion) => "old-version",
        HandshakeError::Certificate(CertificateRefusal::BadSignature) => "bad-signature",
        HandshakeError::Certificate(CertificateRefusal::UnsupportedAlgorithm) => "unsupported-algorithm",
        HandshakeError::Certificate(CertificateRefusal::ChainTooWide) => "chain-too-wide",
        HandshakeError::Certificate(CertificateRefusal::Constraint) => "constraint",
        HandshakeError::Certificate(CertificateRefusal::Malformed) => "malformed",
        HandshakeError::Certificate(CertificateRefusal::NotAsked) => "not-asked",
        HandshakeError::Certificate(CertificateRefusal::Other) => "other",
    }
}

/// A balancer did not say in the PROXY protocol whom it speaks for.
pub const PROXY_HEADER: &str = "proxy-header";

words! {
    /// Why a request was refused that an operator wants to hear of.
    refusal, REFUSALS: RequestRefusal {
        RequestRefusal::NoMirror => "no-mirror",
        RequestRefusal::Redirect => "redirect",
        RequestRefusal::NoReply => "no-reply",
        RequestRefusal::ReplicationMisuse => "replication-misuse",
        RequestRefusal::Denied(DenialReason::Unsupported) => "unsupported",
        RequestRefusal::Denied(DenialReason::UnknownCommand) => "unknown-command",
        RequestRefusal::Denied(DenialReason::Disabled) => "disabled",
        RequestRefusal::Denied(DenialReason::Renamed) => "renamed",
        RequestRefusal::Denied(DenialReason::UnknownSubcommand) => "unknown-subcommand",
        RequestRefusal::Denied(DenialReason::Arity) => "arity",
        RequestRefusal::Denied(DenialReason::Unauthenticated) => "unauthenticated",
        RequestRefusal::Denied(DenialReason::InTransaction) => "in-transaction",
        RequestRefusal::Denied(DenialReason::Blocked) => "blocked",
        RequestRefusal::Denied(DenialReason::Acl(AclDenial::Database { .. })) => "acl-database",
        RequestRefusal::Denied(DenialReason::Acl(AclDenial::Command)) => "acl-command",
        RequestRefusal::Denied(DenialReason::Acl(AclDenial::Key { .. } | AclDenial::Unextractable)) => "acl-key",
        RequestRefusal::Denied(DenialReason::Acl(AclDenial::Channel { .. })) => "acl-channel",
        RequestRefusal::Denied(DenialReason::Acl(AclDenial::SortBy | AclDenial::SortGet)) => "acl-sort",
        RequestRefusal::Denied(DenialReason::Acl(AclDenial::Effort)) => "acl-effort",
        RequestRefusal::Denied(DenialReason::Subscriber) => "subscriber",
        RequestRefusal::Denied(DenialReason::Monitor) => "monitor",
        RequestRefusal::Denied(DenialReason::NulInKeyword) => "nul-in-keyword",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    const DOCUMENTATION: &str = include_str!("../../docs/log.md");

    const LIMITED: &[Event] = &[
        Event::HandshakeFailed,
        Event::Probe,
        Event::ConnectionAccepted,
        Event::ConnectionRefused,
        Event::LoginAccepted,
        Event::LoginFailed,
        Event::LoginRefused,
        Event::LoginIgnored,
        Event::RequestRefused,
        Event::RequestPermitted,
        Event::RequestWouldRefuse,
        Event::Close,
        Event::MirrorFailed,
        Event::AcceptFailed,
        Event::UpstreamFailed,
        Event::TunnelOpened,
        Event::TunnelFailed,
        Event::TunnelClosed,
        Event::TunnelRefused,
    ];

    /// Events that clients cannot cause as often as they like, and their outcomes.
    const UNLIMITED: &[(&str, &[&str])] = &[
        ("acl", &["done", "failed", NOT_CONFIRMED]),
        ("reload", &["done", "failed", "waits", "refused", NOT_CONFIRMED]),
        ("others", &[""]),
        ("log", &["lost"]),
        ("audit", &["failed", "waits", "done", "access", "lost", "head"]),
        ("learn-file", &["failed", "done"]),
        ("expiry", &["soon", "ended"]),
        ("worker", &["stuck", "turns"]),
        ("service-manager", &["failed"]),
        ("panic", &[""]),
    ];

    #[test]
    fn every_event_of_the_audit_log_is_documented_and_nothing_else_is() {
        let section = include_str!("../../docs/audit.md").split("\n## ").find(|section| section.starts_with("Events"));
        let rows = section.unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        let others = [
            SERVICE_STARTED,
            SERVICE_STOPPED,
            ACL_CHANGED,
            CONFIG_RELOADED,
            CONFIG_RELOAD_FAILED,
            AUDIT_LOST,
            AUDIT_OTHERS,
        ];
        let of_clients = LIMITED.iter().flat_map(|event| [audit_event(*event, ""), audit_event(*event, "busy")]);
        assert_eq!(documented, of_clients.flatten().chain(others).collect());
    }

    fn words_in(cell: &str) -> Vec<&str> {
        let words: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if words.is_empty() { vec![""] } else { words }
    }

    #[test]
    fn every_event_is_documented_with_its_outcomes_and_nothing_else_is() {
        let (table, _) = DOCUMENTATION.split_once("\n## ").unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `")).skip(1);
        let documented: BTreeSet<(&str, &str)> = rows
            .map(|row| row.split('|').map(words_in).collect::<Vec<_>>())
            .flat_map(|cells| cells[2].clone().into_iter().map(move |outcome| (cells[1][0], outcome)))
            .collect();
        let limited = LIMITED.iter().map(|known| (event(*known), outcome(*known)));
        let unlimited =
            UNLIMITED.iter().flat_map(|(event, outcomes)| outcomes.iter().map(move |outcome| (*event, *outcome)));
        assert_eq!(documented, limited.chain(unlimited).collect());
        let words = [EVENTS, OUTCOMES].concat();
        assert!(words.iter().all(|word| documented.iter().any(|(event, outcome)| [event, outcome].contains(&word))));
    }

    #[test]
    fn no_file_has_an_event_or_outcome_of_its_own() {
        fn files(folder: &Path) -> Vec<PathBuf> {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
        }
        let events: BTreeSet<&str> = EVENTS.iter().chain(UNLIMITED.iter().map(|(event, _)| event)).copied().collect();
        let outcomes: BTreeSet<&str> =
            UNLIMITED.iter().flat_map(|(_, outcomes)| *outcomes).chain(OUTCOMES).copied().collect();
        for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            for (field, known) in [("event = \"", &events), ("outcome = \"", &outcomes)] {
                let mut words = text.split(field).skip(1).filter_map(|rest| rest.split('"').next());
                assert!(words.all(|word| known.contains(word) || word.contains('\\')), "{}: {text}", file.display());
            }
        }
    }

    /// The words of the table under this heading.
    fn documented(heading: &str) -> BTreeSet<&str> {
        let section = DOCUMENTATION.split("\n## ").find(|section| section.starts_with(heading)).expect(heading);
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
    }

    #[test]
    fn every_word_is_documented_and_nothing_else_is() {
        for (heading, words) in [
            ("Why a session ended", CLOSES.to_vec()),
            ("Why a handshake failed", [HANDSHAKES, &[PROXY_HEADER]].concat()),
            ("Why a connection was refused", [ADDRESSES, EXHAUSTED, USERS].concat()),
            ("Why a tunnel failed", [TUNNEL_FAULTS, &["maxclients"]].concat()),
            ("Why a tunnel was closed", TUNNEL_ENDS.to_vec()),
            ("Why a login failed", LOGINS.to_vec()),
            ("Why a request was refused", [DENIALS, REFUSALS].concat()),
        ] {
            assert_eq!(documented(heading), words.into_iter().collect(), "{heading}");
        }
        assert!(SIDES.iter().all(|side| DOCUMENTATION.contains(&format!("`{side}` "))), "{SIDES:?}");
    }

    #[test]
    fn every_reason_has_what_to_do_about_it_and_nothing_else_has() {
        let operations = include_str!("../../docs/operations.md");
        let (_, table) = operations.split_once("\n## What the words ask for").unwrap();
        let first_cells =
            table.lines().filter(|line| line.starts_with("| `")).map(|row| row.split('|').nth(1).unwrap());
        let told: Vec<&str> = first_cells.flat_map(words_in).collect();
        let proxy = &[PROXY_HEADER][..];
        let reasons: BTreeSet<&str> =
            [CLOSES, HANDSHAKES, proxy, ADDRESSES, EXHAUSTED, USERS, LOGINS, DENIALS, REFUSALS]
                .concat()
                .into_iter()
                .collect();
        assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), reasons);
        assert_eq!(told.len(), reasons.len(), "each once");
    }

    #[test]
    fn a_certificate_has_the_same_word_wherever_it_is_refused() {
        let certificates = include_str!("../../docs/certificates.md");
        for word in CERTIFICATES {
            assert!(HANDSHAKES.contains(word) && CLOSES.contains(&format!("certificate-{word}").as_str()), "{word}");
            assert!(certificates.contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn words_are_lower_case_with_hyphens() {
        for word in [
            EVENTS,
            OUTCOMES,
            CLOSES,
            SIDES,
            HANDSHAKES,
            ADDRESSES,
            EXHAUSTED,
            USERS,
            METHODS,
            LOGINS,
            LOGIN_RESULTS,
            DENIALS,
            REFUSALS,
            CERTIFICATES,
        ]
        .concat()
        {
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{word}");
        }
    }
}
