use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::{InitError, InitRequest};
use crate::repository::{Form, Identity, RepositoryError, decode, header_agrees, parse_stored, stored_key};
use crate::storage::{Listed, Store};
use crate::wal::{
    Coverage, LONG_HEADER_BYTES, LongPageHeader, SegmentSize, TimelineCoverage, WalFileKind, WalFileName,
};

/// What lies in a directory that is to be adopted.
pub(super) struct Contents {
    pub files: Vec<(WalFileName, Form)>,
    /// The files whose digests lie beside them.
    pub digested: BTreeSet<WalFileName>,
    /// What is no WAL file.
    pub foreign: Vec<String>,
}

impl Contents {
    pub fn of(listed: &[Listed]) -> Self {
        let mut contents = Self { files: Vec::new(), digested: BTreeSet::new(), foreign: Vec::new() };
        // What file systems and we keep at the top of a directory.
        let expected = [".walkeep", "lost+found", ".snapshot", ".zfs"];
        for Listed { name, is_object } in listed {
            match parse_stored(name).filter(|_| *is_object) {
                Some(file) => contents.files.push(file),
                None if expected.contains(&name.as_str()) => {}
                None => match name.strip_suffix(".sha256").and_then(parse_stored) {
                    Some((file, _)) => drop(contents.digested.insert(file)),
                    None => contents.foreign.push(name.clone()),
                },
            }
        }
        contents.files.sort_unstable();
        contents.foreign.sort_unstable();
        contents
    }

    pub fn count_by_form(&self) -> BTreeMap<Form, u64> {
        let mut counts = BTreeMap::new();
        for (_, form) in &self.files {
            *counts.entry(*form).or_insert(0) += 1;
        }
        counts
    }

    /// The plain files that have no digest.
    pub fn undigested(&self) -> Vec<WalFileName> {
        let plain = self.files.iter().filter(|(_, form)| *form == Form::Plain);
        plain.map(|(name, _)| *name).filter(|name| !self.digested.contains(name)).collect()
    }

    /// Which segments there are, and how many base backups say so of themselves.
    pub fn holding(&self, size: SegmentSize) -> (Vec<TimelineCoverage>, u64) {
        let pages = self.files.iter().filter(|(name, _)| name.kind() == WalFileKind::Segment);
        let segments = pages.filter_map(|(name, _)| name.segment());
        let coverage = Coverage::new(segments, size, &[], &[], None);
        let backups = self.files.iter().filter(|(name, _)| name.kind() == WalFileKind::BackupHistory);
        (coverage.timelines(), backups.count() as u64)
    }
}

/// Whose WAL lies there already, going by the newest stored segment. Where the data directory is known the
/// segment has to be of its cluster.
pub(super) fn identity_of_newest(
    request: &InitRequest<'_>,
    contents: &Contents,
    named: Option<Identity>,
) -> Result<Option<Identity>, InitError> {
    let segments = contents.files.iter().filter(|(name, _)| name.kind() == WalFileKind::Segment);
    let Some((name, form)) = segments.max() else { return Ok(None) };
    let file = format!("{name}{}", form.suffix());
    let header = read_header(request.store, *name, *form);
    let header = header.map_err(|source| InitError::UnknownSegment { file: file.clone(), source })?;
    let identity =
        Identity { system_identifier: header.system_identifier, segment_size: header.segment_size };
    match named {
        Some(named) if named.system_identifier != identity.system_identifier => {
            Err(RepositoryError::OtherSystem {
                repository: identity.system_identifier,
                found: named.system_identifier,
            }
            .into())
        }
        Some(named) if named.segment_size != identity.segment_size => {
            let (repository, found) = (identity.segment_size, named.segment_size);
            Err(RepositoryError::OtherSegmentSize { repository, found }.into())
        }
        _ => Ok(Some(identity)),
    }
}

/// The first page's header of a stored segment, which has to be what its name says.
fn read_header(store: &dyn Store, name: WalFileName, form: Form) -> Result<LongPageHeader, RepositoryError> {
    let key = stored_key(name, form);
    let damaged = |reason: String| RepositoryError::Damaged { file: store.locate(&key), reason };
    let unreadable = |error: io::Error| damaged(error.to_string());
    let object = store.open(&key)?.ok_or_else(|| damaged("it is gone".to_owned()))?;
    let mut head = Vec::new();
    let decoded = decode(form, object.bytes).map_err(unreadable)?;
    decoded.bytes.take(LONG_HEADER_BYTES as u64).read_to_end(&mut head).map_err(unreadable)?;
    let header = LongPageHeader::parse(&head).map_err(|error| damaged(error.to_string()))?;
    header_agrees(name, &header, None).map_err(damaged)?;
    Ok(header)
}
