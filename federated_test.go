package purser_test

import (
	"strings"
	"testing"

	"purser"
)

func TestExchange(t *testing.T) {
	e := purser.Exchange{Provider: "aws", Region: "eu-central-1", UpdateGB: 1.5, Rounds: 40}
	for _, c := range []struct {
		provider, region string
		want             float64
	}{{"aws", "eu-central-1", 0}, {"aws", "us-east-1", 2.4}, {"gcp", "europe-west3", 10.8}} {
		if got := e.Egress(purser.Offer{Provider: c.provider, Region: c.region}); got != purser.MoneyOf(c.want) {
			t.Errorf("%s %s: %s, want %v", c.provider, c.region, got.Decimal(), c.want)
		}
	}
	for want, bad := range map[string]purser.Exchange{
		"has a provider": {UpdateGB: 1, Rounds: 1}, "rounds lie": {Provider: "aws", UpdateGB: 1}, "number of GB": {Provider: "aws", UpdateGB: -1, Rounds: 1},
	} {
		g := stage("a", 1)
		g.Exchange = bad
		if err := (purser.Job{Name: "j", Project: "p", Groups: []purser.TaskGroup{g}}).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
