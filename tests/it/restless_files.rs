//! CAs and CRLs whose files go through whatever operators do to them, in random order, while a few clients try to come in.
//! Who is revoked is decided by the whole history of what the files have held.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustix::process::Signal;

use crate::support::{Identity, RedisServer, RespClient, Respgate, eventually, request, upstream_of};

/// CA, and serial number. The first two CAs share a name.
const CLIENTS: [(usize, u64); 6] = [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6)];
const NAMES: [&str; 3] = ["restless CA", "restless CA", "another restless CA"];

/// An edition of a CRL. Numbers and dates go up with its place in the history.
#[derive(Clone)]
struct Edition {
    ca: usize,
    serials: Vec<u64>,
    is_expired: bool,
    pem: String,
    was_read: bool,
    is_over: bool,
}

struct World {
    random: Random,
    gate: Respgate,
    authorities: Vec<CertifiedIssuer<'static, KeyPair>>,
    clients: Vec<Identity>,
    /// All that were ever made, the oldest first.
    editions: Vec<Edition>,
    /// What the file of each CA has in force, in places of `editions`.
    files: [Vec<usize>; NAMES.len()],
    /// The file holds just that.
    is_whole: [bool; NAMES.len()],
    trusted: [bool; NAMES.len()],
    is_config_broken: bool,
    writes: u64,
}

#[test]
fn whatever_becomes_of_the_files_nobody_comes_in_who_is_revoked_and_everybody_else_does() {
    run(7, 120);
}

/// `RESTLESS_SEED=N`, `RESTLESS_STEPS=N`.
#[test]
#[ignore = "takes as long as one wants"]
fn whatever_becomes_of_the_files_for_long() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    run(number("RESTLESS_SEED", 1), number("RESTLESS_STEPS", 1000));
}

fn run(seed: u64, steps: u64) {
    let redis = RedisServer::start();
    let mut world = World::start(&redis, seed);
    let mut is_in: Vec<bool> = (0..CLIENTS.len()).map(|client| world.may_come_in(client)).collect();
    let (mut ins, mut outs) = (0, 0);
    for step in 0..steps {
        let before: Vec<bool> = (0..CLIENTS.len()).map(|client| world.must_stay_out(client)).collect();
        let done = world.step();
        for client in (0..CLIENTS.len()).filter(|client| before[*client] && world.must_stay_out(*client)) {
            assert!(!world.comes_in(client), "seed {seed}, step {step}, {done}: {:?} is in at once", CLIENTS[client]);
        }
        world.wait_until_read();
        for client in 0..CLIENTS.len() {
            is_in[client] = world.comes_in(client);
            let place = format!("seed {seed}, step {step}, {done}: {:?}", CLIENTS[client]);
            assert!(!(is_in[client] && world.must_stay_out(client)), "{place} is in\n{}", world.gate.log_text());
            assert!(is_in[client] || !world.may_come_in(client), "{place} is out\n{}", world.gate.log_text());
            ins += u64::from(is_in[client]);
            outs += u64::from(!is_in[client]);
        }
    }
    assert!(ins > steps / 2 && outs > steps / 2, "{ins} in, {outs} out: the steps are too dull");
}

