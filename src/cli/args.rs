//! What may be typed. What it means, with environment and config file, is `settings`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::units::{Compression, Duration, Files, Jobs, Lost, Moment, Position, Rate, Size};
use crate::output::LogFormat as Format;
use crate::repository::HoldName;
use crate::retention::OldestKept;
use crate::serve::Address;
use crate::wal::{SegmentName, Timeline};

/// Keeps the write-ahead log of KingbaseES, PostgreSQL and openGauss.
///
/// Settings are taken from the flag, then the environment, then the config file, then the default.
#[derive(Parser, Debug)]
#[command(name = "walkeep", version)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

impl Arguments {
    /// What was typed. To build the flags of all verbs takes longer than to confirm that a file is stored; so what
    /// servers call for each file is tried by itself first. What that does not understand, help included, is read
    /// as a whole.
    pub fn read(typed: &[OsString]) -> Result<Self, clap::Error> {
        let is_a_servers = typed.get(1).is_some_and(|word| word == "archive" || word == "restore");
        if is_a_servers && let Ok(call) = ServerCall::try_parse_from(typed) {
            let verb = match call.verb {
                ServerVerb::Archive(args) => Verb::Archive(args),
                ServerVerb::Restore(args) => Verb::Restore(args),
            };
            return Ok(Self { common: call.common, verb });
        }
        Self::try_parse_from(typed)
    }
}

/// The verbs that servers call, and the flags that all verbs know.
#[derive(Parser, Debug)]
struct ServerCall {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: ServerVerb,
}

#[derive(Subcommand, Debug)]
enum ServerVerb {
    Archive(ArchiveArgs),
    Restore(RestoreArgs),
}

/// Flags that every verb knows.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Common {
    /// Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA,
    /// $KINGBASE_DATA or $PGDATA. 'prune' and 'watch' take several
    #[arg(short = 'D', long, global = true, value_name = "DIR")]
    pub pgdata: Vec<PathBuf>,
    /// The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]
    #[arg(short, long, global = true, value_name = "DIR")]
    pub repo: Option<PathBuf>,
    /// What people call this node [env: WALKEEP_NODE] [default: its host name]
    #[arg(long, global = true, value_name = "NAME")]
    pub node: Option<String>,
    /// How a report is written
    #[arg(short, long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Says more on standard error
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Says nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// How messages on standard error are written [default: text]
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, ValueEnum, Debug, Default, PartialEq, Eq)]
pub(super) enum OutputFormat {
    #[default]
    Text,
    Json,
    /// One line for Nagios and its heirs (gate)
    Nagios,
    /// The line of 'repmgr node check --archive-ready --optformat' (gate)
    Repmgr,
}

#[derive(Clone, Copy, ValueEnum, Debug, PartialEq, Eq)]
pub(super) enum LogFormat {
    Text,
    Json,
}

impl From<LogFormat> for Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    Init(InitArgs),
    Archive(ArchiveArgs),
    Restore(RestoreArgs),
    Gate(GateArgs),
    Status(StatusArgs),
    Doctor(DoctorArgs),
    Drain(DrainArgs),
    Claim(ClaimArgs),
    Hold(HoldArgs),
    Prune(PruneArgs),
    SetAside(SetAsideArgs),
    Inspect(InspectArgs),
    Verify(VerifyArgs),
    Watch(WatchArgs),
}

/// Makes a repository of an empty directory, or adopts one that WAL files lie in
///
/// Prints the lines to write into the server's configuration, in its own terms, and whether a reload or a restart
/// makes them count. Nothing of the server is changed. Run it as the user that the server runs as:
///
///   walkeep init --repo /archive -D "$PGDATA" --write-config /etc/walkeep/walkeep.toml
///
/// An archive that cp, gzip, zstd or lz4 filled is adopted where it lies: no file in it is touched, and plain ones
/// get their digests, for which all of them are read. A call that was interrupted is completed by the next one.
/// A repository of pgBackRest or sys_rman is refused.
///
/// After pg_upgrade or initdb a cluster has a new identifier, and needs a new repository.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct InitArgs {
    /// Form of stored segments, fixed from now on: 'none' or 'zstd[:LEVEL]' [env: WALKEEP_COMPRESS]
    /// [default: zstd]
    #[arg(long, value_name = "HOW")]
    pub compress: Option<Compression>,
    /// Makes a config file that names this repository and data directory, and holds every other setting as a
    /// comment, with its default. A file that is there is not touched
    #[arg(long, value_name = "FILE")]
    pub write_config: Option<PathBuf>,
    /// Adopts without reading: plain files get their digests when they are archived once more, or by the next init
    #[arg(long)]
    pub no_digests: bool,
}

