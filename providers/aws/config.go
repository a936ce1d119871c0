package aws

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"purser"
)

// Name is the provider's name, as offers have it.
const Name = "aws"

// Config says which account, places and machines. The zero value of a field has the
// default that stands with it; AWS, Installation and Regions must be given.
type Config struct {
	// AWS has credentials, HTTP client and endpoint, as config.LoadDefaultConfig makes
	// it, which also reads AWS_ENDPOINT_URL. Its region is not used.
	AWS awssdk.Config
	// Installation is the value of the tag that tells our machines from others'.
	Installation string
	// Regions are where machines may be launched, and all that List looks at.
	Regions []string

	Places          map[string]Place // by region. Defaults to the default VPC with its default group.
	Images          map[string]Image // by family (see Family); those that are missing have their default.
	InstanceProfile string           // name of the machines' IAM role. Defaults to none.
	DiskGiB         int32            // of the root volume. Defaults to 100; images have up to 75.
	KMSKey          string           // that the volume is encrypted with; the server's role needs kms:CreateGrant for it. Defaults to the account's EBS key.
	// PublicIP gives machines a public IPv4 address. Defaults to none: they reach the
	// server through a NAT gateway, which default VPCs do not have, or inside of the VPC.
	PublicIP bool
	HopLimit int32 // of the metadata service: 2 (default), which containers need, or 1 to keep it from them.

	// MaxPriceFactor bounds what a spot machine may cost, in prices of its offer, rounded
	// up to $0.0001. Defaults to 1.2, since prices move between plan and launch.
	MaxPriceFactor float64
	// ReservationTag is a tag KEY=VALUE that capacity reservations must have for us to
	// use them. Defaults to all of the account.
	ReservationTag string

	Queues []Queue // with the account's events. Defaults to none: no interruptions are heard of.

	Parallel int                                        // regions that are asked at once. Defaults to 8.
	Now      func() time.Time                           // Defaults to time.Now.
	Wait     func(context.Context, time.Duration) error // before a queue is asked again after a failure. Defaults to a timer.
}

// Place is the network of a region.
type Place struct {
	// Subnets by zone id (use1-az1), one for each zone: a fleet cannot have two in one
	// zone. A zone that is missing uses the default VPC.
	Subnets map[string]string
	// SecurityGroups of every machine. The agent only calls out, so that a group without
	// inbound rules is right. Defaults to the VPC's default group.
	SecurityGroups []string
}

// Queue is an SQS queue that EventBridge writes the account's events to (see Events).
type Queue struct {
	URL, Region string
	// Own says that nobody else reads it: what is not about our machines is deleted too,
	// since rules cannot tell installations apart. Otherwise it stays for the others.
	Own bool
}

// tagForm keeps out what filters take for wildcards.
var tagForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

var regionForm = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+$`)

func (c Config) complete() (Config, error) {
	const op = "aws.New"
	if c.AWS.Credentials == nil {
		return c, &purser.Error{Kind: purser.KindUnauthorized, Op: op, Message: "there are no credentials for AWS", Hint: credentialsHint}
	}
	if c.Installation == "" || len(c.Regions) == 0 {
		return c, purser.Errorf(purser.KindInvalid, op, "the installation's tag and at least one region must be given")
	}
	if !tagForm.MatchString(c.Installation) {
		return c, purser.Errorf(purser.KindInvalid, op, "the installation's tag is made of letters, digits, dots, dashes and underscores, and %q is not", clip(c.Installation))
	}
	c.Regions = slices.Compact(slices.Sorted(slices.Values(c.Regions)))
	for _, r := range c.Regions {
		if !regionForm.MatchString(r) {
			return c, &purser.Error{Kind: purser.KindInvalid, Op: op, Message: fmt.Sprintf("%q is not a region of AWS", clip(r)), Hint: "write it like us-east-1"}
		}
	}
	for _, q := range c.Queues {
		if q.URL == "" || !regionForm.MatchString(q.Region) {
			return c, purser.Errorf(purser.KindInvalid, op, "a queue needs its URL and its region, and %q has not both", clip(q.URL))
		}
	}
	if key, _, ok := strings.Cut(c.ReservationTag, "="); c.ReservationTag != "" && (!ok || key == "") {
		return c, purser.Errorf(purser.KindInvalid, op, "the tag of reservations is written KEY=VALUE")
	}
	c.DiskGiB, c.HopLimit = or(c.DiskGiB, 100), or(c.HopLimit, 2)
	c.MaxPriceFactor, c.Parallel = or(c.MaxPriceFactor, 1.2), or(c.Parallel, 8)
	switch {
	case c.HopLimit != 1 && c.HopLimit != 2:
		return c, purser.Errorf(purser.KindInvalid, op, "the metadata service's hop limit is 1 or 2")
	case !(c.MaxPriceFactor > 0) || c.MaxPriceFactor > 100:
		return c, purser.Errorf(purser.KindInvalid, op, "the highest spot price is above 0 and at most 100 times the offer's")
	case c.DiskGiB < 8 || c.DiskGiB > 16384:
		return c, purser.Errorf(purser.KindInvalid, op, "a root volume has 8 to 16384 GiB")
	case c.Parallel < 1:
		return c, purser.Errorf(purser.KindInvalid, op, "at least one region must be asked at once")
	}
	if err := c.completeImages(); err != nil {
		return c, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	return c, nil
}

// completeImages fills in the families that have no image of their own.
func (c *Config) completeImages() error {
	given := c.Images
	c.Images = map[string]Image{}
	for family, image := range defaultImages {
		c.Images[family] = image
	}
	for family, image := range given {
		if _, ok := defaultImages[family]; !ok {
			return purser.Errorf(purser.KindInvalid, "aws.New", "there is no family of images named %q", clip(family))
		}
		if image.Parameter == "" {
			return purser.Errorf(purser.KindInvalid, "aws.New", "the image for %s needs a parameter's name or an image's id", family)
		}
		image.RootDevice = or(image.RootDevice, amazonLinuxRoot)
		c.Images[family] = image
	}
	return nil
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
