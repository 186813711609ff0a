//! What people read: the account as lines, and the picture of a cluster.
//!
//! Everything is made from rows and from `api` shapes, so that the daemon's story, `history`, `status` and `check` use the
//! same words. Left out: printing, which is the command line's.

pub mod layers;
pub mod line;
mod page;
pub mod picture;
pub mod wall;

pub(crate) use page::wrap;