/// Stores one WAL file; the server's archive_command. Silent on success
///
///   archive_command = 'walkeep archive %p --repo /archive'
///
/// Exit code 0: the file is durable in the repository.
/// Exit code 1 or 2: it is not, and the server will try again.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct ArchiveArgs {
    /// Path of the file: %p
    pub wal_path: PathBuf,
    /// Its name: %f. May be left out
    pub wal_name: Option<String>,
    /// Compression level where the repository stores zstd: 'zstd[:LEVEL]'
    /// [env: WALKEEP_COMPRESS] [default: zstd:1]
    #[arg(long, value_name = "HOW")]
    pub compress: Option<Compression>,
    /// Refuses when less than this would stay free in the repository [default: 0, off]
    #[arg(long, value_name = "SIZE")]
    pub min_free: Option<Size>,
    /// Gives up after this time, with an error. A call that sleeps in the kernel without a way to be woken, as
    /// on a dead NFS server, cannot be bounded [default: 5m]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Archives up to so many further pending files as well, so that the server's next calls return at once; what
    /// fails of them fails no call but their own [default: 32]
    #[arg(long, value_name = "N")]
    pub ahead: Option<Files>,
    /// How many further pending files are packed at once, while one more is made durable [env: WALKEEP_JOBS]
    /// [default: the number of cores, at most 4]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<Jobs>,
    /// Does not hold the first page's header against the file's name and cluster: for encrypted WAL
    #[arg(long)]
    pub no_header_check: bool,
}

/// Fetches one WAL file; the server's restore_command
///
///   restore_command = 'walkeep restore %f %p --repo /archive'
///
/// Exit code 0: it is there, whole and proven.
/// Exit code 1: the repository does not have it; on a standby also any failure, for a standby asks again.
/// Exit code 255: it cannot be told, or the archive has a gap; the server stops rather than to end its
/// recovery early.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct RestoreArgs {
    /// Name of the file: %f
    pub wal_name: String,
    /// Where it goes: %p
    pub destination: PathBuf,
    /// How long to retry failures [default: 30s; on a standby 3s]
    #[arg(long, value_name = "DURATION")]
    pub retry_budget: Option<Duration>,
    /// Gives up after this time, with an error [default: 5m]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Fetches up to so many of the next segments while the server replays, and lays them ready; for a server's recovery
    /// only, not for pg_rewind, and not where the server is process 1 of a container. They take that much space beside
    /// the data directory [env: WALKEEP_PREFETCH]
    /// [default: 0, off]
    #[arg(long, value_name = "N")]
    pub prefetch: Option<Files>,
    /// Where they lie ready: a directory outside the data directory, best on the file system of the WAL directory
    /// [default: DATA_DIRECTORY.walkeep-spool, or beside the WAL directory where that lies elsewhere]
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// Is the process that fetches them
    #[arg(long, hide = true)]
    pub lay_ready: bool,
    /// Takes a gap in the archive for its end: the recovery ends there, and what lies behind is lost
    #[arg(long)]
    pub gap_is_end: bool,
    /// Does not hold the first page's header against the file's name and cluster: for encrypted WAL
    #[arg(long)]
    pub no_header_check: bool,
}

/// Archives everything that is pending, now: with the server running, hung, stopped or dead
///
/// Marks nothing done unless told to: a running server finds its files stored, and marks them itself.
///
///   walkeep drain -D "$KINGBASE_DATA" --repo /archive
///
/// Exit code 0: everything that was pending is durable in the repository.
/// Exit code 1: something is not, and the report says what and why, or the call was refused.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct DrainArgs {
    /// How many files are packed at once, while one more is made durable [env: WALKEEP_JOBS]
    /// [default: the number of cores, at most 4]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<Jobs>,
    /// Marks what is archived as done, in the server's order, up to the first file that is not. Refused while a
    /// live archiver works on the queue
    #[arg(long)]
    pub mark_done: bool,
    /// Marks them even so
    #[arg(long, requires = "mark_done")]
    pub force: bool,
    /// Archives what the WAL directory has finished, and nobody archived, as well: after a failover
    #[arg(long)]
    pub missing: bool,
    /// Records that these segments are lost, and clears their orphans out of the queue. A new base backup is due
    /// afterwards
    #[arg(long, value_name = "FROM..TO", requires = "reason")]
    pub acknowledge_lost: Option<Lost>,
    /// Why they are lost, for those who meet the gap later
    #[arg(long, value_name = "TEXT", requires = "acknowledge_lost")]
    pub reason: Option<String>,
    /// Compression level where the repository stores zstd: 'zstd[:LEVEL]'
    /// [env: WALKEEP_COMPRESS] [default: zstd:1]
    #[arg(long, value_name = "HOW")]
    pub compress: Option<Compression>,
    /// Stops when less than this would stay free in the repository [default: 0, off]
    #[arg(long, value_name = "SIZE")]
    pub min_free: Option<Size>,
    /// Gives up when no file was settled for this time [default: 5m]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Does not hold the first page's header against the file's name and cluster: for encrypted WAL
    #[arg(long)]
    pub no_header_check: bool,
}

