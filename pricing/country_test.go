package pricing

import (
	"strings"
	"testing"
	"time"

	"purser"
)

// Every region lies in the country that it is said to lie in: the table of coordinates and that of countries are held against each other.
func TestRegionsLieInTheirCountries(t *testing.T) {
	var atlas purser.Atlas
	placed := 0
	for _, provider := range []string{"aws", "gcp", "azure", "oci"} {
		for _, c := range countries[provider] {
			users := purser.Users{Country: c.code}
			across, ok := atlas.LatencyFrom(users, purser.Offer{Provider: "nobody", Region: "nowhere", Country: c.code})
			if !ok {
				t.Errorf("where %s lies is not known", c.code)
			}
			for region := range strings.SplitSeq(c.regions, " ") {
				if _, known := purser.RegionAt(provider + "/" + region); !known {
					continue
				}
				placed++
				got, _ := atlas.LatencyFrom(users, purser.Offer{Provider: provider, Region: region})
				if got > across+time.Millisecond {
					t.Errorf("%s/%s lies outside of %s: %v from its farthest point, and the country is %v across", provider, region, c.code, got, across)
				}
			}
		}
	}
	if placed < 150 {
		t.Errorf("only %d regions have a place", placed)
	}
}
