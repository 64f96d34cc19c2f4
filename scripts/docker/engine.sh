# An engine of one's own: dockerd with socket, files, bridge, range of addresses and group of processes that no other
# engine of the machine has. What of it is the machine's, and not below its directory, is found again by the number
# that it has claimed: 10.NUMBER.0.0/16, the bridge throome-NUMBER, and the control group throome-docker-NUMBER.

# Which numbers are claimed on this machine, and how its firewall was before the first of them.
claims=/run/throome-docker

number_of() {
    cat "$home/docker/number"
}

make_engine() {
    local dir=$home/docker
    [ "$(id -u)" -eq 0 ] || refuse "no engine answers at ${DOCKER_HOST:-/var/run/docker.sock}, and starting one needs root: \
start Docker, run this as root, or set DOCKER_HOST to an engine that you may use"
    require dockerd docker.io
    require containerd containerd
    require ip iproute2
    # Its sockets stand deeper still, and the kernel takes 107 bytes.
    [ "${#dir}" -le 60 ] || refuse "$dir is too long a name for the sockets below it; choose a shorter THROOME_SERVERS_DIR"
    require_groups
    remove_engine
    mkdir -p "$dir"
    choose_firewall
    claim
    storage_driver >"$dir/storage"
    echo '{}' >"$dir/daemon.json"
    run_engine
    touch "$dir/ready"
}

require_groups() {
    [ -e /sys/fs/cgroup/cgroup.controllers ] || grep -qE '^\S+ \S+ cgroup \S*\bmemory\b' /proc/mounts ||
        refuse "no control groups are mounted, which containers are held by; apt-get install cgroupfs-mount mounts them"
}

# Takes a number whose addresses nobody has.
claim() {
    local number
    mkdir -p "$claims"
    (
        flock 8
        remember_machine
        for number in $(seq 201 249); do
            ! claimed "$number" || continue
            ! { ip -o -4 address; ip -4 route; } | grep -qE "(^| )10\.$number\." || continue
            echo "$home/docker" >"$claims/$number"
            echo "$number" >"$home/docker/number"
            exit 0
        done
        refuse "all ranges from 10.201.0.0/16 to 10.249.0.0/16 are taken on this machine; \`ip route\` says by whom"
    ) 8>"$claims/lock"
}

# Claims go when the machine is started anew, and engines of before with them.
is_claimed_by_us() {
    [ "$(cat "$claims/$(number_of)" 2>/dev/null)" = "$home/docker" ]
}

# A claim whose engine was deleted by hand is none.
claimed() { # number
    local dir
    dir=$(cat "$claims/$1" 2>/dev/null) && [ "$(cat "$dir/number" 2>/dev/null)" = "$1" ]
}

# What the first engine changes for the whole machine, and the last one puts back.
remember_machine() {
    [ -z "$(engines_of_others)" ] && [ -z "$(find "$claims" -name '[0-9]*' -print -quit)" ] || return 0
    {
        cat /proc/sys/net/ipv4/ip_forward
        firewall -S FORWARD | sed -n 's/^-P FORWARD //p'
    } >"$claims/before"
}

engines_of_others() {
    local process
    for process in /proc/[0-9]*; do
        [ "$(cat "$process/comm" 2>/dev/null)" != dockerd ] || echo "${process##*/}"
    done
}

# Debian has two programs for the firewall, and a kernel may know what the engine needs by one of them alone. The one that
# works stands in a directory that engines have first on their paths.
choose_firewall() {
    local try
    [ ! -e "$claims/bin/iptables" ] || return 0
    mkdir -p "$claims/bin"
    for try in iptables iptables-legacy iptables-nft; do
        try=$(command -v "$try") && knows_addresses "$try" || continue
        ln -sfn "$try" "$claims/bin/iptables"
        return 0
    done
    refuse "the kernel takes no rule by which ports of containers are published: iptables says
$(iptables -w -t nat -S 2>&1 | tail -n 3 | sed 's/^/    /')"
}

knows_addresses() { # iptables
    local chain=THROOME-$$ status=0
    "$1" -w -t nat -N "$chain" 2>/dev/null || return 1
    "$1" -w -t nat -A "$chain" -m addrtype --dst-type LOCAL -j RETURN 2>/dev/null || status=1
    "$1" -w -t nat -F "$chain"
    "$1" -w -t nat -X "$chain"
    return "$status"
}

firewall() { # arguments…
    "$claims/bin/iptables" -w "$@" 2>/dev/null
}

# Layers are laid over each other by the kernel, or copied where it cannot, as on a directory that is laid over others.
storage_driver() {
    local try=$home/docker/try
    mkdir -p "$try"/{lower,upper,work,all}
    grep -q '\boverlay$' /proc/filesystems || modprobe overlay 2>/dev/null || true
    if mount -t overlay overlay -o "lowerdir=$try/lower,upperdir=$try/upper,workdir=$try/work" "$try/all" 2>/dev/null; then
        umount "$try/all"
        echo overlay2
    else
        echo vfs
    fi
    rm -rf "$try"
}

# Starts dockerd on what is there.
run_engine() {
    local status
    # Not in a condition, where bash would not stop at the first thing that fails.
    set +e
    (set -e; launch_engine)
    status=$?
    set -e
    [ "$status" -eq 0 ] && return
    [ "$status" -ne "$port_taken" ] || echo "docker.sh: dockerd did not start; $home/docker/log says last:
$(last_words docker)" >&2
    [ -e "$home/docker/ready" ] || remove_engine
    exit 1
}

