# Programs from Python packages, pinned by a requirements file. Needs common.sh.
# shellcheck shell=bash

# python_programs NAME REQUIREMENTS: prints the folder with the programs of these packages, and installs them where it is not there,
# once per content of the file. One script at a time; what a killed one left is made anew.
python_programs() {
    local name=$1 requirements=$2 folder
    folder=$CACHE/$name-$(key -- "$requirements")
    exec 8>"$CACHE/$name.lock"
    flock 8
    [ -e "$folder/whole" ] || install_python_programs "$name" "$requirements" "$folder" >&2 || return
    exec 8>&-
    echo "$folder/bin"
}

# Steps in one chain: `set -e` is off where somebody asks how it went.
install_python_programs() {
    local name=$1 requirements=$2 folder=$3
    find "$CACHE" -maxdepth 1 -type d -name "$name-*" -exec rm -rf {} + &&
        python3 -m venv "$folder" &&
        "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" &&
        touch "$folder/whole"
}
