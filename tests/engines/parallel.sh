#!/usr/bin/env bash
# GNU parallel: the printed script with 4 shards on this machine, over ssh to two names of it, and with a shard that is
# killed; each merged and compared with one process.
. "$(dirname "$0")/lib.sh"
need parallel parallel
need rsync rsync
need ssh openssh-client
need jq jq
[ -x /usr/sbin/sshd ] || need sshd openssh-server
start_broker
cd "$scratch"

one_process one.json
job_file parallel >job.sh
mkdir local && (cd local && finished bash ../job.sh >out.txt 2>&1) || fail "job.sh: $(tail -5 local/out.txt)"
one_process again.json
echo "== on this machine"
compare one.json again.json local/mqbench-*/result.json

# Its own sshd, with its own keys, on a free port.
ssh_port=$(free_port)
ssh-keygen -q -t ed25519 -N '' -f host-key
ssh-keygen -q -t ed25519 -N '' -f key
mkdir -p "$scratch/config"
[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
cat >sshd.conf <<CONF
Port $ssh_port
ListenAddress 127.0.0.1
HostKey $scratch/host-key
AuthorizedKeysFile $scratch/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
SetEnv PATH=$PATH XDG_CONFIG_HOME=$XDG_CONFIG_HOME XDG_CACHE_HOME=$XDG_CACHE_HOME
CONF
/usr/sbin/sshd -D -f sshd.conf -E sshd.log &
pids+=($!)
ssh="ssh -p $ssh_port -i $scratch/key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=$scratch/known -o LogLevel=ERROR"
# Two names of this machine are two machines to GNU parallel.
me=$(id -un)
cat >ssh.conf <<CONF
Host node1 node2
    HostName 127.0.0.1
    Port $ssh_port
    User $me
    IdentityFile $scratch/key
    BatchMode yes
    StrictHostKeyChecking no
    UserKnownHostsFile $scratch/known
    LogLevel ERROR
CONF
export PARALLEL_SSH="ssh -F $scratch/ssh.conf"
wait_for sshd $PARALLEL_SSH node1 true
mkdir remote && (cd remote && finished bash ../job.sh node1 node2 >out.txt 2>&1) || fail "over ssh: $(tail -5 remote/out.txt)"
echo "== over ssh"
compare one.json again.json remote/mqbench-*/result.json
[ -z "$(find ~/mqbench-jobs -path "*/$(basename remote/mqbench-*)/*" 2>/dev/null)" ] || fail "files are left in ~/mqbench-jobs"

# The page's blocks that need no other machine.
echo "== docs/beyond-one-machine.md"
page=$root/docs/beyond-one-machine.md
mkdir page
by_hand=$(awk '/^```/ { if (block ~ /--shard \$i\/3/) printf "%s", block; block = ""; next } { block = block $0 "\n" }' "$page")
[ -n "$by_hand" ] || fail "the page has no run by hand"
(cd page && finished bash -c "${by_hand//-h broker/-h 127.0.0.1 -p $port}" >out.txt 2>&1) || fail "$(tail -5 page/out.txt)"
[ "$(jq .traffic.sent page/result.json)" -eq 600 ] || fail "600 messages were to be sent"
shown=$(sed -n 's/^Error: shard 2 of 3/&/p' "$page")
printed=$(cd page && mqbench merge shard-0.json shard-1.json --out result.json 2>&1 || true)
[ "$shown" = "$printed" ] || fail "the page shows '$shown', and '$printed' is printed"
echo "$printed"

# A shard that dies is named, and the merge refuses the rest.
echo "== with a shard that is killed"
sed 's|^    exec mqbench|    [ "$2" != 2 ] \|\| set -- "$@" killed\n    exec ${4:+timeout -s KILL 2} mqbench|' job.sh >killed.sh
mkdir killed
status=0
(cd killed && bash ../killed.sh >out.txt 2>&1) || status=$?
names_killed "$status" killed/out.txt