launch_engine() {
    local dir=$home/docker number
    number=$(number_of)
    have_bridge "$number"
    # After a kill they name processes that are gone, or another's by now; one that nobody has asked after is taken for
    # alive.
    rm -f "$dir/dockerd.pid" "$dir/exec/containerd/containerd.pid"
    # containerd says there what it was doing when it was ended too slowly.
    mkdir -p "$dir/tmp"
    # A pull that breaks off is taken up once: it waits five seconds before that, and longer before each further time.
    PATH=$claims/bin:$PATH TMPDIR=$dir/tmp spawn docker dockerd --host "$own_host" --config-file "$dir/daemon.json" \
        --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" \
        --storage-driver "$(cat "$dir/storage")" --exec-opt native.cgroupdriver=cgroupfs \
        --cgroup-parent "/throome-docker-$number" --bridge "throome-$number" \
        --default-address-pool "base=10.$number.0.0/16,size=24" --max-download-attempts 2
    until_it "answers" docker answers_at "$own_host"
}

have_bridge() { # number
    local bridge=throome-$1
    ip link show "$bridge" >/dev/null 2>&1 || ip link add name "$bridge" type bridge
    ip -o -4 address show dev "$bridge" | grep -q " 10\.$1\.0\.1/" || ip address add "10.$1.0.1/24" dev "$bridge"
    ip link set "$bridge" up
}

# Containers get the time that they wish for.
end_engine() {
    is_up docker || return 0
    kill -TERM "$(pid_of docker)"
    # One that is paused hears nothing.
    send CONT docker
    until_down docker 900 || destroy docker
}

remove_engine() {
    local dir=$home/docker number
    [ -e "$dir" ] || return 0
    mkdir -p "$claims"
    if is_up docker; then
        send CONT docker
        host=$own_host
        # In a shell of their own: what of this fails, as while the engine starts, is swept away below.
        (
            in_time ps --all --quiet | xargs -r timeout 60 docker --host "$host" rm --force --volumes
            in_time network ls --quiet --filter type=custom | xargs -r timeout 60 docker --host "$host" network rm
        ) >/dev/null 2>&1 || true
        kill -TERM "$(pid_of docker)" 2>/dev/null || true
        until_down docker 300 || destroy docker
    fi
    number=$(cat "$dir/number" 2>/dev/null) && sweep "$number"
    [ -z "$(mounts_below "$dir")" ] || refuse "still mounted below $dir: $(mounts_below "$dir" | tr '\n' ' ')"
    rm -rf "$dir"
    [ -z "$number" ] || (
        flock 8
        rm -f "$claims/$number"
        restore_machine
    ) 8>"$claims/lock"
}

# One that hangs is not waited for.
in_time() { # words…
    timeout 60 docker --host "$host" "$@"
}

# What an engine leaves that was killed.
sweep() { # number
    local dir=$home/docker file group mount link
    for file in $(find "$dir/exec" -name address -type f 2>/dev/null); do
        file=$(sed 's|^unix://||' "$file")
        case "$file" in /run/containerd/s/*) rm -f "$file" ;; esac
    done
    kill_shims
    for group in $(find /sys/fs/cgroup -depth -type d -path "*/throome-docker-$1*" 2>/dev/null); do
        end_group "$group"
    done
    # The last that was mounted first.
    for mount in $(mounts_below "$dir" | tac); do
        umount "$mount" 2>/dev/null || umount --lazy "$mount"
    done
    for link in $(ip -o -4 address | awk -v range="10.$1." 'index($4, range) == 1 { print $2 }'); do
        drop_rules " $link( |\$)"
        ip link delete "$link" 2>/dev/null || true
    done
    drop_rules " 10\.$1\."
}

# They hold a container each, and outlive the engine.
kill_shims() {
    local process
    for process in /proc/[0-9]*; do
        tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -qF -- "-address $home/docker/exec/" || continue
        grep -q '^containerd-shim' "$process/comm" 2>/dev/null || continue
        kill -KILL "${process##*/}" 2>/dev/null || true
    done
}

end_group() { # directory
    local _ pid
    for _ in $(seq 100); do
        for pid in $(cat "$1/cgroup.procs" 2>/dev/null); do
            kill -KILL "$pid" 2>/dev/null || true
        done
        rmdir "$1" 2>/dev/null || [ ! -d "$1" ] && return 0
        sleep 0.05
    done
    refuse "processes of containers outlive SIGKILL; $1/cgroup.procs names them"
}

mounts_below() { # directory
    awk -v below="$1/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts
}

drop_rules() { # pattern
    local table rule
    for table in nat filter; do
        firewall -t "$table" -S | grep -E "^-A .*($1)" | while read -r _ rule; do
            # shellcheck disable=SC2086
            firewall -t "$table" -D $rule || true
        done || true
    done
}

# The last of our engines puts the machine back as it was before the first, unless another engine lives by that.
restore_machine() {
    local forward='' policy='' table chain
    [ -e "$claims/before" ] && [ -z "$(find "$claims" -name '[0-9]*' -print -quit)" ] || return 0
    [ -z "$(engines_of_others)" ] || return 0
    { read -r forward; read -r policy; } <"$claims/before" || true
    drop_rules '-j DOCKER( |-|$)'
    for table in nat filter; do
        for chain in DOCKER DOCKER-USER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2; do
            firewall -t "$table" -F "$chain" || continue
            firewall -t "$table" -X "$chain" || true
        done
    done
    [ -z "$policy" ] || firewall -P FORWARD "$policy"
    [ -z "$forward" ] || echo "$forward" >/proc/sys/net/ipv4/ip_forward
    rm -f "$claims/before"
}
