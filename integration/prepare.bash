# Sourced by the programs beside it: says what it does, installs what is missing, finds cargo.
# Debian or Ubuntu, as root.

# with the time of day where it matters how long what takes
say() { if [[ ${STAGES:-} ]]; then printf '== %(%T)T %s\n' -1 "$*"; else printf '== %s\n' "$*"; fi; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# The text between the first line and the first line of code.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

need_root() { [[ $EUID == 0 ]] || die "needs root: sudo $0 $*"; }

# install COMMAND=PACKAGE… installs the packages whose command is not there
install() {
	local pair missing=()
	for pair in "$@"; do
		command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
	done
	[[ ${#missing[@]} == 0 ]] && return
	say "apt-get install ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# What building takes: a linker, and the Rust release that the root Cargo.toml asks for.
rust() {
	local home wanted have
	install cc=gcc ld=binutils curl=curl
	[[ -e /usr/include/stdio.h ]] || { say "apt-get install libc6-dev"; apt-get update -qq && apt-get install -qq -y libc6-dev >/dev/null; }
	# under sudo, the toolchain of the user who called it will do
	for home in "${CARGO_HOME:-$HOME/.cargo}" "$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)/.cargo"; do
		[[ -x $home/bin/cargo ]] && PATH=$home/bin:$PATH
	done
	if [[ -n ${SUDO_USER:-} ]] && [[ -z ${RUSTUP_HOME:-} ]]; then
		home=$(getent passwd "$SUDO_USER" | cut -d: -f6)/.rustup
		[[ -d $home ]] && export RUSTUP_HOME=$home
	fi
	wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
	have=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
	if [[ -z $have || $(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1) != "$wanted" ]]; then
		command -v rustup >/dev/null || apt-get install -qq -y rustup >/dev/null 2>&1 || {
			say "rustup, from its own installer"
			curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal --default-toolchain none
			PATH=$HOME/.cargo/bin:$PATH
		}
		say "rustup toolchain install stable (Rust $wanted is needed, there is ${have:-none})"
		rustup toolchain install stable --profile minimal --component rustfmt --component clippy
		rustup default stable
	fi
	export PATH
	# shellcheck disable=SC2034 # for the scripts
	target=${CARGO_TARGET_DIR:-$PWD/target}
}

# A program that needs no library: what runs in containers made by hand.
busybox() {
	dpkg-query -W busybox-static >/dev/null 2>&1 || {
		say "apt-get install busybox-static"
		apt-get update -qq && apt-get install -qq -y busybox-static >/dev/null
	}
}

# What containerd makes networks of pods with. They are on no PATH.
cni_plugins() {
	[[ -x /usr/lib/cni/bridge || -x /opt/cni/bin/bridge ]] || {
		say "apt-get install containernetworking-plugins"
		apt-get update -qq && apt-get install -qq -y --no-install-recommends containernetworking-plugins iptables >/dev/null
	}
}

# Runs a command where containerd of this host and one that is started here do not meet: interfaces, packet rules, /run and processes
# are its own.
apart() {
	local made= status=0
	# where CNI's library keeps its notes whatever it is told
	[[ -d /var/lib/cni ]] || { mkdir /var/lib/cni && made=1; }
	unshare --mount --net --pid --fork --kill-child --propagation private bash -c '
		set -e
		mount -t proc proc /proc
		mount -t tmpfs tmpfs /run
		ip link set lo up
		mount -t tmpfs tmpfs /var/lib/cni
		"$@"
	' _ "$@" || status=$?
	[[ -z $made ]] || rmdir /var/lib/cni
	return $status
}

# A registry that is not ours.
peer_registry() { install docker-registry=docker-registry setpriv=util-linux; }

# What the fixtures are made with.
fixtures() {
	install mmdebstrap=mmdebstrap
	busybox
	# mmdebstrap checks signatures with Debian's own keys, which another distribution may not have
	[[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || apt-get install -qq -y debian-archive-keyring >/dev/null
}

# Firewalls, for hosts that tests make: this host's own must stay what it is, now and when it starts again.
firewalls() {
	local unit new=()
	for unit in firewalld ufw; do command -v "$unit" >/dev/null || new+=("$unit"); done
	[[ ${#new[@]} == 0 ]] && return
	install firewalld=firewalld ufw=ufw dbus-daemon=dbus-daemon || true
	for unit in "${new[@]}"; do systemctl --root=/ disable "$unit" >/dev/null 2>&1 || true; done
}

# Programs that call a runtime, and other runtimes. Their packages must not start daemons here: each test starts its own.
callers() {
	local policy=/usr/sbin/policy-rc.d ours=
	[[ -e $policy ]] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && ours=1; }
	firewalls
	install containerd=containerd podman=podman conmon=conmon dockerd=docker.io runc=runc crun=crun criu=criu setsid=util-linux || true
	install etcd=etcd-server || true
	/usr/bin/python3 -c 'import kubernetes' 2>/dev/null || {
		say "apt-get install python3-kubernetes"
		apt-get install -qq -y --no-install-recommends python3-kubernetes >/dev/null || true
	}
	# newer releases have the command line apart
	install docker=docker-cli || true
	[[ -z $ours ]] || rm -f "$policy"
}
