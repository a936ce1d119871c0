package azure

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"purser"
)

// Sweep ends machines that do nothing (powered off, deallocated, or of a creation that
// failed), and removes network cards and disks without a machine that are older than
// grace, and records of leases whose machine ended longer ago than Config.Remember. It
// goes on past what fails, and gives all failures.
//
// Cards are ours by their tags. Disks are ours by their names, which hold a hash of the
// installation: Azure makes them with the machine, and gives them no tags of ours.
func (p *Provider) Sweep(ctx context.Context, grace time.Duration) (removed int, err error) {
	const op = "azure.Sweep"
	vms, err := p.machines(ctx, op)
	if err != nil {
		return 0, err
	}
	s := sweep{p: p, op: op, now: p.cfg.Now(), grace: grace, stand: map[string]bool{}}
	for _, vm := range vms {
		s.stand[strings.ToLower(value(vm.Name))] = true
	}
	s.idle(ctx, vms)
	s.cards(ctx)
	s.disks(ctx)
	s.records(ctx)
	return s.removed, errors.Join(s.errs...)
}

// sweep is one turn of it.
type sweep struct {
	p       *Provider
	op      string
	now     time.Time
	grace   time.Duration
	stand   map[string]bool // machines that are there, by name
	removed int
	errs    []error
}

// idle ends machines that do nothing.
func (s *sweep) idle(ctx context.Context, vms []*armcompute.VirtualMachine) {
	for _, vm := range vms {
		if look(vm).end {
			s.note(ctx, s.p.remove(ctx, s.op, value(vm.Name)))
		}
	}
}

// note counts what was removed, or keeps why it could not be.
func (s *sweep) note(ctx context.Context, err error) {
	switch code := codeOf(err); {
	case err == nil:
		s.removed++
	case code == "NicInUse" || code == "NicReservedForAnotherVm" || strings.Contains(messageOf(err), "is attached to"):
		// In use after all, or kept back by Azure for some minutes: the next sweep has it.
	default:
		if _, ok := errors.AsType[*purser.Error](err); !ok {
			err = fault(ctx, s.op, err, nil)
		}
		s.errs = append(s.errs, err)
	}
}

// old says whether a thing that was written then is beyond the grace.
func (s *sweep) old(then time.Time) bool { return s.now.Sub(then) >= s.grace }

func (s *sweep) cards(ctx context.Context) {
	pages := s.p.cards.NewListPager(s.p.cfg.ResourceGroup, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			s.errs = append(s.errs, fault(ctx, s.op, err, nil))
			return
		}
		for _, card := range page.Value {
			if s.leftCard(card) {
				_, err := s.p.cards.BeginDelete(ctx, s.p.cfg.ResourceGroup, value(card.Name), nil)
				s.note(ctx, err)
			}
		}
	}
}

func (s *sweep) leftCard(card *armnetwork.Interface) bool {
	if card == nil {
		return false
	}
	_, ours := s.p.ours(card.Tags)
	return ours && (card.Properties == nil || card.Properties.VirtualMachine == nil) &&
		!s.stand[strings.TrimSuffix(strings.ToLower(value(card.Name)), cardSuffix)] && s.old(written(card.Tags))
}

func (s *sweep) disks(ctx context.Context) {
	pages := s.p.disks.NewListByResourceGroupPager(s.p.cfg.ResourceGroup, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			s.errs = append(s.errs, fault(ctx, s.op, err, nil))
			return
		}
		for _, d := range page.Value {
			if s.leftDisk(d) {
				_, err := s.p.disks.BeginDelete(ctx, s.p.cfg.ResourceGroup, value(d.Name), nil)
				s.note(ctx, err)
			}
		}
	}
}

func (s *sweep) leftDisk(d *armcompute.Disk) bool {
	if d == nil || d.Properties == nil || value(d.ManagedBy) != "" || d.Properties.TimeCreated == nil {
		return false
	}
	name := strings.ToLower(value(d.Name))
	return strings.HasPrefix(name, s.p.prefix) && strings.HasSuffix(name, diskSuffix) &&
		!s.stand[strings.TrimSuffix(name, diskSuffix)] && s.old(*d.Properties.TimeCreated)
}

// records removes those of long ago. One whose machine has gone without Terminate, as
// evicted ones do, is first marked, so that its time counts from now.
func (s *sweep) records(ctx context.Context) {
	p := s.p
	pages := p.records.NewListPager(p.cfg.ResourceGroup, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			s.errs = append(s.errs, fault(ctx, s.op, err, nil))
			return
		}
		for _, g := range page.Value {
			if g == nil {
				continue
			}
			lease, ours := p.ours(g.Tags)
			name := value(g.Name)
			if !ours || s.stand[strings.ToLower(name)] {
				continue
			}
			rec := recordOf(g)
			switch age := s.now.Sub(rec.written); {
			case rec.ended && age >= p.cfg.Remember:
				_, err := p.records.BeginDelete(ctx, p.cfg.ResourceGroup, name, nil)
				s.note(ctx, err)
			case !rec.ended && age >= settle:
				if err := p.write(ctx, s.op, name, regionOf(g.Location), p.tags(lease, tagMachine, rec.machine, tagEnded, "true")); err != nil {
					s.errs = append(s.errs, err)
				}
			}
		}
	}
}
