// Package api has as much of the resources as this controller reads and writes.
package api

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

var (
	// GroupVersion of VirtualStock and OrderWorkflow.
	GroupVersion = schema.GroupVersion{Group: "kbnt.dev", Version: "v1alpha1"}
	// KafkaGroupVersion of KafkaTopic.
	KafkaGroupVersion = schema.GroupVersion{Group: "kafka.strimzi.io", Version: "v1"}

	builder      = &scheme.Builder{GroupVersion: GroupVersion}
	kafkaBuilder = &scheme.Builder{GroupVersion: KafkaGroupVersion}

	// AddToScheme adds VirtualStock and OrderWorkflow.
	AddToScheme = builder.AddToScheme
	// AddKafkaToScheme adds KafkaTopic.
	AddKafkaToScheme = kafkaBuilder.AddToScheme
)

func init() {
	builder.Register(&VirtualStock{}, &VirtualStockList{}, &OrderWorkflow{}, &OrderWorkflowList{})
	kafkaBuilder.Register(&KafkaTopic{}, &KafkaTopicList{})
}

// VirtualStock declares stock.
type VirtualStock struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              VirtualStockSpec   `json:"spec"`
	Status            VirtualStockStatus `json:"status,omitempty"`
}

// VirtualStockList is a list of them.
type VirtualStockList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VirtualStock `json:"items"`
}

// VirtualStockSpec is what is asked for.
type VirtualStockSpec struct {
	Kafka             KafkaSpec       `json:"kafka"`
	Reservation       ReservationSpec `json:"reservation"`
	LowStockThreshold int64           `json:"lowStockThreshold"`
	Products          []Product       `json:"products"`
	ClosedOrders      ClosedOrders    `json:"closedOrders"`
	Inventory         ServiceSpec     `json:"inventory"`
	Paused            bool            `json:"paused"`
}

// KafkaSpec says where the topics lie.
type KafkaSpec struct {
	ClusterRef    *ClusterRef `json:"clusterRef,omitempty"`
	TopicReplicas int32       `json:"topicReplicas"`
	TopicPrefix   string      `json:"topicPrefix"`
}

// ClusterRef names a Kafka cluster.
type ClusterRef struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

// ReservationSpec says how long reservations hold.
type ReservationSpec struct {
	TTL string `json:"ttl"`
}

// ClosedOrders says how long orders are remembered after they have ended.
type ClosedOrders struct {
	Window string `json:"window"`
}

// Product is declared stock.
type Product struct {
	ID                string `json:"id"`
	Name              string `json:"name"`
	UnitPrice         string `json:"unitPrice"`
	Received          int64  `json:"received"`
	LowStockThreshold *int64 `json:"lowStockThreshold,omitempty"`
}

// ServiceSpec says how a service runs.
type ServiceSpec struct {
	Replicas  int32                       `json:"replicas"`
	Resources corev1.ResourceRequirements `json:"resources"`
}

// VirtualStockStatus is what is so.
type VirtualStockStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	Totals             *Totals            `json:"totals,omitempty"`
	Products           []ProductLevel     `json:"products,omitempty"`
	Topics             []TopicState       `json:"topics,omitempty"`
	Services           []ServiceState     `json:"services,omitempty"`
	Replicas           *int32             `json:"replicas,omitempty"`
	Selector           string             `json:"selector,omitempty"`
	Endpoint           string             `json:"endpoint,omitempty"`
}

// Totals are sums over all products.
type Totals struct {
	Real               int64 `json:"real"`
	Reserved           int64 `json:"reserved"`
	Available          int64 `json:"available"`
	ActiveReservations int64 `json:"activeReservations"`
	Products           int64 `json:"products"`
}

// ProductLevel is the stock of one product.
type ProductLevel struct {
	ID        string `json:"id"`
	Real      int64  `json:"real"`
	Reserved  int64  `json:"reserved"`
	Available int64  `json:"available"`
}

// TopicState says whether a topic can be used.
type TopicState struct {
	Name     string `json:"name"`
	Ready    bool   `json:"ready"`
	TopicID  string `json:"topicId,omitempty"`
	Replaces string `json:"replaces,omitempty"`
}

// ServiceState says how many pods can be used.
type ServiceState struct {
	Name    string `json:"name"`
	Desired int32  `json:"desired"`
	Ready   int32  `json:"ready"`
}

// OrderWorkflow takes orders.
type OrderWorkflow struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              OrderWorkflowSpec   `json:"spec"`
	Status            OrderWorkflowStatus `json:"status,omitempty"`
}

// OrderWorkflowList is a list of them.
type OrderWorkflowList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []OrderWorkflow `json:"items"`
}

// OrderWorkflowSpec is what is asked for.
type OrderWorkflowSpec struct {
	VirtualStockRef corev1.LocalObjectReference `json:"virtualStockRef"`
	Services        Services                    `json:"services"`
	Payment         PaymentSpec                 `json:"payment"`
	Users           UsersSpec                   `json:"users"`
	Paused          bool                        `json:"paused"`
}

// Services are the five of an OrderWorkflow.
type Services struct {
	User         ServiceSpec `json:"user"`
	Payment      ServiceSpec `json:"payment"`
	Order        ServiceSpec `json:"order"`
	Notification ServiceSpec `json:"notification"`
	Audit        ServiceSpec `json:"audit"`
}

// PaymentSpec says who takes the money.
type PaymentSpec struct {
	Simulated *SimulatedPayment `json:"simulated,omitempty"`
}

// SimulatedPayment declines by rules.
type SimulatedPayment struct {
	DeclineAbove string `json:"declineAbove,omitempty"`
	TestTokens   bool   `json:"testTokens"`
}

// UsersSpec says who may order.
type UsersSpec struct {
	AllowUnknown bool   `json:"allowUnknown"`
	Declared     []User `json:"declared,omitempty"`
}

// User is somebody who may order.
type User struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// OrderWorkflowStatus is what is so.
type OrderWorkflowStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	Services           []ServiceState     `json:"services,omitempty"`
	Topics             []TopicState       `json:"topics,omitempty"`
	Endpoint           string             `json:"endpoint,omitempty"`
	Orders             *OrderCounts       `json:"orders,omitempty"`
}

// OrderCounts are orders by their state.
type OrderCounts struct {
	Pending   int64 `json:"pending"`
	Confirmed int64 `json:"confirmed"`
	Rejected  int64 `json:"rejected"`
	Cancelled int64 `json:"cancelled"`
}

// KafkaTopic is Strimzi's.
type KafkaTopic struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              KafkaTopicSpec   `json:"spec"`
	Status            KafkaTopicStatus `json:"status,omitempty"`
}

// KafkaTopicList is a list of them.
type KafkaTopicList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KafkaTopic `json:"items"`
}

// KafkaTopicSpec is what is asked for.
type KafkaTopicSpec struct {
	Partitions int32          `json:"partitions"`
	Replicas   int32          `json:"replicas"`
	Config     map[string]any `json:"config,omitempty"`
}

// KafkaTopicStatus is what Strimzi saw.
type KafkaTopicStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	TopicID            string             `json:"topicId,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}
