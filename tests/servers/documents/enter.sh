# Makes a world for documents: this host, but for the places that they name, which lie in a scratch directory. Runs as
# root in mount and process namespaces of its own, so that nothing of it outlives its first process.
#
#   sh enter.sh SCRATCH
set -eu
scratch=$1
root=$scratch/root
mount --make-rprivate /
mount -t tmpfs -o mode=755 world "$root"
for entry in /*; do
    name=${entry#/}
    case $name in
        etc | proc) ;;
        *) if [ -L "$entry" ]; then
            cp -P "$entry" "$root/$name"
        elif [ -d "$entry" ]; then
            mkdir "$root/$name"
            mount --rbind "$entry" "$root/$name"
        fi ;;
    esac
done
cp -a /etc "$root/etc"
mkdir "$root/proc"
mount -t proc proc "$root/proc"
# Each place of its own lies below SCRATCH/world; those that are a mount point here are named in a list.
while read -r place; do
    mkdir -p "$root$place"
    mount --bind "$scratch/world$place" "$root$place"
done <"$scratch/places"
# An archive is best on a disk of its own.
mount -t tmpfs -o "size=512m,mode=700,uid=$(id -u postgres),gid=$(id -g postgres)" archive "$root/archive"
# The first process takes up what others leave behind.
exec chroot "$root" sh -c 'touch "$1/ready"; while :; do sleep 3600 & wait $!; done' sh "$scratch"
