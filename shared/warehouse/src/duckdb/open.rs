//! Opening a DuckDB file. DuckDB keeps other processes out by a lock on the file, but that lock does not keep a second
//! instance in this process out, and two instances corrupt the file. So a process has one instance per file, which
//! all handles share, one at a time; it closes when one of them says so, and with the last one.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use duckdb::{Config, Connection};
use rustix::fs::{Access, access};

use crate::error::{Error, Kind, Result};

/// A handle to the shared instance of one file. Clone the [`Arc`] for work that outlives a call.
#[derive(Debug)]
pub(super) struct Handle {
    path: PathBuf,
    instance: Arc<Mutex<Instance>>,
}

#[derive(Debug, Default)]
struct Instance {
    handles: usize,
    /// `None` until the file exists, and while it is closed.
    connection: Option<Connection>,
    /// `true`: another process had the file open for longer than the wait. From then on there is no wait.
    is_given_up: bool,
}

static INSTANCES: LazyLock<Mutex<HashMap<PathBuf, Arc<Mutex<Instance>>>>> = LazyLock::new(Mutex::default);

impl Handle {
    /// Opens the file if it exists, and creates nothing. One that another process has open is opened at its first use.
    pub(super) fn open(path: &str) -> Result<Handle> {
        let path = located(path)?;
        let instance = lock(&INSTANCES).entry(path.clone()).or_default().clone();
        lock(&instance).handles += 1;
        let handle = Handle { path, instance };
        match handle.read(Duration::ZERO, |_| Ok(())) {
            Err(error) if error.kind() != Kind::Locked => Err(error),
            _ => Ok(handle),
        }
    }

    /// Reads the file; `None` if there is none yet. Waits up to this time for another process that has it open.
    pub(super) fn read<T>(
        &self,
        wait: Duration,
        work: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut instance = lock(&self.instance);
        if instance.connection.is_none() && self.path.exists() {
            instance.open(&self.path, wait)?;
        }
        instance.connection.as_mut().map(work).transpose()
    }

    /// Writes the file, and creates it if there is none. Waits for its turn, and up to this time for another process
    /// that has it open.
    pub(super) fn write<T>(
        &self,
        wait: Duration,
        work: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let mut instance = lock(&self.instance);
        work(instance.open(&self.path, wait)?)
    }

    /// Puts a file in this one's place that `copy` makes at a path beside it: of the same owner and permissions, at once or
    /// not at all. Other processes are kept out until it is there; one that has the file open keeps this one out.
    pub(super) fn replace(
        &self,
        wait: Duration,
        copy: impl FnOnce(&Connection, &Path) -> Result<()>,
    ) -> Result<()> {
        let mut instance = lock(&self.instance);
        if !self.path.exists() {
            return Ok(());
        }
        let next = beside(&self.path, ".next");
        // A crash leaves them.
        let clear = || [&next, &beside(&next, ".wal")].into_iter().for_each(|path| _ = fs::remove_file(path));
        clear();
        let connection = instance.open(&self.path, wait)?;
        let replaced = copy(connection, &next).and_then(|()| {
            put_in_place(&next, &self.path).map_err(|source| {
                let path = &self.path;
                let message = format!(
                    "duckdb file {path:?} can't be replaced by a new one, which needs as much disk again and a folder that \
                     can be written"
                );
                Error::new(Kind::Unreachable, message).because(source)
            })
        });
        instance.connection = None;
        clear();
        replaced
    }

