package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kbnt.dev/bench/controller-runtime/api"
)

// digestAnnotation has a digest of what was applied, which tells a change of the wish from drift.
const digestAnnotation = "kbnt.dev/applied-digest"

// heldError tells that an object belongs to somebody else.
type heldError struct{ holder string }

func (e *heldError) Error() string { return "belongs to " + e.holder }

// common is what both reconcilers have.
type common struct {
	client.Client
	// Live reads from the API server itself.
	Live     client.Reader
	Recorder events.EventRecorder
	Image    string
	gate     gate
}

// ensure makes the cluster have an object, and writes only where that changes something.
func (c *common) ensure(ctx context.Context, o owner, wanted client.Object) error {
	text, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	annotations := wanted.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[digestAnnotation] = shortDigest(text)
	wanted.SetAnnotations(annotations)

	key := client.ObjectKeyFromObject(wanted)
	live := wanted.DeepCopyObject().(client.Object)
	err = c.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		// The cache has only what is ours: somebody else may have that name.
		err = c.Live.Get(ctx, key, live)
	}
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return err
	default:
		if holder := o.otherHolder(live); holder != "" {
			return &heldError{holder}
		}
		if asWanted(wanted, live) {
			return nil
		}
	}
	return c.apply(ctx, wanted)
}

func (c *common) apply(ctx context.Context, wanted client.Object) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wanted)
	if err != nil {
		return err
	}
	delete(fields, "status")
	object := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: fields})
	if err := c.Apply(ctx, object, client.FieldOwner(Manager), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply %s: %w", wanted.GetName(), err)
	}
	return nil
}

// otherHolder tells whose an object is, if not this owner's.
func (o owner) otherHolder(live client.Object) string {
	if _, ok := live.(*api.KafkaTopic); ok {
		switch holder := live.GetAnnotations()[ownerAnnotation]; holder {
		case o.text():
			return ""
		case "":
			return "somebody who did not make it with this operator"
		default:
			return strings.Replace(holder, "/", " ", 1)
		}
	}
	switch controller := metav1.GetControllerOf(live); {
	case controller == nil:
		return "somebody who did not make it with this operator"
	case controller.UID == o.GetUID():
		return ""
	default:
		return controller.Kind + " " + controller.Name
	}
}

func asWanted(wanted, live client.Object) bool {
	if !contains(live.GetLabels(), wanted.GetLabels()) || !contains(live.GetAnnotations(), wanted.GetAnnotations()) ||
		!equality.Semantic.DeepDerivative(wanted.GetOwnerReferences(), live.GetOwnerReferences()) {
		return false
	}
	same := equality.Semantic.DeepDerivative
	switch wanted := wanted.(type) {
	case *appsv1.Deployment:
		return same(wanted.Spec, live.(*appsv1.Deployment).Spec)
	case *corev1.Service:
		return same(wanted.Spec, live.(*corev1.Service).Spec)
	case *corev1.ServiceAccount:
		return same(wanted.AutomountServiceAccountToken, live.(*corev1.ServiceAccount).AutomountServiceAccountToken)
	case *rbacv1.Role:
		return same(wanted.Rules, live.(*rbacv1.Role).Rules)
	case *rbacv1.RoleBinding:
		live := live.(*rbacv1.RoleBinding)
		return same(wanted.RoleRef, live.RoleRef) && same(wanted.Subjects, live.Subjects)
	case *corev1.ConfigMap:
		return same(wanted.Data, live.(*corev1.ConfigMap).Data)
	case *policyv1.PodDisruptionBudget:
		return same(wanted.Spec, live.(*policyv1.PodDisruptionBudget).Spec)
	case *api.KafkaTopic:
		return sameTopic(wanted.Spec, live.(*api.KafkaTopic).Spec)
	default:
		return false
	}
}

// sameTopic compares configurations as text: a number has another type once it was JSON.
func sameTopic(wanted, live api.KafkaTopicSpec) bool {
	if wanted.Partitions != live.Partitions || wanted.Replicas != live.Replicas {
		return false
	}
	for key, value := range wanted.Config {
		if text(value) != text(live.Config[key]) {
			return false
		}
	}
	return true
}

func text(value any) string {
	if number, ok := value.(float64); ok {
		return fmt.Sprintf("%d", int64(number))
	}
	return fmt.Sprint(value)
}

func contains(live, wanted map[string]string) bool {
	for key, value := range wanted {
		if live[key] != value {
			return false
		}
	}
	return true
}

// interval is that in which a status is written once at most.
const interval = 2 * time.Second

// gate bounds the writes of each status.
type gate struct {
	mutex   sync.Mutex
	written map[types.UID]time.Time
}

// ask tells how long to wait until a status may be written.
func (g *gate) ask(uid types.UID) time.Duration {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return interval - time.Since(g.written[uid])
}

func (g *gate) wrote(uid types.UID) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.written == nil {
		g.written = map[types.UID]time.Time{}
	}
	for uid, at := range g.written {
		if time.Since(at) > interval {
			delete(g.written, uid)
		}
	}
	g.written[uid] = time.Now()
}

// writeStatus writes a status that differs, or tells when that may be done, with an event for each change of a condition.
func (c *common) writeStatus(ctx context.Context, o owner, before, after []metav1.Condition, same bool, status any) (time.Duration, error) {
	if same {
		return 0, nil
	}
	if delay := c.gate.ask(o.GetUID()); delay > 0 {
		return delay, nil
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
	if err != nil {
		return 0, err
	}
	object := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": api.GroupVersion.String(), "kind": o.kind,
		"metadata": map[string]any{"name": o.GetName(), "namespace": o.GetNamespace(), "uid": string(o.GetUID())},
		"status":   fields,
	}})
	err = c.Status().Apply(ctx, object, client.FieldOwner(Manager), client.ForceOwnership)
	if err != nil {
		return 0, client.IgnoreNotFound(err)
	}
	c.gate.wrote(o.GetUID())
	c.tell(o, before, after)
	return 0, nil
}
