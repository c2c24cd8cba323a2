package controller

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kbnt.dev/bench/controller-runtime/api"
)

func finding(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func yes(kind, reason, message string) metav1.Condition {
	return finding(kind, metav1.ConditionTrue, reason, message)
}

func no(kind, reason, message string) metav1.Condition {
	return finding(kind, metav1.ConditionFalse, reason, message)
}

func unknown(kind, reason, message string) metav1.Condition {
	return finding(kind, metav1.ConditionUnknown, reason, message)
}

// conditionsOf has these findings, with the time of the last change of each.
func conditionsOf(generation int64, before []metav1.Condition, findings ...metav1.Condition) []metav1.Condition {
	now := metav1.Now().Rfc3339Copy()
	for i := range findings {
		findings[i].ObservedGeneration, findings[i].LastTransitionTime = generation, now
		old := meta.FindStatusCondition(before, findings[i].Type)
		if old != nil && old.Status == findings[i].Status {
			findings[i].LastTransitionTime = old.LastTransitionTime
		}
	}
	return findings
}

// ready is so where all that is needed is.
func ready(paused bool, message string, needed ...metav1.Condition) metav1.Condition {
	for _, condition := range needed {
		if condition.Status == metav1.ConditionTrue {
			continue
		}
		missing := condition.Type + ": " + condition.Message
		if paused {
			return no("Ready", "Paused", "paused, so nothing is repaired; "+missing)
		}
		return no("Ready", condition.Reason, missing)
	}
	return yes("Ready", "Ready", message)
}

// tell makes an event of each change of a condition that is news.
func (c *common) tell(o owner, before, after []metav1.Condition) {
	// To be ready tells of all that it takes that it is so.
	ready := meta.IsStatusConditionTrue(after, "Ready") && !meta.IsStatusConditionTrue(before, "Ready")
	for _, condition := range after {
		old := meta.FindStatusCondition(before, condition.Type)
		onTheWay := strings.HasPrefix(condition.Reason, "Waiting") || condition.Reason == "Progressing"
		same := old != nil && old.Status == condition.Status && old.Reason == condition.Reason
		wasSo := old != nil && old.Status == metav1.ConditionTrue
		asEver := condition.Type == "LowStock" && condition.Status == metav1.ConditionFalse
		if same || condition.Status == metav1.ConditionUnknown || ((onTheWay || asEver) && !wasSo) {
			continue
		}
		if ready && condition.Type != "Ready" && condition.Type != "LowStock" {
			continue
		}
		kind := corev1.EventTypeNormal
		if !onTheWay && (condition.Type == "LowStock") == (condition.Status == metav1.ConditionTrue) {
			kind = corev1.EventTypeWarning
		}
		c.Recorder.Eventf(o.Object, nil, kind, condition.Reason, "Reconcile", "%s is %s: %s",
			condition.Type, condition.Status, condition.Message)
	}
}

// seenTopic is a topic and how it fares.
type seenTopic struct {
	name                string
	usable              bool
	reason, why, holder string
}

func seeTopic(topic *api.KafkaTopic) seenTopic {
	seen := seenTopic{name: topic.Name}
	is := func(kind string) bool { return meta.IsStatusConditionTrue(topic.Status.Conditions, kind) }
	said := meta.FindStatusCondition(topic.Status.Conditions, "Ready")
	switch {
	case topic.UID == "":
		seen.why = "it does not exist yet"
	case topic.DeletionTimestamp != nil:
		seen.why = "it is being deleted"
	case topic.Status.ObservedGeneration == 0:
		seen.why = "Strimzi has not seen it yet: is its Topic Operator running?"
	case topic.Status.ObservedGeneration != topic.Generation:
		seen.why = "Strimzi has not seen its latest change yet"
	case is("Unmanaged"), is("ReconciliationPaused"), is("Ready"):
		seen.usable = true
	case said != nil && said.Status == metav1.ConditionFalse:
		seen.reason, seen.why = said.Reason, said.Message
	default:
		seen.why = "Strimzi has not said whether it is ready"
	}
	return seen
}

func topicStates(topics []seenTopic) []api.TopicState {
	states := make([]api.TopicState, 0, len(topics))
	for _, topic := range topics {
		states = append(states, api.TopicState{Name: topic.name, Ready: topic.usable})
	}
	return states
}

func allUsable(topics []seenTopic) bool {
	for _, topic := range topics {
		if !topic.usable {
			return false
		}
	}
	return true
}

func topicsReady(topics []seenTopic, failure error) metav1.Condition {
	const kind = "TopicsReady"
	if failure != nil {
		return no(kind, "ApiError", failure.Error())
	}
	pick := func(why func(seenTopic) string) string {
		names := map[string][]string{}
		for _, topic := range topics {
			if reason := why(topic); reason != "" {
				names[reason] = append(names[reason], topic.name)
			}
		}
		var parts []string
		for reason, topics := range names {
			parts = append(parts, list(topics)+": "+reason)
		}
		sort.Strings(parts)
		return list(parts)
	}
	if held := pick(func(topic seenTopic) string {
		if topic.holder == "" {
			return ""
		}
		return "belongs to " + topic.holder
	}); held != "" {
		return no(kind, "TopicConflict", held)
	}
	if failed := pick(func(topic seenTopic) string {
		if topic.reason == "" {
			return ""
		}
		return topic.reason + ": " + topic.why
	}); failed != "" {
		return no(kind, "TopicFailed", failed)
	}
	if pending := pick(func(topic seenTopic) string { return topic.why }); pending != "" {
		return no(kind, "WaitingForTopics", pending)
	}
	return yes(kind, "TopicsReady", fmt.Sprintf("%d of %d topics ready", len(topics), len(topics)))
}

// seenService is a service and how it fares.
type seenService struct {
	name           string
	desired, ready int32
	absent         bool
	failed, moving string
}

func (s seenService) available() bool { return !s.absent && s.failed == "" && s.moving == "" }

func seeService(wanted, live *appsv1.Deployment) seenService {
	seen := seenService{name: wanted.Name, desired: *wanted.Spec.Replicas}
	if live.UID == "" {
		seen.absent = true
		return seen
	}
	seen.ready = live.Status.AvailableReplicas
	if seen.ready >= seen.desired {
		return seen
	}
	if live.Status.ObservedGeneration != live.Generation {
		seen.moving = "its latest change is not seen yet"
		return seen
	}
	for _, condition := range live.Status.Conditions {
		switch {
		case condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue:
			seen.failed = condition.Message
		case condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse && seen.failed == "":
			seen.failed = condition.Message + " See `kubectl describe pods`."
		}
	}
	if seen.failed == "" {
		seen.moving = fmt.Sprintf("%d of %d pods available", seen.ready, seen.desired)
	}
	return seen
}

func serviceStates(services []seenService) []api.ServiceState {
	states := make([]api.ServiceState, 0, len(services))
	for _, service := range services {
		states = append(states, api.ServiceState{Name: service.name, Desired: service.desired, Ready: service.ready})
	}
	return states
}

func workloadsAvailable(services []seenService, awaited string, failure error) metav1.Condition {
	const kind = "WorkloadsAvailable"
	if failure != nil {
		var held *heldError
		if errors.As(failure, &held) {
			return no(kind, "NameTaken", failure.Error())
		}
		return no(kind, "ApiError", failure.Error())
	}
	var failed, absent, moving []string
	for _, service := range services {
		switch {
		case service.failed != "":
			failed = append(failed, service.name+": "+service.failed)
		case service.absent:
			absent = append(absent, service.name)
		case service.moving != "":
			moving = append(moving, service.name+": "+service.moving)
		}
	}
	switch {
	case len(failed) > 0:
		return no(kind, "PodsFailed", list(failed))
	case len(absent) > 0:
		return no(kind, "WaitingForStart", list(absent)+" wait for "+awaited)
	case len(moving) > 0:
		return no(kind, "Progressing", list(moving))
	}
	return yes(kind, "Available", fmt.Sprintf("%d of %d services available", len(services), len(services)))
}

// list has the first ten.
func list(names []string) string {
	if len(names) <= 10 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:10], ", "), len(names)-10)
}
