//! Telling at once that a held connection ended by itself.
//!
//! When a process dies, its kernel closes what it held: that end is the first sign, seconds before the next probe. It is
//! no proof: servers also close what is idle or old. So a bell only tells whoever listens that a look is worth while.
//! Promised: rung at most once a connection, and never for one that we let go of ourselves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is called when a held connection ended by itself. It must not block.
#[derive(Clone, Default)]
pub struct Bell(Option<Arc<dyn Fn() + Send + Sync>>);

impl Bell {
    /// Calls `ring` at every such end.
    #[must_use]
    pub fn new(ring: impl Fn() + Send + Sync + 'static) -> Bell {
        Bell(Some(Arc::new(ring)))
    }

    /// Watches over one more connection.
    pub(crate) fn line(&self) -> Line {
        Line { bell: self.clone(), over: Arc::default() }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Bell" } else { "Bell (nobody listens)" })
    }
}

/// One connection's way to the bell. Clones are of the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    bell: Bell,
    /// It has ended, or nobody cares any more.
    over: Arc<AtomicBool>,
}

impl Line {
    /// The other side, or the way to it, ended the connection.
    pub(crate) fn ended(&self) {
        if !self.over.swap(true, Ordering::Relaxed)
            && let Some(ring) = &self.bell.0
        {
            ring();
        }
    }

    /// We end it ourselves, or the other side said that it would: no news.
    pub(crate) fn let_go(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
