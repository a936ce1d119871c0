package app

import (
	"cmp"
	"context"
	"hash/fnv"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"purser"
	"purser/pricing"
	"purser/pricing/aws"
	"purser/pricing/azure"
	"purser/pricing/bundled"
	"purser/pricing/gcp"
	"purser/pricing/lambda"
	"purser/pricing/runpod"
	"purser/pricing/serverless"
	"purser/pricing/vast"
	"purser/pricing/verda"
	"purser/pricing/vultr"
)

// source is a feed of prices that this program can read.
type source struct {
	name     string
	says     string        // what it gives, for people
	always   bool          // it is collected without being configured: it needs no network
	schedule string        // unless configured otherwise
	maxAge   time.Duration // of its prices in plans; 0: as for every source
	// build makes the collector when it is to collect, since credentials come and go.
	build func(ctx context.Context, a *App, c SourceConfig) (pricing.Collector, error)
}

// sources are all feeds, in the order in which people read them.
func sources() []source {
	const day, hour = 24 * time.Hour, time.Hour
	return []source{
		{name: "bundled", says: "the list that comes along", always: true, schedule: "0 7 3 * * *", build: func(context.Context, *App, SourceConfig) (pricing.Collector, error) { return bundled.New(), nil }},
		{name: "serverless", says: "serverless inference per second", always: true, schedule: "0 9 3 * * *", build: buildServerless},
		{name: "aws", says: "AWS on demand, by zone", schedule: "0 23 4 * * *", maxAge: 30 * day, build: buildAWS(aws.NewOnDemand)},
		{name: "aws-bulk", says: "AWS on demand from the public files, by region", schedule: "0 41 4 * * 0", maxAge: 30 * day, build: buildAWS(aws.NewBulk)},
		{name: "aws-spot", says: "AWS spot by zone, 90 days back, interruption bands, placement scores", schedule: "0 */10 * * * *", maxAge: 6 * hour, build: buildAWS(aws.NewSpot)},
		{name: "gcp", says: "Google Cloud on demand, spot, flex-start, calendar; TPU slices", schedule: "0 17 5 * * *", maxAge: 7 * day, build: buildGCP(gcp.New)},
		{name: "gcp-spot", says: "Google Cloud spot history and preemption rates", schedule: "0 37 5 * * *", maxAge: 7 * day, build: buildGCP(gcp.NewSpotHistory)},
		{name: "azure", says: "Azure on demand and spot", schedule: "0 29 */6 * * *", maxAge: 3 * day, build: buildAzure(azure.New)},
		{name: "azure-spot", says: "Azure eviction bands and spot history", schedule: "0 51 */6 * * *", maxAge: 3 * day, build: buildAzure(azure.NewSpotHistory)},
		{name: "lambda", says: "Lambda on demand, where there is capacity", schedule: "0 */10 * * * *", maxAge: 6 * hour, build: buildLambda},
		{name: "runpod", says: "RunPod secure and community, on demand and spot", schedule: "0 3-59/10 * * * *", maxAge: 6 * hour, build: buildRunPod},
		{name: "vast", says: "Vast.ai marketplace", schedule: "0 6-59/10 * * * *", maxAge: 2 * hour, build: buildVast},
		{name: "verda", says: "Verda on demand and spot, where there is capacity", schedule: "0 8-59/10 * * * *", maxAge: 6 * hour, build: buildVerda},
		{name: "vultr", says: "Vultr on demand", schedule: "0 19 5 * * *", maxAge: 7 * day, build: buildVultr},
	}
}

// sourceNames are the names that a configuration and a call may use.
func sourceNames() []string {
	var names []string
	for _, s := range sources() {
		names = append(names, s.name)
	}
	return names
}

func (a *App) source(name string) (source, error) {
	for _, s := range a.sources {
		if s.name == name {
			return s, nil
		}
	}
	return source{}, &purser.Error{
		Kind: purser.KindNotFound, Op: "app.source", Message: "there is no source of prices named " + name, Hint: "the sources are: " + strings.Join(sourceNames(), ", "),
	}
}

// jitter spreads sources of one schedule over installations and over a minute, the
// same for every server that shares a database.
func jitter(installation, name string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(installation + " " + name)) // never fails
	return time.Duration(h.Sum32()%60_000) * time.Millisecond
}

func buildServerless(_ context.Context, _ *App, c SourceConfig) (pricing.Collector, error) {
	if c.File != "" {
		return serverless.NewFile(c.File), nil
	}
	return serverless.New(), nil
}

