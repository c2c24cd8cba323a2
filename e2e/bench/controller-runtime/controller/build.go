package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kbnt.dev/bench/controller-runtime/api"
)

const (
	// Manager is the field manager of everything that is applied, and the value of the label by which it is found.
	Manager = "kbnt-operator"
	// ManagedBy is that label.
	ManagedBy       = "app.kubernetes.io/managed-by"
	ownerAnnotation = "kbnt.dev/owner"
	usersKey        = "users.json"
	snapshotFolder  = "/var/lib/kbnt/snapshots"
	archiveFolder   = "/var/lib/kbnt/closed-orders"
	servicePort     = 8080
	user            = 65532
)

// owner is a VirtualStock or an OrderWorkflow.
type owner struct {
	client.Object
	kind string
}

func (o owner) text() string { return fmt.Sprintf("%s/%s/%s", o.kind, o.GetNamespace(), o.GetName()) }

func (o owner) labels(component string) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":      "kbnt",
		"app.kubernetes.io/instance":  o.GetName(),
		"app.kubernetes.io/component": component,
		ManagedBy:                     Manager,
	}
}

// selector has what identifies a service and nothing else, as that of a Deployment can never change.
func (o owner) selector(component string) map[string]string {
	selector := o.labels(component)
	delete(selector, ManagedBy)
	return selector
}

func (o owner) meta(name, component string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: o.GetNamespace(), Labels: o.labels(component),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: api.GroupVersion.String(), Kind: o.kind, Name: o.GetName(), UID: o.GetUID(),
			Controller: ptr.To(true),
		}},
	}
}

type topic struct {
	name       string
	partitions int32
	retention  int64
	largest    int64
}

const day = 24 * 60 * 60 * 1000

var (
	topicsOfStock    = []topic{{"inventory-events", 3, -1, 0}}
	topicsOfWorkflow = []topic{
		{"user-events", 3, -1, 0}, {"order-events", 3, -1, 0}, {"payment-events", 3, -1, 0},
		{"notification-events", 3, 7 * day, 0}, {"audit-logs", 1, 365 * day, 4194304}, {"application-logs", 2, 7 * day, 0},
	}
)

// kafka is where topics lie.
type kafka struct {
	cluster, namespace, prefix string
	replicas                   int32
}

func kafkaOf(stock *api.VirtualStock) (kafka, error) {
	spec := stock.Spec.Kafka
	if spec.ClusterRef == nil {
		return kafka{}, fmt.Errorf("this controller only knows kafka.clusterRef")
	}
	namespace := spec.ClusterRef.Namespace
	if namespace == "" {
		namespace = stock.Namespace
	}
	return kafka{spec.ClusterRef.Name, namespace, spec.TopicPrefix, spec.TopicReplicas}, nil
}

func buildTopics(o owner, at kafka, topics []topic) []*api.KafkaTopic {
	var made []*api.KafkaTopic
	for _, topic := range topics {
		labels := o.labels(topic.name)
		labels["strimzi.io/cluster"] = at.cluster
		labels["kbnt.dev/owner-uid"] = string(o.GetUID())
		config := map[string]any{
			"cleanup.policy": "delete", "retention.ms": topic.retention, "min.insync.replicas": int64(max(at.replicas-1, 1)),
		}
		if topic.retention < 0 {
			config["retention.bytes"] = int64(-1)
		}
		if topic.largest > 0 {
			config["max.message.bytes"] = topic.largest
		}
		made = append(made, &api.KafkaTopic{
			TypeMeta: metav1.TypeMeta{APIVersion: api.KafkaGroupVersion.String(), Kind: "KafkaTopic"},
			ObjectMeta: metav1.ObjectMeta{
				Name: at.prefix + topic.name, Namespace: at.namespace, Labels: labels,
				Annotations: map[string]string{ownerAnnotation: o.text()},
			},
			Spec: api.KafkaTopicSpec{Partitions: topic.partitions, Replicas: at.replicas, Config: config},
		})
	}
	return made
}

// plan decides how a service runs.
type plan struct {
	role  string
	spec  api.ServiceSpec
	env   []corev1.EnvVar
	users string
	// Whether its pods take turns by a lease, and keep snapshots and closed orders.
	writer bool
	// How long closed orders are remembered.
	window string
}

func (p plan) component() string { return p.role + "-service" }

// workload has the objects of a service.
type workload struct {
	account    *corev1.ServiceAccount
	role       *rbacv1.Role
	binding    *rbacv1.RoleBinding
	service    *corev1.Service
	config     *corev1.ConfigMap
	deployment *appsv1.Deployment
	budget     *policyv1.PodDisruptionBudget
}

