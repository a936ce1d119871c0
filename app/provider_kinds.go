package app

import (
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"purser"
	"purser/jobfile"
	"purser/providers"
	"purser/providers/aws"
	"purser/providers/azure"
	"purser/providers/fake"
	"purser/providers/gcp"
	"purser/providers/kubernetes"
	"purser/providers/ssh"
)

// providerKind is a provider that this program has.
type providerKind struct {
	name string
	// build makes the adapter. It asks nobody.
	build      func(ctx context.Context, a *App, c ProviderConfig) (providers.Provider, error)
	joinWithin time.Duration       // from a machine's start to its agent's join
	listEvery  time.Duration       // its machines are listed at most; 0: every turn of the reconcile sweep
	startUp    time.Duration       // paid for before it works, for plans
	limit      providers.RateLimit // of calls of ours
}

func (k providerKind) options(c ProviderConfig, m *providers.Metrics, now func() time.Time) providers.Options {
	limit := k.limit
	if c.PerSecond > 0 {
		limit = providers.RateLimit{PerSecond: c.PerSecond, Burst: max(1, int(c.PerSecond))}
	}
	return providers.Options{Metrics: m, Now: now, Limit: limit, DryRun: c.DryRun}
}

// kindsOfProvider are all of them, in the order in which people read them. How long
// machines take to boot is what users of such clouds report; private images are faster.
func kindsOfProvider() []providerKind {
	return []providerKind{
		{name: "aws", build: newAWSProvider, joinWithin: 10 * time.Minute, startUp: 3 * time.Minute, listEvery: 20 * time.Second, limit: providers.RateLimit{PerSecond: 5, Burst: 20}},
		{name: "gcp", build: newGCPProvider, joinWithin: 10 * time.Minute, startUp: 3 * time.Minute, listEvery: 20 * time.Second, limit: providers.RateLimit{PerSecond: 5, Burst: 20}},
		{name: "azure", build: newAzureProvider, joinWithin: 12 * time.Minute, startUp: 4 * time.Minute, listEvery: 20 * time.Second, limit: providers.RateLimit{PerSecond: 5, Burst: 20}},
		{name: "kubernetes", build: newKubernetesProvider, joinWithin: 5 * time.Minute, startUp: 0, limit: providers.RateLimit{PerSecond: 20, Burst: 50}},
		{name: "ssh", build: newSSHProvider, joinWithin: 2 * time.Minute, startUp: 0, listEvery: 10 * time.Second, limit: providers.RateLimit{PerSecond: 50, Burst: 100}},
		{name: "fake", build: buildFake, joinWithin: time.Minute, startUp: 0, limit: providers.RateLimit{PerSecond: 200, Burst: 200}},
	}
}

// newAWSProvider looks for credentials as AWS' own tools do, and for AWS_ENDPOINT_URL.
func newAWSProvider(ctx context.Context, a *App, c ProviderConfig) (providers.Provider, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, &purser.Error{
			Kind: purser.KindUnauthorized, Op: "app.provider", Message: "the configuration of AWS cannot be read", Hint: "look at AWS_PROFILE and ~/.aws/config", Cause: err,
		}
	}
	if c.URL != "" {
		cfg.BaseEndpoint = &c.URL
	}
	places := map[string]aws.Place{}
	for _, region := range c.Regions {
		place := aws.Place{Subnets: map[string]string{}}
		for zone, subnet := range c.Subnets {
			if strings.HasPrefix(zone, zoneIDPrefix(region)+"-") {
				place.Subnets[zone] = subnet
			}
		}
		if group := c.SecurityGroups[region]; group != "" {
			place.SecurityGroups = strings.Split(group, ",")
		}
		places[region] = place
	}
	var queues []aws.Queue
	for _, region := range slices.Sorted(maps.Keys(c.Queues)) {
		queues = append(queues, aws.Queue{URL: c.Queues[region], Region: region, Own: c.OwnQueues})
	}
	return aws.New(aws.Config{
		AWS: cfg, Installation: a.installation, Regions: c.Regions, Places: places, InstanceProfile: c.InstanceProfile, DiskGiB: int32(c.DiskGiB), //nolint:gosec // checked
		KMSKey: c.KMSKey, PublicIP: c.PublicIP, Queues: queues, Now: a.now,
	})
}

// zoneIDPrefix is how the zone ids of a region begin: use1 for us-east-1, apse2 for
// ap-southeast-2.
func zoneIDPrefix(region string) string {
	short := strings.NewReplacer("north", "n", "south", "s", "east", "e", "west", "w", "central", "c", "gov", "g")
	return strings.ReplaceAll(short.Replace(region), "-", "")
}

