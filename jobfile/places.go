package jobfile

import (
	"slices"
	"strings"
	"time"

	"purser"
)

// coordinates reads [52.52, 13.40]: degrees north and east.
func (v value) coordinates() (purser.Coordinates, error) {
	const hint = "write [52.52, 13.40]: degrees north and east"
	if !v.isList() || len(v.items()) != 2 {
		return purser.Coordinates{}, v.wrong("two coordinates", hint)
	}
	items := v.items()
	lat, err := items[0].number(-90, 90)
	if err != nil {
		return purser.Coordinates{}, err
	}
	lon, err := items[1].number(-180, 180)
	if err == nil && lat == 0 && lon == 0 {
		err = v.fail(hint, "there is nothing but the sea at 0, 0")
	}
	return purser.Coordinates{Lat: lat, Lon: lon}, err
}

// knownRegion reads the name of a region whose place is known.
func (v value) knownRegion() (string, purser.Coordinates, error) {
	s, err := v.word()
	if err != nil {
		return "", purser.Coordinates{}, err
	}
	at, ok := purser.RegionAt(s)
	if !ok {
		err = v.fail("give coordinates: at: [52.52, 13.40]", "where the region %q lies is not known", clip(s))
	}
	return s, at, err
}

// compliance reads the rules that places comply with.
func (v value) compliance() ([]string, error) {
	return v.each(func(v value) (string, error) {
		s, err := v.word()
		if err != nil {
			return "", err
		}
		s = strings.ToLower(s)
		known := purser.ComplianceRules()
		if slices.Contains(known, s) {
			return s, nil
		}
		hint := "one of " + listed(known)
		if near := nearest(s, known); near != "" {
			hint = "did you mean " + near + "?"
		}
		return "", v.fail(hint, "%q is not a rule that places are asked to comply with", clip(s))
	})
}

var usersTable = table[purser.Users]{what: "users", fields: []field[purser.Users]{
	{"near", func(_ *reader, u *purser.Users, v value) (err error) {
		u.Near, err = v.word()
		if provider, _, ok := strings.Cut(u.Near, "/"); err == nil && (!ok || slices.Contains(purser.RegionProviders(), provider)) {
			_, _, err = v.knownRegion()
		}
		return
	}},
	{"country", func(_ *reader, u *purser.Users, v value) error {
		s, err := v.country()
		if s == "EU" {
			err = v.fail("name the member states, each with its share", "users live in a country, not in the EU at large")
		}
		u.Country = s
		return err
	}},
	{"at", func(_ *reader, u *purser.Users, v value) (err error) { u.At, err = v.coordinates(); return }},
	{"share", func(_ *reader, u *purser.Users, v value) error {
		var err error
		if u.Share, err = v.share(1); err == nil && u.Share == 0 {
			err = v.fail("leave those users out", "a share of users must be above 0")
		}
		return err
	}},
	{"latency", func(_ *reader, u *purser.Users, v value) error {
		if !v.isMapping() {
			return v.wrong("round trips by region", "write {eu-west-1: 12ms}")
		}
		if len(v.pairs()) == 0 {
			return v.fail("write {eu-west-1: 12ms}", "no round trip is given")
		}
		u.Measured = map[string]time.Duration{}
		for _, p := range v.pairs() {
			if p.name == "" {
				return p.key.fail("write {eu-west-1: 12ms}", "a round trip needs a region")
			}
			d, err := p.value.roundTrip()
			if err != nil {
				return err
			}
			u.Measured[p.name] = d
		}
		return nil
	}},
}}

// readUsers reads where the users of a service are: one mapping, or a list of them.
func readUsers(r *reader, v value) ([]purser.Users, error) {
	items := v.items()
	if len(items) == 0 || len(items) > maxListed {
		return nil, v.fail("", "give 1 to %d places of users", maxListed)
	}
	out := make([]purser.Users, len(items))
	for i, item := range items {
		w, err := usersTable.read(r, item, &out[i])
		if err != nil {
			return nil, err
		}
		if n := count(w, "near", "country", "at"); n != 1 {
			return nil, item.fail("write {near: eu-west-1}, {country: DE} or {at: [52.52, 13.40]}", "users are near a region, in a country or at a point: %d of these are given", n)
		}
	}
	return out, nil
}

// count is how many of the fields are written.
func count(w written, names ...string) int {
	n := 0
	for _, name := range names {
		if w.has(name) {
			n++
		}
	}
	return n
}

