#!/bin/sh
# Entry point of the image: formats the data folder once, then is the broker.
set -eu
config=/opt/kafka/config/server.properties
/opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id a2JudC1lMmUtY2x1c3Rlcg --config "$config"
# shellcheck disable=SC2086 # several options in one variable
exec java ${KAFKA_HEAP_OPTS:--Xms256m -Xmx512m} -Dkafka.log.level=INFO \
    -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.xml -cp '/opt/kafka/libs/*' kafka.Kafka "$config"
