#!/bin/sh
# KingbaseES V8R3's cluster fails over by stopping the primary. This asks the primary's gate, stops it cleanly, and
# proves afterwards that everything that it wrote before its end is in the repository: only then nothing is lost,
# whichever standby takes over. Run it on the primary, as its user, with KINGBASE_DATA set:
#
#   sh kingbase-v8r3.sh
#
# gate.sh beside it says which variables it reads; SYS_CTL names sys_ctl.
set -eu
: "${KINGBASE_DATA:?set it to the data directory of the primary}"
# shellcheck source=gate.sh
. "$(dirname "$0")/gate.sh"
WALKEEP_REMOTE=
# Its end can be proven only in a repository that is known: afterwards it would be too late to say so.
# shellcheck disable=SC2086 # words of a command line
if ${WALKEEP:-walkeep} gate ${WALKEEP_GATE:-} | grep -q '^repository: none is named'; then
    echo "switchover: refused: no repository is named; WALKEEP_GATE='--config FILE' or WALKEEP_REPO names it" >&2
    exit 1
fi
ask_gate "$(hostname)"
"${SYS_CTL:-sys_ctl}" -D "$KINGBASE_DATA" stop -m fast
# shellcheck disable=SC2086 # words of a command line
${WALKEEP:-walkeep} gate --final ${WALKEEP_GATE:-} && exit 0
code=$?
[ $code -gt 1 ] || exit 0
echo "switchover: the primary is down, and its end is not proven to be archived; 'walkeep drain' archives what is left" >&2
exit 1
