package aws

import (
	"cmp"
	"context"
	"slices"
	"sync"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"purser"
	"purser/providers"
)

// Operations, as errors have them.
const (
	opLaunch    = "aws.Launch"
	opDescribe  = "aws.Describe"
	opList      = "aws.List"
	opTerminate = "aws.Terminate"
	opSweep     = "aws.Sweep"
	opQuotas    = "aws.Quotas"
	opInterrupt = "aws.Interruptions"
)

// Provider launches machines of EC2. What it remembers (clients, image ids, whose a
// machine is) can be forgotten at any time.
type Provider struct {
	c Config

	mu      sync.Mutex
	clients map[string]*ec2.Client // by region
	images  map[string]knownImage  // by region and parameter
	owners  map[string]owner       // by instance id
}

var (
	_ providers.Provider    = (*Provider)(nil)
	_ providers.Interrupter = (*Provider)(nil)
	_ providers.Quoter      = (*Provider)(nil)
	_ providers.Sweeper     = (*Provider)(nil)
)

// New checks the configuration; it asks AWS nothing.
func New(c Config) (*Provider, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	return &Provider{c: c, clients: map[string]*ec2.Client{}, images: map[string]knownImage{}, owners: map[string]owner{}}, nil
}

// Name is aws.
func (*Provider) Name() string { return Name }

// The clients of machines never repeat a request: the decorators of package providers do where it
// can help, and the SDK would ask three times for a machine that AWS is out of, since
// it says so with status 500.

func (p *Provider) ec2(region string) *ec2.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A client is kept, since it learns how wrong this machine's clock is.
	if p.clients[region] == nil {
		p.clients[region] = ec2.NewFromConfig(p.c.AWS, func(o *ec2.Options) { o.Region, o.Retryer = region, awssdk.NopRetryer{} })
	}
	return p.clients[region]
}

func (p *Provider) ssm(region string) *ssm.Client {
	return ssm.NewFromConfig(p.c.AWS, func(o *ssm.Options) { o.Region, o.Retryer = region, awssdk.NopRetryer{} })
}

func (p *Provider) sqs(region string) *sqs.Client {
	return sqs.NewFromConfig(p.c.AWS, func(o *sqs.Options) { o.Region, o.Retryer = region, awssdk.NopRetryer{} })
}

// serviceQuotas is the one client that repeats: its calls only read, and AWS allows so few
// of them at once that the first of many regions use them up.
func (p *Provider) serviceQuotas(region string) *servicequotas.Client {
	return servicequotas.NewFromConfig(p.c.AWS, func(o *servicequotas.Options) { o.Region, o.Retryer = region, retry.NewStandard() })
}

// regionsOf says where a lease's machine can be: in its offer's region, which all that
// may stand in for the offer shares, or anywhere.
func (p *Provider) regionsOf(l purser.Lease) []string {
	if l.Offer.Region != "" {
		return []string{l.Offer.Region}
	}
	return p.c.Regions
}

// everywhere does something in each region, a few at once. The first failure ends it.
func (p *Provider) everywhere(ctx context.Context, regions []string, do func(ctx context.Context, i int, region string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		once  sync.Once
		first error
		wg    sync.WaitGroup
	)
	slots := make(chan struct{}, p.c.Parallel)
	for i, region := range regions {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := do(ctx, i, region); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	wg.Wait()
	return first
}

// Describe asks for the machine by its id where that is known, else by its tags.
func (p *Provider) Describe(ctx context.Context, l purser.Lease) (providers.Instance, error) {
	regions := p.regionsOf(l)
	found := make([][]machine, len(regions))
	err := p.everywhere(ctx, regions, func(ctx context.Context, i int, region string) (err error) {
		if l.Instance != "" {
			if found[i], err = p.byID(ctx, opDescribe, region, l); err != nil || len(found[i]) > 0 {
				return err
			}
		}
		found[i], err = p.byLease(ctx, opDescribe, region, l.ID)
		return err
	})
	if err != nil {
		return providers.Instance{}, err
	}
	m, ok := foremost(slices.Concat(found...))
	if !ok {
		return providers.Instance{}, purser.Errorf(purser.KindNotFound, opDescribe, "AWS knows of no machine of lease %s", l.ID)
	}
	return m.Instance, nil
}

// List asks all regions, page by page.
func (p *Provider) List(ctx context.Context) ([]providers.Instance, error) {
	found := make([][]providers.Instance, len(p.c.Regions))
	err := p.everywhere(ctx, p.c.Regions, func(ctx context.Context, i int, region string) error {
		return p.machines(ctx, opList, region, ours(p.c.Installation, alive), func(m machine) {
			if m.Lease != "" { // a tag that somebody set by hand
				found[i] = append(found[i], m.Instance)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b providers.Instance) int {
		return cmp.Or(cmp.Compare(a.Lease, b.Lease), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// Terminate ends every machine of the lease. Its template stays, so that a late launch
// finds it; see Sweep.
func (p *Provider) Terminate(ctx context.Context, l purser.Lease) error {
	return p.everywhere(ctx, p.regionsOf(l), func(ctx context.Context, _ int, region string) error {
		found, err := p.byLease(ctx, opTerminate, region, l.ID)
		if err != nil {
			return err
		}
		if l.Instance != "" && !slices.ContainsFunc(found, func(m machine) bool { return m.ID == l.Instance }) {
			// Tags can be seen later than the machine itself.
			named, err := p.byID(ctx, opTerminate, region, l)
			if err != nil {
				return err
			}
			found = append(found, named...)
		}
		for _, m := range found {
			if err := p.end(ctx, opTerminate, m); err != nil {
				return err
			}
		}
		return nil
	})
}
