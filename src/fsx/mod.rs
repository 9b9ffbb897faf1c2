//! The only place where bytes become durable and names appear or go: stage, write, fsync, publish without
//! replacing, fsync the directory. Knows no WAL.

mod delivery;
mod durable;
mod error;
mod instance;
mod lock;
mod names;
mod owner;
mod private;
mod probe;
mod space;

pub use delivery::{Delivery, hand_over};
pub use durable::{
    Modes, Published, Staged, confirm, create_dir, create_dir_all, move_new, remove, rename_mark,
    replace_state, staged, sweep, sync_dir, write_advisory, write_new,
};
pub use error::{AtPath, PathError};
pub use instance::{DirectoryId, Instance};
pub use lock::{LockGuard, lock_exclusive, try_lock_exclusive};
pub use names::{Folder, NameKind, for_each_name};
pub use owner::{Ownership, foreign_owner, is_superuser, ownership};
pub use private::{Glimpse, is_private, make_private};
pub use probe::{RoundTrip, round_trip};
pub use space::{free_bytes, free_bytes_if_counted, is_same_file_system};
