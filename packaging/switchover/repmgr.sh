#!/bin/sh
# A switchover with repmgr (PostgreSQL, KingbaseES V8R6 and V9) that first asks the gate of the node to be demoted.
# Run it on the standby that is to be promoted:
#
#   sh repmgr.sh PRIMARY_HOST [options of 'repmgr standby switchover']
#   WALKEEP_REMOTE=sys_securecmd sh repmgr.sh 10.0.0.1 -f /home/kingbase/cluster/etc/repmgr.conf
#
# gate.sh beside it says which variables it reads; REPMGR names repmgr.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 PRIMARY_HOST [OPTIONS]" >&2; exit 2; }
# shellcheck source=gate.sh
. "$(dirname "$0")/gate.sh"
primary=$1
shift
ask_gate "$primary"
exec "${REPMGR:-repmgr}" "$@" standby switchover
