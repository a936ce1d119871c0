package kubernetes

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	appsv1client "k8s.io/client-go/kubernetes/typed/apps/v1"
	batchv1client "k8s.io/client-go/kubernetes/typed/batch/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	resourcev1client "k8s.io/client-go/kubernetes/typed/resource/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"

	"purser"
	"purser/providers"
)

// Name is the provider's default name, as offers and leases have it.
const Name = "kubernetes"

// Config is what a Provider works with.
type Config struct {
	Kubeconfig string       // path of a kubeconfig file. Empty: the cluster that this process runs in.
	Context    string       // of Kubeconfig. Empty: its current one.
	REST       *rest.Config // overrules both. QPS defaults to 50 (below 0: no limit), Burst to 100.

	Name         string // of the provider, unique among clusters. Defaults to kubernetes.
	Installation string // tag of our objects: letters, digits, '-', '_', '.', at most 63
	Namespace    string // where our objects live; it must exist. Defaults to purser.

	// Prices are USD per device and hour by accelerator, under its canonical name or an
	// alias, and under cpu per vCPU and hour of places without devices, which are left
	// out otherwise. 0 is a price; what is missing is not.
	Prices       map[string]purser.USDPerHour
	DefaultPrice *purser.USDPerHour // of accelerators that Prices lacks. Nil: they are left out.

	Region  string // of places without a topology label. Defaults to local.
	Country string // ISO 3166 alpha-2 of the whole cluster; empty: not known
	NoSpot  bool   // leaves spot places out

	Tolerations []corev1.Toleration // beside the devices' own taints: of places that may be used, and on pods

	Image           string        // of groups that name none. Defaults to busybox:stable.
	ImagePullSecret string        // name of a Secret in Namespace; empty: none
	Checkpoints     Checkpoints   // where checkpoints outlive pods
	Queue           string        // a LocalQueue of Kueue in Namespace; empty: none
	DeviceClass     string        // of devices from ResourceSlices. Defaults to the driver's name.
	Patience        time.Duration // for a task's image and for room, until it is given up. Defaults to 5 min.
	Remember        time.Duration // how long ended leases are remembered. Defaults to 24 h.

	Now func() time.Time // Defaults to time.Now.
}

// Checkpoints says which volume holds checkpoints, at most one of the two. With neither
// they end with their pod, and a lost task starts over.
type Checkpoints struct {
	PVC      string // name of a PersistentVolumeClaim in the namespace, readable from every place
	HostPath string // folder on each place; worth something where that is a shared file system
}

// lasting says whether checkpoints outlive pods.
func (c Checkpoints) lasting() bool { return c.PVC != "" || c.HostPath != "" }

// Provider looks after one cluster. It is safe for concurrent use.
type Provider struct {
	Config
	core     corev1client.CoreV1Interface
	batch    batchv1client.BatchV1Interface
	apps     appsv1client.AppsV1Interface
	resource resourcev1client.ResourceV1Interface
	dynamic  dynamic.Interface
	since    time.Time
	watched  atomic.Pointer[caches] // nil unless Interruptions runs
	wrote    writes
	known    known
}

var (
	_ providers.Provider    = (*Provider)(nil)
	_ providers.Offerer     = (*Provider)(nil)
	_ providers.Interrupter = (*Provider)(nil)
	_ providers.Sweeper     = (*Provider)(nil)
	_ providers.Runner      = (*Provider)(nil)
	_ providers.GangRunner  = (*Provider)(nil)
)

var labelForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// New makes a Provider. It asks nothing of the cluster.
func New(c Config) (*Provider, error) {
	const op = "kubernetes.New"
	switch {
	case !labelForm.MatchString(c.Installation):
		return nil, purser.Errorf(purser.KindInvalid, op, "the installation's id %q cannot be the value of a label", c.Installation)
	case c.Checkpoints.PVC != "" && c.Checkpoints.HostPath != "":
		return nil, purser.Errorf(purser.KindInvalid, op, "checkpoints go to a volume claim or to a folder, not to both")
	case c.Checkpoints.HostPath != "" && !strings.HasPrefix(c.Checkpoints.HostPath, "/"):
		return nil, purser.Errorf(purser.KindInvalid, op, "the folder of checkpoints %q is not absolute", c.Checkpoints.HostPath)
	}
	var err error
	if c.Prices, err = canonicalPrices(c.Prices, c.DefaultPrice); err != nil {
		return nil, err
	}
	if c.REST == nil {
		if c.REST, err = loadREST(c.Kubeconfig, c.Context); err != nil {
			return nil, err
		}
	}
	c = c.withDefaults()
	p := &Provider{Config: c, since: c.Now().UTC()}
	if err := p.connect(); err != nil {
		return nil, purser.Wrap(purser.KindInvalid, op, err)
	}
	return p, nil
}