// newGCPProvider looks for application-default credentials.
func newGCPProvider(_ context.Context, a *App, c ProviderConfig) (providers.Provider, error) {
	conf := gcp.Config{
		Project: cmp.Or(c.Project, os.Getenv("GOOGLE_CLOUD_PROJECT")), Installation: a.installation, Network: c.Network, Subnetwork: c.Subnetwork,
		ServiceAccount: c.ServiceAccount, Tags: c.Tags, ExternalIP: c.PublicIP, KMSKey: c.KMSKey, DiskGiB: int64(c.DiskGiB), Now: a.now,
	}
	if c.URL != "" { // an emulator asks for no credentials
		conf.Endpoint, conf.HTTPClient = c.URL, &http.Client{}
	}
	return gcp.New(conf)
}

// newAzureProvider looks for credentials as Azure's own tools do.
func newAzureProvider(_ context.Context, a *App, c ProviderConfig) (providers.Provider, error) {
	places := map[string]azure.Place{}
	for _, region := range c.Regions {
		places[region] = azure.Place{Subnet: c.Subnets[region], SecurityGroup: c.SecurityGroups[region]}
	}
	return azure.New(azure.Config{
		Subscription: cmp.Or(c.Project, os.Getenv("AZURE_SUBSCRIPTION_ID")), ResourceGroup: c.ResourceGroup, Installation: a.installation, Places: places,
		OSDiskGiB: int32(c.DiskGiB), Now: a.now, //nolint:gosec // checked
	})
}

// newKubernetesProvider looks for the cluster as kubectl and pods do.
func newKubernetesProvider(_ context.Context, a *App, c ProviderConfig) (providers.Provider, error) {
	prices := map[string]purser.USDPerHour{}
	for accelerator, usd := range c.Prices {
		prices[accelerator] = purser.USDPerHourOf(usd)
	}
	return kubernetes.New(kubernetes.Config{
		Kubeconfig: cmp.Or(c.Kubeconfig, kubeconfig()), Context: c.Context, Installation: a.installation, Namespace: c.Namespace, Prices: prices,
		Image: c.Image, Checkpoints: kubernetes.Checkpoints{PVC: c.Checkpoints}, Queue: c.Queue, Now: a.now,
	})
}

// newSSHProvider reads the inventory. Keys are those of its key file and of the agent of
// SSH_AUTH_SOCK.
func newSSHProvider(_ context.Context, a *App, c ProviderConfig) (providers.Provider, error) {
	text, err := os.ReadFile(c.Inventory)
	if err != nil {
		return nil, purser.Errorf(purser.KindInvalid, "app.provider", "the inventory %s cannot be read: %w", c.Inventory, err)
	}
	inventory, err := jobfile.ParseInventory(c.Inventory, text)
	if err != nil {
		return nil, err
	}
	conf := ssh.Config{Installation: a.installation, KeyFile: inventory.KeyFile, AgentSocket: os.Getenv("SSH_AUTH_SOCK"), Program: a.programForHost, Now: a.now}
	if conf.KeyFile != "" && !filepath.IsAbs(conf.KeyFile) {
		conf.KeyFile = filepath.Join(filepath.Dir(c.Inventory), conf.KeyFile)
	}
	for _, h := range inventory.Hosts {
		o := h.Offer
		conf.Hosts = append(conf.Hosts, ssh.Host{
			Name: o.InstanceType, Address: h.Address, Port: h.Port, User: h.User, HostKeys: h.HostKeys, Root: h.Root, Shape: o.Shape, Places: h.Places,
			Region: o.Region, Zone: o.Zone, Country: o.Country, UnitPrice: o.UnitPrice, Source: o.Source, Drained: h.Drained,
		})
	}
	pool, err := ssh.New(conf)
	if err != nil {
		return nil, err
	}
	a.undo = append(a.undo, func(context.Context) error { return pool.Close() })
	return pool, nil
}

// programForHost is the agent's program as hosts get it.
func (a *App) programForHost(arch string) (ssh.Program, error) {
	p, ok := a.programs[arch]
	if !ok {
		return ssh.Program{}, noProgram(arch)
	}
	return ssh.Program{SHA256: p.sha256, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(p.file, 0, p.size)), nil
	}}, nil
}

// kubeconfig is the file that kubectl would read, or none within a cluster.
func kubeconfig() string {
	if path := os.Getenv("KUBECONFIG"); path != "" {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil || os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return ""
	}
	path := filepath.Join(home, ".kube", "config")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

func buildFake(_ context.Context, a *App, c ProviderConfig) (providers.Provider, error) {
	return fake.Dial(fake.DialConfig{URL: c.URL, Installation: a.installation})
}