impl World {
    fn start(redis: &RedisServer, seed: u64) -> World {
        let setup = Respgate::setup(&upstream_of(redis)).acl("user alice on +@all ~*\n");
        let authorities: Vec<_> = NAMES.iter().map(|name| authority(name)).collect();
        let files: Vec<PathBuf> = (0..NAMES.len()).map(|ca| setup.path(&format!("{ca}.crl"))).collect();
        let clients = CLIENTS.iter().map(|(ca, serial)| client(&authorities[*ca], *serial, &setup.path(""))).collect();
        let own = fs::read_to_string(setup.pki().ca_cert()).unwrap();
        fs::write(setup.path("own.crt"), &own).unwrap();
        let all: String = authorities.iter().map(|authority| authority.pem()).collect();
        fs::write(setup.pki().ca_cert(), own + &all).unwrap();
        let mut editions = Vec::new();
        for (ca, file) in files.iter().enumerate() {
            editions.push(edition(&authorities[ca], ca, 1, Vec::new(), false));
            fs::write(file, &editions[ca].pem).unwrap();
        }
        let setup = setup.setting(&format!("tls-crl-file = {files:?}")).table("[block]\ncommands = [\"FLUSHALL\"]");
        let gate = setup.expect_log("\"WARN\"").expect_log("\"ERROR\"").start().settled();
        World {
            random: Random(seed),
            gate,
            authorities,
            clients,
            editions,
            files: [vec![0], vec![1], vec![2]],
            is_whole: [true; NAMES.len()],
            trusted: [true; NAMES.len()],
            is_config_broken: false,
            writes: 0,
        }
    }

    /// What an operator may do.
    fn step(&mut self) -> &'static str {
        let ca = self.random.index(NAMES.len());
        let old: Vec<usize> = (0..self.editions.len()).filter(|at| self.editions[*at].ca == ca).collect();
        let old = old[self.random.index(old.len())];
        let last = *self.files[ca].last().unwrap_or(&old);
        let done = match self.random.index(12) {
            0..=3 => {
                let new = self.issue(ca, false);
                self.put(ca, vec![new]);
                "a new edition"
            }
            4 => {
                let new = self.issue(ca, true);
                self.put(ca, vec![new]);
                "a new edition that has expired"
            }
            5 => {
                self.put(ca, vec![old]);
                "an edition out of the backup"
            }
            6 => {
                self.put(ca, vec![old, last]);
                "two editions in one file"
            }
            7 => {
                self.spoil(ca, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
                "a broken file"
            }
            8 => {
                let whole = self.editions[last].pem.clone();
                self.spoil(ca, &whole[..whole.len() / 2]);
                "half a file"
            }
            9 => {
                fs::remove_file(self.gate.path(&format!("{ca}.crl"))).unwrap_or_default();
                self.is_whole[ca] = false;
                "a file that is gone"
            }
            10 => {
                self.trusted[ca] = !self.trusted[ca];
                let mut text = fs::read_to_string(self.gate.path("own.crt")).unwrap();
                let trusted = (0..NAMES.len()).filter(|ca| self.trusted[*ca]);
                trusted.for_each(|ca| text += &self.authorities[ca].pem());
                fs::write(self.gate.pki().ca_cert(), text).unwrap();
                "a CA that comes or goes"
            }
            _ => {
                let (whole, broken) = ("[block]", "bogus = 1\n[block]");
                let (from, to) = if self.is_config_broken { (broken, whole) } else { (whole, broken) };
                self.gate.edit_config(from, to);
                self.is_config_broken = !self.is_config_broken;
                "a configuration that breaks or is mended"
            }
        };
        self.remember();
        done
    }

    fn issue(&mut self, ca: usize, is_expired: bool) -> usize {
        let own = CLIENTS.iter().filter(|(of, _)| *of == ca).map(|(_, serial)| *serial);
        let serials = own.filter(|_| self.random.index(3) == 0).collect();
        let number = u64::try_from(self.editions.len()).unwrap() + 10;
        self.editions.push(edition(&self.authorities[ca], ca, number, serials, is_expired));
        self.editions.len() - 1
    }

    fn put(&mut self, ca: usize, editions: Vec<usize>) {
        let text: String = editions.iter().map(|at| self.editions[*at].pem.as_str()).collect();
        self.spoil(ca, &text);
        (self.files[ca], self.is_whole[ca]) = (editions, true);
    }

