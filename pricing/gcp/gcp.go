// Package gcp collects the prices of Google Cloud: virtual machines and TPU slices
// (New), and the past spot prices and preemptions of accelerator machines
// (NewSpotHistory).
//
// # What it reads
//
// New reads the price catalogue (cloudbilling v1, services of Compute Engine and of
// the older TPUs). With a project it asks Compute Engine which zone sells which
// machine type and attachable GPU, and the TPU API which slices; offers are then of a
// zone. Without one, as with an API key alone, a table in the package gives the shapes
// of accelerator machines, and offers are of a whole region; CPU-only machines need
// a project.
//
// # Permissions
//
//	New            none with an API key or any credentials, and the API cloudbilling.googleapis.com
//	  with a project  compute.machineTypes.list, compute.acceleratorTypes.list (roles/compute.viewer),
//	                  tpu.locations.list, tpu.acceleratorTypes.list (roles/tpu.viewer) unless WithoutTPU
//	NewSpotHistory compute.machineTypes.list, compute.advice.capacityHistory and, with Availability,
//	               compute.advice.capacity (roles/compute.viewer)
//
// # Prices
//
// The catalogue prices parts, not machines. An offer is the sum
//
//	vCPU · core + GiB · RAM + GPU · GPU part + bundled SSD GiB · SSD per month / 730
//
// of parts of one region (by a SKU's serviceRegions, not by its description) and one
// way to buy, summed exactly and rounded once to a nano-USD. A4 machines are eight
// B200 slices, which hold everything. A TPU slice is chips × the chip's price, or cores
// / 8 × the price of a device of eight cores for v2, v3 and v4; more than eight cores
// of v2 and v3, and every v4, take the price of a pod. A part without a price in a
// region makes no offer there. Where two SKUs name one part, the dearer one counts, so
// that no plan promises less than may be billed.
//
// How a part is bought is read from the description, since discounted SKUs are marked
// as OnDemand: spot is Spot, DWS flex start ("Defined Duration") is FlexStart, DWS
// calendar mode is CapacityBlock. The whole description must be of a known form; what
// has any other word (Custom, Sole Tenancy, Premium, Commitment, Reserved without
// calendar mode, Capacity Optimized) is left out. A4, A3 Ultra and A3 High with fewer
// than eight GPUs are not sold on demand, though a price is listed.
//
// Left out: machine families whose parts cannot be told for certain (E2, N1, N2, N2D,
// C2, C2D, C3, C3D, A2, A3, A4, G2 and G4 are known), machines with shared cores, custom
// shapes and bare metal, and TPU generations after v6e.
//
// # Spot history
//
// For each zone and accelerator machine type that it sells, advice.capacityHistory
// gives past spot prices (up to a year) and, for each day, a share p of spot machines
// that were preempted among those that stopped running. It becomes a hazard
//
//	−ln(1 − p) / T   preemptions per hour of running
//
// with T the length of the interval that p was counted over, a day. How long the
// machines had run is not told: those that ran for several days were safer than this
// says, those that users stopped within hours less safe. A day is the only time that
// the figure itself names. The last interval that is over is taken, since the running
// day's share still changes; p is held below 0.99, as a day on which all were
// preempted gives no finite hazard. N1 machines with GPUs and TPUs have no history.
//
// It makes one call for each zone and machine type, two with Availability, four at a
// time and at most MaxCalls in all; regions, in order of their names, that no longer fit
// are left out and named in the error. Machine types that the API knows nothing of are
// passed over; a region of which that is all has no batch, and where no region has one
// the API's refusal is the error.
//
// # Failures
//
// As of pricing.Collector. Catalogue and machine types come in one list of all regions,
// so their failure ends the collection before the first batch. A region whose TPU zones
// or history cannot be read is left out and named at the end. A project whose TPU API is
// not enabled is told so as forbidden; WithoutTPU collects the rest. A zone that alone
// is closed to the project has no TPU offers. An empty list of a zone's TPU types is
// asked for once more, since it is at times empty by mistake.
package gcp

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"time"

	"cloud.google.com/go/auth"

	"purser"
	"purser/pricing"
)

const (
	provider     = "gcp"
	source       = "gcp"
	sourceOfSpot = "gcp-spot"
)