func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, Name)
	c.Namespace = cmp.Or(c.Namespace, "purser")
	c.Region = cmp.Or(c.Region, "local")
	c.Image = cmp.Or(c.Image, "busybox:stable")
	c.Remember = cmp.Or(c.Remember, 24*time.Hour)
	c.Patience = cmp.Or(c.Patience, 5*time.Minute)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// connect makes the clients, which share one transport. Only the API groups that are used
// get one: the SDK's whole set has sixty.
func (p *Provider) connect() error {
	config := rest.CopyConfig(p.REST)
	config.QPS, config.Burst = cmp.Or(config.QPS, 50), cmp.Or(config.Burst, 100)
	config.UserAgent = cmp.Or(config.UserAgent, "purser")
	config.Wrap(once)
	h, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	// One limiter for all of them, or each would have the whole rate.
	if config.QPS > 0 && config.RateLimiter == nil {
		config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(config.QPS, config.Burst)
	}
	var core, batch, apps, resource, dyn error
	p.core, core = corev1client.NewForConfigAndClient(config, h)
	p.batch, batch = batchv1client.NewForConfigAndClient(config, h)
	p.apps, apps = appsv1client.NewForConfigAndClient(config, h)
	p.resource, resource = resourcev1client.NewForConfigAndClient(config, h)
	p.dynamic, dyn = dynamic.NewForConfigAndClient(config, h)
	return errors.Join(core, batch, apps, resource, dyn)
}

// priceCPU is the key of the price per vCPU.
const priceCPU = "cpu"

func canonicalPrices(prices map[string]purser.USDPerHour, byDefault *purser.USDPerHour) (map[string]purser.USDPerHour, error) {
	const op = "kubernetes.New"
	if len(prices) == 0 && byDefault == nil {
		return nil, &purser.Error{
			Kind: purser.KindInvalid, Op: op, Message: "the cluster has no price",
			Hint: "give USD per device and hour by accelerator, or a default; 0 is a price too",
		}
	}
	if byDefault != nil && *byDefault < 0 {
		return nil, purser.Errorf(purser.KindInvalid, op, "the default price must not be negative")
	}
	out := map[string]purser.USDPerHour{}
	for _, name := range slices.Sorted(maps.Keys(prices)) {
		if prices[name] < 0 {
			return nil, purser.Errorf(purser.KindInvalid, op, "the price of %s must not be negative", name)
		}
		key := name
		if name != priceCPU {
			a, ok := purser.AcceleratorNamed(name)
			if !ok {
				return nil, &purser.Error{Kind: purser.KindInvalid, Op: op, Message: "a price is given for " + name + ", which is no accelerator that Purser knows", Hint: purser.SuggestAccelerator(name)}
			}
			key = a.Name
		}
		if _, twice := out[key]; twice {
			return nil, purser.Errorf(purser.KindInvalid, op, "%s has two prices", key)
		}
		out[key] = prices[name]
	}
	return out, nil
}

// loadREST finds out how a cluster is reached. A file that was named wins over the pod
// that this process may run in: the cluster at hand may be another one than was meant.
func loadREST(kubeconfig, context string) (*rest.Config, error) {
	const op = "kubernetes.New"
	if kubeconfig == "" {
		c, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, &purser.Error{
				Kind: purser.KindInvalid, Op: op, Message: "it is not said how the cluster is reached", Cause: err,
				Hint: "name a kubeconfig file, or run Purser inside of the cluster",
			}
		}
		return c, purser.Wrap(purser.KindInvalid, op, err)
	}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}, &clientcmd.ConfigOverrides{CurrentContext: context}).ClientConfig()
	return c, purser.Wrap(purser.KindInvalid, op, err)
}

// Name is the cluster's name among providers.
func (p *Provider) Name() string { return p.Config.Name }