    fn spoil(&mut self, ca: usize, text: &str) {
        self.writes += 1;
        let path = self.gate.path(&format!("{ca}.crl"));
        // In place, or by a new file.
        let to = if self.random.index(2) == 0 { path.clone() } else { self.gate.path("new") };
        fs::write(&to, format!("write {}\n{text}", self.writes)).unwrap();
        if to != path {
            fs::rename(to, path).unwrap();
        }
        self.is_whole[ca] = false;
    }

    /// What was read, and what counts no more: it has been superseded and has left the files, and whom it lists may come in.
    fn remember(&mut self) {
        let in_files = self.files.concat();
        for at in &in_files {
            self.editions[*at].was_read = true;
            self.editions[*at].is_over = false;
        }
        for at in (0..self.editions.len()).filter(|at| !self.is_config_broken && !in_files.contains(at)) {
            let ca = self.editions[at].ca;
            self.editions[at].is_over |= self.editions[at + 1..].iter().any(|newer| newer.ca == ca && newer.was_read);
        }
    }

    fn must_stay_out(&self, client: usize) -> bool {
        let (ca, serial) = CLIENTS[client];
        let mut revoking = self.editions.iter().filter(|edition| edition.serials.contains(&serial));
        !self.trusted[ca] || revoking.any(|edition| edition.was_read && !edition.is_over)
    }

    /// Where nothing is in the way at all.
    fn may_come_in(&self, client: usize) -> bool {
        let ca = CLIENTS[client].0;
        let is_fresh = self.files[ca].iter().any(|at| self.editions[*at].ca == ca && !self.editions[*at].is_expired);
        let is_good = self.is_whole.iter().all(|is_whole| *is_whole) && !self.is_config_broken;
        is_good && is_fresh && !self.must_stay_out(client)
    }

    fn comes_in(&self, client: usize) -> bool {
        let own = self.gate.path("own.crt");
        let mut client = RespClient::tls(self.gate.address(), &own, Some(&self.clients[client]));
        let answer = client.try_send(&request(&["PING"])).and_then(|()| client.try_reply());
        answer.is_ok_and(|answer| answer == b"+PONG\r\n")
    }

    /// By itself, or told to.
    fn wait_until_read(&mut self) {
        let ends = |gate: &Respgate| {
            let log = gate.log_text();
            let is_end = |line: &&str| line.contains("new generation") || line.contains("kept the old one");
            log.lines().filter(|line| line.contains("\"signal\"")).filter(is_end).count()
        };
        let before = ends(&self.gate);
        self.gate.signal(Signal::HUP);
        eventually("the reload", || (ends(&self.gate) > before).then_some(()));
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn client(authority: &CertifiedIssuer<'static, KeyPair>, serial: u64, folder: &std::path::Path) -> Identity {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "alice");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(SerialNumber::from(serial));
    let key = KeyPair::generate().unwrap();
    let identity = Identity { cert: folder.join(format!("{serial}.crt")), key: folder.join(format!("{serial}.key")) };
    fs::write(&identity.cert, params.signed_by(&key, authority).unwrap().pem()).unwrap();
    fs::write(&identity.key, key.serialize_pem()).unwrap();
    identity
}

fn edition(
    authority: &CertifiedIssuer<'static, KeyPair>,
    ca: usize,
    number: u64,
    serials: Vec<u64>,
    is_expired: bool,
) -> Edition {
    let now = SystemTime::now();
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: now.into(),
        reason_code: None,
        invalidity_date: None,
    };
    // Each ends before the one that it supersedes: what lasts longest is not the newest.
    let lasts = Duration::from_secs(30 * 86_400 - number);
    let next_update = if is_expired { now - Duration::from_secs(3600) } else { now + lasts };
    let list = CertificateRevocationListParams {
        this_update: (now - Duration::from_secs(1_000_000) + Duration::from_secs(number)).into(),
        next_update: next_update.into(),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let pem = list.signed_by(authority).unwrap().pem().unwrap();
    Edition { ca, serials, is_expired, pem, was_read: false, is_over: false }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn index(&mut self, length: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(length).unwrap()).unwrap()
    }
}
