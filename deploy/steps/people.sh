# shellcheck shell=bash
# What every person gets, by user-setup.sh run as that person: root writes into nobody's home.

# user_has WHAT USER, user_gets WHAT USER
user_has() {
    [[ -x $share/deploy/user-setup.sh ]] && as_user "$2" "$share/deploy/user-setup.sh" --check --only "$1" </dev/null
}
user_gets() {
    as_user "$2" "$share/deploy/user-setup.sh" --yes --only "$1" --omp-version "$omp_version" </dev/null | sed "s/^/         $2: /"
}

skel_files() {
    "$1" ours /etc/skel/.config/systemd/user/brainrouter.service 0644 root:root cat "$deploy/systemd/brainrouter.service"
    "$1" ours /etc/skel/.config/brainrouter/brainrouter.yaml 0644 root:root cat "$deploy/etc/user.yaml"
}
skel_link() {
    "$1" /etc/skel/.config/systemd/user/default.target.wants/brainrouter.service ../brainrouter.service
}
skel_title() {
    echo "/etc/skel: who is added later has the unit and the settings"
}
skel_done() {
    all_there skel_files && skel_link link_is && ((differs == 0))
}
skel_do() {
    skel_files file_put
    skel_link link_put
}

lingers() {
    [[ -e /var/lib/systemd/linger/$1 ]]
}
user_complete() {
    user_has config,unit "$1" && lingers "$1" && user_has start "$1"
}
user_complete_do() {
    user_gets config,unit "$1"
    if ! lingers "$1"; then
        remember linger "$1"
        loginctl enable-linger "$1"
    fi
    user_gets start "$1"
}
users_title() {
    # shellcheck disable=SC2046 # one line
    echo "settings, unit, linger and a running brainrouter for" $(human_users)
}
users_done() {
    for_each_user user_complete
}
users_do() {
    for_each_user user_complete_do
}
