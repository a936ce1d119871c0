package purser

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Coordinates are degrees north and east. The zero value is not known.
type Coordinates struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

func (c Coordinates) valid() bool {
	return c.Lat >= -90 && c.Lat <= 90 && c.Lon >= -180 && c.Lon <= 180 // false for NaN
}

// Users are people who use a service from one place: a region of a provider, a country, or a point.
type Users struct {
	Near    string      `json:"near,omitempty"`    // eu-west-1, or gcp/us-east1
	Country string      `json:"country,omitempty"` // ISO 3166 alpha-2: somewhere in it
	At      Coordinates `json:"at,omitzero"`
	Share   float64     `json:"share,omitempty"` // of all users; 0 for all alike
	// Measured are round trips from here by region (eu-west-1, or aws/eu-west-1): they are taken for what is worked out.
	Measured map[string]time.Duration `json:"measured_ns,omitempty"`
}

// MaxLatency is how far a service may be from its users: the round trip to Share of them takes at most Time.
type MaxLatency struct {
	Time  time.Duration `json:"time_ns,omitempty"`
	Share float64       `json:"share,omitempty"` // 0 means 1, all of them
}

// How a round trip is worked out. Light in fibre does two thirds of its speed in vacuum, and the way over the internet takes in the
// median 2.1 times as long as a straight line of fibre would (Bozkurt and others, "Dissecting Latency in the Internet's Fiber
// Infrastructure", 2018). Sea cables run straighter, so round trips over an ocean are taken for longer than they are. The last stretch,
// from the users' line to the network and from the network to the machine, is taken for 5 ms: an allowance of Purser's own.
const (
	fibreKmPerSecond = 299_792.458 * 2 / 3
	detour           = 2.1
	lastStretch      = 5 * time.Millisecond
	earthRadiusKm    = 6371.0088
)

// RoundTrip is about how long the way there and back takes over so many km.
func RoundTrip(km float64) time.Duration {
	return lastStretch + time.Duration(2*detour*km/fibreKmPerSecond*float64(time.Second))
}

// distance is the length of the great circle in km.
func (c Coordinates) distance(to Coordinates) float64 {
	rad := math.Pi / 180
	s, t := math.Sin(float64((to.Lat-c.Lat)*rad)/2), math.Sin(float64((to.Lon-c.Lon)*rad)/2)
	h := float64(s*s) + float64(math.Cos(c.Lat*rad)*math.Cos(to.Lat*rad))*float64(t*t)
	return 2 * earthRadiusKm * math.Asin(math.Sqrt(min(1, h)))
}

// spread is somewhere within radius km of a point.
type spread struct {
	middle Coordinates
	radius float64
}

// RegionAt gives the place of a region by its name, with its provider before it (gcp/us-east1) or bare: then the first of
// RegionProviders that has such a region is meant.
func RegionAt(name string) (Coordinates, bool) {
	if provider, region, ok := strings.Cut(name, "/"); ok {
		c, known := regionPlaces[provider][region]
		return c, known
	}
	for _, provider := range RegionProviders() {
		if c, ok := regionPlaces[provider][name]; ok {
			return c, true
		}
	}
	return Coordinates{}, false
}

// placeOf is where an offer's machines stand: as the atlas says, as the public lists of regions do, or else somewhere in their country.
func (a Atlas) placeOf(o Offer) (spread, bool) {
	for _, p := range a {
		if p.At != (Coordinates{}) && p.covers(o) {
			return spread{middle: p.At}, true
		}
	}
	if c, ok := regionPlaces[o.Provider][o.Region]; ok {
		return spread{middle: c}, true
	}
	return countrySpread(o.Country)
}

func countrySpread(code string) (spread, bool) {
	d, ok := countryDiscs[code]
	return spread{Coordinates{d.lat, d.lon}, d.radius}, ok
}

