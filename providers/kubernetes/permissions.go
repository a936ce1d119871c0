package kubernetes

import (
	"fmt"
	"slices"
	"strings"
)

// Permission is what Purser's account has to be allowed: verbs on a resource.
type Permission struct {
	Group    string // of the API; empty: core
	Resource string
	Verbs    []string
	Cluster  bool   // in the whole cluster and not just in Purser's namespace
	For      string // what it is needed for
}

// Permissions are all API calls that this package makes.
func Permissions() []Permission {
	return []Permission{
		{"", "nodes", []string{"get", "list", "watch"}, true, "what the cluster has, and what becomes of it"},
		{"", "pods", []string{"list", "watch"}, true, "what of it is taken"},
		{"resource.k8s.io", "resourceslices", []string{"list"}, true, "devices of drivers (DRA)"},
		{"resource.k8s.io", "resourceclaims", []string{"list"}, true, "which of these devices are taken"},
		{"", "configmaps", []string{"create", "delete", "get", "list", "update", "watch"}, false, "claims of leases, and tasks' files"},
		{"batch", "jobs", []string{"create", "delete", "get", "list", "patch", "watch"}, false, "training tasks"},
		{"apps", "deployments", []string{"create", "delete", "get", "list", "patch", "watch"}, false, "services"},
		{"", "pods/log", []string{"get"}, false, "what tasks write"},
		{"resource.k8s.io", "resourceclaimtemplates", []string{"create", "delete"}, false, "tasks on devices of drivers (DRA)"},
		{jobsets.Group, jobsets.Resource, []string{"create", "delete", "get", "list", "patch", "watch"}, false, "gangs, where the cluster has JobSet"},
		{"kueue.x-k8s.io", "localqueues", []string{"get"}, false, "the queue of Kueue, if one is configured"},
	}
}

// Roles are the least-privilege roles for a namespace as a manifest: a ClusterRole for
// what is read of the whole cluster, a Role for what is done in the namespace, and their
// bindings to the service account purser there.
func Roles(namespace string) string {
	var b strings.Builder
	b.WriteString("# Written from providers/kubernetes/permissions.go by\n#   go test ./providers/kubernetes -run Permissions -update\n# All that Purser's account may do in a cluster. kubectl apply -f takes it as it is;\n# change the namespace if Purser is configured with another.\n")
	account := "subjects:\n  - kind: ServiceAccount\n    name: purser\n    namespace: " + namespace + "\n"
	fmt.Fprintf(&b, "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: purser\n  namespace: %s\n", namespace)
	for _, cluster := range []bool{true, false} {
		prefix, meta := "", "metadata:\n  name: purser\n  namespace: "+namespace+"\n"
		if cluster {
			prefix, meta = "Cluster", "metadata:\n  name: purser\n"
		}
		fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %sRole\n%srules:\n", prefix, meta)
		for _, p := range Permissions() {
			if p.Cluster == cluster {
				fmt.Fprintf(&b, "  # %s\n  - apiGroups: [%q]\n    resources: [%q]\n    verbs: [%s]\n", p.For, p.Group, p.Resource, quoted(p.Verbs))
			}
		}
		fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %sRoleBinding\n%sroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: %sRole\n  name: purser\n%s", prefix, meta, prefix, account)
	}
	return b.String()
}

func quoted(words []string) string {
	out := slices.Clone(words)
	for i, w := range out {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}
