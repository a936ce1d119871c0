package gcp

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"time"

	"cloud.google.com/go/auth"

	"purser"
	"purser/providers"
)

// provider is the cloud's name as offers have it.
const provider = "gcp"

// Image names a boot image by its family or by itself.
type Image struct {
	Project string // e.g. debian-cloud
	Family  string // its newest image is taken
	Name    string // one image; goes before Family
}

// Config says for whom machines are made, and how.
type Config struct {
	// Project is the id of the project that machines are made in. Required.
	Project string
	// Installation is the tag of this installation: a-z, 0-9, '-' and '_', at most 63.
	// Required.
	Installation string

	// Credentials are who asks. Defaults to application-default credentials, looked for by
	// New. A credential of one's own making needs the scope
	// https://www.googleapis.com/auth/cloud-platform.
	Credentials *auth.Credentials
	// HTTPClient carries the requests. With it, no credentials are looked for: those of
	// Credentials are added, or none. Defaults to one of its own.
	HTTPClient *http.Client
	// Endpoint is the base address of all APIs. Defaults to Google's own of each.
	Endpoint string

	// Network is the VPC network of machines. Defaults to default. With Subnetwork, the
	// subnetwork of that name in the machine's region is used instead.
	Network    string
	Subnetwork string
	// ExternalIP gives machines an address of their own. Without it, the default, the
	// network needs a way to the server and to images, such as Cloud NAT.
	ExternalIP bool
	// Tags are network tags for firewall rules.
	Tags []string
	// ServiceAccount is whom machines act as, by e-mail. Defaults to none on virtual
	// machines; the TPU API then takes the project's default one.
	ServiceAccount string
	// KMSKey encrypts boot disks, by its full name. Defaults to a key of Google's own.
	KMSKey string
	// DiskGiB is the size of boot disks. Defaults to 100.
	DiskGiB int64
	// GPUImage and CPUImage are booted with and without GPUs. Default to the Deep Learning
	// VM image (drivers and a container runtime) and to Debian 12 (neither).
	GPUImage, CPUImage Image

	// MaxRun is after how long the cloud deletes any machine, up to 120 days. Defaults to
	// never. FlexRun is the same for flex start, which needs one, at most 7 days and the
	// default.
	MaxRun, FlexRun time.Duration
	// FlexWait is how long a flex start waits for capacity, at most and by default 2 h.
	FlexWait time.Duration

	// Zones are those that offers of a whole region try, by region. Defaults to all that
	// the API lists.
	Zones map[string][]string

	// WithoutTPU leaves the TPU API alone, for projects that do not use it.
	WithoutTPU bool
	// TPUWait is how long a request for a TPU waits for capacity. Defaults to 30 min.
	TPUWait time.Duration
	// TPURuntimes overrides runtime versions, by the generation in types: v5litepod.
	TPURuntimes map[string]string
	// TPUZones are the zones that are looked at for TPUs. Defaults to all that the TPU API
	// lists for the project, at the price of one call more.
	TPUZones []string

	// PollFor is how long a launch watches its operation for a refusal, in all of its zones
	// together. Defaults to 1.5 s, so that a full place is answered within 2 s.
	PollFor time.Duration
	// WatchEvery is the pause between looks for interruptions. Defaults to 15 s.
	WatchEvery time.Duration

	Now  func() time.Time                           // Defaults to time.Now.
	Wait func(context.Context, time.Duration) error // Defaults to a timer that ctx cuts short.
}

var projectForm = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z0-9-]+$`)

// Provider starts and ends machines of one project.
type Provider struct {
	config Config
	base   http.RoundTripper // with credentials
}

var (
	_ providers.Provider    = (*Provider)(nil)
	_ providers.Interrupter = (*Provider)(nil)
	_ providers.Quoter      = (*Provider)(nil)
	_ providers.Sweeper     = (*Provider)(nil)
)

// New makes a provider. Nothing is asked of the cloud; credentials are looked for where
// none are given, and none found is unauthorized.
func New(c Config) (*Provider, error) {
	const op = "gcp.New"
	switch {
	case !projectForm.MatchString(c.Project):
		return nil, &purser.Error{Kind: purser.KindInvalid, Op: op, Message: "this cannot be the id of a Google Cloud project", Hint: "give its id, such as my-project-123456, not its name"}
	case !labelForm.MatchString(c.Installation):
		return nil, purser.Errorf(purser.KindInvalid, op, "the installation's tag must be 1 to 63 of a-z, 0-9, '-' and '_', as labels are")
	case c.FlexRun > 7*24*time.Hour || c.FlexWait > 2*time.Hour:
		return nil, purser.Errorf(purser.KindInvalid, op, "flex start runs for at most 7 days and waits for at most 2 hours")
	}
	c.Network = orElse(c.Network == "", "default", c.Network)
	c.DiskGiB = orElse(c.DiskGiB <= 0, 100, c.DiskGiB)
	c.GPUImage = orElse(c.GPUImage == Image{}, Image{Project: "deeplearning-platform-release", Family: "common-cu129-ubuntu-2204-nvidia-580"}, c.GPUImage)
	c.CPUImage = orElse(c.CPUImage == Image{}, Image{Project: "debian-cloud", Family: "debian-12"}, c.CPUImage)
	c.FlexRun = orElse(c.FlexRun <= 0, 7*24*time.Hour, c.FlexRun)
	c.FlexWait = orElse(c.FlexWait <= 0, 2*time.Hour, c.FlexWait)
	c.TPUWait = orElse(c.TPUWait <= 0, 30*time.Minute, c.TPUWait)
	c.PollFor = orElse(c.PollFor <= 0, 1500*time.Millisecond, c.PollFor)
	c.WatchEvery = orElse(c.WatchEvery <= 0, 15*time.Second, c.WatchEvery)
	c.Now = orElse(c.Now == nil, time.Now, c.Now)
	c.Wait = orElse(c.Wait == nil, wait, c.Wait)
	c.Tags, c.TPUZones = slices.Clone(c.Tags), slices.Clone(c.TPUZones)
	base, err := transport(c)
	if err != nil {
		return nil, err
	}
	return &Provider{config: c, base: base}, nil
}

// Name is gcp.
func (p *Provider) Name() string { return provider }

func orElse[T any](unset bool, fallback, v T) T {
	if unset {
		return fallback
	}
	return v
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