/// How good a verdict has to be for a wait to end.
#[derive(Clone, Copy, ValueEnum, Debug, Default, PartialEq, Eq)]
pub(super) enum Until {
    #[default]
    Ok,
    /// Nothing that closes the gate
    Warning,
}

/// Says before a switchover whether the archive of this node is ready for it
///
/// Counts what is pending as repmgr does (node check --archive-ready), and looks at what that cannot see: files
/// that are gone, a queue that does not move, a command that archives nothing, a repository with gaps. Reads
/// files only: the server may run, hang, be shut down or dead.
///
///   walkeep gate -D "$KINGBASE_DATA" --repo /archive
///   walkeep gate --wait 10m -o repmgr
///
/// Exit code 0: OK. 1: WARNING. 2: CRITICAL. 3: UNKNOWN, or a usage error.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct GateArgs {
    /// More pending files than this are a WARNING [default: 16]
    #[arg(long, value_name = "N")]
    pub warning: Option<u64>,
    /// More pending files than this are CRITICAL [default: 128]
    #[arg(long, value_name = "N")]
    pub critical: Option<u64>,
    /// A first pending file that has not moved for longer is CRITICAL [default: 10m]
    #[arg(long, value_name = "DURATION")]
    pub stuck_after: Option<Duration>,
    /// Less free space in the repository is CRITICAL [default: off]
    #[arg(long, value_name = "SIZE")]
    pub min_free: Option<Size>,
    /// Looks at nothing but the number of pending files, exactly as repmgr does
    #[arg(long, conflicts_with = "is_final")]
    pub count_only: bool,
    /// Of a node that was shut down: proves that everything that it wrote before its end is stored
    #[arg(long = "final")]
    pub is_final: bool,
    /// Waits until the verdict is OK, but no longer than this
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<Duration>,
    /// Waits only until the verdict is this good
    #[arg(long, value_name = "VERDICT", value_enum, default_value_t, requires = "wait")]
    pub until: Until,
    /// Gives up a look that takes longer, with UNKNOWN [default: 1m]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// Shows on one screen what the cluster, its queue and its repository are like
///
/// Reads files only: the server may run, hang, be shut down or dead. On a host that only holds an archive,
/// --repo alone is enough.
///
///   walkeep status -D "$KINGBASE_DATA" --repo /archive
///
/// Exit code 0: healthy. 1: there are findings. 2: it cannot be told, or a usage error.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct StatusArgs {
    /// Less free space in the repository is a finding [default: off]
    #[arg(long, value_name = "SIZE")]
    pub min_free: Option<Size>,
    /// Gives up a look that takes longer [default: 1m]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// Checks the configuration and the environment, and says what to write where
///
/// Each finding comes with its file and line and the very lines to write instead. Nothing is changed; one scratch
/// file goes into the repository's staging and back.
///
///   walkeep doctor -D "$KINGBASE_DATA" --repo /archive
///
/// Exit code 0: healthy. 1: there are findings. 2: it cannot be told, or a usage error.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct DoctorArgs {
    /// Less free space in the repository is a finding [default: off]
    #[arg(long, value_name = "SIZE")]
    pub min_free: Option<Size>,
    /// Gives up a look that takes longer [default: 1m]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// Records in the repository what this node still needs: its redo point, its slots
///
/// archive, restore and drain do so as well, once a minute. A node that calls none of them - a standby that only
/// streams - does it from cron, hourly:
///
///   walkeep claim -D "$PGDATA" --repo /archive
///
/// A slot that is gone pins for another 24 hours (slot_grace under [prune] in the config file).
///
/// Exit code 0: done. 1: not done, or a claim cannot be read. 2: a usage error.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct ClaimArgs {
    /// How long it may take before it is given up [default: 60s]
    #[arg(long, value_name = "DURATION", global = true)]
    pub timeout: Option<Duration>,
    #[command(subcommand)]
    pub action: Option<ClaimAction>,
}

