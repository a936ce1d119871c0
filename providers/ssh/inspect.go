package ssh

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"purser"
)

// Status is what a host is like, for people and for offers.
type Status struct {
	Host     Host
	Err      error // why nothing is known of it; nil: it answered
	Report   Report
	Unfit    string       // why it is not offered, for people; empty: it is
	Shape    purser.Shape // of one place
	Taken    int          // places, by any installation
	Free     int          // places; 0 on a drained host
	Observed time.Time
}

// Inspect looks at every host of the inventory, in the order of names. A host that fails has an
// Err; the call fails only when ctx ends.
func (p *Provider) Inspect(ctx context.Context) ([]Status, error) {
	hosts := p.every()
	out := make([]Status, len(hosts))
	err := p.each(ctx, hosts, func(ctx context.Context, i int, h *host) error {
		out[i] = p.inspect(ctx, h)
		return nil
	})
	if ctx.Err() != nil {
		return nil, purser.Wrap(purser.KindUnavailable, "ssh.Inspect", ctx.Err())
	}
	return out, err
}

func (p *Provider) inspect(ctx context.Context, h *host) Status {
	s := Status{Host: h.Host, Observed: p.Now().UTC()}
	lines, err := p.script(ctx, h, "probe", nil)
	if err != nil {
		s.Err = err
		return s
	}
	s.Report = parseReport(lines)
	s.Taken = len(s.Report.Taken)
	s.Shape, s.Unfit = h.fit(s.Report)
	if !h.Drained && s.Unfit == "" {
		s.Free = max(0, h.places()-s.Taken)
	}
	return s
}

// Offers lists the hosts that answer and are fit as private offers, with their free places as
// Limit; 0 where all are taken. Hosts that do not answer, are drained or lack what they should
// have are left out: Inspect says why.
func (p *Provider) Offers(ctx context.Context) ([]purser.Offer, error) {
	all, err := p.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	var out []purser.Offer
	for _, s := range all {
		if s.Err != nil || s.Unfit != "" || s.Host.Drained {
			continue
		}
		o := s.Host.offer(s.Shape, s.Free, s.Observed)
		if err := o.Check(); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// fit gives the shape of one place of the host, or says why it cannot take a lease: it lacks
// a tool, a driver fails, or it has fewer devices than the inventory says.
func (h *host) fit(r Report) (shape purser.Shape, unfit string) {
	if len(r.Missing) > 0 {
		return h.Shape, "it lacks " + strings.Join(r.Missing, ", ")
	}
	if _, ok := arches[r.Arch]; !ok {
		return h.Shape, fmt.Sprintf("there is no agent for %q", r.Arch)
	}
	if h.Shape != (purser.Shape{}) {
		have := 0
		for _, d := range r.Devices {
			if d.Accelerator == h.Shape.Accelerator {
				have++
			}
		}
		// Where no known tool tells of devices, the inventory is believed.
		if told := len(r.Devices) > 0 || len(r.Failed) > 0; told && purser.MilliDevices(have)*purser.OneDevice < h.Shape.Devices {
			return h.Shape, fmt.Sprintf("it has %d of %s %s%s", have, h.Shape.Devices, h.Shape.Accelerator, r.failures())
		}
		return h.Shape, ""
	}
	if len(r.Failed) > 0 {
		return h.Shape, "its devices are not known" + r.failures()
	}
	shape = purser.Shape{MilliCPU: int64(r.CPUs) * 1000, MemoryMiB: r.MemoryMiB, DiskMiB: r.DiskMiB}
	if shape.MilliCPU == 0 || shape.MemoryMiB == 0 {
		return shape, "its vCPUs or memory are not known; give its shape"
	}
	for _, d := range r.Devices {
		switch {
		case d.Accelerator == "":
			return shape, fmt.Sprintf("its device %q is no model that is known; give its shape", d.Name)
		case shape.Accelerator != "" && shape.Accelerator != d.Accelerator:
			return shape, "its devices are not all alike; give its shape"
		}
		shape.Accelerator = d.Accelerator
		shape.Devices += purser.OneDevice
		if shape.DeviceMemoryMiB == 0 || d.MemoryMiB < shape.DeviceMemoryMiB {
			shape.DeviceMemoryMiB = d.MemoryMiB
		}
	}
	return shape, ""
}

// arches are the architectures that agents exist for, as uname names them.
var arches = map[string]string{"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

func (r Report) failures() string {
	if len(r.Failed) == 0 {
		return ""
	}
	return ", and " + strings.Join(r.Failed, ", ") + " failed"
}

func cutInt(line, prefix string) (int, bool) {
	rest, ok := strings.CutPrefix(line, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(rest)
	return n, err == nil
}
