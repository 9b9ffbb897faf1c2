#!/bin/sh
# A switchover of openGauss that first asks the gate of the node to be demoted. Run it on the standby that is to be
# promoted:
#
#   sh opengauss.sh PRIMARY_HOST -D DATA_DIRECTORY [more options of 'gs_ctl switchover']
#
# gate.sh beside it says which variables it reads; GS_CTL names gs_ctl.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 PRIMARY_HOST -D DATA_DIRECTORY [OPTIONS]" >&2; exit 2; }
# shellcheck source=gate.sh
. "$(dirname "$0")/gate.sh"
primary=$1
shift
ask_gate "$primary"
exec "${GS_CTL:-gs_ctl}" switchover "$@"
