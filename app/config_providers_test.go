package app

import (
	"strings"
	"testing"
	"time"

	"purser"
)

const enabledAWS = `
public_url: https://purser.example
spend_limit: {usd_per_hour: 20.5, usd_per_month: 4000}
providers:
  aws: {regions: [us-east-1], subnets: {use1-az1: subnet-1}, security_groups: {us-east-1: sg-1}, queues: {us-east-1: "https://sqs/q"}, start_up: 3m}
  kubernetes: {prices: {H100: 2.5, cpu: 0.01}}
  fake: {url: "http://127.0.0.1:7070"}
`

func TestProvidersAreConfigured(t *testing.T) {
	alone(t)
	c, err := LoadConfig(written(t, "c.yaml", enabledAWS), nil)
	if err != nil {
		t.Fatal(err)
	}
	aws := c.Providers["aws"]
	if len(c.Providers) != 3 || aws.Regions[0] != "us-east-1" || aws.Subnets["use1-az1"] != "subnet-1" || aws.Queues["us-east-1"] != "https://sqs/q" || aws.StartUp != 3*time.Minute {
		t.Errorf("%+v", c.Providers)
	}
	if c.Providers["kubernetes"].Prices["H100"] != 2.5 || c.SpendLimit != (SpendLimit{PerHour: 20.5, PerMonth: 4000}) {
		t.Errorf("%+v", c)
	}
	q, ok := c.spendQuota()
	if !ok || q.Limit != 2050 || q.Weight(small("z", purser.OnDemand, 0.015)) != 1500 || q.Weight(small("z", purser.Private, 1)) != 0 {
		t.Errorf("the limit: %+v", q)
	}
	if c, err = LoadConfig(written(t, "c.yaml", "providers:\n"), nil); err != nil || len(c.Providers) != 0 {
		t.Errorf("an empty section: %+v, %v", c.Providers, err)
	}
}

func TestProvidersThatMayNotBe(t *testing.T) {
	const limit = "spend_limit: {usd_per_hour: 5}\npublic_url: https://purser.example\n"
	for name, c := range map[string]struct{ file, says string }{
		"an unknown provider":    {"providers: {awz: {regions: [a]}}\n", "the providers are: aws, azure, fake, gcp, kubernetes, ssh"},
		"an unknown setting":     {"providers: {aws: {region: a}}\n", "aws has: dry_run"},
		"a setting of another":   {"providers: {aws: {inventory: a}}\n", "aws has: dry_run"},
		"no spend limit":         {"providers: {aws: {regions: [us-east-1]}}\npublic_url: https://purser.example\n", "spend_limit.usd_per_hour"},
		"a negative limit":       {"spend_limit: {usd_per_hour: -1}\n", "spend_limit"},
		"a limit that is none":   {"spend_limit: {usd_per_month: .nan}\n", "spend_limit"},
		"a loopback address":     {"spend_limit: {usd_per_hour: 5}\nproviders: {aws: {regions: [us-east-1]}}\n", "public_url"},
		"another loopback":       {"spend_limit: {usd_per_hour: 5}\npublic_url: http://127.0.0.1:7\nproviders: {aws: {regions: [us-east-1]}}\n", "could not reach"},
		"no region":              {limit + "providers: {azure: {project: p}}\n", "providers.azure.regions"},
		"a negative rate":        {limit + "providers: {gcp: {calls_per_second: -1}}\n", "providers.gcp"},
		"a price that is none":   {"providers: {kubernetes: {prices: {H100: .inf}}}\n", "providers.kubernetes.prices.H100"},
		"a fake without address": {"providers: {fake: {}}\n", "providers.fake.url"},
		"a wrong address":        {"providers: {fake: {url: 'ftp://a'}}\n", "providers.fake.url"},
		"a pool without hosts":   {"providers: {ssh: {}}\n", "providers.ssh.inventory"},
		"a list for a provider":  {"providers: [aws]\n", "providers"},
		"a subnet by zone name":  {limit + "providers: {aws: {regions: [us-east-1], subnets: {us-east-1a: subnet-1}}}\n", "providers.aws.subnets.us-east-1a"},
		"a subnet elsewhere":     {limit + "providers: {aws: {regions: [us-east-1], subnets: {use2-az1: subnet-1}}}\n", "providers.aws.subnets.use2-az1"},
		"a group elsewhere":      {limit + "providers: {azure: {regions: [westeurope], subnets: {westeurope: s}, security_groups: {eastus: g}}}\n", "security_groups.eastus"},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t)
			_, err := LoadConfig(written(t, "c.yaml", c.file), nil)
			if purser.KindOf(err) != purser.KindInvalid || !strings.Contains(err.Error()+hintOf(err), c.says) {
				t.Errorf("%v (%s); want it to say %q", err, hintOf(err), c.says)
			}
		})
	}
	alone(t)
	if _, err := LoadConfig(written(t, "c.yaml", "providers: {aws: {regions: [us-east-1], dry_run: true}}\n"), nil); err != nil {
		t.Errorf("a dry run needs neither limit nor address: %v", err)
	}
}

func hintOf(err error) string {
	f := failureOf(err, noon)
	if f == nil {
		return ""
	}
	return f.Hint
}

func TestZoneIDs(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "use1", "us-west-2": "usw2", "ap-southeast-2": "apse2", "ap-northeast-1": "apne1", "eu-central-1": "euc1", "us-gov-west-1": "usgw1", "ap-south-1": "aps1",
	} {
		if got := zoneIDPrefix(region); got != want {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
}