func (w workload) objects() []client.Object {
	objects := []client.Object{w.account}
	if w.binding != nil {
		objects = append(objects, w.role, w.binding)
	}
	objects = append(objects, w.service)
	if w.config != nil {
		objects = append(objects, w.config)
	}
	objects = append(objects, w.deployment)
	if w.budget != nil {
		objects = append(objects, w.budget)
	}
	return objects
}

func buildWorkload(o owner, at kafka, image string, p plan) workload {
	name, component := o.GetName()+"-"+p.component(), p.component()
	selector := o.selector(component)
	made := workload{
		account: &corev1.ServiceAccount{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta: o.meta(name, component), AutomountServiceAccountToken: ptr.To(false),
		},
		service: &corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: o.meta(name, component),
			Spec: corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{{
				Name: "http", Port: servicePort, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP,
			}}},
		},
		deployment: &appsv1.Deployment{
			TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
			ObjectMeta: o.meta(name, component),
			Spec: appsv1.DeploymentSpec{
				Replicas: ptr.To(p.spec.Replicas),
				Selector: &metav1.LabelSelector{MatchLabels: selector},
				Strategy: appsv1.DeploymentStrategy{
					Type: appsv1.RollingUpdateDeploymentStrategyType,
					RollingUpdate: &appsv1.RollingUpdateDeployment{
						MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(0)),
					},
				},
				RevisionHistoryLimit:    ptr.To(int32(3)),
				ProgressDeadlineSeconds: ptr.To(int32(300)),
				Template:                podTemplate(o, at, image, name, selector, p),
			},
		},
	}
	if p.writer {
		leases := func(verbs, names []string) rbacv1.PolicyRule {
			return rbacv1.PolicyRule{
				APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: verbs, ResourceNames: names,
			}
		}
		made.role = &rbacv1.Role{
			TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"},
			ObjectMeta: o.meta(name, component),
			Rules: []rbacv1.PolicyRule{
				leases([]string{"get", "watch", "patch"}, []string{name}), leases([]string{"create"}, nil),
			},
		}
		made.binding = &rbacv1.RoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
			ObjectMeta: o.meta(name+"-lease", component),
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: o.GetNamespace()}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		}
	}
	if p.users != "" {
		made.config = &corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: o.meta(o.GetName()+"-users", component), Data: map[string]string{usersKey: p.users},
		}
	}
	if p.spec.Replicas > 1 {
		made.budget = &policyv1.PodDisruptionBudget{
			TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
			ObjectMeta: o.meta(name, component),
			Spec: policyv1.PodDisruptionBudgetSpec{
				MaxUnavailable: ptr.To(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: selector},
				UnhealthyPodEvictionPolicy: ptr.To(policyv1.AlwaysAllow),
			},
		}
	}
	return made
}

func podTemplate(o owner, at kafka, image, name string, selector map[string]string, p plan) corev1.PodTemplateSpec {
	made := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: o.labels(p.component())},
		Spec: corev1.PodSpec{
			ServiceAccountName:            name,
			AutomountServiceAccountToken:  ptr.To(p.writer),
			EnableServiceLinks:            ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To(int64(30)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(int64(user)), RunAsGroup: ptr.To(int64(user)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers:                []corev1.Container{container(at, image, p)},
			TopologySpreadConstraints: spread(selector),
		},
	}
	if p.users != "" {
		made.Annotations = map[string]string{"kbnt.dev/users-digest": shortDigest([]byte(p.users))}
		made.Spec.Volumes = []corev1.Volume{{Name: "users", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: o.GetName() + "-users"},
				Items:                []corev1.KeyToPath{{Key: usersKey, Path: usersKey}},
			},
		}}}
	}
	if p.writer {
		made.Spec.Volumes = append(made.Spec.Volumes, onNode("snapshots", "2Gi"), onNode("closed-orders", "8Gi"))
	}
	return made
}

func onNode(name, limit string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: ptr.To(resource.MustParse(limit))},
	}}
}

// inTurn tells a pod to take turns by the lease of the name of its service.
func inTurn(o owner, component string) ([]corev1.EnvVar, error) {
	reference := o.meta("", "").OwnerReferences[0]
	text, err := json.Marshal(struct {
		APIVersion string `json:"apiVersion"`
		Controller bool   `json:"controller"`
		Kind       string `json:"kind"`
		Name       string `json:"name"`
		UID        string `json:"uid"`
	}{reference.APIVersion, false, reference.Kind, reference.Name, string(reference.UID)})
	return []corev1.EnvVar{
		{Name: "KBNT_LEASE", Value: fmt.Sprintf("%s/%s-%s", o.GetNamespace(), o.GetName(), component)},
		{Name: "KBNT_LEASE_OWNER", Value: string(text)},
		{Name: "KBNT_ADVERTISED_ADDRESS", ValueFrom: fromField("status.podIP")},
	}, err
}

