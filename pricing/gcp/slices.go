package gcp

import (
	"context"
	"errors"
	"path"
	"slices"

	"google.golang.org/api/option"
	tpuapi "google.golang.org/api/tpu/v2"

	"purser"
)

type clientOptions = []option.ClientOption

func needTPU(what, method string) need {
	return need{op: "gcp.Collect", what: what, api: "tpu.googleapis.com", permission: "tpu." + method, role: "roles/tpu.viewer"}
}

// readSlices asks each zone with TPUs for the types that it sells. Zones that alone
// refuse the project sell it none.
func (s *supply) readSlices(ctx context.Context, opt Options, options clientOptions) error {
	client, err := tpuapi.NewService(ctx, options...)
	if err != nil {
		return needTPU("the TPU API", "locations.list").explain(ctx, err)
	}
	zones, err := tpuZones(ctx, opt, client)
	if err != nil {
		return withHint(err)
	}
	types, errs := make([][]string, len(zones)), make([]error, len(zones))
	inParallel(ctx, len(zones), func(i int) { types[i], errs[i] = tpuTypes(ctx, opt, client, zones[i]) })
	if ctx.Err() != nil {
		return ended(ctx, "gcp.Collect")
	}
	if err := everywhere(errs); err != nil {
		return withHint(err)
	}
	for i, zone := range zones {
		switch {
		case errs[i] == nil:
			s.at(regionOf(zone), zone).slices = types[i]
		case purser.KindOf(errs[i]) != purser.KindForbidden:
			s.fail(regionOf(zone), errs[i])
		}
	}
	return nil
}

// withHint says how to do without TPUs.
func withHint(err error) error {
	e, ok := errors.AsType[*purser.Error](err)
	if ok && e.Kind == purser.KindForbidden {
		e.Hint += "; or collect without TPUs"
	}
	return err
}

// everywhere gives the refusal that all met, or nil.
func everywhere(errs []error) error {
	refused := func(err error) bool {
		k := purser.KindOf(err)
		return err != nil && (k == purser.KindForbidden || k == purser.KindUnauthorized)
	}
	if len(errs) == 0 || slices.ContainsFunc(errs, func(err error) bool { return !refused(err) }) {
		return nil
	}
	return errs[0]
}

// tpuZones lists the wanted zones that have TPUs, sorted.
func tpuZones(ctx context.Context, opt Options, client *tpuapi.Service) ([]string, error) {
	n := needTPU("the list of zones with TPUs", "locations.list")
	var zones []string
	token := ""
	for {
		page, err := again(ctx, opt, n, func() (*tpuapi.ListLocationsResponse, error) {
			return client.Projects.Locations.List("projects/" + opt.Project).PageToken(token).Context(ctx).Do()
		})
		if err != nil {
			return nil, err
		}
		for _, l := range page.Locations {
			if region := regionOf(l.LocationId); region != "" && opt.wanted(region) {
				zones = append(zones, l.LocationId)
			}
		}
		if token = page.NextPageToken; token == "" {
			slices.Sort(zones)
			return slices.Compact(zones), nil
		}
	}
}

// tpuTypes lists a zone's types. An empty list is asked for twice, since it is at times
// empty by mistake.
func tpuTypes(ctx context.Context, opt Options, client *tpuapi.Service, zone string) ([]string, error) {
	types, err := tpuTypesOnce(ctx, opt, client, zone)
	if err == nil && len(types) == 0 {
		types, err = tpuTypesOnce(ctx, opt, client, zone)
	}
	return types, err
}

func tpuTypesOnce(ctx context.Context, opt Options, client *tpuapi.Service, zone string) ([]string, error) {
	n := needTPU("the list of TPU types of zone "+zone, "acceleratorTypes.list")
	var types []string
	token := ""
	for {
		page, err := again(ctx, opt, n, func() (*tpuapi.ListAcceleratorTypesResponse, error) {
			return client.Projects.Locations.AcceleratorTypes.List("projects/" + opt.Project + "/locations/" + zone).PageToken(token).Context(ctx).Do()
		})
		if err != nil {
			return nil, err
		}
		if len(page.Unreachable) > 0 {
			return nil, purser.Errorf(purser.KindUnavailable, n.op, "%s is not whole: a part of it does not answer", n.what)
		}
		for _, t := range page.AcceleratorTypes {
			types = append(types, orElse(t.Type == "", path.Base(t.Name), t.Type))
		}
		if token = page.NextPageToken; token == "" {
			return types, nil
		}
	}
}
