use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{
    Key, Listed, ObjectStat, OpenObject, Ownership, Published, RoundTrip, StagedObject, Store, StoreError,
    StoreLock,
};
use crate::fsx::PathError;

/// A store in memory, for tests: what it keeps is gone with it. Its clock ticks once a change.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<String, Object>,
    staged: Vec<(String, u32)>,
    ticks: u32,
}

#[derive(Clone, Debug)]
struct Object {
    bytes: Arc<[u8]>,
    born: u32,
}

impl Object {
    fn stat(&self) -> ObjectStat {
        ObjectStat {
            size_bytes: self.bytes.len() as u64,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(self.born.into()),
            inode: self.born.into(),
            changed_ns: self.born.into(),
        }
    }

    fn open(&self) -> OpenObject {
        OpenObject { bytes: Box::new(Cursor::new(self.bytes.clone())), stat: self.stat() }
    }
}

impl MemoryStore {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, key: &Key, bytes: &[u8]) {
        let mut objects = self.objects();
        let object = objects.born(bytes);
        objects.by_key.insert(key.as_str().to_owned(), object);
    }
}

impl Objects {
    fn born(&mut self, bytes: &[u8]) -> Object {
        self.ticks += 1;
        Object { bytes: bytes.into(), born: self.ticks }
    }

    fn create(&mut self, key: &Key, object: Object) -> Published {
        if self.by_key.contains_key(key.as_str()) {
            return Published::NameTaken;
        }
        self.by_key.insert(key.as_str().to_owned(), object);
        Published::New
    }
}

fn absent(verb: &'static str, key: &Key) -> StoreError {
    PathError::new(verb, Path::new(key.as_str()), io::ErrorKind::NotFound.into()).into()
}

struct StagedBytes {
    bytes: Vec<u8>,
    born: u32,
    store: MemoryStore,
}

impl StagedBytes {
    fn object(&self) -> Object {
        Object { bytes: self.bytes.as_slice().into(), born: self.born }
    }
}

impl Drop for StagedBytes {
    fn drop(&mut self) {
        let born = self.born;
        self.store.objects().staged.retain(|(_, other)| *other != born);
    }
}

impl Write for StagedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StagedObject for StagedBytes {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let mut cursor = Cursor::new(std::mem::take(&mut self.bytes));
        cursor.set_position(offset);
        let written = cursor.write_all(bytes);
        self.bytes = cursor.into_inner();
        written.map_err(|error| PathError::new("write", Path::new("staged"), error).into())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn publish(self: Box<Self>, key: &Key) -> Result<Published, StoreError> {
        Ok(self.store.objects().create(key, self.object()))
    }

    fn stat(&self) -> Option<ObjectStat> {
        Some(self.object().stat())
    }
}

struct NoLock;

impl StoreLock for NoLock {}

impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn locate(&self, key: &Key) -> String {
        format!("memory/{key}")
    }

    fn exists(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn foreign_owner(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stage(&self, stem: &str) -> Result<Box<dyn StagedObject>, StoreError> {
        let mut objects = self.objects();
        let born = objects.born(&[]).born;
        objects.staged.push((stem.to_owned(), born));
        Ok(Box::new(StagedBytes { bytes: Vec::new(), born, store: self.clone() }))
    }

    fn staged(&self, stem: &str) -> Result<Option<ObjectStat>, StoreError> {
        let objects = self.objects();
        let found = objects.staged.iter().find(|(other, _)| other == stem);
        Ok(found.map(|(_, born)| Object { bytes: Arc::default(), born: *born }.stat()))
    }

    fn settle(&self, _key: &Key) -> Result<(), StoreError> {
        Ok(())
    }

    fn stat(&self, key: &Key) -> Result<Option<ObjectStat>, StoreError> {
        Ok(self.objects().by_key.get(key.as_str()).map(Object::stat))
    }

    fn open(&self, key: &Key) -> Result<Option<OpenObject>, StoreError> {
        Ok(self.objects().by_key.get(key.as_str()).map(Object::open))
    }

    fn confirm(&self, key: &Key) -> Result<OpenObject, StoreError> {
        self.open(key)?.ok_or_else(|| absent("open", key))
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let objects = self.objects();
        let below = objects.by_key.keys().filter_map(|key| key.strip_prefix(prefix.as_str()));
        let mut listed: Vec<Listed> = below
            .map(|rest| match rest.split_once('/') {
                None => Listed { name: rest.to_owned(), is_object: true },
                Some((folder, _)) => Listed { name: folder.to_owned(), is_object: false },
            })
            .collect();
        listed.dedup();
        Ok(listed)
    }

    fn for_each(
        &self,
        folder: &str,
        see: &mut dyn FnMut(&str, Option<&ObjectStat>),
    ) -> Result<(), StoreError> {
        for Listed { name, .. } in self.list(folder)? {
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            see(&name, self.objects().by_key.get(&path).map(Object::stat).as_ref());
        }
        Ok(())
    }

    fn replace_state(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        self.replace(key, bytes);
        Ok(())
    }

    fn write_advisory(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        self.replace(key, bytes);
        Ok(())
    }

    fn relocate(&self, from: &Key, to: &Key) -> Result<Published, StoreError> {
        let mut objects = self.objects();
        let object = objects.by_key.get(from.as_str()).cloned().ok_or_else(|| absent("publish", from))?;
        let object = objects.born(&object.bytes);
        let published = objects.create(to, object);
        if published == Published::New {
            objects.by_key.remove(from.as_str());
        }
        Ok(published)
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        self.objects().by_key.remove(key.as_str()).map(drop).ok_or_else(|| absent("remove", key))
    }

    fn lock(&self, _key: &Key) -> Result<Box<dyn StoreLock>, StoreError> {
        Ok(Box::new(NoLock))
    }

    fn try_lock(&self, key: &Key) -> Result<Option<Box<dyn StoreLock>>, StoreError> {
        self.lock(key).map(Some)
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn shares_file_system_with(&self, _: &Path) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn free_bytes(&self) -> Result<u64, StoreError> {
        Ok(u64::MAX)
    }

    fn ownership(&self) -> Result<Option<Ownership>, StoreError> {
        Ok(None)
    }

    fn round_trip(&self, _: &[u8]) -> Result<RoundTrip, StoreError> {
        Ok(RoundTrip { hard_links: true, locks: true, directory_sync: true })
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}
