# What both machines share: a Debian with systemd that does one errand of its host's and ends. Sourced by integration/vm.

guest_suite=trixie
guest_packages=systemd-sysv,dbus,udev,iproute2,procps,kmod,libpam-systemd,uidmap

cannot() { printf 'integration/vm: %s\n' "$*" >&2; exit 77; }

# Where Debian's packages come from: as this machine does it, if it is a Debian.
mirror() {
	local found
	found=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
		awk '$2 == "Debian" && $3 == "main" && $1 ~ /\/debian\/?$/ { print $1; exit }')
	[[ $found ]] && echo "$found"
}

# debian FOLDER [OPTION…] makes a root folder of the guest's release. A mirror may be some weeks old; its signature is checked all the same.
debian() {
	mmdebstrap --quiet --mode=root --aptopt='Acquire::Check-Valid-Until "false"' "${@:2}" "$guest_suite" "$1" "$(mirror)" ||
		cannot "mmdebstrap cannot make a $guest_suite"
}

# errand ROOT MOUNT: the guest whose root folder is ROOT gets the shared folder by the command line MOUNT, runs what is in it, and ends.
errand() {
	local root=$1 mount=$2 unit=$1/etc/systemd/system timer
	mkdir -p "$root/host" "$unit/multi-user.target.wants"
	echo guest >"$root/etc/hostname"
	cat >"$unit/errand.service" <<-'UNIT'
		[Unit]
		Description=What the host wants
		After=multi-user.target
		[Service]
		Type=oneshot
		TimeoutStartSec=infinity
		ExecStart=/usr/local/sbin/errand
		[Install]
		WantedBy=multi-user.target
	UNIT
	ln -s ../errand.service "$unit/multi-user.target.wants/errand.service"
	for timer in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_reap.service; do
		ln -sf /dev/null "$unit/$timer"
	done
	cat >"$root/usr/local/sbin/errand" <<-ERRAND
		#!/bin/bash
		if $mount && cd /host; then
			bash .errand >.said 2>&1
			echo \$? >.code
			sync
		fi
		systemctl poweroff --force --force
	ERRAND
	chmod 755 "$root/usr/local/sbin/errand"
}

# build_once PROGRAM has PROGRAM fill FOLDER/done, whose FOLDER is its argument, and keeps that as $vm; another process may have done so.
build_once() {
	local cache=${vm%/*} work
	[[ -e $vm/disks/root ]] && return
	mkdir -p "$cache"
	exec 8>"$cache/vm.lock"
	flock 8
	[[ -e $vm/disks/root ]] && return
	fixtures
	install mkfs.ext4=e2fsprogs
	mirror >/dev/null || cannot "apt-get on this machine has no mirror of Debian"
	work=$(mktemp -d "$cache/building-vm-XXXXXX")
	chmod 755 "$work"
	trap 'rm -rf --one-file-system "$work"' EXIT
	"$1" "$work"
	rm -rf "$vm" && mv "$work/done" "$vm"
	rm -rf --one-file-system "$work"
	trap - EXIT
	exec 8>&-
}

# A disk $2 of $3 bytes with what is in the folder $1.
disk() {
	truncate --size "$3" "$2"
	mkfs.ext4 -qF -d "$1" "$2"
}

# boot FOLDER COMMAND runs COMMAND in the guest with FOLDER shared, and returns its exit code. `process OWN` sets the words that start the
# machine in $vm. What the guest writes elsewhere is in OWN, a folder below $vm/tmp that is gone afterwards; with VM_DISK it is that one, and
# stays. A guest that makes the file .cut has its power cut, once it has written its exit code by itself.
boot() {
	local folder own machine
	folder=$(realpath "$1")
	own=${VM_DISK:-$(mktemp -d "$vm/tmp/XXXXXX")}
	printf '%s\n' "$2" >"$folder/.errand"
	rm -f "$folder/.code" "$folder/.cut" && : >"$folder/.said"
	process "/tmp/${own##*/}"
	# The guest sees of this machine what its machine's process sees: a root with the shared folder and little else.
	timeout --kill-after=5 "${VM_TIMEOUT:-900}" unshare --mount --propagation private bash -c '
		set -e
		vm=$1 folder=$2
		mount -t proc proc "$vm/proc"
		mount --rbind /dev "$vm/dev"
		mount --bind "$folder" "$vm/host"
		export HOME=$3 TMPDIR=$3
		exec chroot "$vm" "${@:4}" </dev/null
	' _ "$vm" "$folder" "/tmp/${own##*/}" "${words[@]}" >"$folder/.console" 2>&1 &
	machine=$!
	# shellcheck disable=SC2064 # they are known now, and only here
	trap "kill $machine 2>/dev/null || true; rm -rf '$own'" EXIT # which passes it on
	{
		while kill -0 "$machine"; do
			if [[ -e $folder/.cut ]]; then pkill -KILL --parent "$machine" || true; fi
			sleep 0.2
		done
		wait "$machine" || true # User-Mode Linux never ends well, of which bash would tell
	} 2>/dev/null
	trap - EXIT
	[[ -n ${VM_DISK:-} ]] || rm -rf "$own"
	cat "$folder/.said"
	[[ -s $folder/.code ]] || { tail -n 20 "$folder/.console" >&2; die "the guest has not come to its end; see $folder/.console"; }
	return "$(cat "$folder/.code")"
}