// historySince is from when on a source's region is to be filled back: since it was
// last collected, and the longest that a cloud keeps when it never was.
func (a *App) historySince(ctx context.Context, source, region string) (time.Time, error) {
	at, err := a.db.CollectedAt(ctx, source, region)
	if err != nil || !at.IsZero() {
		return at, err
	}
	return a.now().AddDate(0, 0, -90), nil
}

func buildAWS(newCollector func(aws.Options) (pricing.Collector, error)) func(context.Context, *App, SourceConfig) (pricing.Collector, error) {
	return func(ctx context.Context, a *App, c SourceConfig) (pricing.Collector, error) {
		cfg, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, &purser.Error{
				Kind: purser.KindUnauthorized, Op: "app.source", Message: "the configuration of AWS cannot be read",
				Hint: "look at AWS_PROFILE and ~/.aws/config", Cause: err,
			}
		}
		if cfg.Region == "" {
			cfg.Region = "us-east-1"
		}
		return newCollector(aws.Options{Config: cfg, Regions: c.Regions, PriceFiles: c.URL, AdvisorURL: c.URL, Now: a.now, Since: a.historySince})
	}
}

func buildGCP(newCollector func(gcp.Options) (pricing.Collector, error)) func(context.Context, *App, SourceConfig) (pricing.Collector, error) {
	return func(_ context.Context, a *App, c SourceConfig) (pricing.Collector, error) {
		o := gcp.Options{Project: cmp.Or(c.Project, os.Getenv("GOOGLE_CLOUD_PROJECT")), Regions: c.Regions, Now: a.now, Since: a.historySince}
		o.APIKey = c.Key
		return newCollector(o)
	}
}

// buildAzure uses credentials when a subscription is named; prices need none.
func buildAzure(newCollector func(azure.Options) (pricing.Collector, error)) func(context.Context, *App, SourceConfig) (pricing.Collector, error) {
	return func(_ context.Context, a *App, c SourceConfig) (pricing.Collector, error) {
		o := azure.Options{Subscription: cmp.Or(c.Project, os.Getenv("AZURE_SUBSCRIPTION_ID")), Regions: c.Regions, PriceURL: c.URL, Now: a.now}
		if o.Subscription != "" {
			cred, err := azidentity.NewDefaultAzureCredential(nil)
			if err != nil {
				return nil, &purser.Error{
					Kind: purser.KindUnauthorized, Op: "app.source", Message: "no credential of Azure can be made", Hint: "sign in with az login, or set AZURE_CLIENT_ID, AZURE_TENANT_ID and a secret", Cause: err,
				}
			}
			o.Credential = cred
		}
		return newCollector(o)
	}
}

func buildLambda(_ context.Context, a *App, c SourceConfig) (pricing.Collector, error) {
	return lambda.New(lambda.Options{URL: c.URL, Key: cmp.Or(c.Key, os.Getenv("LAMBDA_API_KEY")), Now: a.now}), nil
}

func buildRunPod(_ context.Context, a *App, c SourceConfig) (pricing.Collector, error) {
	return runpod.New(runpod.Options{URL: c.URL, Key: cmp.Or(c.Key, os.Getenv("RUNPOD_API_KEY")), Now: a.now}), nil
}

func buildVast(_ context.Context, a *App, c SourceConfig) (pricing.Collector, error) {
	return vast.New(vast.Options{URL: c.URL, Key: cmp.Or(c.Key, os.Getenv("VAST_API_KEY")), Now: a.now}), nil
}

func buildVerda(_ context.Context, a *App, c SourceConfig) (pricing.Collector, error) {
	id, secret, _ := strings.Cut(c.Key, ":")
	return verda.New(verda.Options{URL: c.URL, ClientID: cmp.Or(id, os.Getenv("VERDA_CLIENT_ID")), ClientSecret: cmp.Or(secret, os.Getenv("VERDA_CLIENT_SECRET")), Now: a.now}), nil
}

func buildVultr(_ context.Context, a *App, c SourceConfig) (pricing.Collector, error) {
	return vultr.New(vultr.Options{URL: c.URL, Now: a.now}), nil
}

// enabled says whether a source is collected by the schedule.
func (c Config) enabled(s source) bool {
	conf, named := c.Sources[s.name]
	return (s.always || named) && conf.Schedule != scheduleOff
}

// scheduleOff is the schedule of a source that is collected on demand alone.
const scheduleOff = "off"

// freshness is from when on prices are too old to plan with, source by source.
func (c Config) freshness() pricing.Freshness {
	f := pricing.DefaultFreshness()
	f.Sources = map[string]time.Duration{}
	for _, s := range sources() {
		if age := cmp.Or(c.Sources[s.name].MaxAge, s.maxAge); age > 0 {
			f.Sources[s.name] = age
		}
	}
	return f
}
