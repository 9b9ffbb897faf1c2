# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_walkeep_global_optspecs
    string join \n config= D/pgdata= r/repo= node= o/output= v/verbose q/quiet log-format= h/help V/version
end

function __fish_walkeep_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_walkeep_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_walkeep_using_subcommand
    set -l cmd (__fish_walkeep_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c walkeep -n "__fish_walkeep_needs_command" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_needs_command" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_needs_command" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_needs_command" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_needs_command" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_needs_command" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_needs_command" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_needs_command" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_needs_command" -s V -l version -d 'Print version'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "init" -d 'Makes a repository of an empty directory, or adopts one that WAL files lie in'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "archive" -d 'Stores one WAL file; the server\'s archive_command. Silent on success'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "restore" -d 'Fetches one WAL file; the server\'s restore_command'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "gate" -d 'Says before a switchover whether the archive of this node is ready for it'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "status" -d 'Shows on one screen what the cluster, its queue and its repository are like'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "doctor" -d 'Checks the configuration and the environment, and says what to write where'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "drain" -d 'Archives everything that is pending, now: with the server running, hung, stopped or dead'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "claim" -d 'Records in the repository what this node still needs: its redo point, its slots'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "hold" -d 'Keeps WAL that nothing else would keep, such as that of a base backup that was taken from a standby'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "prune" -d 'Removes what nobody needs any more, and no policy keeps'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "set-aside" -d 'Takes stored files out of the way of their names, into .walkeep/set-aside: the way out of a refusal'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "inspect" -d 'Shows what a control file, slot state, segment, history, backup label or stored file says'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "verify" -d 'Reads every stored file, and says whether all of it is sound and nothing is missing'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "watch" -d 'Stores whatever becomes pending before the server asks for it, so that archive_command only confirms'
complete -c walkeep -n "__fish_walkeep_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -l compress -d 'Form of stored segments, fixed from now on: \'none\' or \'zstd[:LEVEL]\' [env: WALKEEP_COMPRESS] [default: zstd]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -l write-config -d 'Makes a config file that names this repository and data directory, and holds every other setting as a comment, with its default. A file that is there is not touched' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -l no-digests -d 'Adopts without reading: plain files get their digests when they are archived once more, or by the next init'
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -l compress -d 'Compression level where the repository stores zstd: \'zstd[:LEVEL]\' [env: WALKEEP_COMPRESS] [default: zstd:1]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -l min-free -d 'Refuses when less than this would stay free in the repository [default: 0, off]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -l timeout -d 'Gives up after this time, with an error. A call that sleeps in the kernel without a way to be woken, as on a dead NFS server, cannot be bounded [default: 5m]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -l ahead -d 'Archives up to so many further pending files as well, so that the server\'s next calls return at once; what fails of them fails no call but their own [default: 32]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -s j -l jobs -d 'How many further pending files are packed at once, while one more is made durable [env: WALKEEP_JOBS] [default: the number of cores, at most 4]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -l no-header-check -d 'Does not hold the first page\'s header against the file\'s name and cluster: for encrypted WAL'
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand archive" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l retry-budget -d 'How long to retry failures [default: 30s; on a standby 3s]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l timeout -d 'Gives up after this time, with an error [default: 5m]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l prefetch -d 'Fetches up to so many of the next segments while the server replays, and lays them ready; for a server\'s recovery only, not for pg_rewind, and not where the server is process 1 of a container. They take that much space beside the data directory [env: WALKEEP_PREFETCH] [default: 0, off]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l spool -d 'Where they lie ready: a directory outside the data directory, best on the file system of the WAL directory [default: DATA_DIRECTORY.walkeep-spool, or beside the WAL directory where that lies elsewhere]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l lay-ready -d 'Is the process that fetches them'
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l gap-is-end -d 'Takes a gap in the archive for its end: the recovery ends there, and what lies behind is lost'
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -l no-header-check -d 'Does not hold the first page\'s header against the file\'s name and cluster: for encrypted WAL'
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l warning -d 'More pending files than this are a WARNING [default: 16]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l critical -d 'More pending files than this are CRITICAL [default: 128]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l stuck-after -d 'A first pending file that has not moved for longer is CRITICAL [default: 10m]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l min-free -d 'Less free space in the repository is CRITICAL [default: off]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l wait -d 'Waits until the verdict is OK, but no longer than this' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l until -d 'Waits only until the verdict is this good' -r -f -a "ok\t''
warning\t'Nothing that closes the gate'"
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l timeout -d 'Gives up a look that takes longer, with UNKNOWN [default: 1m]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l count-only -d 'Looks at nothing but the number of pending files, exactly as repmgr does'
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -l final -d 'Of a node that was shut down: proves that everything that it wrote before its end is stored'
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand gate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -l min-free -d 'Less free space in the repository is a finding [default: off]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -l timeout -d 'Gives up a look that takes longer [default: 1m]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -l min-free -d 'Less free space in the repository is a finding [default: off]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -l timeout -d 'Gives up a look that takes longer [default: 1m]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -s j -l jobs -d 'How many files are packed at once, while one more is made durable [env: WALKEEP_JOBS] [default: the number of cores, at most 4]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l acknowledge-lost -d 'Records that these segments are lost, and clears their orphans out of the queue. A new base backup is due afterwards' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l reason -d 'Why they are lost, for those who meet the gap later' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l compress -d 'Compression level where the repository stores zstd: \'zstd[:LEVEL]\' [env: WALKEEP_COMPRESS] [default: zstd:1]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l min-free -d 'Stops when less than this would stay free in the repository [default: 0, off]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l timeout -d 'Gives up when no file was settled for this time [default: 5m]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l mark-done -d 'Marks what is archived as done, in the server\'s order, up to the first file that is not. Refused while a live archiver works on the queue'
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l force -d 'Marks them even so'
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l missing -d 'Archives what the WAL directory has finished, and nobody archived, as well: after a failover'
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -l no-header-check -d 'Does not hold the first page\'s header against the file\'s name and cluster: for encrypted WAL'
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -l timeout -d 'How long it may take before it is given up [default: 60s]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -f -a "list" -d 'Shows what each node needs, and which claims are stale'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -f -a "remove" -d 'Removes the claim of a node that is gone: what it needed is protected no more'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and not __fish_seen_subcommand_from list remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -l timeout -d 'How long it may take before it is given up [default: 60s]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from remove" -l timeout -d 'How long it may take before it is given up [default: 60s]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from remove" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from remove" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from remove" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from remove" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from remove" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from help" -f -a "list" -d 'Shows what each node needs, and which claims are stale'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Removes the claim of a node that is gone: what it needed is protected no more'
complete -c walkeep -n "__fish_walkeep_using_subcommand claim; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -l timeout -d 'How long it may take before it is given up [default: 60s]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -f -a "add" -d 'Keeps everything from a position on. Refused where that is gone already'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -f -a "list" -d 'Shows what is held, and which holds have expired'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -f -a "remove" -d 'Removes a hold'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and not __fish_seen_subcommand_from add list remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -l from -d 'From this segment or position on' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -l backup-label -d 'From where the base backup begins that this backup_label came with' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -l reason -d 'Why, for those who meet it later' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -l until -d 'Until this time, RFC 3339, or the end of this day, in UTC [default: until it is removed]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -l timeout -d 'How long it may take before it is given up [default: 60s]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -l timeout -d 'How long it may take before it is given up [default: 60s]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -l timeout -d 'How long it may take before it is given up [default: 60s]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from help" -f -a "add" -d 'Keeps everything from a position on. Refused where that is gone already'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from help" -f -a "list" -d 'Shows what is held, and which holds have expired'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Removes a hold'
complete -c walkeep -n "__fish_walkeep_using_subcommand hold; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -l keep-backups -d 'Keeps the newest N base backups, as their .backup files tell, and all that it takes to recover from them; everything where there are fewer. 0: base backups hold nothing, not even the newest [default: the newest]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -l keep-days -d 'Keeps what was archived within D days, and the base backup that leads into them. A month and more in which nothing was archived counts for nothing: it may be a clock that jumped' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -l keep-segments -d 'Keeps the newest N segments, counted back from the end of the newest timeline' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -l keep-size -d 'Keeps the newest files up to so many stored bytes, counted likewise' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -l timeout -d 'For how long nothing may be settled before it is given up [default: 10m]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -s n -l dry-run -d 'Tells what would go, and who holds the rest, and changes nothing'
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -l timeline -d 'Set aside every file of a timeline, its history first; refused if another stored timeline needs one of them' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -l from -d 'Of the timeline only this segment and what comes after it, and not the history' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -l reason -d 'Why, for those who find it later' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand set-aside" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand inspect" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand inspect" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand inspect" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand inspect" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand inspect" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand inspect" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand inspect" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand inspect" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -l budget -d 'Reads no faster than this, such as 100MiB/s [default: as fast as it goes]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -s j -l jobs -d 'How many files are read at once [env: WALKEEP_JOBS] [default: the number of cores, at most 4]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -l full -d 'Reads everything again'
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -l no-header-check -d 'Does not hold the first page\'s header against the file\'s name and cluster: for encrypted WAL'
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -s j -l jobs -d 'How many files are packed at once, while one more is made durable [env: WALKEEP_JOBS] [default: the number of cores, at most 4]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -l compress -d 'Compression level where the repository stores zstd: \'zstd[:LEVEL]\' [env: WALKEEP_COMPRESS] [default: zstd:1]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -l min-free -d 'Stores nothing when less than this would stay free in the repository [default: 0, off]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -l listen -d 'Serves a page for people, /healthz, /status (as JSON) and /metrics (for Prometheus) over HTTP; PORT alone is one of this host only. Nobody is asked who he is: any other address than 127.0.0.1 shows all of it to whoever reaches it. A request is answered only where its \'Host\' is localhost or a loopback address; beyond this host also any other address, and the machine\'s own name. So no page of the web can read it through a browser here (DNS rebinding)' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -l timeout -d 'How long a file may take: after that an end that was asked for is not waited for any longer, and the service manager\'s watchdog is not answered [default: 5m]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -l config -d 'Config file [env: WALKEEP_CONFIG] [default: /etc/walkeep/walkeep.toml where that exists]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -s D -l pgdata -d 'Data directory of the server; else the one that the verb runs in or works on, else $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA. \'prune\' and \'watch\' take several' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -s r -l repo -d 'The repository: a directory, as a path or a file:// URL [env: WALKEEP_REPO]' -r -F
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -l node -d 'What people call this node [env: WALKEEP_NODE] [default: its host name]' -r
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -s o -l output -d 'How a report is written' -r -f -a "text\t''
json\t''
nagios\t'One line for Nagios and its heirs (gate)'
repmgr\t'The line of \'repmgr node check --archive-ready --optformat\' (gate)'"
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -l log-format -d 'How messages on standard error are written [default: text]' -r -f -a "text\t''
json\t''"
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -l no-header-check -d 'Does not hold the first page\'s header against the file\'s name and cluster: for encrypted WAL'
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -s v -l verbose -d 'Says more on standard error'
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -s q -l quiet -d 'Says nothing but errors'
complete -c walkeep -n "__fish_walkeep_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "init" -d 'Makes a repository of an empty directory, or adopts one that WAL files lie in'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "archive" -d 'Stores one WAL file; the server\'s archive_command. Silent on success'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "restore" -d 'Fetches one WAL file; the server\'s restore_command'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "gate" -d 'Says before a switchover whether the archive of this node is ready for it'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "status" -d 'Shows on one screen what the cluster, its queue and its repository are like'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "doctor" -d 'Checks the configuration and the environment, and says what to write where'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "drain" -d 'Archives everything that is pending, now: with the server running, hung, stopped or dead'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "claim" -d 'Records in the repository what this node still needs: its redo point, its slots'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "hold" -d 'Keeps WAL that nothing else would keep, such as that of a base backup that was taken from a standby'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "prune" -d 'Removes what nobody needs any more, and no policy keeps'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "set-aside" -d 'Takes stored files out of the way of their names, into .walkeep/set-aside: the way out of a refusal'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "inspect" -d 'Shows what a control file, slot state, segment, history, backup label or stored file says'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "verify" -d 'Reads every stored file, and says whether all of it is sound and nothing is missing'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "watch" -d 'Stores whatever becomes pending before the server asks for it, so that archive_command only confirms'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and not __fish_seen_subcommand_from init archive restore gate status doctor drain claim hold prune set-aside inspect verify watch help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and __fish_seen_subcommand_from claim" -f -a "list" -d 'Shows what each node needs, and which claims are stale'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and __fish_seen_subcommand_from claim" -f -a "remove" -d 'Removes the claim of a node that is gone: what it needed is protected no more'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and __fish_seen_subcommand_from hold" -f -a "add" -d 'Keeps everything from a position on. Refused where that is gone already'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and __fish_seen_subcommand_from hold" -f -a "list" -d 'Shows what is held, and which holds have expired'
complete -c walkeep -n "__fish_walkeep_using_subcommand help; and __fish_seen_subcommand_from hold" -f -a "remove" -d 'Removes a hold'
