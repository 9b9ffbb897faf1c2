//! The requests of a server to its repository: a restore_command that counts them, and lets the repository fail at
//! chosen ones.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::repository::Repository;
use super::scratch::{Scratch, must_succeed};
use super::wait_until;

/// How a repository fails for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its file system is not mounted.
    Away,
    /// It does not respond, and the call runs into its time limit.
    TimeOut,
    /// Opening and reading anything in it is an input/output error.
    Error,
    /// One byte of the requested file, or of the repository's description if it has none, is another one.
    Rot,
}

/// The three ways of the sweep.
pub const FAULTS: [Fault; 3] = [Fault::TimeOut, Fault::Error, Fault::Rot];

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Fault::Away => "away",
            Fault::TimeOut => "time-out",
            Fault::Error => "error",
            Fault::Rot => "rot",
        })
    }
}

/// Which requests of a sweep fail.
#[derive(Clone, Copy)]
pub enum Which {
    All,
    /// The last ones, and one fault at each.
    Last(usize),
}

impl Which {
    /// The numbers of the failing requests, and how each fails.
    pub fn of(self, requests: usize) -> Vec<(usize, Fault)> {
        let from_first = 1..=requests;
        match self {
            Which::All => {
                FAULTS.into_iter().flat_map(|fault| from_first.clone().map(move |k| (k, fault))).collect()
            }
            Which::Last(number) => from_first.rev().take(number).zip(FAULTS.into_iter().cycle()).collect(),
        }
    }
}

/// Runs in the data directory, as every restore_command. `mount` is where the server finds its repository.
const SCRIPT: &str = r#"#!/bin/sh
name=$1 path=$2
dir=@directory@
while [ -e "$dir/hold" ] && [ ${#name} = 24 ]; do : >"$dir/held"; sleep 0.01; done
number=$(($(wc -l <"$dir/requests") + 1))
read -r first last due <"$dir/fault"
fault=none
[ "$number" -lt "$first" ] || [ "$number" -gt "$last" ] || fault=$due
signals=
for file in standby.signal recovery.signal promote; do [ ! -e $file ] || signals=$signals,$file; done
mount=$dir/mount
remount() { ln -sn "$1" "$mount.new" && mv -T "$mount.new" "$mount"; }
flip() { printf "\\$(printf %03o "$1")" | dd of="$file" bs=1 seek="$at" conv=notrunc status=none; }
walkeep() { "$@" @walkeep@ restore "$name" "$path" --repo "$mount" $options; }
options='--retry-budget 0s'
calls=%file,read,pread64,getdents64
# strace says how it understands each path; that is not for the server's log.
inject() {
    in=
    for file in . .walkeep .walkeep/repository.json .walkeep/identity.json "$name" "$name.zst" "$name.sha256"; do in="$in -P $mount/$file"; done
    { walkeep strace -f -qqq -o /dev/null $in -e "trace=$calls" -e "inject=$calls:$1" sh -c 'exec "$@" 2>&3 3>&-' sh; } 3>&2 2>/dev/null
}
case $fault in
away) remount "$dir/nowhere"; walkeep; code=$? ;;
time-out) options="$options --timeout 1s"; inject delay_enter=2000000; code=$? ;;
error) inject error=EIO; code=$? ;;
rot)
    file=@repository@/.walkeep/repository.json
    for stored in "@repository@/$name" "@repository@/$name.zst"; do [ ! -e "$stored" ] || file=$stored; done
    at=$(($(stat -c %s "$file") / 2))
    was=$(od -An -tu1 -j "$at" -N 1 "$file")
    flip $((was ^ 1)); walkeep; code=$?; flip $((was)) ;;
*) options='--retry-budget 1s'; walkeep; code=$? ;;
esac
[ "$fault" = none ] || remount @repository@
echo "$number $name $code $fault ${signals#,}" >>"$dir/requests"
exit $code
"#;

/// The requests of one server.
pub struct Requests<'a> {
    scratch: &'a Scratch,
    directory: PathBuf,
}

