//! Writing recordings: a thread of its own, so that a slow disk never delays a decision.
//!
//! What finds no room in its queue is lost, and the recording ends there: one with a hole would tell something else. Files
//! are for their owner alone; the newest stay.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::EXTENSION;

/// What waits for the disk: some seconds of a large fleet.
const WAITING_MAX: usize = 1024;
/// So many recordings are kept.
const FILES_MAX: usize = 64;
/// And so many bytes of them.
const BYTES_MAX: u64 = 512 * 1024 * 1024;

/// What is to be written.
#[derive(Debug)]
enum Order {
    Begin { cluster: String, name: String, bytes: Vec<u8> },
    More { cluster: String, bytes: Vec<u8> },
    End { cluster: String },
}

/// The way to the thread that writes.
#[derive(Debug)]
pub struct Keeper {
    orders: Option<SyncSender<Order>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread; the folder is made with the first recording.
    ///
    /// # Errors
    /// There is no thread.
    pub fn start(folder: &Path) -> std::io::Result<Keeper> {
        let (orders, incoming) = sync_channel(WAITING_MAX);
        let folder = folder.to_owned();
        let thread = std::thread::Builder::new().name("recordings".to_owned());
        let thread = thread.spawn(move || write(&folder, &incoming))?;
        Ok(Keeper { orders: Some(orders), thread: Some(thread) })
    }

    /// Begins the file of a cluster; false: there is no room.
    pub(super) fn begin(&self, cluster: &str, name: String, bytes: Vec<u8>) -> bool {
        self.order(Order::Begin { cluster: cluster.to_owned(), name, bytes })
    }

    /// Goes on with it; false: there is no room.
    pub(super) fn more(&self, cluster: &str, bytes: Vec<u8>) -> bool {
        self.order(Order::More { cluster: cluster.to_owned(), bytes })
    }

    /// It is complete; false: there is no room, and it is closed when the program ends.
    pub(super) fn end(&self, cluster: &str) -> bool {
        self.order(Order::End { cluster: cluster.to_owned() })
    }

    fn order(&self, order: Order) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.try_send(order).is_ok())
    }
}

impl Drop for Keeper {
    /// Waits for what was handed over.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(folder: &Path, incoming: &Receiver<Order>) {
    let mut open: BTreeMap<String, (PathBuf, File)> = BTreeMap::new();
    for order in incoming {
        let (cluster, done) = match order {
            Order::Begin { cluster, name, bytes } => {
                let begun = begin(folder, &name).and_then(|(path, mut file)| {
                    file.write_all(&bytes)?;
                    file.sync_data()?;
                    Ok((path, file))
                });
                match begun {
                    Ok((path, file)) => {
                        tracing::info!(cluster, file = %path.display(), "recording");
                        open.insert(cluster, (path, file));
                    }
                    Err(error) => tracing::warn!(cluster, %error, "no recording: its file cannot be begun"),
                }
                continue;
            }
            Order::More { cluster, bytes } => {
                let Some((_, file)) = open.get_mut(&cluster) else { continue };
                let done = file.write_all(&bytes);
                (cluster, done)
            }
            Order::End { cluster } => {
                let Some((_, file)) = open.remove(&cluster) else { continue };
                let done = file.sync_all();
                (cluster, done)
            }
        };
        if let Err(error) = done {
            // What is there can be played up to here.
            tracing::warn!(cluster, %error, "the recording ends early");
            open.remove(&cluster);
        }
    }
}

/// Makes room, and the file.
fn begin(folder: &Path, name: &str) -> std::io::Result<(PathBuf, File)> {
    fs::create_dir_all(folder)?;
    prune(folder)?;
    let path = folder.join(name).with_extension(EXTENSION);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((path, file))
}

/// Deletes the oldest recordings until there is room for one more.
fn prune(folder: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_file() && entry.path().extension().is_some_and(|extension| extension == EXTENSION) {
            files.push((about.modified()?, about.len(), entry.path()));
        }
    }
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
    let mut left = files.len();
    for (_, length, path) in files {
        if left < FILES_MAX && bytes <= BYTES_MAX {
            break;
        }
        fs::remove_file(path)?;
        (left, bytes) = (left - 1, bytes - length);
    }
    Ok(())
}
