//! Who a session acts for, and whether a user may be entered that way.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{ConfigParameters, Policy, ShadowSettings, Unmapped};
use crate::acl::{PasswordHash, User};
use crate::identity::{Mapping, PeerIdentity};

/// How a session proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Its client certificate maps to the user.
    Certificate,
    /// AUTH or HELLO AUTH with the right password.
    Password,
    /// The user `default` needs no password (`nopass`).
    Nopass,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::Nopass => "nopass",
        })
    }
}

/// The user a session acts for.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The user as the policy knew it when the session entered; renewed with every policy.
    pub user: Arc<User>,
    /// How it entered.
    pub proof: Proof,
    /// The password that let it in, where one did: the session ends when the user loses it.
    pub password: Option<PasswordHash>,
}

/// Settings of one user that Redis's ACL language has no words for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserSettings {
    /// AUTH as this user works only on a connection whose certificate maps to it.
    pub certificate_required: bool,
    /// No login by password at all.
    pub certificate_only: bool,
    /// A session that entered as this user by certificate may AUTH as somebody else.
    pub reauth: bool,
    /// Whether passwords that can make nobody else of such a session are ignored; `None` leaves it to
    /// [`Policy::ignore_stray_auth`]. Never together with `reauth`.
    pub ignore_stray_auth: Option<bool>,
    /// Where this user may come from: empty means from anywhere.
    pub allow_from: Vec<IpNet>,
    /// What of CONFIG is not blocked for this user.
    pub config: ConfigParameters,
    /// The rules of this user are only tried out.
    pub shadow: Option<ShadowSettings>,
}

/// What a connection is, once its handshake is done.
#[must_use]
#[derive(Debug)]
pub enum Admission {
    /// It acts for a user at once.
    User(Principal),
    /// It has to log in first.
    Password,
    /// It is refused.
    Refused(UserRefusal),
}

/// Why a connection or login may not become a user. `Display` is a stable word for logs and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserRefusal {
    /// No rule maps the certificate to a user.
    Unmapped,
    /// The certificate's names are not fit to name anybody.
    HostileName,
    /// The user the certificate maps to does not exist.
    NoSuchUser,
    /// The user is off.
    UserOff,
    /// The certificate gave a name that only a literal rule may give: `default` or an exempt user.
    ReservedName,
    /// The user may not come from this address.
    Address,
    /// The user has to show a certificate that maps to it.
    CertificateRequired,
    /// A certificate session may not become somebody else.
    Reauth,
    /// The password that let the session in is no longer the user's, or the user needs one now.
    PasswordRemoved,
}

impl Policy {
    /// Who a connection with this certificate (or none) from this address is.
    pub fn admit(&self, certificate: Option<&PeerIdentity>, address: IpAddr) -> Admission {
        let Some(identity) = certificate else {
            return self.admit_nopass(address);
        };
        match self.user_named_by(identity) {
            Ok(Some(user)) if self.may_come_from(user, address) => {
                Admission::User(Principal { user: self.acting(user), proof: Proof::Certificate, password: None })
            }
            Ok(Some(_)) => Admission::Refused(UserRefusal::Address),
            Ok(None) if self.unmapped == Unmapped::Password => self.admit_nopass(address),
            Ok(None) => Admission::Refused(UserRefusal::Unmapped),
            Err(reason) => Admission::Refused(reason),
        }
    }

    /// The user that a certificate names, wherever it may come from; `None` if it names nobody.
    ///
    /// Of several names the first that is a user who is on counts, as for Valkey (`getCertSanUri`). Where that is one
    /// that only a literal rule may give, none of those behind it stands in for it.
    fn user_named_by(&self, certificate: &PeerIdentity) -> Result<Option<&Arc<User>>, UserRefusal> {
        let (names, from_template) = match self.certificates.user_for(certificate) {
            Mapping::User { names, from_template, .. } => (names, from_template),
            Mapping::Unmapped => return Ok(None),
            Mapping::Refused(_) => return Err(UserRefusal::HostileName),
        };
        let is_reserved = |name: &str| from_template && self.is_reserved(name);
        let mut refusal = UserRefusal::NoSuchUser;
        for name in &names {
            match self.acl.user(name.as_bytes()) {
                Some(user) if user.is_enabled() && !is_reserved(name) => return Ok(Some(user)),
                Some(user) if user.is_enabled() => return Err(UserRefusal::ReservedName),
                _ if is_reserved(name) => refusal = UserRefusal::ReservedName,
                Some(_) if refusal == UserRefusal::NoSuchUser => refusal = UserRefusal::UserOff,
                _ => {}
            }
        }
        Err(refusal)
    }

