# Sourced by demo --cluster: three nodes, three web servers, a Python and a node service; one node dies, and everything is back.

# Seconds within which everything has to be back.
patience=10

show() { printf '\n$ %s\n' "$*"; "$@"; }
kubectl() { nsenter --net="/run/netns/$router" -- kubectl --kubeconfig "$kubeconfig" "$@"; }
# one answer of the node network, from the node `one`
ask() { nsenter --net="/run/netns/${router%-h}-1" -- curl -s --max-time 2 "$1" | head -n 1; }
lab() {
	local answer
	printf '%s\n' "$*" >&"${LAB[1]}"
	read -r answer <&"${LAB[0]}" && [[ $answer == done ]] || die "the lab did not do it: $*"
}

# Services whose pods are all ready, of those named.
complete() {
	kubectl get deployments "$@" \
		-o 'jsonpath={range .items[*]}{.spec.replicas}={.status.readyReplicas} {end}' | tr ' ' '\n' | awk -F= 'NF == 2 && $1 == $2' | wc -l
}

cluster() {
	install kubectl=kubernetes-client ip=iproute2 nft=nftables nsenter=util-linux curl=curl
	say "cargo build --release: all programs"
	cargo build --release -q --workspace --bins
	fixtures
	say "three nodes in namespaces of this machine, two of them on one segment"
	# It takes everything down at the end of its input, and would leave it all if a signal ended it.
	coproc LAB { trap '' INT TERM; exec "$target/release/lab" 1 1 2; }
	lab_pid=$LAB_PID lab_input=${LAB[1]}
	trap 'exec {lab_input}>&-; wait "$lab_pid" || true' EXIT
	trap 'exit 130' INT TERM
	read -r router kubeconfig <&"${LAB[0]}" || die "the nodes did not come up"

	show kubectl get nodes -o wide
	show kubectl create deployment web --image=smlinux/web:v1 --replicas=3
	show kubectl create deployment pyinfo --image=smlinux/pyinfo:v1
	show kubectl create deployment nodeinfo --image=smlinux/nodeinfo:v1
	show kubectl expose deployment web --port=80
	show kubectl expose deployment pyinfo --port=80 --target-port=8000
	show kubectl expose deployment nodeinfo --port=80 --target-port=8080
	for name in web pyinfo nodeinfo; do show kubectl rollout status deployment "$name" --timeout=60s; done
	show kubectl get pods -o wide
	answers

	local victim began now
	victim=$(kubectl get pods -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | grep -vx one | head -n 1)
	say "node $victim loses its power"
	lab off "$victim"
	began=$EPOCHREALTIME
	until [[ $(kubectl get pods -o "jsonpath={.items[?(@.spec.nodeName=='$victim')].metadata.deletionTimestamp}" | wc -w) == \
		$(kubectl get pods -o "jsonpath={.items[?(@.spec.nodeName=='$victim')].metadata.name}" | wc -w) &&
		$(complete) == 3 && $(kubectl get node "$victim" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') != True ]]; do
		[[ $(awk "BEGIN { print ($EPOCHREALTIME - $began > 60) }") == 1 ]] && die "not everything is back after a minute"
		sleep 0.1
	done
	now=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $began }")
	say "everything is back after $now s"
	show kubectl get nodes
	show kubectl get pods -o wide
	answers

	say "node $victim comes back"
	lab on "$victim"
	show kubectl wait node "$victim" --for=condition=Ready --timeout=60s
	if [[ ${keep:-} ]]; then
		say "left running until this ends (Ctrl-C): nsenter --net=/run/netns/$router -- kubectl --kubeconfig $kubeconfig"
		wait "$lab_pid"
	fi
	[[ $(awk "BEGIN { print ($now > $patience) }") == 0 ]] || die "that took longer than $patience s"
}

# Each service answers at its own address.
answers() {
	local name address
	for name in web pyinfo nodeinfo; do
		address=$(kubectl get service "$name" -o 'jsonpath={.spec.clusterIP}')
		printf '%s at %s: %s\n' "$name" "$address" "$(ask "http://$address/")"
	done
}