impl<'a> Requests<'a> {
    /// None so far, and no fault.
    pub fn to(scratch: &'a Scratch, node: &str, repository: &Repository) -> Requests<'a> {
        let directory = scratch.make_directory(&format!("{node}.requests"));
        let script = SCRIPT
            .replace("@directory@", directory.to_str().unwrap())
            .replace("@repository@", repository.path.to_str().unwrap())
            .replace("@walkeep@", scratch.walkeep().to_str().unwrap());
        scratch.write(&directory.join("restore"), script);
        must_succeed(scratch.command("ln").arg("-s").arg(&repository.path).arg(directory.join("mount")));
        let requests = Requests { scratch, directory };
        requests.fail(1, 0, Fault::Away);
        requests
    }

    /// The restore_command.
    pub fn command(&self, path: &str) -> String {
        format!("sh {} %f {path}", self.directory.join("restore").display())
    }

    /// Forgets all requests so far, and lets the repository fail at those from `first` to `last`, counted from 1.
    pub fn fail(&self, first: usize, last: usize, fault: Fault) {
        self.write("fault", &format!("{first} {last} {fault}\n"));
        self.write("requests", "");
    }

    /// Forgets all requests so far; the repository is sound from now on.
    pub fn mend(&self) {
        self.fail(1, 0, Fault::Away);
    }

    /// Makes the next request for a segment wait, and waits until it does.
    pub fn hold(&self) {
        let _ = fs::remove_file(self.directory.join("held"));
        self.write("hold", "");
        wait_until("the server waits for an answer", || self.directory.join("held").exists());
    }

    /// Lets the request go on that was held.
    pub fn release(&self) {
        fs::remove_file(self.directory.join("hold")).unwrap();
    }

    /// Ends an outage while a request is being answered.
    pub fn mount_again(&self, repository: &Repository) {
        let new = self.directory.join("mounted-again");
        must_succeed(self.scratch.command("ln").arg("-s").arg(&repository.path).arg(&new));
        fs::rename(new, self.directory.join("mount")).unwrap();
    }

    /// The answered requests, one a line: number, name, exit code, fault, and the signal files at that time.
    pub fn answered(&self) -> Vec<String> {
        let requests = fs::read_to_string(self.directory.join("requests")).unwrap();
        requests.lines().map(str::to_owned).collect()
    }

    /// How often one and the same file was requested, at most.
    pub fn repeated(&self) -> usize {
        self.counts().into_values().max().unwrap_or(0)
    }

    /// The segment that was requested most often.
    pub fn most_requested(&self) -> String {
        let segments = self.counts().into_iter().filter(|(name, _)| name.len() == 24);
        segments.max_by_key(|(_, count)| *count).expect("no segment was requested").0
    }

    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in self.answered() {
            *counts.entry(line.split(' ').nth(1).unwrap().to_owned()).or_default() += 1;
        }
        counts
    }

    /// Renamed into place, since a request may read it at any time.
    fn write(&self, name: &str, content: &str) {
        let new = self.directory.join("new");
        self.scratch.write(&new, content);
        fs::rename(new, self.directory.join(name)).unwrap();
    }
}

/// The repository under a path that can be taken away, as if it was mounted there.
pub struct Mount<'a> {
    path: PathBuf,
    pub repository: Repository<'a>,
}

impl<'a> Mount<'a> {
    pub fn of(scratch: &'a Scratch, repository: &Repository<'a>) -> Mount<'a> {
        let path = scratch.path("mount");
        must_succeed(scratch.command("ln").arg("-s").arg(&repository.path).arg(&path));
        Mount { repository: repository.at(&path), path }
    }

    /// Nothing is mounted from now on.
    pub fn unmount(&self) {
        fs::rename(&self.path, self.elsewhere()).unwrap();
    }

    pub fn mount(&self) {
        fs::rename(self.elsewhere(), &self.path).unwrap();
    }

    fn elsewhere(&self) -> PathBuf {
        self.path.with_extension("away")
    }
}

/// Changes one byte in the middle of a file; a second call changes it back.
pub fn flip_a_byte(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Sends the postmaster what `pg_ctl promote` sends, with the file that it leaves.
pub fn ask_for_promotion(scratch: &Scratch, data: &Path) {
    scratch.write(&data.join("promote"), "");
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    must_succeed(Command::new("kill").args(["-s", "USR1", pid_file.lines().next().unwrap()]));
}