    /// Whether nothing but a rule with that very name in it makes a certificate this user's.
    pub fn is_reserved(&self, user: &str) -> bool {
        user == "default" || self.blocklist.exempts(user.as_bytes())
    }

    /// Redis lets a new connection act for `default` where that user is on and needs no password
    /// (`clientSetDefaultAuth`); so do we.
    fn admit_nopass(&self, address: IpAddr) -> Admission {
        match self.acl.user(b"default") {
            // No certificate of a connection that comes here maps to anybody.
            Some(user) if user.is_nopass() && self.may_log_in(user, None, None, address).is_ok() => {
                Admission::User(Principal { user: self.acting(user), proof: Proof::Nopass, password: None })
            }
            _ => Admission::Password,
        }
    }

    /// Whether a session may try to log in as `user` by password.
    ///
    /// # Errors
    /// The reason, for our log; the client is told the same as for a wrong password.
    pub fn may_log_in(
        &self,
        user: &User,
        current: Option<&Principal>,
        certificate: Option<&PeerIdentity>,
        address: IpAddr,
    ) -> Result<(), UserRefusal> {
        let maps_to_user = || {
            let named = certificate.and_then(|identity| self.user_named_by(identity).ok()?);
            named.is_some_and(|named| named.name() == user.name())
        };
        let settings = self.settings_of(user);
        if !user.is_enabled() {
            return Err(UserRefusal::UserOff);
        }
        if settings.certificate_only || (settings.certificate_required && !maps_to_user()) {
            return Err(UserRefusal::CertificateRequired);
        }
        if !self.may_come_from(user, address) {
            return Err(UserRefusal::Address);
        }
        match current {
            Some(Principal { user: own, proof: Proof::Certificate, .. })
                if own.name() != user.name() && !self.settings_of(own).reauth =>
            {
                Err(UserRefusal::Reauth)
            }
            _ => Ok(()),
        }
    }

    /// How many certificate rules [`may_log_in`](Self::may_log_in) may hold a certificate against for this user.
    pub fn rules_of_login(&self, user: &User) -> usize {
        if self.settings_of(user).certificate_required { self.certificates.rules() } else { 0 }
    }

    /// The same principal under this policy.
    ///
    /// # Errors
    /// Why the session may not go on: its user is gone or off, may not come from its address or log in like that any more,
    /// or has lost the password that let it in; or its certificate lets nobody in, or somebody else.
    pub fn renew(
        &self,
        principal: &Principal,
        certificate: Option<&PeerIdentity>,
        address: IpAddr,
    ) -> Result<Principal, UserRefusal> {
        if principal.proof == Proof::Certificate {
            return match self.admit(certificate, address) {
                Admission::User(now) if now.user.name() == principal.user.name() => Ok(now),
                Admission::Refused(reason) => Err(reason),
                Admission::User(_) | Admission::Password => Err(UserRefusal::Unmapped),
            };
        }
        let user = self.acl.user(principal.user.name().as_str().as_bytes()).ok_or(UserRefusal::NoSuchUser)?;
        // As whoever comes today: the certificate lets it in, and then the user may log in.
        let entered = match self.admit(certificate, address) {
            Admission::Refused(reason) => return Err(reason),
            Admission::User(entered) => Some(entered),
            Admission::Password => None,
        };
        self.may_log_in(user, entered.as_ref(), certificate, address)?;
        let is_proven = principal.password.as_ref().is_some_and(|password| user.passwords().contains(password));
        if !user.is_nopass() && !is_proven {
            return Err(UserRefusal::PasswordRemoved);
        }
        Ok(Principal { user: self.acting(user), ..principal.clone() })
    }

