//! Making the folder: all of it beside its place, checked, and then moved there.

use std::fmt::Display;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::InitError;
use super::plan::{Plan, PlannedFile, Sharing};
use crate::auth::random;
use crate::config::{self, Flags, Host, Loaded, Sources, Variables};
use crate::files::Files;
use crate::generation::{self, BuildError, Built, Kept, UpstreamKnowledge};
use crate::pki::{self, AUTHORITY_DAYS, CERTIFICATE_DAYS, CRL_FILE, Names, Store};

/// For everybody, and for its owner only.
const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;
const FOLDER: u32 = 0o700;

/// What was written.
pub(super) struct Written {
    /// What `respgate check` says against it.
    pub(super) warnings: Vec<String>,
    /// The day on which the certificates end.
    pub(super) end: String,
}

/// The folder as a whole path, over all links, if nothing is in it.
pub(super) fn free_folder(folder: &Path) -> Result<PathBuf, InitError> {
    let failed = |error| InitError::Folder(folder.to_owned(), error);
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => fs::canonicalize(folder).map_err(failed),
            Some(_) => Err(InitError::Taken(folder.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_symlink() => {
            let whole = std::path::absolute(folder).map_err(failed)?;
            let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
                return Err(InitError::Taken(folder.to_owned()));
            };
            let parent = fs::canonicalize(parent).map_err(|error| InitError::Folder(parent.to_owned(), error))?;
            Ok(parent.join(name))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(InitError::Taken(folder.to_owned())),
        Err(error) => Err(failed(error)),
    }
}

/// Writes it. Where something fails, nothing is left.
pub(super) fn write(folder: &Path, plan: &Plan, now: SystemTime) -> Result<Written, InitError> {
    let suffix = random::password(64).map_err(InitError::System)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let stage = Stage(folder.with_file_name(format!(".{name}.{}", suffix.as_str())));
    make_folder(&stage.0)?;
    for planned in &plan.folders {
        make_folders(&stage.0, planned)?;
    }
    for file in &plan.files {
        write_planned(&stage.0, file)?;
    }
    let end = write_certificates(&stage.0, plan, now)?;
    for (folder, sharing) in &plan.shared {
        share(&stage.0.join(folder), *sharing)?;
    }
    let warnings = check(&stage.0, plan.config_folder, folder)?;
    // An empty folder gives way to it, one that is not empty any more does not.
    fs::rename(&stage.0, folder).map_err(|error| match error.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            InitError::Taken(folder.to_owned())
        }
        _ => InitError::Folder(folder.to_owned(), error),
    })?;
    Ok(Written { warnings, end: pki::date(end) })
}

/// A folder that goes unless it is moved away.
struct Stage(PathBuf);

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn make_folder(path: &Path) -> Result<(), InitError> {
    DirBuilder::new().mode(FOLDER).create(path).map_err(|error| InitError::Folder(path.to_owned(), error))
}

fn make_folders(stage: &Path, below: &Path) -> Result<(), InitError> {
    let path = stage.join(below);
    let made = DirBuilder::new().mode(FOLDER).recursive(true).create(&path);
    made.map_err(|error| InitError::Folder(path, error))
}

fn write_planned(stage: &Path, PlannedFile { path, text, mode }: &PlannedFile) -> Result<(), InitError> {
    make_folders(stage, path.parent().unwrap_or(Path::new("")))?;
    write_file(&stage.join(path), text.as_bytes(), *mode)
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), InitError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| InitError::Folder(path.to_owned(), error))
}

