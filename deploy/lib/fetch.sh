# shellcheck shell=bash
# Downloads that go on where they stopped, and are checked against what their publisher says of them.

# fetch URL FILE: three tries, each from where the one before stopped.
fetch() {
    local try
    for try in 1 2 3; do
        ((try == 1)) || sleep 1
        ! curl --fail --location --silent --show-error --connect-timeout 20 --continue-at - --output "$2" "$1" || return 0
    done
    return 1
}

# fetch_text URL: something small.
fetch_text() {
    curl --fail --location --silent --show-error --retry 3 --connect-timeout 20 --max-time 120 "$1"
}

# check_sum FILE SHA256 WHO: stops, and throws the file away, when it is another.
check_sum() {
    local found
    found=$(sum_of "$1")
    [[ $found == "$2" ]] && return
    rm -f "$1"
    fail "$1 is not what $3 published: its sha256 is $found, and it should be $2. It was removed; run this again."
}

# published_sum URL: the sha256 that the publisher gives: Hugging Face names it in a header of the file's address, others
# in a file beside it. Prints nothing where neither is there.
published_sum() {
    local sum
    sum=$(curl --fail --silent --head --connect-timeout 20 --max-time 60 "$1" |
        tr -d '\r"' | sed -n 's/^[Xx]-[Ll]inked-[Ee][Tt]ag: *//p' | grep -xE '[0-9a-f]{64}' | head -n 1) || sum=''
    [[ -n $sum ]] || sum=$(fetch_text "$1.sha256" 2>/dev/null | grep -oE '^[0-9a-f]{64}\b' | head -n 1) || sum=''
    printf '%s' "$sum"
}
