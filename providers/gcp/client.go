package gcp

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	compute "cloud.google.com/go/compute/apiv1"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	tpuapi "google.golang.org/api/tpu/v2"

	"purser"
)

const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// transport is the base of all requests, with credentials.
func transport(c Config) (http.RoundTripper, error) {
	var base http.RoundTripper
	if c.HTTPClient != nil {
		base = orElse(c.HTTPClient.Transport == nil, http.DefaultTransport, c.HTTPClient.Transport)
	}
	how := &httptransport.Options{BaseRoundTripper: base, DisableTelemetry: true, UniverseDomain: "googleapis.com"}
	switch {
	case c.Credentials != nil:
		own := *c.Credentials // the transport writes to it
		how.Credentials = &own
	case c.HTTPClient != nil:
		return base, nil
	default:
		how.DetectOpts = &credentials.DetectOptions{Scopes: []string{cloudPlatform}}
	}
	client, err := httptransport.NewClient(how)
	if err != nil {
		return nil, &purser.Error{
			Kind: purser.KindUnauthorized, Op: "gcp.New", Message: "no credentials of Google Cloud were found", Cause: errors.New(clip(err.Error())),
			Hint: "run gcloud auth application-default login, or use workload identity",
		}
	}
	return client.Transport, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// options are those of a client whose requests end with ctx. The SDK's lists do not pass
// their context on, so a client is made for each call, which costs microseconds.
func (p *Provider) options(ctx context.Context) []option.ClientOption {
	bound := roundTripper(func(r *http.Request) (*http.Response, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return p.base.RoundTrip(r.WithContext(ctx))
	})
	out := []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: bound})}
	if p.config.Endpoint != "" {
		out = append(out, option.WithEndpoint(p.config.Endpoint))
	}
	return out
}

// The clients of Compute Engine have their call options emptied (the client keeps the place
// that they stand in, so that new ones would not be seen): those of reads repeat
// 503 and 504 for ten minutes, while the decorators of providers repeat what is worth it.

func (p *Provider) instances(ctx context.Context) (*compute.InstancesClient, error) {
	c, err := compute.NewInstancesRESTClient(ctx, p.options(ctx)...)
	if err == nil {
		*c.CallOptions = compute.InstancesCallOptions{}
	}
	return c, err
}

func (p *Provider) zoneOperations(ctx context.Context) (*compute.ZoneOperationsClient, error) {
	c, err := compute.NewZoneOperationsRESTClient(ctx, p.options(ctx)...)
	if err == nil {
		*c.CallOptions = compute.ZoneOperationsCallOptions{}
	}
	return c, err
}

func (p *Provider) globalOperations(ctx context.Context) (*compute.GlobalOperationsClient, error) {
	c, err := compute.NewGlobalOperationsRESTClient(ctx, p.options(ctx)...)
	if err == nil {
		*c.CallOptions = compute.GlobalOperationsCallOptions{}
	}
	return c, err
}

func (p *Provider) disks(ctx context.Context) (*compute.DisksClient, error) {
	c, err := compute.NewDisksRESTClient(ctx, p.options(ctx)...)
	if err == nil {
		*c.CallOptions = compute.DisksCallOptions{}
	}
	return c, err
}

func (p *Provider) zones(ctx context.Context) (*compute.ZonesClient, error) {
	c, err := compute.NewZonesRESTClient(ctx, p.options(ctx)...)
	if err == nil {
		*c.CallOptions = compute.ZonesCallOptions{}
	}
	return c, err
}

func (p *Provider) regions(ctx context.Context) (*compute.RegionsClient, error) {
	c, err := compute.NewRegionsRESTClient(ctx, p.options(ctx)...)
	if err == nil {
		*c.CallOptions = compute.RegionsCallOptions{}
	}
	return c, err
}

func (p *Provider) projects(ctx context.Context) (*compute.ProjectsClient, error) {
	c, err := compute.NewProjectsRESTClient(ctx, p.options(ctx)...)
	if err == nil {
		*c.CallOptions = compute.ProjectsCallOptions{}
	}
	return c, err
}

func (p *Provider) reservations(ctx context.Context) (*compute.ReservationsClient, error) {
	c, err := compute.NewReservationsRESTClient(ctx, p.options(ctx)...)
	if err == nil {
		*c.CallOptions = compute.ReservationsCallOptions{}
	}
	return c, err
}

func (p *Provider) machineTypes(ctx context.Context) (*compute.MachineTypesClient, error) {
	c, err := compute.NewMachineTypesRESTClient(ctx, p.options(ctx)...)
	if err == nil {
		*c.CallOptions = compute.MachineTypesCallOptions{}
	}
	return c, err
}

func (p *Provider) tpus(ctx context.Context) (*tpuapi.Service, error) {
	return tpuapi.NewService(ctx, p.options(ctx)...)
}

// pageSize is the most that Compute Engine gives in one page; maxPages ends lists that go
// round.
const (
	pageSize = 500
	maxPages = 2000
)

var errEndless = errors.New("the list has no end")

// each gives the items of a list of the SDK.
func each[T any](it interface {
	Next() (T, error)
	PageInfo() *iterator.PageInfo
}, take func(T) error,
) error {
	pages, token := 0, ""
	for {
		item, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return err
		}
		if now := it.PageInfo().Token; now != token {
			if pages, token = pages+1, now; pages > maxPages {
				return errEndless
			}
		}
		if err := take(item); err != nil {
			return err
		}
	}
}

// parallel runs n tasks, eight at a time, and gives the first error in their order.
func parallel(n int, task func(i int) error) error {
	errs, free := make([]error, n), make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i := range n {
		free <- struct{}{}
		wg.Go(func() {
			errs[i] = task(i)
			<-free
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
