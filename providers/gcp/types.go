package gcp

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"purser"
)

// kind is an instance type taken apart.
type kind struct {
	slice   bool   // a TPU slice
	name    string // of the machine type, or of the slice's accelerator type
	gpus    bool
	card    string // accelerator type of attached GPUs; empty where there are none
	cards   int64
	runtime string // of slices: the software that they boot
}

// attachable names the GPUs that N1 machines take, as offers have them and as the API has
// (https://cloud.google.com/compute/docs/gpus).
var attachable = map[string]string{
	"K80": "nvidia-tesla-k80", "P100": "nvidia-tesla-p100", "P4": "nvidia-tesla-p4", "T4": "nvidia-tesla-t4", "V100": "nvidia-tesla-v100",
}

// runtimes are what slices boot, by generation
// (https://cloud.google.com/tpu/docs/runtimes).
var runtimes = map[string]string{
	"v2": "tpu-ubuntu2204-base", "v3": "tpu-ubuntu2204-base", "v4": "tpu-ubuntu2204-base",
	"v5p": "v2-alpha-tpuv5", "v5litepod": "v2-alpha-tpuv5-lite", "v6e": "v2-alpha-tpuv6e",
}

// oneHost is the largest number in the type's name of a slice that has one host. It is the
// same where the number counts cores (v2 to v4, v5p) and where it counts chips.
const oneHost = 8

var (
	sliceForm   = regexp.MustCompile(`^([a-z0-9]+)-([1-9][0-9]{0,5})$`)
	machineForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	cardForm    = regexp.MustCompile(`^(n1-[a-z0-9-]+)\+([A-Z0-9]+)x([1-9][0-9]?)$`)
	gpuFamily   = regexp.MustCompile(`^(a[2-9]x?|g[2-9])-`)
)

// isSlice says whether an instance type is a TPU slice's.
func isSlice(instanceType string) bool {
	m := sliceForm.FindStringSubmatch(instanceType)
	return m != nil && runtimes[m[1]] != ""
}

// kindOf reads an instance type as offers have it: g2-standard-4, n1-standard-8+T4x1,
// v5litepod-4.
func (p *Provider) kindOf(instanceType string) (kind, error) {
	const op = "gcp.Launch"
	if isSlice(instanceType) {
		return p.sliceOf(instanceType)
	}
	base, cards, attached := strings.Cut(instanceType, "+")
	if !machineForm.MatchString(base) {
		return kind{}, purser.Errorf(purser.KindInvalid, op, "Google Cloud has no instance type %q", clip(instanceType))
	}
	if !attached {
		return kind{name: base, gpus: gpuFamily.MatchString(base)}, nil
	}
	m := cardForm.FindStringSubmatch(instanceType)
	if m == nil || attachable[m[2]] == "" {
		return kind{}, purser.Errorf(purser.KindInvalid, op, "%q cannot be attached to %q; K80, P4, P100, T4 and V100 can, to N1 machines", clip(cards), clip(base))
	}
	n, err := strconv.ParseInt(m[3], 10, 64)
	return kind{name: base, gpus: true, card: attachable[m[2]], cards: n}, err
}

func (p *Provider) sliceOf(instanceType string) (kind, error) {
	m := sliceForm.FindStringSubmatch(instanceType)
	size, err := strconv.Atoi(m[2])
	switch {
	case err != nil:
		return kind{}, purser.Wrap(purser.KindInvalid, "gcp.Launch", err)
	case p.config.WithoutTPU:
		return kind{}, &purser.Error{Kind: purser.KindInvalid, Op: "gcp.Launch", Message: "TPUs are switched off here", Hint: "take WithoutTPU out of the provider's settings"}
	case size > oneHost:
		// Each host would boot the same script, and the join token is good for one.
		return kind{}, &purser.Error{
			Kind: purser.KindInvalid, Op: "gcp.Launch", Message: instanceType + " is a slice of several hosts, and a lease is one machine",
			Hint: "take slices of one host: up to v5litepod-8, v6e-8, v5p-8, v4-8, v3-8, v2-8",
		}
	}
	k := kind{slice: true, name: instanceType, runtime: runtimes[m[1]]}
	if own := p.config.TPURuntimes[m[1]]; own != "" {
		k.runtime = own
	}
	return k, nil
}

// typeOf writes an instance type as offers have it.
func typeOf(base, card string, cards int64) string {
	for name, api := range attachable {
		if api == card && strings.HasPrefix(base, "n1-") {
			return fmt.Sprintf("%s+%sx%d", base, name, cards)
		}
	}
	return base
}

// diskType is the boot disk of a machine type: newer families take no other than
// Hyperdisk (https://cloud.google.com/compute/docs/disks/hyperdisks).
func diskType(machineType string) string {
	for _, family := range []string{"a3-ultragpu-", "a4-", "a4x-", "g4-", "c4-", "c4a-", "c4d-", "n4-", "n4a-", "n4d-"} {
		if strings.HasPrefix(machineType, family) {
			return "hyperdisk-balanced"
		}
	}
	return "pd-balanced"
}
