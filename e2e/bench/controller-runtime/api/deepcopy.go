package api

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func conditions(in []metav1.Condition) []metav1.Condition { return slices.Clone(in) }

func pointer[T any](in *T) *T {
	if in == nil {
		return nil
	}
	out := *in
	return &out
}

func list[T any](in []T, copied func(*T) T) []T {
	if in == nil {
		return nil
	}
	out := make([]T, len(in))
	for i := range in {
		out[i] = copied(&in[i])
	}
	return out
}

func (in ServiceSpec) deepCopy() ServiceSpec {
	return ServiceSpec{Replicas: in.Replicas, Resources: *in.Resources.DeepCopy()}
}

// DeepCopy copies all of it.
func (in *VirtualStock) DeepCopy() *VirtualStock {
	out := *in
	out.ObjectMeta = *in.ObjectMeta.DeepCopy()
	out.Spec.Kafka.ClusterRef = pointer(in.Spec.Kafka.ClusterRef)
	out.Spec.Inventory = in.Spec.Inventory.deepCopy()
	out.Spec.Products = list(in.Spec.Products, func(product *Product) Product {
		out := *product
		out.LowStockThreshold = pointer(product.LowStockThreshold)
		return out
	})
	out.Status = *in.Status.DeepCopy()
	return &out
}

// DeepCopy copies all of it.
func (in *VirtualStockStatus) DeepCopy() *VirtualStockStatus {
	out := *in
	out.Conditions = conditions(in.Conditions)
	out.Totals = pointer(in.Totals)
	out.Products = slices.Clone(in.Products)
	out.Topics = slices.Clone(in.Topics)
	out.Services = slices.Clone(in.Services)
	out.Replicas = pointer(in.Replicas)
	return &out
}

// DeepCopyObject copies all of it.
func (in *VirtualStock) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject copies all of it.
func (in *VirtualStockList) DeepCopyObject() runtime.Object {
	out := *in
	out.ListMeta = *in.ListMeta.DeepCopy()
	out.Items = list(in.Items, func(item *VirtualStock) VirtualStock { return *item.DeepCopy() })
	return &out
}

// DeepCopy copies all of it.
func (in *OrderWorkflow) DeepCopy() *OrderWorkflow {
	out := *in
	out.ObjectMeta = *in.ObjectMeta.DeepCopy()
	services := in.Spec.Services
	out.Spec.Services = Services{
		User: services.User.deepCopy(), Payment: services.Payment.deepCopy(), Order: services.Order.deepCopy(),
		Notification: services.Notification.deepCopy(), Audit: services.Audit.deepCopy(),
	}
	out.Spec.Payment.Simulated = pointer(in.Spec.Payment.Simulated)
	out.Spec.Users.Declared = slices.Clone(in.Spec.Users.Declared)
	out.Status = *in.Status.DeepCopy()
	return &out
}

// DeepCopy copies all of it.
func (in *OrderWorkflowStatus) DeepCopy() *OrderWorkflowStatus {
	out := *in
	out.Conditions = conditions(in.Conditions)
	out.Services = slices.Clone(in.Services)
	out.Topics = slices.Clone(in.Topics)
	out.Orders = pointer(in.Orders)
	return &out
}

// DeepCopyObject copies all of it.
func (in *OrderWorkflow) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject copies all of it.
func (in *OrderWorkflowList) DeepCopyObject() runtime.Object {
	out := *in
	out.ListMeta = *in.ListMeta.DeepCopy()
	out.Items = list(in.Items, func(item *OrderWorkflow) OrderWorkflow { return *item.DeepCopy() })
	return &out
}

// DeepCopy copies all of it. Values of the configuration are text, numbers or booleans.
func (in *KafkaTopic) DeepCopy() *KafkaTopic {
	out := *in
	out.ObjectMeta = *in.ObjectMeta.DeepCopy()
	out.Spec.Config = maps.Clone(in.Spec.Config)
	out.Status.Conditions = conditions(in.Status.Conditions)
	return &out
}

// DeepCopyObject copies all of it.
func (in *KafkaTopic) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyObject copies all of it.
func (in *KafkaTopicList) DeepCopyObject() runtime.Object {
	out := *in
	out.ListMeta = *in.ListMeta.DeepCopy()
	out.Items = list(in.Items, func(item *KafkaTopic) KafkaTopic { return *item.DeepCopy() })
	return &out
}
