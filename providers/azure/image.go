package azure

import (
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"purser"
)

// DefaultImages are Microsoft's Ubuntu HPC 24.04, which has the accelerators' drivers, and
// Canonical's Ubuntu 24.04 elsewhere. Machines that share an accelerator (NVads) need
// drivers of Azure's own, which no free image has.
func DefaultImages() map[string]string {
	return map[string]string{
		"cpu":       "Canonical:ubuntu-24_04-lts:server:latest",
		"cpu-arm64": "Canonical:ubuntu-24_04-lts:server-arm64:latest",
		"nvidia":    "microsoft-dsvm:ubuntu-hpc:2404:latest",
		"amd":       "microsoft-dsvm:ubuntu-hpc:2404-rocm:latest",
	}
}

// armForm are sizes with Arm processors: a p among the features (Standard_D4ps_v5), or
// NVIDIA's Grace.
var armForm = regexp.MustCompile(`^Standard_(?:[A-Z]+\d+[a-z]*p[a-z]*_|ND128isr\w*_GB\d00_)`)

// image says which image the offer's machine boots.
func (p *Provider) image(o purser.Offer) (*armcompute.ImageReference, error) {
	suffix := ""
	if armForm.MatchString(o.InstanceType) {
		suffix = "-arm64"
	}
	kinds := []string{"cpu"}
	if o.Accelerator != "" {
		kinds = []string{o.Accelerator}
		if a, ok := purser.AcceleratorNamed(o.Accelerator); ok && a.Kind == purser.GPU {
			kinds = append(kinds, a.Vendor)
		} else {
			kinds = append(kinds, "cpu")
		}
	}
	for _, images := range []map[string]string{p.cfg.Images, DefaultImages()} {
		for _, kind := range kinds {
			if urn := images[kind+suffix]; urn != "" {
				return imageReference(urn)
			}
		}
	}
	return nil, &purser.Error{
		Kind: purser.KindInvalid, Op: "azure.Launch", Message: "no image is configured for " + string(o.ID()),
		Hint: "set the image of " + kinds[0] + suffix,
	}
}

// imageReference reads a URN or a resource id of an image, of a gallery's or of a shared
// gallery's.
func imageReference(s string) (*armcompute.ImageReference, error) {
	switch {
	case idForm.MatchString(s):
		return &armcompute.ImageReference{ID: &s}, nil
	case strings.HasPrefix(s, "/CommunityGalleries/"):
		return &armcompute.ImageReference{CommunityGalleryImageID: &s}, nil
	case strings.HasPrefix(s, "/SharedGalleries/"):
		return &armcompute.ImageReference{SharedGalleryImageID: &s}, nil
	}
	part := strings.Split(s, ":")
	if len(part) != 4 || part[0] == "" || part[1] == "" || part[2] == "" || part[3] == "" {
		return nil, purser.Errorf(purser.KindInvalid, "azure.Image", "%q is no image", clip(s))
	}
	return &armcompute.ImageReference{Publisher: &part[0], Offer: &part[1], SKU: &part[2], Version: &part[3]}, nil
}
