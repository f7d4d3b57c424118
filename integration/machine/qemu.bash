# QEMU with Debian's own kernel: all that a server's kernel has (nf_tables, AppArmor, SELinux, cpuset), two processors, a reboot. With KVM
# where a guest really starts; emulated it is there in a minute. QEMU itself is the guest's release's, in a root folder of its own, since
# older ones crash their guests. Sourced by integration/vm.

guest_packages+=,apparmor,criu,iptables,nftables,selinux-policy-default,linux-image-amd64
# Raise it when building changes.
edition=2

fill() {
	local work=$1
	say "mmdebstrap: QEMU of $guest_suite"
	debian "$work/done" --variant=extract --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include=qemu-system-x86
	mkdir -p "$work/done"/{proc,dev,host,tmp,disks}
	say "mmdebstrap: $guest_suite with systemd and its kernel"
	# all that stands between the kernel and its disk, so that the first file system is small
	debian "$work/root" --variant=minbase --include="$guest_packages,initramfs-tools" --essential-hook='
		mkdir -p "$1/etc/initramfs-tools/conf.d"
		echo MODULES=list >"$1/etc/initramfs-tools/conf.d/guest"
		printf "%s\n" virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"'
	printf '%s\n' overlay bridge veth 9pnet_virtio 9p >"$work/root/etc/modules-load.d/guest.conf"
	errand "$work/root" "mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 host /host"
	cp --dereference "$work/root/vmlinuz" "$work/root/initrd.img" "$work/done/"
	disk "$work/root" "$work/done/disks/root" 4G
	kvm "$work/done" 2>/dev/null && touch "$work/done/kvm" || true
}

# Whether KVM starts a guest: its kernel finds a first program that is none, panics, and that ends the machine.
kvm() {
	[[ -w /dev/kvm ]] || return
	timeout --kill-after=1 30 unshare --mount --propagation private bash -c '
		mount --rbind /dev "$1/dev" && exec chroot "$1" /usr/bin/qemu-system-x86_64 -accel kvm -cpu host -m 512M -nodefaults -display none -no-reboot \
			-kernel /vmlinuz -initrd /initrd.img -append "rdinit=/none root=/none panic=-1"
	' _ "$1" </dev/null >/dev/null 2>&1
}

build() {
	local recipe
	[[ $(uname -m) == x86_64 ]] || cannot "the machine is one of amd64 only"
	recipe=$({ echo "$edition $guest_suite $guest_packages"; declare -f fill kvm errand; } | sha256sum)
	vm=${RCTR_FIXTURES:-/var/cache/rctr-integration}/qemu-${recipe:0:12}
	build_once fill
}

# The changed blocks of the disk are a file in TMPDIR.
process() {
	local accel=(-accel 'tcg,thread=multi' -cpu Nehalem)
	[[ -e $vm/kvm ]] && accel=(-accel kvm -cpu host)
	words=(/usr/bin/qemu-system-x86_64 "${accel[@]}" -smp 2 -m "${VM_MEMORY:-2G}" -nodefaults -display none -no-reboot
		-serial stdio -kernel /vmlinuz -initrd /initrd.img
		-append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 panic=-1 ${VM_KERNEL:-}"
		-drive file=/disks/root,format=raw,if=virtio,snapshot=on
		-virtfs local,path=/host,mount_tag=host,security_model=none
		-device virtio-rng-pci)
}