// placeOfUsers is where users are.
func (a Atlas) placeOfUsers(u Users) (spread, bool) {
	switch {
	case u.Country != "":
		return countrySpread(u.Country)
	case u.Near == "":
		return spread{middle: u.At}, true
	}
	if provider, region, ok := strings.Cut(u.Near, "/"); ok {
		return a.placeOf(Offer{Provider: provider, Region: region})
	}
	c, ok := RegionAt(u.Near)
	return spread{middle: c}, ok
}

// LatencyFrom is the round trip from users to an offer: as it was measured, or else worked out, at the worst of where they and it can
// be. It is false where either place is not known.
func (a Atlas) LatencyFrom(u Users, o Offer) (time.Duration, bool) {
	for _, name := range []string{o.Provider + "/" + o.Region, o.Region} {
		if d, ok := u.Measured[name]; ok {
			return d, true
		}
	}
	from, ok := a.placeOfUsers(u)
	if !ok {
		return 0, false
	}
	to, ok := a.placeOf(o)
	return RoundTrip(from.middle.distance(to.middle) + from.radius + to.radius), ok
}

// near says whether enough of the group's users are near enough to the offer. Those whose way there is not known are not.
func (a Atlas) near(g *TaskGroup, o Offer) bool {
	within, all := 0.0, 0.0
	for _, u := range g.Users {
		share := u.Share
		if share == 0 {
			share = 1
		}
		all += share
		if d, ok := a.LatencyFrom(u, o); ok && d <= g.MaxLatency.Time {
			within += share
		}
	}
	least := g.MaxLatency.Share
	if least == 0 {
		least = 1
	}
	return within >= least*all*(1-1e-9)
}

// maxLatency bounds what can be asked for: more is a slip of the pen.
const maxLatency = time.Hour

// checkLatency says which field of the group's latency is wrong and why, or "".
func (g TaskGroup) checkLatency() (field, message string) {
	switch m := g.MaxLatency; {
	case m.Time < 0 || m.Time > maxLatency:
		return "max_latency", "a round trip lies above 0 and within an hour"
	case !(m.Share >= 0 && m.Share <= 1):
		return "max_latency", "the share of users within the latency lies between 0 and 1"
	case m.Time == 0 && m.Share > 0:
		return "max_latency", "say what the round trip may take"
	case m.Time > 0 && len(g.Users) == 0:
		return "users", "a latency is one from somewhere: say where the users are"
	case m.Time == 0 && len(g.Users) > 0:
		return "max_latency", "say how far the users may be: give the longest round trip"
	case g.Kind == Training && m.Time > 0:
		return "max_latency", "latency belongs to inference groups"
	}
	given := slices.ContainsFunc(g.Users, func(u Users) bool { return u.Share > 0 })
	for i, u := range g.Users {
		at := fmt.Sprintf("users[%d]", i)
		if wrong := u.check(); wrong != "" {
			return at, wrong
		}
		if given && u.Share == 0 {
			return at, "either all places of users have a share or none has"
		}
	}
	return "", ""
}

// check says what is wrong with a place of users, or "".
func (u Users) check() string {
	said := 0
	for _, is := range []bool{u.Near != "", u.Country != "", u.At != Coordinates{}} {
		if is {
			said++
		}
	}
	provider, _, withProvider := strings.Cut(u.Near, "/")
	_, known := RegionAt(u.Near)
	switch {
	case said != 1:
		return "users are near a region, in a country or at a point: give one of these"
	case u.Near != "" && !known && (!withProvider || slices.Contains(RegionProviders(), provider)):
		return fmt.Sprintf("where the region %q lies is not known; give coordinates", clip(u.Near))
	case u.Country != "" && countryDiscs[u.Country] == disc{}:
		return fmt.Sprintf("where %q lies is not known; give coordinates", clip(u.Country))
	case !u.At.valid():
		return "a place lies between -90 and 90 degrees north, -180 and 180 east"
	case !(u.Share >= 0 && u.Share <= 1):
		return "a share of users lies between 0 and 1"
	}
	for region, d := range u.Measured {
		if region == "" || d < 0 || d > maxLatency {
			return "a measured round trip lies between 0 and an hour"
		}
	}
	return ""
}