func spread(selector map[string]string) []corev1.TopologySpreadConstraint {
	var made []corev1.TopologySpreadConstraint
	for _, key := range []string{"topology.kubernetes.io/zone", "kubernetes.io/hostname"} {
		made = append(made, corev1.TopologySpreadConstraint{
			MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector:  &metav1.LabelSelector{MatchLabels: selector},
			MatchLabelKeys: []string{"pod-template-hash"},
		})
	}
	return made
}

func container(at kafka, image string, p plan) corev1.Container {
	env := []corev1.EnvVar{
		{Name: "KBNT_BOOTSTRAP_SERVERS", Value: fmt.Sprintf("%s-kafka-bootstrap.%s.svc:9092", at.cluster, at.namespace)},
		{Name: "KBNT_TOPIC_PREFIX", Value: at.prefix},
		{Name: "KBNT_HTTP_PORT", Value: strconv.Itoa(servicePort)},
		{Name: "KBNT_INSTANCE", ValueFrom: fromField("metadata.name")},
	}
	made := corev1.Container{
		Name: "service", Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
		Args:           []string{"service", p.role},
		Env:            append(env, p.env...),
		Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: servicePort, Protocol: corev1.ProtocolTCP}},
		Resources:      resources(p.spec.Resources),
		ReadinessProbe: probe("/readyz", 2, 3),
		LivenessProbe:  probe("/healthz", 10, 6),
		Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
			Sleep: &corev1.SleepAction{Seconds: 3},
		}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true), RunAsNonRoot: ptr.To(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	if p.users != "" {
		made.VolumeMounts = []corev1.VolumeMount{{Name: "users", MountPath: "/etc/kbnt/users", ReadOnly: true}}
	}
	if p.writer {
		made.Env = append(made.Env, corev1.EnvVar{Name: "KBNT_SNAPSHOT_DIR", Value: snapshotFolder},
			corev1.EnvVar{Name: "KBNT_STATE_DIR", Value: archiveFolder}, closedOrderWindow(p.window))
		made.VolumeMounts = append(made.VolumeMounts, corev1.VolumeMount{Name: "snapshots", MountPath: snapshotFolder},
			corev1.VolumeMount{Name: "closed-orders", MountPath: archiveFolder})
	}
	return made
}

func closedOrderWindow(window string) corev1.EnvVar {
	return corev1.EnvVar{Name: "KBNT_CLOSED_ORDER_WINDOW", Value: window}
}

func fromField(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")}},
		// The default, as what is compared with the live object cannot leave numbers out.
		SuccessThreshold: 1,
		PeriodSeconds:    period, TimeoutSeconds: 2, FailureThreshold: failures,
	}
}

// resources has defaults for what is absent.
func resources(given corev1.ResourceRequirements) corev1.ResourceRequirements {
	made := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for name, quantity := range given.Requests {
		made.Requests[name] = quantity
	}
	for name, quantity := range given.Limits {
		made.Limits[name] = quantity
	}
	request, requested := made.Requests[corev1.ResourceMemory]
	limit, limited := made.Limits[corev1.ResourceMemory]
	switch {
	case !requested && !limited:
		made.Requests[corev1.ResourceMemory] = resource.MustParse("48Mi")
		made.Limits[corev1.ResourceMemory] = resource.MustParse("256Mi")
	case requested && !limited:
		made.Limits[corev1.ResourceMemory] = request
	case limited && !requested:
		made.Requests[corev1.ResourceMemory] = limit
	}
	if _, ok := made.Requests[corev1.ResourceCPU]; !ok {
		made.Requests[corev1.ResourceCPU] = resource.MustParse("25m")
		if limit, ok := made.Limits[corev1.ResourceCPU]; ok {
			made.Requests[corev1.ResourceCPU] = limit
		}
	}
	return made
}

// usersJSON has the declared users as user-service reads them.
func usersJSON(users []api.User) (string, error) {
	type declared struct {
		Email  string `json:"email"`
		Name   string `json:"name"`
		UserID string `json:"userId"`
	}
	all := make([]declared, 0, len(users))
	for _, user := range users {
		all = append(all, declared{user.Email, user.Name, user.ID})
	}
	text, err := json.Marshal(all)
	return string(text), err
}

func shortDigest(text []byte) string {
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:8])
}
