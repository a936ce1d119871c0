package gcp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"purser"
	"purser/providers"
)

// The labels of everything that is made here, as list filters and disks have them too.
const (
	labelLease        = "purser-lease"
	labelInstallation = "purser-installation"
)

// Labels and names allow less than ids could have; ids are written as they are, and what
// does not fit is refused. (https://cloud.google.com/compute/docs/labeling-resources,
// RFC 1035 for names.)
var (
	labelForm = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)
	leaseForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$`)
)

const namePrefix = "purser-"

// nameOf is the machine's name: purser-LEASE-HASH. The hash keeps installations of one
// project apart, and leases whose ids begin alike.
func nameOf(installation string, lease purser.LeaseID) (string, error) {
	if !leaseForm.MatchString(string(lease)) {
		return "", &purser.Error{
			Kind: purser.KindInvalid, Op: "gcp.name", Message: fmt.Sprintf("%q cannot be part of a machine's name at Google Cloud", clip(string(lease))),
			Hint: "ids of leases are 1 to 45 of a-z, 0-9 and '-', and neither begin nor end with '-'",
		}
	}
	sum := sha256.Sum256([]byte(installation + "\x00" + string(lease)))
	return namePrefix + string(lease) + "-" + hex.EncodeToString(sum[:5]), nil
}

// leaseOf reads the lease from a machine's name; false for machines of others.
func leaseOf(installation, name string) (purser.LeaseID, bool) {
	inner, ok := strings.CutPrefix(name, namePrefix)
	cut := strings.LastIndexByte(inner, '-')
	if !ok || cut < 0 {
		return "", false
	}
	lease := purser.LeaseID(inner[:cut])
	again, err := nameOf(installation, lease)
	return lease, err == nil && again == name
}

// The collections in instance ids.
const (
	collectionVM  = "instances"
	collectionTPU = "queuedResources"
)

// place is where a machine is: zones/us-central1-a/instances/purser-….
type place struct{ zone, collection, name string }

func (l place) id() string { return "zones/" + l.zone + "/" + l.collection + "/" + l.name }

var idForm = regexp.MustCompile(`^zones/([a-z0-9-]+)/(instances|queuedResources)/([a-z0-9-]+)$`)

// placeOf reads an instance's id; false where it is none of ours.
func placeOf(id string) (place, bool) {
	m := idForm.FindStringSubmatch(id)
	if m == nil {
		return place{}, false
	}
	return place{m[1], m[2], m[3]}, true
}

// zoneForm also keeps '-' alone, which the TPU API reads as all zones, out of paths.
var zoneForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)

// regionOf is a zone's region: us-central1 of us-central1-a.
func regionOf(zone string) string {
	return zone[:max(strings.LastIndexByte(zone, '-'), 0)]
}

// requestID is a UUID that is the same for each repetition of a launch in a zone. What a
// zone answered to it once, it answers again, so that a zone that had no machine gives
// none later, when another zone has.
func requestID(token, zone string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "purser request 1|%s|%s", token, zone))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // version 8 (own use) and variant of RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// labels are those of a machine and its disk.
func (p *Provider) labels(lease purser.LeaseID) map[string]string {
	return map[string]string{labelLease: string(lease), labelInstallation: p.config.Installation}
}

// oursFilter lists what carries this installation's label.
func (p *Provider) oursFilter() string {
	return fmt.Sprintf("labels.%s = %q", labelInstallation, p.config.Installation)
}

// instance is the part of an instance that its place says.
func (p *Provider) instance(at place, lease purser.LeaseID) providers.Instance {
	return providers.Instance{ID: at.id(), Lease: lease, Installation: p.config.Installation, Region: regionOf(at.zone), Zone: at.zone}
}

// last is the name at the end of a URL or path.
func last(url string) string {
	if url == "" {
		return ""
	}
	return path.Base(url)
}

// parseTime reads RFC 3339, and gives zero for what is none.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