// roundTrip reads a latency.
func (v value) roundTrip() (time.Duration, error) {
	s, err := v.text(maxWord)
	d, bad := time.ParseDuration(s)
	switch {
	case err != nil || bad != nil || d < 0:
		return 0, v.fail("write it like 60ms or 0.2s", "this is not a latency")
	case d > time.Hour:
		return 0, v.fail("", "no round trip takes longer than an hour")
	}
	return d, nil
}

var latencyTable = table[purser.MaxLatency]{what: "a latency", fields: []field[purser.MaxLatency]{
	{"time", func(_ *reader, m *purser.MaxLatency, v value) (err error) { m.Time, err = v.roundTrip(); return }},
	{"share", func(_ *reader, m *purser.MaxLatency, v value) (err error) { m.Share, err = v.part(); return }},
}}

// readMaxLatency reads 60ms or {time: 60ms, share: 95%}.
func readMaxLatency(r *reader, m *purser.MaxLatency, v value) error {
	var err error
	if v.isMapping() {
		_, err = latencyTable.read(r, v, m)
	} else {
		m.Time, err = v.roundTrip()
	}
	if err == nil && m.Time == 0 {
		err = v.fail("write it like 60ms or {time: 60ms, share: 95%}", "a latency must be above 0")
	}
	return err
}

var placeTable = table[purser.AtlasPlace]{what: "a place", fields: []field[purser.AtlasPlace]{
	{"provider", func(_ *reader, p *purser.AtlasPlace, v value) (err error) { p.Provider, err = v.provider(); return }},
	{"region", func(_ *reader, p *purser.AtlasPlace, v value) (err error) { p.Region, err = v.region(); return }},
	{"at", func(_ *reader, p *purser.AtlasPlace, v value) (err error) { p.At, err = v.coordinates(); return }},
	{"near", func(_ *reader, p *purser.AtlasPlace, v value) (err error) { _, p.At, err = v.knownRegion(); return }},
	{"compliance", func(_ *reader, p *purser.AtlasPlace, v value) (err error) { p.Compliance, err = v.compliance(); return }},
	{"confidential", func(_ *reader, p *purser.AtlasPlace, v value) (err error) { p.Confidential, err = v.boolean(); return }},
}}

func readPlaces(r *reader, list value) (purser.Atlas, error) {
	var out purser.Atlas
	for _, item := range list.items() {
		var p purser.AtlasPlace
		w, err := placeTable.read(r, item, &p)
		switch {
		case err != nil:
			return nil, err
		case !w.has("provider"):
			return nil, item.fail("write {provider: aws, region: eu-*, compliance: [c5]}", "a place needs provider")
		case w.has("at") && w.has("near"):
			return nil, w["near"].fail("keep one", "both at and near are given")
		case count(w, "at", "near") > 0 && !w.has("region"):
			return nil, item.fail("add region", "a provider as a whole lies nowhere: name its region")
		case count(w, "at", "near", "compliance", "confidential") == 0:
			return nil, item.fail("give at, near, compliance or confidential", "nothing is said of the place")
		}
		out = append(out, p)
	}
	return out, nil
}

// site is where a private machine stands.
type site struct {
	at purser.Coordinates
}

// siteFields may stand in a private machine.
var siteFields = []field[site]{
	{"at", func(_ *reader, s *site, v value) error {
		if s.at != (purser.Coordinates{}) {
			return v.fail("keep one", "both at and near are given")
		}
		var err error
		s.at, err = v.coordinates()
		return err
	}},
	{"near", func(_ *reader, s *site, v value) error {
		if s.at != (purser.Coordinates{}) {
			return v.fail("keep one", "both at and near are given")
		}
		var err error
		_, s.at, err = v.knownRegion()
		return err
	}},
}

// addSite notes where the machines of a region stand: all of them in one place.
func addSite(atlas purser.Atlas, m machine, at value) (purser.Atlas, error) {
	if m.site.at == (purser.Coordinates{}) {
		return atlas, nil
	}
	for _, p := range atlas {
		if p.Region == m.offer.Region {
			if p.At != m.site.at {
				return nil, at.fail("give each site a region of its own", "the machines of region %s stand in two places", clip(m.offer.Region))
			}
			return atlas, nil
		}
	}
	return append(atlas, purser.AtlasPlace{Provider: PrivateProvider, Region: m.offer.Region, At: m.site.at}), nil
}
