package azure

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"time"

	"purser"
)

// The tags of everything that is made. Azure takes these spellings.
const (
	tagLease        = "purser-lease"
	tagInstallation = "purser-installation"
	tagCreated      = "purser-created" // when it was last written, as RFC 3339; Sweep's grace counts from it
	tagMachine      = "purser-machine" // on records: the vmId of the lease's machine, once known
	tagEnded        = "purser-ended"   // on records: the lease is not to have a machine any more
)

// Names of the things that belong to a machine are the machine's with one of these.
const (
	cardSuffix = "-nic"
	diskSuffix = "-os"
)

// prefixOf begins every name of an installation, so that two of them can share a
// resource group.
func prefixOf(installation string) string {
	return "purser-" + digest("installation", installation)[:10] + "-"
}

func digest(kind, s string) string {
	sum := sha256.Sum256([]byte("purser azure 1|" + kind + "|" + s))
	return hex.EncodeToString(sum[:])
}

var (
	plainForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)
	unfitForm = regexp.MustCompile(`[^a-z0-9-]+`)
)

// machineName is the name of the lease's machine, and of its record: at most 64
// characters, as host names are. A lease's id that does not fit is shortened and told
// from others by a hash.
func (p *Provider) machineName(id purser.LeaseID) string {
	s := string(id)
	if plainForm.MatchString(s) {
		return p.prefix + s
	}
	short := strings.Trim(unfitForm.ReplaceAllString(strings.ToLower(s), "-"), "-")
	return p.prefix + short[:min(len(short), 24)] + "-" + digest("lease", s)[:16]
}

// tags are those of a thing of the lease, with pairs of further ones.
func (p *Provider) tags(id purser.LeaseID, more ...string) map[string]*string {
	t := map[string]*string{
		tagLease: ptr(string(id)), tagInstallation: ptr(p.cfg.Installation), tagCreated: ptr(p.cfg.Now().UTC().Format(time.RFC3339)),
	}
	for i := 0; i < len(more); i += 2 {
		t[more[i]] = ptr(more[i+1])
	}
	return t
}

// tag reads a tag; names of tags have no case.
func tag(tags map[string]*string, name string) string {
	if v, ok := tags[name]; ok {
		return value(v)
	}
	for k, v := range tags {
		if strings.EqualFold(k, name) {
			return value(v)
		}
	}
	return ""
}

// ours gives the lease of a thing of this installation.
func (p *Provider) ours(tags map[string]*string) (purser.LeaseID, bool) {
	lease := tag(tags, tagLease)
	return purser.LeaseID(lease), lease != "" && tag(tags, tagInstallation) == p.cfg.Installation
}

// written is when the thing was last written; long ago if it does not say.
func written(tags map[string]*string) time.Time {
	t, err := time.Parse(time.RFC3339, tag(tags, tagCreated))
	if err != nil {
		return time.Time{}
	}
	return t
}

func ptr[T any](v T) *T { return &v }

func value[T any](v *T) T {
	if v == nil {
		var none T
		return none
	}
	return *v
}

func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