#[derive(Subcommand, Debug)]
pub(super) enum ClaimAction {
    /// Shows what each node needs, and which claims are stale
    List,
    /// Removes the claim of a node that is gone: what it needed is protected no more
    Remove {
        /// Name of the node, or key of the claim
        node: String,
    },
}

/// Keeps WAL that nothing else would keep, such as that of a base backup that was taken from a standby
///
///   walkeep hold add weekly --backup-label /backup/base/backup_label --reason 'backup of a standby'
///   walkeep hold list --repo /archive
///
/// Exit code 0: done. 1: refused, or a hold cannot be read. 2: a usage error.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct HoldArgs {
    /// How long it may take before it is given up [default: 60s]
    #[arg(long, value_name = "DURATION", global = true)]
    pub timeout: Option<Duration>,
    #[command(subcommand)]
    pub action: HoldAction,
}

#[derive(Subcommand, Debug)]
pub(super) enum HoldAction {
    Add(HoldAddArgs),
    /// Shows what is held, and which holds have expired
    List,
    /// Removes a hold
    Remove {
        /// Name of the hold
        name: HoldName,
    },
}

/// Keeps everything from a position on. Refused where that is gone already
///
///   walkeep hold add before-upgrade --from 0/3000028 --reason 'until 2026-12 is closed' --until 2026-12-31
///   walkeep hold add weekly --backup-label /backup/base/backup_label --reason 'backup of a standby'
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct HoldAddArgs {
    /// Name of the hold: 1 to 64 letters, digits, '.', '_' and '-'
    pub name: HoldName,
    /// From this segment or position on
    #[arg(long, value_name = "SEGMENT_OR_LSN", required_unless_present = "backup_label")]
    pub from: Option<Position>,
    /// From where the base backup begins that this backup_label came with
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub backup_label: Option<PathBuf>,
    /// Why, for those who meet it later
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Until this time, RFC 3339, or the end of this day, in UTC [default: until it is removed]
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
}

/// Removes what nobody needs any more, and no policy keeps
///
///   walkeep prune --repo /archive --keep-backups 3 --dry-run
///   archive_cleanup_command = 'walkeep prune %r --repo /archive'
///
/// Whoever needs WAL pins it: every node that has claimed what it needs, and each -D DIR, with its slots and its
/// last checkpoint; base backups; holds. Nothing at or behind the earliest pin goes, on no timeline. Without a
/// policy - any --keep flag but '--keep-backups 0', or OLDEST_KEPT - nothing goes at all. Histories never go.
///
/// Exit code 0: done, or nothing had to go.
/// Exit code 1: something that has to be known could not be read, or a file did not go; the others are whole.
/// Exit code 2: a usage error.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct PruneArgs {
    /// The oldest file that a server still needs: %r. It pins that, and is a policy: what lies before it goes unless
    /// another pin or policy keeps it; 24 zeroes remove nothing
    pub oldest_kept: Option<OldestKept>,
    /// Tells what would go, and who holds the rest, and changes nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Keeps the newest N base backups, as their .backup files tell, and all that it takes to recover from them;
    /// everything where there are fewer. 0: base backups hold nothing, not even the newest [default: the newest]
    #[arg(long, value_name = "N")]
    pub keep_backups: Option<u64>,
    /// Keeps what was archived within D days, and the base backup that leads into them. A month and more in which
    /// nothing was archived counts for nothing: it may be a clock that jumped
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep_days: Option<u64>,
    /// Keeps the newest N segments, counted back from the end of the newest timeline
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep_segments: Option<u64>,
    /// Keeps the newest files up to so many stored bytes, counted likewise
    #[arg(long, value_name = "SIZE")]
    pub keep_size: Option<Size>,
    /// For how long nothing may be settled before it is given up [default: 10m]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// Takes stored files out of the way of their names, into .walkeep/set-aside: the way out of a refusal
