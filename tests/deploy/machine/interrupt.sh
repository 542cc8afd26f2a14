# Read by every bash through BASH_ENV: kills the script, with all that it started, before the STOP_AT-th command of the action of step STOP_IN.
set -o functrace
commands=0
trap '[[ " ${FUNCNAME[*]} " != *" ${STOP_IN}_do "* ]] || ((++commands < STOP_AT)) || kill -KILL 0' DEBUG
