package controller

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kbnt.dev/bench/controller-runtime/api"
	"kbnt.dev/bench/controller-runtime/services"
)

// logRest is how often a service is asked for its log.
const logRest = 20 * time.Second

// topicIDs has the ids of topics by their names without prefix.
type topicIDs map[string]string

// idsOf has what a status recorded, and else what Strimzi says. What follows when the two differ is no part of this scenario.
func (c *common) idsOf(ctx context.Context, topics []*api.KafkaTopic, prefix string, recorded []api.TopicState) topicIDs {
	ids := recordedIDs(prefix, recorded)
	for _, topic := range topics {
		name, live := strings.TrimPrefix(topic.Name, prefix), &api.KafkaTopic{}
		if ids[name] == "" && c.Get(ctx, client.ObjectKeyFromObject(topic), live) == nil && live.Status.TopicID != "" {
			ids[name] = live.Status.TopicID
		}
	}
	return ids
}

func recordedIDs(prefix string, recorded []api.TopicState) topicIDs {
	ids := topicIDs{}
	for _, topic := range recorded {
		if topic.TopicID != "" {
			ids[strings.TrimPrefix(topic.Name, prefix)] = topic.TopicID
		}
	}
	return ids
}

// env tells a service which topics are known.
func (ids topicIDs) env(others topicIDs) []corev1.EnvVar {
	var pairs []string
	for _, known := range []topicIDs{ids, others} {
		for name, id := range known {
			pairs = append(pairs, name+"="+id)
		}
	}
	if pairs == nil {
		return nil
	}
	sort.Strings(pairs)
	return []corev1.EnvVar{{Name: "KBNT_KAFKA_TOPIC_IDS", Value: strings.Join(pairs, ",")}}
}

func (ids topicIDs) record(states []api.TopicState, prefix string) []api.TopicState {
	for i := range states {
		states[i].TopicID = ids[strings.TrimPrefix(states[i].Name, prefix)]
	}
	return states
}

// ownerOfService wakes the resource to which a service belongs.
func ownerOfService(wake func(types.NamespacedName)) func(types.NamespacedName) {
	return func(name types.NamespacedName) {
		for _, role := range []string{"inventory", "user", "payment", "order", "notification", "audit"} {
			if resource, ok := strings.CutSuffix(name.Name, "-"+role+"-service"); ok {
				wake(types.NamespacedName{Namespace: name.Namespace, Name: resource})
			}
		}
	}
}

func newLogs(calls *services.Client, wake func(types.NamespacedName)) *services.Observers[services.LogReport] {
	logs := services.NewObservers(calls, func(*services.LogReport) string { return "" }, ownerOfService(wake))
	logs.Pause = logRest
	return logs
}

// logIntact asks the services that run.
func logIntact(
	calls *services.Client, logs *services.Observers[services.LogReport], namespace string, seen []seenService, ids topicIDs,
	before []metav1.Condition,
) metav1.Condition {
	const kind = "LogIntact"
	var silent, damaged []string
	for _, service := range seen {
		if !service.available() {
			silent = append(silent, service.name)
			continue
		}
		name := types.NamespacedName{Namespace: namespace, Name: service.name}
		switch said := logs.Observe(name, calls.Address(namespace, service.name)+"/v1/log"); {
		case said.Seen == nil:
			silent = append(silent, service.name)
		case !said.Seen.Intact:
			damaged = append(damaged, service.name)
		}
	}
	if len(damaged) > 0 {
		return no(kind, "LogDamaged", list(damaged))
	}
	if len(silent) > 0 {
		if old := meta.FindStatusCondition(before, kind); old != nil && old.Status != metav1.ConditionUnknown {
			return *old
		}
		return unknown(kind, "WaitingForWorkloads", list(silent)+" have not said yet what they find in the log")
	}
	return yes(kind, "Intact", fmt.Sprintf("%d services find what they need in the log, and %d topics are those that are known",
		len(seen), len(ids)))
}