/// Makes an authority, and what it signs for the server and for each client. Returns when that ends.
fn write_certificates(stage: &Path, plan: &Plan, now: SystemTime) -> Result<SystemTime, InitError> {
    let days = |days: u32| now + Duration::from_secs(u64::from(days) * 86_400);
    let pki = stage.join("pki");
    let issue = || {
        let store = Store::create(&pki, &pki::random_name()?, now, days(AUTHORITY_DAYS))?;
        store.write_crl(now, store.end())?;
        let end = store.issue("server", &Names::Server(&plan.server_names), now, days(CERTIFICATE_DAYS))?;
        for (client, _) in &plan.clients {
            store.issue(client, &Names::Client(client), now, days(CERTIFICATE_DAYS))?;
        }
        Ok(end)
    };
    let end = issue().map_err(InitError::Certificate)?;
    for (name, mode) in [("server.crt", PUBLIC), ("server.key", SECRET), ("ca.crt", PUBLIC), (CRL_FILE, PUBLIC)] {
        make_folders(stage, Path::new(plan.tls_folder))?;
        copy(&pki.join(name), &stage.join(plan.tls_folder).join(name), mode)?;
    }
    for (client, _) in &plan.clients {
        let folder = stage.join("clients").join(client);
        let (certificate, key) = (format!("{client}.crt"), format!("{client}.key"));
        for (name, mode) in [(certificate.as_str(), PUBLIC), (&key, SECRET), ("ca.crt", PUBLIC)] {
            copy(&pki.join(name), &folder.join(name), mode)?;
        }
    }
    if plan.runs_in_place {
        // What is revoked is then read at once.
        let list = pki.join(CRL_FILE);
        let link = || {
            fs::remove_file(&list)?;
            symlink(Path::new("../etc").join(CRL_FILE), &list)
        };
        link().map_err(|error| InitError::Folder(list.clone(), error))?;
    }
    Ok(end)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<(), InitError> {
    let bytes = fs::read(from).map_err(|error| InitError::Unreadable(from.to_owned(), error))?;
    write_file(to, &Zeroizing::new(bytes), mode)
}

/// Lets others read a folder and the files in it.
fn share(folder: &Path, sharing: Sharing) -> Result<(), InitError> {
    let share_one = |path: &Path| {
        let may_enter = if path.is_dir() { 0o110 } else { 0 };
        let mode = match sharing {
            Sharing::Group(group) => {
                chown(path, None, Some(group))?;
                0o640 | may_enter
            }
            Sharing::Everybody => 0o644 | may_enter | may_enter >> 3,
        };
        fs::set_permissions(path, Permissions::from_mode(mode))
    };
    let share_all = || {
        for entry in fs::read_dir(folder)? {
            share_one(&entry?.path())?;
        }
        share_one(folder)
    };
    share_all().map_err(|error| InitError::Folder(folder.to_owned(), error))
}

/// What `respgate check` says against the configuration, but for what depends on where it is installed. The environment
/// of whoever makes it is not that of whoever runs it.
fn check(stage: &Path, config_folder: &str, folder: &Path) -> Result<Vec<String>, InitError> {
    // By the names that the files will have.
    let told = |text: &dyn Display| text.to_string().replace(&*stage.to_string_lossy(), &folder.to_string_lossy());
    let refused = |lines, is_permission| InitError::Refused { lines, is_permission };
    let (variables, flags, host, files) = (Variables::new(), Flags::none(), Host::current(), Files::default());
    let file = Some(stage.join(config_folder).join("respgate.toml"));
    let sources = Sources { file, variables: &variables, flags: &flags, host: &host, files: &files };
    let Loaded { config, warnings } = config::load(&sources)
        .map_err(|errors| refused(errors.iter().map(|error| told(error)).collect(), errors.is_permission()))?;
    let built = generation::build(&config, &files, UpstreamKnowledge::NotAsked, Kept::default());
    let Built { warnings: more, advice, misnamed, faults, .. } = built.map_err(|errors| {
        let is_permission = errors.iter().any(BuildError::is_permission);
        refused(errors.iter().map(|error| told(error)).collect(), is_permission)
    })?;
    let of_build = more.iter().chain(&advice).chain(&misnamed).chain(&faults).map(|words| told(words));
    Ok(warnings.iter().map(|warning| told(warning)).chain(of_build).collect())
}
