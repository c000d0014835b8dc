//! respgate: an authenticating TLS proxy in front of a loopback-bound Redis.
//!
//! One request, top to bottom:
//!
//! 1. [`net`] accepts, sees to a connection permit, and hands the socket to a worker, whose driver does all I/O of a
//!    session.
//! 2. [`tls`] (on the worker) completes the handshake under a deadline. Unknown CAs and revoked certificates end here.
//! 3. [`identity`] turns the certificate into a `PeerIdentity`, and the certificate map turns that into a user, or nobody.
//! 4. [`auth`] verifies passwords, off the I/O threads.
//! 5. [`session`] holds the state of one client: a pure state machine.
//! 6. [`resp`] scans requests and replies in place.
//! 7. [`command`] resolves a name and subcommand to a `CommandSpec`. Unknown stays unknown.
//! 8. [`acl`] and [`policy`] decide: blocklist, state, ACL. Only `policy` can make a `Permit`, and forwarding takes one.
//! 9. [`upstream`] is the loopback connection of the session, logged in as the proxy's own user.
//! 10. [`audit`] says what happened to whom, and [`metrics`] how often.
//!
//! Before that, [`config`] and [`cli`] turn [`files`], environment and flags into one validated `Config`,
//! [`generation`] makes of it what decides, and [`serve`] starts everything, replaces the generation when files change,
//! and ends it all. [`preset`] has what kinds of users need, [`pki`] is a small certificate authority for those who have
//! none, [`stunnel`] says what a stunnel.conf means here. [`permissions`] tells who else may change those files; [`origin`]
//! is whom an address stands for where something is counted, [`aging`] forgets what was not touched for long, [`keepalive`]
//! finds out who has vanished, and [`shell`] writes words for one.
//!
//! [`learn`] keeps who uses what, and makes a line of an ACL file of it.
//!
//! [`tunnel`] is the client's end: it carries what an application says in plain to a server over TLS.
//!
//! [`doctor`] looks at a whole deployment, and says what is wrong with it; [`init`] makes the files for one.
//!
//! The modules are declared from the top of the stack to its foot: none names one that stands above it.

pub mod cli;
pub mod doctor;
pub mod init;
pub mod serve;
pub mod net;
pub mod tunnel;
pub mod audit;
pub mod metrics;
pub mod generation;
pub mod upstream;
pub mod session;
pub mod config;
pub mod preset;
pub mod stunnel;
pub mod policy;
pub mod learn;
pub mod auth;
pub mod pki;
pub mod tls;
pub mod acl;
pub mod command;
pub mod resp;
pub mod identity;
pub mod files;
pub mod shell;
pub mod permissions;
pub mod origin;
pub mod aging;
pub mod keepalive;
