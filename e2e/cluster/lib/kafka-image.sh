# The image of the Kafka broker and its console tools: jars from Maven Central on a Java runtime of Debian. Needs
# rootfs.sh and archive.sh.
# shellcheck shell=bash

KAFKA_DIR=$REPO_DIR/e2e/kafka
KAFKA_TOOLS=(kafka-topics kafka-console-consumer kafka-console-producer kafka-consumer-groups kafka-configs
    kafka-get-offsets kafka-producer-perf-test kafka-storage)

# Unpacked only: its packages' own scripts need manual pages, Perl and much else that a broker does not.
KAFKA_PACKAGES=(openjdk-17-jre-headless dash coreutils grep sed)

kafka_rootfs() { echo "$CACHE/rootfs/kafka-$(key "$(debian_suite)" "${KAFKA_PACKAGES[@]}" -- "$CLUSTER_DIR/lib/rootfs.sh").tar"; }
kafka_jars() { echo "$CACHE/kafka/jars-$(key -- "$KAFKA_DIR/pom.xml")"; }
kafka_archive() {
    echo "$CACHE/images/kafka-$(key "$(kafka_rootfs)" -- "$KAFKA_DIR"/{pom.xml,bin/*,config/*} \
        "$CLUSTER_DIR"/lib/{kafka-image,archive}.sh).tar"
}
# The tag is the key: another content is another image.
kafka_image() { echo "kbnt/kafka:$(basename "$(kafka_archive)" .tar)"; }

fetch_kafka_jars() {
    local to=$1 temp
    temp=$(temporary "$to")
    mvn -q -B -f "$KAFKA_DIR/pom.xml" -Dmaven.repo.local="$CACHE/m2" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$temp"
    mv "$temp" "$to"
}

make_kafka_image() {
    local out=$1 work tool
    work=$(temporary "$out").work
    mkdir -p "$work/opt/kafka" "$work/var/lib/kafka" "$work/tmp"
    tar -C "$work" -xpf "$(kafka_rootfs)" --numeric-owner --exclude='./dev/*' --exclude='./var/*'
    mkdir -p "$work/usr/local/bin"
    ln -s ../../lib/jvm/java-17-openjdk-amd64/bin/java "$work/usr/local/bin/java"
    cp -r "$KAFKA_DIR/bin" "$KAFKA_DIR/config" "$work/opt/kafka/"
    cp -r "$(kafka_jars)" "$work/opt/kafka/libs"
    for tool in "${KAFKA_TOOLS[@]}"; do ln -s kafka-tool.sh "$work/opt/kafka/bin/$tool.sh"; done
    chmod -R go=rX,u=rwX "$work/opt/kafka"
    cached_image "$out" "$(kafka_image)" '{
        "User": "1001:1001", "WorkingDir": "/opt/kafka", "Entrypoint": ["/opt/kafka/bin/kafka-broker.sh"],
        "Env": ["PATH=/opt/kafka/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
    }' "$work"
    rm -rf "$work"
}