    /// The same principal under a policy that its own session made with `ACL SETUSER`: whoever switches itself off, or
    /// takes away its own password, may go on until somebody else changes something, as in Redis.
    ///
    /// # Errors
    /// Its user is gone, or its certificate names another one by now.
    pub fn renew_editor(
        &self,
        principal: &Principal,
        certificate: Option<&PeerIdentity>,
        address: IpAddr,
    ) -> Result<Principal, UserRefusal> {
        let user = self.acl.user(principal.user.name().as_str().as_bytes()).ok_or(UserRefusal::NoSuchUser)?;
        if principal.proof == Proof::Certificate
            && let Admission::User(named) = self.admit(certificate, address)
            && named.user.name() != user.name()
        {
            return Err(UserRefusal::Unmapped);
        }
        Ok(Principal { user: self.acting(user), ..principal.clone() })
    }

    /// The settings of a user, those of nobody in particular where it has none.
    pub fn settings_of(&self, user: &User) -> &UserSettings {
        static NONE: UserSettings = UserSettings {
            certificate_required: false,
            certificate_only: false,
            reauth: false,
            ignore_stray_auth: None,
            allow_from: Vec::new(),
            config: ConfigParameters::NONE,
            shadow: None,
        };
        self.settings.get(user.name().as_str()).unwrap_or(&NONE)
    }

