# Sourced by the scripts beside it: asks walkeep's gate on the node that is to be demoted.
#
#   WALKEEP_REMOTE    how a command is run there: 'ssh' (default), 'sys_securecmd', or '' for this very node
#   WALKEEP           walkeep there; default 'walkeep'
#   WALKEEP_GATE      more options for the gate, such as '--config /etc/walkeep/main.toml'
#   WALKEEP_WAIT      how long to wait until the gate opens; default 10m

# ask_gate HOST: prints what the gate says; fails unless it is open (OK or WARNING, as for repmgr).
ask_gate() {
    gate="${WALKEEP:-walkeep} gate --wait ${WALKEEP_WAIT:-10m} --until warning ${WALKEEP_GATE:-}"
    code=0
    # shellcheck disable=SC2086 # words of a command line
    if [ -n "${WALKEEP_REMOTE-ssh}" ]; then
        ${WALKEEP_REMOTE-ssh} "$1" $gate || code=$?
    else
        $gate || code=$?
    fi
    case $code in
        0) ;;
        1) echo "switchover: the gate of $1 is open, with warnings" >&2 ;;
        2) echo "switchover: refused: the gate of $1 is closed; what it says is above" >&2; return 1 ;;
        *) echo "switchover: refused: the gate of $1 could not be asked, or cannot tell (exit code $code)" >&2; return 1 ;;
    esac
}
