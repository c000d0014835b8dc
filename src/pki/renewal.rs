//! Renewing: another certificate, for another key, in the files of the one before, which are kept under its serial
//! number.
//!
//! `NAME.crt` says what is renewed, and not the index: where the system went down halfway through, the old certificate
//! is still there, and the next renewal begins again.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::authority::CLOCK_SKEW;
use super::certificate_file;
use super::error::CertError;
use super::index::{self, Entry, Kind};
use super::store::{self, AUTHORITY, CERTIFICATE_DAYS, CRL_FILE, PUBLIC, SECRET, Store};
use crate::identity::x509::Certificate;
use crate::tls::list_file;

/// What is to be renewed.
pub enum Due {
    /// What bears these names; the authority has one of its own.
    Names(Vec<String>),
    /// What ends within this time, or has ended: certificates but the authority's, and the revocation list.
    Within(Duration),
}

/// What has come of it.
#[derive(Default)]
pub struct Renewal {
    /// In the order in which it was done.
    pub renewed: Vec<Renewed>,
    /// Until when the revocation list is good, where it was written anew.
    pub list: Option<SystemTime>,
    /// What was to be renewed and was not.
    pub failed: Vec<NotRenewed>,
}

/// A certificate that has taken the place of another.
pub struct Renewed {
    /// The new one.
    pub entry: Entry,
    /// The old one, which is good until it ends or is revoked.
    pub former: Entry,
    /// It would last longer, by a day or more, if the authority did.
    pub is_cut_short: bool,
}

/// What was not renewed.
pub struct NotRenewed {
    /// In words.
    pub what: String,
    /// Why.
    pub error: CertError,
}

impl Renewal {
    fn take(&mut self, what: String, renewed: Result<Renewed, CertError>) {
        match renewed {
            Ok(renewed) => self.renewed.push(renewed),
            Err(error) => self.failed.push(NotRenewed { what, error }),
        }
    }

    fn take_list(&mut self, end: Result<Option<SystemTime>, CertError>) {
        match end {
            Ok(end) => self.list = end,
            Err(error) => self.failed.push(NotRenewed { what: CRL_FILE.to_owned(), error }),
        }
    }
}

impl Store {
    /// Renews what is due, each for so long, or for as long as the one before was good; what had to end with its
    /// authority for [`CERTIFICATE_DAYS`], and the list of such an authority for as long as there is one.
    ///
    /// # Errors
    /// The index cannot be read. Whatever else fails is told in the [`Renewal`], and the rest is done.
    pub fn renew(&mut self, due: &Due, time: Option<Duration>, now: SystemTime) -> Result<Renewal, CertError> {
        let mut renewal = Renewal::default();
        match due {
            Due::Names(names) => self.renew_named(names, time, now, &mut renewal)?,
            Due::Within(left) => self.renew_by(now + *left, time, now, &mut renewal)?,
        }
        Ok(renewal)
    }

    fn renew_named(
        &mut self,
        names: &[String],
        time: Option<Duration>,
        now: SystemTime,
        renewal: &mut Renewal,
    ) -> Result<(), CertError> {
        // What the authority signs then may last longer.
        let (authority, others): (Vec<_>, Vec<_>) = names.iter().partition(|name| *name == AUTHORITY);
        if !authority.is_empty() {
            let former_end = self.end;
            renewal.take(AUTHORITY.to_owned(), self.renew_authority(time, now));
            renewal.take_list(self.renew_list(former_end, now));
        }
        let mut done: Vec<&String> = Vec::new();
        for name in others {
            if !done.contains(&name) {
                let former = self.current(name, &self.entries()?);
                renewal.take(name.clone(), former.and_then(|former| self.renew_certificate(former, time, now)));
                done.push(name);
            }
        }
        Ok(())
    }

    fn renew_by(
        &mut self,
        limit: SystemTime,
        time: Option<Duration>,
        now: SystemTime,
        renewal: &mut Renewal,
    ) -> Result<(), CertError> {
        let authority_ends = || CertError::AuthorityEnds(self.dir.clone(), self.end);
        if self.end <= limit {
            renewal.take(AUTHORITY.to_owned(), Err(authority_ends()));
        }
        let entries = self.entries()?;
        for name in index::names(&entries) {
            let (what, former) = match self.current(name, &entries) {
                Ok(former) if former.expires > limit => continue,
                // The new one would end no later.
                Ok(former) if former.expires >= self.end => (former.in_words(), Err(authority_ends())),
                Ok(former) => (former.in_words(), Ok(former)),
                Err(error) => match index::standing(&entries, name, now) {
                    Some(entry) if entry.expires <= limit => (entry.in_words(), Err(error)),
                    _ => continue,
                },
            };
            renewal.take(what, former.and_then(|former| self.renew_certificate(former, time, now)));
        }
        renewal.take_list(self.renew_list(limit, now));
        Ok(())
    }