    fn may_come_from(&self, user: &User, address: IpAddr) -> bool {
        let ranges = &self.settings_of(user).allow_from;
        ranges.is_empty() || ranges.iter().any(|range| range.contains(&address))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::acl::Acl;
    use crate::command::{CommandTable, Dialect};
    use crate::identity::test_pki::{Authority, client, uri};
    use crate::identity::{CertificateMap, UserFrom, asked};
    use crate::policy::{AuditRules, Blocklist, Renames, ScriptRights, Shadows};

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    pub(in crate::policy) fn policy(acl: &str) -> Policy {
        let table = CommandTable::builtin(Dialect::Redis70);
        Policy {
            generation: 1,
            restricted_since: 1,
            dialect: Dialect::Redis70,
            acl: Acl::parse(acl.as_bytes(), &table).unwrap(),
            certificates: CertificateMap::build(Vec::new(), UserFrom::Off).unwrap(),
            unmapped: Unmapped::Password,
            settings: HashMap::new(),
            ignore_stray_auth: false,
            blocklist: Blocklist::build(&[], &[], &[], &table).unwrap(),
            renames: Renames::default(),
            script_rights: ScriptRights::Upstream,
            shadows: Shadows::default(),
            audit: AuditRules::default(),
            table,
        }
    }

    /// Bob, who came in by this password, or by none where the user needs none.
    fn bob(policy: &Policy, password: Option<&str>) -> Principal {
        let user = Arc::clone(policy.acl.user(b"bob").unwrap());
        let password = password.map(|password| PasswordHash::of_password(password.as_bytes()));
        Principal { user, proof: Proof::Password, password }
    }

    fn renewed(principal: &Principal, acl: &str) -> Result<(), UserRefusal> {
        policy(acl).renew(principal, None, ADDRESS).map(drop)
    }

    #[test]
    fn a_password_session_lasts_as_long_as_the_password_that_let_it_in() {
        let by_old = bob(&policy("user bob on >old >new"), Some("old"));
        assert_eq!(renewed(&by_old, "user bob on >old"), Ok(()));
        assert_eq!(renewed(&by_old, "user bob on >new"), Err(UserRefusal::PasswordRemoved));
        assert_eq!(renewed(&by_old, "user bob on nopass"), Ok(()), "any password is right now");
        assert_eq!(renewed(&by_old, "user bob off >old"), Err(UserRefusal::UserOff));
        assert_eq!(renewed(&by_old, ""), Err(UserRefusal::NoSuchUser));
    }

    #[test]
    fn a_session_that_needed_no_password_ends_when_one_is_needed() {
        let by_none = bob(&policy("user bob on nopass"), None);
        assert_eq!(renewed(&by_none, "user bob on nopass +get"), Ok(()));
        assert_eq!(renewed(&by_none, "user bob on >pw"), Err(UserRefusal::PasswordRemoved));
    }

    #[test]
    fn a_password_session_ends_where_its_user_may_not_log_in_like_that_any_more() {
        let by_password = bob(&policy("user bob on >old"), Some("old"));
        let with = |settings: UserSettings| {
            let settings = HashMap::from([("bob".to_owned(), settings)]);
            Policy { settings, ..policy("user bob on >old") }.renew(&by_password, None, ADDRESS).map(drop)
        };
        assert_eq!(with(UserSettings::default()), Ok(()));
        for settings in [
            UserSettings { certificate_only: true, ..UserSettings::default() },
            UserSettings { certificate_required: true, ..UserSettings::default() },
        ] {
            assert_eq!(with(settings), Err(UserRefusal::CertificateRequired));
        }
        let elsewhere = UserSettings { allow_from: vec!["192.0.2.0/24".parse().unwrap()], ..UserSettings::default() };
        assert_eq!(with(elsewhere), Err(UserRefusal::Address));
    }

    #[test]
    fn default_enters_without_a_password_unless_its_settings_ask_for_more() {
        let with = |settings: UserSettings| {
            let settings = HashMap::from([("default".to_owned(), settings)]);
            matches!(Policy { settings, ..policy("user default on nopass") }.admit(None, ADDRESS), Admission::User(_))
        };
        assert!(with(UserSettings { reauth: true, ..UserSettings::default() }));
        assert!(!with(UserSettings { certificate_only: true, ..UserSettings::default() }));
        assert!(!with(UserSettings { certificate_required: true, ..UserSettings::default() }));
        assert!(!with(UserSettings { allow_from: vec!["192.0.2.0/24".parse().unwrap()], ..UserSettings::default() }));
    }

    /// A certificate with these URIs, in this order.
    fn certificate(uris: &[&str]) -> PeerIdentity {
        let mut params = client("x");
        params.subject_alt_names = uris.iter().map(|name| uri(name)).collect();
        PeerIdentity::from_der(&Authority::new("root").issue(params).der, None).unwrap()
    }

    /// URIs name users, of whom `urn:exempt` is exempt from the blocklist.
    fn by_uri(acl: &str) -> Policy {
        let policy = policy(acl);
        let certificates = CertificateMap::build(Vec::new(), UserFrom::Uri).unwrap();
        let blocklist = Blocklist::build(&[], &["urn:exempt".to_owned()], &[], &policy.table).unwrap();
        Policy { certificates, unmapped: Unmapped::Refuse, blocklist, ..policy }
    }

    fn named(policy: &Policy, uris: &[&str]) -> Result<String, UserRefusal> {
        match policy.admit(Some(&certificate(uris)), ADDRESS) {
            Admission::User(principal) => Ok(principal.user.name().to_string()),
            Admission::Refused(reason) => Err(reason),
            Admission::Password => panic!("no password was asked for"),
        }
    }

    #[test]
    fn the_first_of_several_uris_that_is_a_user_who_is_on_names_the_user() {
        let policy = by_uri("user urn:a on\nuser urn:b on\nuser urn:off off");
        for (uris, user) in [
            (&["urn:a"][..], Ok("urn:a".to_owned())),
            (&["urn:b", "urn:a"], Ok("urn:b".to_owned())),
            (&["spiffe://suite/x", "urn:a", "urn:b"], Ok("urn:a".to_owned())),
            (&["urn:off", "urn:b"], Ok("urn:b".to_owned())),
            (&["spiffe://suite/x", "urn:off"], Err(UserRefusal::UserOff)),
            (&["spiffe://suite/x", "spiffe://suite/y"], Err(UserRefusal::NoSuchUser)),
            (&["urn:a", "urn:b c"], Err(UserRefusal::HostileName)),
            (&["urn:a", "urn:b\0"], Err(UserRefusal::HostileName)),
            (&[], Err(UserRefusal::Unmapped)),
        ] {
            assert_eq!(named(&policy, uris), user, "{uris:?}");
        }
    }

    #[test]
    fn no_uri_stands_in_for_one_before_it_that_may_not_name_the_user() {
        let policy = by_uri("user default on\nuser urn:exempt on\nuser urn:a on");
        for uris in [&["default"][..], &["default", "urn:a"], &["urn:exempt", "urn:a"], &["urn:none", "urn:exempt"]] {
            assert_eq!(named(&policy, uris), Err(UserRefusal::ReservedName), "{uris:?}");
        }
        assert_eq!(named(&policy, &["urn:a", "urn:exempt"]), Ok("urn:a".to_owned()), "it is not asked for");
        let off = by_uri("user default off\nuser urn:a on");
        assert_eq!(named(&off, &["default", "urn:exempt", "urn:a"]), Ok("urn:a".to_owned()), "they are off or absent");
        assert_eq!(named(&off, &["default", "urn:none"]), Err(UserRefusal::ReservedName));
        let settings = UserSettings { allow_from: vec!["192.0.2.0/24".parse().unwrap()], ..UserSettings::default() };
        let settings = HashMap::from([("urn:b".to_owned(), settings)]);
        let elsewhere = Policy { settings, ..by_uri("user urn:a on\nuser urn:b on") };
        assert_eq!(named(&elsewhere, &["urn:b", "urn:a"]), Err(UserRefusal::Address));
    }

    #[test]
    fn a_session_ends_when_an_earlier_uri_of_its_certificate_becomes_a_user() {
        let peer = certificate(&["urn:new", "urn:a"]);
        let Admission::User(principal) = by_uri("user urn:a on").admit(Some(&peer), ADDRESS) else { panic!("in") };
        let renewed = |acl: &str| by_uri(acl).renew(&principal, Some(&peer), ADDRESS).map(drop);
        assert_eq!(renewed("user urn:a on\nuser urn:new off"), Ok(()));
        assert_eq!(renewed("user urn:a on\nuser urn:new on"), Err(UserRefusal::Unmapped));
        let by_itself = |acl: &str| by_uri(acl).renew_editor(&principal, Some(&peer), ADDRESS).map(drop);
        assert_eq!(by_itself("user urn:a on\nuser urn:new on"), Err(UserRefusal::Unmapped));
        assert_eq!(by_itself("user urn:a off\nuser urn:new off"), Ok(()));
        assert_eq!(renewed("user urn:a off\nuser urn:new off"), Err(UserRefusal::UserOff));
    }

    #[test]
    fn a_certificate_that_is_required_has_to_name_the_user_that_logs_in_and_no_other() {
        let settings = UserSettings { certificate_required: true, ..UserSettings::default() };
        let policy = Policy {
            settings: HashMap::from([("urn:b".to_owned(), settings)]),
            ..by_uri("user urn:a on >pw\nuser urn:b on >pw")
        };
        let may = |uris: &[&str]| {
            policy.may_log_in(policy.acl.user(b"urn:b").unwrap(), None, Some(&certificate(uris)), ADDRESS)
        };
        assert_eq!(may(&["urn:x", "urn:b", "urn:a"]), Ok(()));
        assert_eq!(may(&["urn:a", "urn:b"]), Err(UserRefusal::CertificateRequired));
    }

    #[test]
    fn certificate_rules_are_asked_about_a_login_only_where_the_user_needs_a_certificate() {
        let settings = UserSettings { certificate_required: true, ..UserSettings::default() };
        let policy = Policy {
            settings: HashMap::from([("urn:b".to_owned(), settings)]),
            ..by_uri("user urn:a on >pw\nuser urn:b on >pw")
        };
        let certificate = certificate(&["urn:b"]);
        let asked_about = |name: &str| {
            asked::take();
            let user = policy.acl.user(name.as_bytes()).unwrap();
            assert_eq!(policy.may_log_in(user, None, Some(&certificate), ADDRESS), Ok(()));
            asked::take()
        };
        assert_eq!((asked_about("urn:a"), asked_about("urn:b")), (0, 1));
    }

    #[test]
    fn whoever_edits_its_own_user_goes_on_unless_it_is_gone() {
        let editor = bob(&policy("user bob on >old"), Some("old"));
        for acl in ["user bob off >old", "user bob on >new"] {
            assert!(policy(acl).renew_editor(&editor, None, ADDRESS).is_ok(), "{acl}");
        }
        assert_eq!(policy("").renew_editor(&editor, None, ADDRESS).map(drop), Err(UserRefusal::NoSuchUser));
    }
}
