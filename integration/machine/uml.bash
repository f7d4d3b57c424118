# User-Mode Linux: the kernel is a program, no KVM is needed, and it is there in some 15 seconds. It has the controllers cpu, io, memory
# and pids, but one processor, no cpuset, no nf_tables rules, no AppArmor. Sourced by integration/vm.

# Newer kernels than the guest's release has run guests twice as fast (seccomp instead of ptrace).
kernel_suite=sid
kernel_package=user-mode-linux
# Raise it when building changes.
edition=2

# The kernel and its modules, unpacked into $1. The host's own lists of packages are not touched.
kernel() {
	local folder=$1 apt
	mkdir -p "$folder"/apt/{lists/partial,cache/archives/partial,none,state} "$folder/kernel"
	touch "$folder/apt/state/status"
	echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $kernel_suite main" >"$folder/apt/sources.list"
	apt=(apt-get -qq -o Dir::State="$folder/apt/state" -o Dir::State::lists="$folder/apt/lists" -o Dir::Cache="$folder/apt/cache"
		-o Dir::State::status="$folder/apt/state/status" -o Dir::Etc::sourcelist="$folder/apt/sources.list"
		-o Dir::Etc::sourceparts="$folder/apt/none" -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
	"${apt[@]}" update
	(cd "$folder/kernel" && "${apt[@]}" download "$kernel_package" && dpkg-deb --extract "$kernel_package"_*.deb . && rm ./*.deb)
}

# A root folder $3 in which the kernel $2 runs as a program: it and the guest's shared libraries that it wants.
kernel_root() {
	local root=$1 file
	mkdir -p "$3"/{proc,dev,host,tmp,disks} # no disk in the root itself: the kernel finds none there
	cp "$2" "$3/linux"
	cp "$2" "$root/linux"
	# a thread that ends wants libgcc, which is not written in the program
	for file in $(chroot "$root" ldd /linux | grep -o '/[^ )]*') "/lib/$(uname -m)-linux-gnu/libgcc_s.so.1"; do
		mkdir -p "$3${file%/*}"
		cp --dereference "$root$file" "$3$file"
	done
	rm "$root/linux"
}

fill() {
	local work=$1 version
	say "User-Mode Linux of $kernel_suite"
	kernel "$work" || cannot "the package $kernel_package cannot be fetched"
	say "mmdebstrap: $guest_suite with systemd"
	debian "$work/root" --variant=minbase --include="$guest_packages"
	mkdir -p "$work/root/usr/lib/modules"
	cp -r "$work/kernel/usr/lib/uml/modules"/. "$work/root/usr/lib/modules/"
	for version in "$work/root/usr/lib/modules"/*; do chroot "$work/root" depmod "${version##*/}" 2>/dev/null || true; done
	printf '%s\n' overlay bridge veth >"$work/root/etc/modules-load.d/guest.conf"
	errand "$work/root" "mount -t hostfs -o hostfs=/host none /host"
	kernel_root "$work/root" "$work/kernel/usr/bin/linux.uml" "$work/done"
	disk "$work/root" "$work/done/disks/root" 2G
}

build() {
	local recipe
	recipe=$({ echo "$edition $guest_suite $guest_packages $kernel_suite $kernel_package"; declare -f fill kernel kernel_root errand; } | sha256sum)
	vm=${RCTR_FIXTURES:-/var/cache/rctr-integration}/vm-${recipe:0:12}
	build_once fill
}

# The memory is a file in /dev/shm, the changed blocks of the disk are a file in $1.
process() {
	words=(/linux seccomp=on mem="${VM_MEMORY:-2G}" ubd0="$1/changes,/disks/root" root=/dev/ubda rw con0=null,fd:1 con=null
		quiet systemd.show_status=0)
}