// Options says whom to ask, as whom, and about what.
type Options struct {
	// APIKey opens the price catalogue alone. With a project, credentials are needed
	// beside it.
	APIKey string
	// Credentials are who asks. Default: application-default credentials, looked for at
	// each collection. A credential of one's own making needs the scope
	// https://www.googleapis.com/auth/cloud-platform.
	Credentials *auth.Credentials
	// Project is whose view of zones and machine types is taken; "" for none.
	// NewSpotHistory needs one.
	Project string
	// Regions are those to collect. Default: all.
	Regions []string
	// WithoutTPU leaves TPU slices out, for projects that do not use the TPU API.
	WithoutTPU bool

	// Since says from when on past prices of a region are wanted. Default: the last 90
	// days. Only of NewSpotHistory, as the next two.
	Since func(ctx context.Context, source, region string) (time.Time, error)
	// MaxCalls bounds the calls of one collection. Default: 4000.
	MaxCalls int
	// Availability also asks, at a second call for each machine type and zone, how
	// likely one spot machine can be had now.
	Availability bool

	Now func() time.Time // Default: time.Now.

	// Endpoint is the base address of all APIs. Default: Google's own of each.
	Endpoint string
	// HTTPClient carries the requests. With it, no credentials are looked for: those of
	// APIKey and Credentials are added, or none. Default: one of its own.
	HTTPClient *http.Client
	Tries      int           // of one request. Default: 4.
	Pause      time.Duration // before the second try, doubled at each further one. Default: 1 s.
	Silence    time.Duration // longest time without a sign of an answer. Default: 30 s.
}

var (
	projectForm = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z0-9-]+$`)
	regionForm  = regexp.MustCompile(`^[a-z0-9-]+$`)
)

// complete checks the options and fills the defaults.
func (o Options) complete(op string) (Options, error) {
	if o.Project != "" && !projectForm.MatchString(o.Project) {
		return o, &purser.Error{Kind: purser.KindInvalid, Op: op, Message: "this cannot be the id of a Google Cloud project", Hint: "give its id, such as my-project-123456, not its name"}
	}
	for _, r := range o.Regions {
		if !regionForm.MatchString(r) {
			return o, &purser.Error{Kind: purser.KindInvalid, Op: op, Message: "a region's name has a-z, 0-9 and '-' alone", Hint: "such as us-central1"}
		}
	}
	o.Regions = slices.Compact(slices.Sorted(slices.Values(o.Regions)))
	o.Now = orElse(o.Now == nil, time.Now, o.Now)
	o.MaxCalls = orElse(o.MaxCalls <= 0, 4000, o.MaxCalls)
	o.Tries = orElse(o.Tries <= 0, 4, o.Tries)
	o.Pause = orElse(o.Pause <= 0, time.Second, o.Pause)
	o.Silence = orElse(o.Silence <= 0, 30*time.Second, o.Silence)
	return o, nil
}

func orElse[T any](unset bool, fallback, v T) T {
	if unset {
		return fallback
	}
	return v
}

// wanted says whether the options ask for a region.
func (o Options) wanted(region string) bool {
	return len(o.Regions) == 0 || slices.Contains(o.Regions, region)
}

// collector collects present prices.
type collector struct{ opt Options }

var _ pricing.Collector = (*collector)(nil)

// New makes the collector of present prices, by the name of gcp. It checks the options;
// nothing is asked before it collects.
func New(opt Options) (pricing.Collector, error) {
	opt, err := opt.complete("gcp.New")
	if err != nil {
		return nil, err
	}
	return &collector{opt}, nil
}

// Source is gcp.
func (c *collector) Source() string { return source }

// Collect emits one batch for each region.
func (c *collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	const op = "gcp.Collect"
	now := c.opt.Now().UTC()
	if ctx.Err() != nil {
		return ended(ctx, op)
	}
	prices, err := readCatalogue(ctx, c.opt)
	if err != nil {
		return err
	}
	supply := listedSupply(prices.regions(), !c.opt.WithoutTPU)
	if c.opt.Project != "" {
		if supply, err = readSupply(ctx, c.opt); err != nil {
			return err
		}
	}
	var failed failures
	for _, region := range union(c.opt, prices.regions(), supply.regions()) {
		if err := supply.failed[region]; err != nil {
			failed.add(region, err)
			continue
		}
		if ctx.Err() != nil {
			return ended(ctx, op)
		}
		b := pricing.Batch{Source: source, Region: region, ObservedAt: now, Rows: regionRows(prices, region, supply.of(region), now)}
		if err := emit(b); err != nil {
			return err
		}
	}
	return failed.err(op)
}

// union gives the regions that are wanted of those known, sorted.
func union(opt Options, known ...[]string) []string {
	if len(opt.Regions) > 0 {
		return opt.Regions
	}
	all := slices.Concat(known...)
	slices.Sort(all)
	return slices.Compact(all)
}