///
/// When 'archive' refuses a file because another content is stored under its name, and it is known which is right:
///
///   walkeep set-aside 000000010000000000000007 --reason 'written by a test copy' --repo /archive
///
/// When a timeline is to be forgotten, as that of a server that was promoted by mistake and is gone:
///
///   walkeep set-aside --timeline 3 --reason 'a false promotion' --repo /archive
///
/// Exit code 0: it lies in .walkeep/set-aside, with the reason. 1: it could not be moved. 2: a usage error.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct SetAsideArgs {
    /// Name of the WAL file, or of the stored file
    #[arg(required_unless_present = "timeline", conflicts_with = "timeline")]
    pub name: Option<String>,
    /// Set aside every file of a timeline, its history first; refused if another stored timeline needs one of them
    #[arg(long, value_name = "N", value_parser = timeline_number)]
    pub timeline: Option<Timeline>,
    /// Of the timeline only this segment and what comes after it, and not the history
    #[arg(long, value_name = "SEGMENT", requires = "timeline", conflicts_with = "name")]
    pub from: Option<SegmentName>,
    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Reads a timeline's number as servers write it in their settings.
fn timeline_number(text: &str) -> Result<Timeline, String> {
    let number = text.parse().ok().and_then(Timeline::new);
    number.ok_or_else(|| "a timeline's number, as in 3".to_owned())
}

/// Shows what a control file, slot state, segment, history, backup label or stored file says
///
///   walkeep inspect "$PGDATA/global/pg_control"
///   walkeep inspect /archive/000000010000000000000007.zst
///
/// Exit code 0: it is sound. 1: it is damaged, or of no known kind. 2: a usage error, or it cannot be read.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct InspectArgs {
    /// The file
    pub file: PathBuf,
}

/// Reads every stored file, and says whether all of it is sound and nothing is missing
///
/// What was read and is untouched since counts as read for 30 days. With -D DIR, typed here, the server's WAL
/// directory is held against the repository as well: what is finished there has to be stored.
///
///   walkeep verify --repo /archive --budget 100MiB/s
///
/// Exit code 0: everything is sound, and nothing is missing but what was acknowledged as lost.
/// Exit code 1: something is damaged or missing.
/// Exit code 2: it cannot be told.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct VerifyArgs {
    /// Reads everything again
    #[arg(long)]
    pub full: bool,
    /// Reads no faster than this, such as 100MiB/s [default: as fast as it goes]
    #[arg(long, value_name = "RATE")]
    pub budget: Option<Rate>,
    /// How many files are read at once [env: WALKEEP_JOBS] [default: the number of cores, at most 4]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<Jobs>,
    /// Does not hold the first page's header against the file's name and cluster: for encrypted WAL
    #[arg(long)]
    pub no_header_check: bool,
}

/// Stores whatever becomes pending before the server asks for it, so that archive_command only confirms
///
/// A daemon on one or several data directories of one cluster. It changes no mark and acknowledges nothing: while it
/// does not run, archive_command does everything by itself. It refreshes the node's claim once a minute, and tells a
/// backlog, a queue that is stuck, a switch of timelines, a conflict, space that runs low, and a repository that is
/// gone - once each. Under systemd: packaging/systemd/walkeep-watch@.service.
///
///   walkeep watch -D "$PGDATA" --repo /archive
///
/// SIGTERM and SIGINT let it finish the files that are under way; SIGHUP reloads the configuration.
///
/// Exit code 0: it was told to end. 1: it could not begin, or not end in time. 2: a usage error.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct WatchArgs {
    /// How many files are packed at once, while one more is made durable [env: WALKEEP_JOBS]
    /// [default: the number of cores, at most 4]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<Jobs>,
    /// Compression level where the repository stores zstd: 'zstd[:LEVEL]'
    /// [env: WALKEEP_COMPRESS] [default: zstd:1]
    #[arg(long, value_name = "HOW")]
    pub compress: Option<Compression>,
    /// Stores nothing when less than this would stay free in the repository [default: 0, off]
    #[arg(long, value_name = "SIZE")]
    pub min_free: Option<Size>,
    /// Serves a page for people, /healthz, /status (as JSON) and /metrics (for Prometheus) over HTTP; PORT alone is one of
    /// this host only.
    /// Nobody is asked who he is: any other address than 127.0.0.1 shows all of it to whoever reaches it. A request is
    /// answered only where its 'Host' is localhost or a loopback address; beyond this host also any other address, and
    /// the machine's own name. So no page of the web can read it through a browser here (DNS rebinding)
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    pub listen: Option<Address>,
    /// How long a file may take: after that an end that was asked for is not waited for any longer, and the service
    /// manager's watchdog is not answered [default: 5m]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Does not hold the first page's header against the file's name and cluster: for encrypted WAL
    #[arg(long)]
    pub no_header_check: bool,
}
