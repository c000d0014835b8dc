//! HELLO: its login is ours, the rest is Redis's, which gets it without the login.

use crate::acl::texts;
use crate::command::Argv;
use crate::policy::Policy;
use crate::resp::{Protocol, Reply, parse_integer};
use crate::session::core::SessionCore;
use crate::session::core::verdict::WRONG_PASSWORD;
use crate::session::login::Greeting;
use crate::session::output::Output;
use crate::session::wait::{AfterReplies, Wait};

const NOT_AN_INTEGER: &str = "ERR Protocol version is not an integer or out of range";
const UNSUPPORTED: &str = "NOPROTO unsupported protocol version";
/// The upstream's HELLO went while the password was verified.
const NO_LONGER_THERE: &str = "ERR unknown command 'HELLO'";
const LOG_IN_FIRST: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
                            <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
                            RESP protocol version at the same time";

/// The longest name that SETNAME gives. It is kept until Redis has answered what came before.
const LONGEST_NAME: usize = 1024;
const NAME_TOO_LONG: &str = "ERR respgate: a client name in HELLO has 1024 bytes at most";

/// Where the last option begins, if each is said once. Redis takes them again and again, as many as there is room for.
const LAST_OPTION: usize = 5;

/// A HELLO as it was said.
struct Hello<'a> {
    greeting: Greeting,
    login: Option<(&'a [u8], &'a [u8])>,
}

impl SessionCore {
    /// `HELLO [protover [AUTH username password] [SETNAME name]]` (`helloCommand`). Version, option syntax, login, and
    /// only then the switch; a failure changes nothing.
    pub(super) fn hello(&mut self, policy: &Policy, argv: &Argv<'_>, out: &mut Output<'_>) {
        match parse(argv) {
            Err(text) => self.answer(&Reply::error(text), out),
            Ok(Hello { greeting, login: Some((user, password)) }) => {
                self.log_in(policy, user, password, Some(greeting), out);
            }
            Ok(_) if !self.who.is_authenticated() => {
                let text = if self.intake.is_behind_refused_login() { WRONG_PASSWORD } else { LOG_IN_FIRST };
                self.answer(&Reply::error(text), out);
            }
            Ok(Hello { greeting, login: None }) => self.greet(policy, greeting, out),
        }
    }

    /// Passes the greeting on once all earlier replies are out.
    pub(super) fn greet(&mut self, policy: &Policy, greeting: Greeting, out: &mut Output<'_>) {
        let Some(name) = policy.upstream_name("HELLO") else {
            self.answer(&Reply::error(NO_LONGER_THERE), out);
            return;
        };
        let protocol = greeting.protocol().unwrap_or(self.upstream.protocol());
        self.intake.wait_for(Wait::Replies(AfterReplies::Hello(protocol, greeting.encode(name).into())));
    }
}

fn parse<'a>(argv: &Argv<'a>) -> Result<Hello<'a>, String> {
    let protocol = match argv.get(1) {
        None => None,
        Some(version) => match parse_integer(version) {
            None => return Err(NOT_AN_INTEGER.to_owned()),
            Some(2) => Some(Protocol::Resp2),
            Some(3) => Some(Protocol::Resp3),
            Some(_) => return Err(UNSUPPORTED.to_owned()),
        },
    };
    let mut hello = Hello { greeting: Greeting::new(protocol), login: None };
    let mut at = 2;
    while let Some(option) = argv.get(at) {
        let is = |name: &[u8]| at <= LAST_OPTION && option.eq_ignore_ascii_case(name);
        match (argv.get(at + 1), argv.get(at + 2)) {
            (Some(user), Some(password)) if is(b"auth") => {
                hello.login = Some((user, password));
                at += 3;
            }
            (Some(name), _) if is(b"setname") => {
                if name.len() > LONGEST_NAME {
                    return Err(NAME_TOO_LONG.to_owned());
                }
                if !name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
                    return Err("ERR Client names cannot contain spaces, newlines or special characters.".to_owned());
                }
                hello.greeting.set_name(name);
                at += 2;
            }
            _ => return Err(texts::hello_option(option)),
        }
    }
    Ok(hello)
}
