# Before the program goes, whatever systemd runs of it ends. An upgrade leaves it running.
if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
    systemctl stop 'walkeep-prune@*.timer' 'walkeep-verify@*.timer' || true
    systemctl stop 'walkeep-watch@*.service' 'walkeep-prune@*.service' 'walkeep-verify@*.service' || true
fi
exit 0