    /// The certificate in the files of this name.
    fn current(&self, name: &str, entries: &[Entry]) -> Result<Entry, CertError> {
        if name != AUTHORITY {
            store::check_file_name(name)?;
        }
        let path = self.certificate_path(name);
        if path.symlink_metadata().is_err() {
            return Err(CertError::NothingToRenew(path));
        }
        let serial = self.serial_of(&path)?;
        match entries.iter().find(|entry| entry.name == name && entry.serial == serial) {
            None => Err(CertError::NotInIndex(path)),
            Some(entry) if entry.revoked.is_some() => Err(CertError::Revoked(path)),
            Some(entry) => Ok(entry.clone()),
        }
    }

    fn renew_certificate(&self, former: Entry, time: Option<Duration>, now: SystemTime) -> Result<Renewed, CertError> {
        let path = self.certificate_path(&former.name);
        let (certificate, alternative_names) = certificate_file::read_with_names(&path)?;
        let name = certificate.subject.common_name().ok_or(CertError::NotInIndex(path))?;
        let mut entries = self.entries()?;
        let time = match time {
            Some(time) => time,
            None if ends_with_authority(former.expires, &entries) => days(CERTIFICATE_DAYS),
            None => time_of(&certificate),
        };
        let expires = self.no_later(now + time, now)?;
        let signed = self.authority.reissue(former.kind, &name, alternative_names, now, expires)?;
        self.keep(&former, "key", SECRET)?;
        self.keep(&former, "crt", PUBLIC)?;
        let entry = store::entry(former.kind, &former.name, &signed, expires);
        entries.push(entry.clone());
        self.write_index(&entries)?;
        store::replace(&self.dir.join(format!("{}.key", entry.name)), &signed.key, SECRET)?;
        store::replace(&self.certificate_path(&entry.name), &signed.certificate, PUBLIC)?;
        Ok(Renewed { entry, former, is_cut_short: expires + days(1) < now + time })
    }

    /// With the same key: whoever trusts one of its certificates trusts what was signed under the other.
    fn renew_authority(&mut self, time: Option<Duration>, now: SystemTime) -> Result<Renewed, CertError> {
        let path = self.certificate_path(AUTHORITY);
        let mut entries = self.entries()?;
        let former = self.current(AUTHORITY, &entries)?;
        let certificate = certificate_file::read(&path)?;
        let name = certificate.subject.common_name().ok_or_else(|| CertError::NotInIndex(path.clone()))?;
        let expires = now + time.unwrap_or_else(|| time_of(&certificate));
        if expires <= self.end {
            return Err(CertError::NotLonger(self.end));
        }
        let signed = self.authority.renew(&name, now, expires)?;
        self.keep(&former, "crt", PUBLIC)?;
        let entry = store::entry(Kind::Authority, AUTHORITY, &signed, expires);
        entries.push(entry.clone());
        self.write_index(&entries)?;
        store::replace(&path, &signed.certificate, PUBLIC)?;
        self.end = index::time(certificate_file::read(&path)?.not_after);
        Ok(Renewed { entry, former, is_cut_short: false })
    }

    /// Writes the list anew where it ends by then. `None`: it does not, or the authority ends no later.
    fn renew_list(&self, limit: SystemTime, now: SystemTime) -> Result<Option<SystemTime>, CertError> {
        let (made, end) = self.list_times()?;
        let (time, end) = (seconds(made, end), index::time(end));
        if end > limit || end >= self.end {
            return Ok(None);
        }
        let is_the_longest = ends_with_authority(end, &self.entries()?);
        self.write_crl(now, if is_the_longest { self.end } else { now + time }).map(Some)
    }

    /// Until when the revocation list is good.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn list_end(&self) -> Result<SystemTime, CertError> {
        self.list_times().map(|(_, end)| index::time(end))
    }

    /// When the list was made and when it ends, in seconds since 1970 UTC. One without an end is as one that has ended.
    fn list_times(&self) -> Result<(i64, i64), CertError> {
        let lists = list_file::read(&self.dir.join(CRL_FILE)).map_err(CertError::List)?;
        let list = lists.first().map(|list| (list.this_update, list.next_update.unwrap_or(list.this_update)));
        Ok(list.unwrap_or_default())
    }

    /// Copies a file to where it is kept. Where it was copied before, and the system then went down, what is there in
    /// its place may be half of the next pair.
    fn keep(&self, former: &Entry, extension: &str, mode: u32) -> Result<(), CertError> {
        let path = self.dir.join(format!("{}.{extension}", former.name));
        let kept = self.dir.join(format!("{}.{}.{extension}", former.name, former.serial));
        if kept.symlink_metadata().is_ok() || path.symlink_metadata().is_err() {
            return Ok(());
        }
        store::replace(&kept, &store::read(&path)?, mode)
    }

    fn certificate_path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.crt"))
    }
}

/// Whether it was to end with the authority of its time.
fn ends_with_authority(end: SystemTime, entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.kind == Kind::Authority && entry.expires == end)
}

/// How long a certificate was issued for.
fn time_of(certificate: &Certificate) -> Duration {
    seconds(certificate.not_before, certificate.not_after).saturating_sub(CLOCK_SKEW)
}

fn seconds(from: i64, to: i64) -> Duration {
    Duration::from_secs(u64::try_from(to.saturating_sub(from)).unwrap_or_default())
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}