    /// Closes the file, so that other processes can open it; the next call opens it again.
    pub(super) fn close(&self) {
        lock(&self.instance).connection = None;
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn put_in_place(next: &Path, path: &Path) -> io::Result<()> {
    let (now, made) = (fs::metadata(path)?, fs::metadata(next)?);
    if (now.uid(), now.gid()) != (made.uid(), made.gid()) {
        chown(next, Some(now.uid()), Some(now.gid()))?;
    }
    fs::set_permissions(next, now.permissions())?;
    File::open(next)?.sync_all()?;
    fs::rename(next, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

impl Instance {
    fn open(&mut self, path: &Path, wait: Duration) -> Result<&mut Connection> {
        let opened = match self.connection.take() {
            Some(connection) => connection,
            None => self.open_when_free(path, wait)?,
        };
        Ok(self.connection.insert(opened))
    }

    fn open_when_free(&mut self, path: &Path, wait: Duration) -> Result<Connection> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match connection(path) {
                Err(error) if error.kind() == Kind::Locked && wait > Duration::ZERO => {
                    if self.is_given_up || began.elapsed() >= wait {
                        self.is_given_up = true;
                        return Err(error);
                    }
                    if pause == FIRST_PAUSE {
                        let seconds = wait.as_secs();
                        tracing::warn!("{error}; the merge waits for that, {seconds} seconds at the most");
                    }
                }
                opened => {
                    self.is_given_up &= opened.is_err();
                    return opened;
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Time between two tries to open a file that another process has open.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut instance = lock(&self.instance);
        instance.handles -= 1;
        if instance.handles == 0 {
            instance.connection = None;
        }
    }
}

/// Takes a lock. A panic while it was held rolled the transaction back, so the instance is valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the canonical path of a file, which need not exist.
fn located(path: &str) -> Result<PathBuf> {
    let refused = |why: String| Error::new(Kind::Unsupported, format!("duckdb file {path:?} {why}"));
    if path.is_empty() || path.starts_with(':') || path.contains('\0') {
        return Err(refused("is no path: name a file, for example duckdb:warehouse.duckdb".to_owned()));
    }
    let path_given = Path::new(path);
    if path_given.is_dir() {
        return Err(refused(format!(
            "is a folder: name a file in it, for example duckdb:{path}/warehouse.duckdb"
        )));
    }
    if let Ok(existing) = path_given.canonicalize() {
        return Ok(existing);
    }
    let parent = match path_given.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let folder = parent.canonicalize().map_err(|source| {
        refused(format!("is in the folder {parent:?}, which can't be opened: create it or correct the path"))
            .because(source)
    })?;
    access(&folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|source| {
        refused(format!("can't be created in {parent:?}: make the folder writable or name another one"))
            .because(source)
    })?;
    match path_given.file_name() {
        Some(name) => Ok(folder.join(name)),
        None => Err(refused("names no file".to_owned())),
    }
}

fn connection(path: &Path) -> Result<Connection> {
    let open = || {
        let config = Config::default()
            // Everything a merge needs is linked in; nothing is fetched at run time.
            .with("autoinstall_known_extensions", "false")?
            .with("autoload_known_extensions", "false")?
            // Lets a large insert flush as it goes instead of keeping its rows until the end.
            .with("preserve_insertion_order", "false")?
            // Its memory is better used elsewhere, and it misses a file that was replaced within one second.
            .with("enable_external_file_cache", "false")?;
        let connection = Connection::open_with_flags(path, config)?;
        connection.execute_batch("SET TimeZone = 'UTC'")?;
        Ok(connection)
    };
    open().map_err(|source: duckdb::Error| {
        let (kind, why) = diagnosis(&source.to_string());
        Error::new(kind, format!("duckdb file {path:?} {why}")).because(source)
    })
}

/// Returns the meaning of DuckDB's messages, which have no error codes.
fn diagnosis(message: &str) -> (Kind, &'static str) {
    if message.contains("Could not set lock") {
        (Kind::Locked, "is open in another process: close it there")
    } else if message.contains("not a valid DuckDB database") {
        (Kind::Unsupported, "is not a DuckDB database: name another file, or remove this one")
    } else if message.contains("Permission denied") || message.contains("Read-only file system") {
        (Kind::Unsupported, "can't be written: make the file and its folder writable, or name another one")
    } else {
        (Kind::Unreachable, "can't be opened")
    }
}
