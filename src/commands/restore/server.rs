use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, ControlFile, Recovery, TargetTimeline};
use crate::wal::{Lsn, SegmentName, Timeline};

/// The server that calls `restore_command`: what its data directory shows of where it is.
pub(super) struct Server {
    pub(super) cluster: Option<Cluster>,
    pub(super) control: Option<ControlFile>,
    /// `None` means at the end of a recovery, or past it: a server removes its signal file before the last request of a
    /// promotion (12 to 18; up to 11 it renames recovery.conf there). A data directory that is not known, or cannot be
    /// read, counts as a recovery, which stops at a failure.
    ///
    /// The state in the control file says nothing here: a base backup says "in production" until replay begins.
    pub(super) recovery: Recovery,
}

impl Server {
    pub(super) fn of(data_directory: Option<&Path>) -> Self {
        let cluster = data_directory.and_then(|dir| Cluster::find(dir).ok());
        let control = cluster.as_ref().and_then(|cluster| cluster.control_file().ok());
        let recovery = cluster.as_ref().and_then(|cluster| cluster.recovery().ok());
        Self { cluster, control, recovery: recovery.unwrap_or(Recovery::Archive) }
    }

    /// The timeline that the server is known to be on.
    pub(super) fn own_timeline(&self) -> Option<Timeline> {
        self.control.as_ref().map(ControlFile::own_timeline)
    }

    /// Whether the server is on a timeline, or past it.
    pub(super) fn has_reached(&self, timeline: Timeline) -> bool {
        self.own_timeline().is_some_and(|own| timeline <= own)
    }

    /// Whether the server is known to be on a timeline after a position.
    pub(super) fn is_past(&self, timeline: Timeline, position: Lsn) -> bool {
        self.control
            .as_ref()
            .is_some_and(|control| control.own_timeline() == timeline && control.known_position() > position)
    }

    /// The timeline that the recovery is to follow; without a configuration that can be read, the newest.
    pub(super) fn target(&self) -> TargetTimeline {
        let target = self.cluster.as_ref().and_then(|cluster| cluster.target_timeline().ok());
        target.unwrap_or(TargetTimeline::Latest)
    }

    /// A timeline's history in the server's WAL directory.
    pub(super) fn history_text(&self, timeline: Timeline) -> Option<Vec<u8>> {
        self.cluster.as_ref().and_then(|cluster| cluster.history_text(timeline))
    }

    /// The timelines whose histories are in the server's WAL directory.
    pub(super) fn histories(&self) -> Vec<Timeline> {
        self.cluster.as_ref().and_then(|cluster| cluster.histories().ok()).unwrap_or_default()
    }

    /// The file of a segment in the server's WAL directory, if there is one, in whatever state.
    pub(super) fn own_file(&self, name: SegmentName) -> Option<PathBuf> {
        let path = self.cluster.as_ref()?.wal_directory().join(name.to_string());
        path.symlink_metadata().is_ok().then_some(path)
    }

    pub(super) fn is_asked_to_promote(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.is_asked_to_promote().unwrap_or(false))
    }
}
