#!/bin/sh
# Kafka's console tools, by the names under which its own distribution has them (links to this script).
set -eu
case $(basename "$0") in
kafka-topics.sh) class=org.apache.kafka.tools.TopicCommand ;;
kafka-console-consumer.sh) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
kafka-console-producer.sh) class=org.apache.kafka.tools.ConsoleProducer ;;
kafka-consumer-groups.sh) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
kafka-configs.sh) class=kafka.admin.ConfigCommand ;;
kafka-get-offsets.sh) class=org.apache.kafka.tools.GetOffsetShell ;;
kafka-producer-perf-test.sh) class=org.apache.kafka.tools.ProducerPerformance ;;
kafka-storage.sh) class=kafka.tools.StorageTool ;;
*)
    echo "call it by the name of a tool" >&2
    exit 2
    ;;
esac
# Short runs: the quick compiler and the small collector start fastest.
exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.xml \
    -cp '/opt/kafka/libs/*' "$class" "$@"
