package aws

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	awspricing "github.com/aws/aws-sdk-go-v2/service/pricing"

	"purser"
	"purser/pricing/feed"
)

// The sources that offers name, one for each collector.
const (
	SourceOnDemand = "aws"
	SourceBulk     = "aws-bulk"
	SourceSpot     = "aws-spot"
)

const provider = "aws"

// Options says what to read and how. The zero value reads all regions with default
// waiting; NewOnDemand and NewSpot also need Config's credentials.
type Options struct {
	// Config has the credentials. Its region, or us-east-1, is asked for what belongs
	// to no region. NewBulk does not use it.
	Config awssdk.Config
	// Regions to read. Defaults to those enabled in the account; for NewBulk to all
	// that the price files have.
	Regions []string
	// PricingRegion is where the price list is asked: us-east-1 (default), ap-south-1
	// or eu-central-1. Each has the prices of all regions.
	PricingRegion string
	Now           func() time.Time // Defaults to time.Now.

	HTTP       *http.Client // for the public files. Defaults to one of its own.
	PriceFiles string       // address before /offers/. Defaults to https://pricing.us-east-1.amazonaws.com
	AdvisorURL string       // of the Spot Advisor's file. Defaults to AWS's public one.

	// Since says from when on spot prices of a region are wanted; the zero time: only
	// the present ones. Prices older than 90 days are not to be had. Defaults to none.
	Since func(ctx context.Context, source, region string) (time.Time, error)
	// ScoresEvery is how long a placement score is kept before it is asked anew.
	// Defaults to 24 h; below 0 scores are not asked.
	ScoresEvery time.Duration

	Tries   int           // of one request. Defaults to 6.
	Pause   time.Duration // before the second try; later ones are up to 20 times as long. Defaults to 1 s.
	Timeout time.Duration // of one answer; for the price files between two pieces. Defaults to 60 s.
}

var regionForm = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+$`)

// complete checks the options and fills the defaults.
func (o Options) complete(op string) (Options, error) {
	o.Regions = slices.Compact(slices.Sorted(slices.Values(o.Regions)))
	for _, r := range o.Regions {
		if !regionForm.MatchString(r) {
			return o, &purser.Error{Kind: purser.KindInvalid, Op: op, Message: "\"" + clip(r) + "\" is not a region of AWS", Hint: "write it like us-east-1"}
		}
	}
	o.PricingRegion = or(o.PricingRegion, "us-east-1")
	if !slices.Contains([]string{"us-east-1", "ap-south-1", "eu-central-1"}, o.PricingRegion) {
		return o, &purser.Error{
			Kind: purser.KindInvalid, Op: op, Message: "the price list cannot be asked in \"" + clip(o.PricingRegion) + "\"",
			Hint: "choose us-east-1, ap-south-1 or eu-central-1; each has the prices of all regions",
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.PriceFiles = or(o.PriceFiles, "https://pricing.us-east-1.amazonaws.com")
	o.AdvisorURL = or(o.AdvisorURL, "https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json")
	o.ScoresEvery = or(o.ScoresEvery, 24*time.Hour)
	o.Tries = or(o.Tries, 6)
	o.Pause = or(o.Pause, time.Second)
	o.Timeout = or(o.Timeout, time.Minute)
	return o, nil
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// maxPauses is how many times Pause the longest pause between two tries is.
const maxPauses = 20

// files is a client for the public files.
func (o Options) files() *feed.Client {
	return &feed.Client{HTTP: o.HTTP, Tries: o.Tries, Pause: o.Pause, MaxPause: maxPauses * o.Pause, Timeout: o.Timeout, Stall: o.Timeout}
}

// api makes the SDK's clients.
type api struct {
	config awssdk.Config
	opt    Options
}

func newAPI(opt Options) api {
	config := opt.Config.Copy()
	if config.HTTPClient == nil {
		config.HTTPClient = awshttp.NewBuildableClient()
	}
	config.HTTPClient = limited{config.HTTPClient, opt.Timeout}
	return api{config: config, opt: opt}
}

// home is the region that is asked for what belongs to none.
func (a api) home() string { return or(a.config.Region, "us-east-1") }

func (a api) ec2(region string) *ec2.Client {
	return ec2.NewFromConfig(a.config, func(o *ec2.Options) { o.Region, o.Retryer = region, a.retryer() })
}

func (a api) prices() *awspricing.Client {
	return awspricing.NewFromConfig(a.config, func(o *awspricing.Options) { o.Region, o.Retryer = a.opt.PricingRegion, a.retryer() })
}

func (a api) retryer() awssdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = a.opt.Tries, maxPauses*a.opt.Pause
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(brokeOff)}, o.Retryables...)
	})
}

// limited ends an answer that is not whole after a time, which the SDK does not by
// itself, so that a silent server cannot hold a collection for ever.
type limited struct {
	next    awssdk.HTTPClient
	timeout time.Duration
}

// Do sends one try of a request.
func (l limited) Do(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), l.timeout)
	resp, err := l.next.Do(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = limitedBody{resp.Body, cancel}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close also frees the timer.
func (b limitedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
