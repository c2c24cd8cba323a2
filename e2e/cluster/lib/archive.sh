# Container images without a build engine: a docker-archive is a tar of a layer, a configuration and a manifest.
# shellcheck shell=bash

# Same files, same bytes: so that an image that has not changed has the same digest.
pack() { tar -C "$1" --sort=name --mtime=@0 --numeric-owner --xattrs --xattrs-include='*' -cf "$2" .; }

# image_archive OUT NAME CONFIG FOLDER: the files in FOLDER as an image; CONFIG is the OCI "config" object in JSON.
image_archive() {
    local out=$1 name=$2 config=$3 folder=$4 work temp
    work=$(temporary "$out").d
    temp=$(temporary "$out")
    mkdir -p "$work"
    pack "$folder" "$work/layer.tar"
    jq -n --argjson config "$config" --arg digest "sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)" '{
        architecture: "amd64", os: "linux", created: "1970-01-01T00:00:00Z",
        config: $config, rootfs: {type: "layers", diff_ids: [$digest]},
        history: [{created: "1970-01-01T00:00:00Z"}]
    }' >"$work/config.json"
    jq -n --arg name "$name" '[{Config: "config.json", RepoTags: [$name], Layers: ["layer.tar"]}]' >"$work/manifest.json"
    tar -C "$work" -cf "$temp" manifest.json config.json layer.tar
    rm -rf "$work"
    mv "$temp" "$out"
}

# cached_image FOLDER/NAME-KEY.tar ...: as image_archive, and forgets those of other keys: they are large, and quickly
# made again.
cached_image() {
    image_archive "$@"
    find "$(dirname "$1")" -name "$(basename "${1%-*}")-*.tar" -not -path "$1" -delete
}
