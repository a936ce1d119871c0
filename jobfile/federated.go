package jobfile

import (
	"slices"
	"strings"

	"purser"
)

// federated is training at several sites, each with its own data, whose replicas
// exchange updates with an aggregator.
type federated struct {
	written  written
	sites    []fedSite
	exchange purser.Exchange
}

// fedSite is where one replica of federated training runs.
type fedSite struct {
	at      value
	written written
	name    string
	where   purser.Where
}

var siteTable = table[fedSite]{what: "a site", fields: append([]field[fedSite]{
	{"name", func(_ *reader, s *fedSite, v value) (err error) { s.name, err = v.name("a site"); return }},
}, lift(whereFields, func(s *fedSite) *purser.Where { return &s.where })...)}

var aggregatorTable = table[purser.Exchange]{what: "an aggregator", fields: []field[purser.Exchange]{
	{"provider", func(_ *reader, e *purser.Exchange, v value) (err error) { e.Provider, err = v.provider(); return }},
	{"region", func(_ *reader, e *purser.Exchange, v value) (err error) { e.Region, err = v.word(); return }},
}}

var federatedTable = table[federated]{what: "federated", fields: []field[federated]{
	{"sites", func(r *reader, f *federated, v value) (err error) { f.sites, err = readSites(r, v); return }},
	{"update", func(_ *reader, f *federated, v value) (err error) { f.exchange.UpdateGB, err = v.dataSize(); return }},
	{"rounds", func(_ *reader, f *federated, v value) (err error) {
		f.exchange.Rounds, err = v.integer(1, 1_000_000)
		return
	}},
	{"aggregator", func(r *reader, f *federated, v value) error {
		w, err := aggregatorTable.read(r, v, &f.exchange)
		if err == nil && !w.has("provider") {
			err = v.fail("write {provider: aws, region: eu-central-1}", "an aggregator has a provider")
		}
		return err
	}},
}}

func readFederated(r *reader, f *federated, v value) error {
	var err error
	if f.written, err = federatedTable.read(r, v, f); err != nil {
		return err
	}
	for _, name := range federatedTable.names() {
		if !f.written.has(name) {
			return v.fail("it has sites, update, rounds and aggregator", "federated has no %s", name)
		}
	}
	return nil
}

// maxSites bounds the sites, each of which becomes a group that others can wait for.
const maxSites = purser.MaxAfter

func readSites(r *reader, v value) ([]fedSite, error) {
	if !v.isList() {
		return nil, v.wrong("a list of sites", "write - {name: munich, regions: [eu-central-1]} for each")
	}
	items := v.items()
	if len(items) == 0 || len(items) > maxSites {
		return nil, v.fail("", "there are %d sites; from 1 to %d will do", len(items), maxSites)
	}
	var out []fedSite
	for _, item := range items {
		s := fedSite{at: item}
		var err error
		if s.written, err = siteTable.read(r, item, &s); err != nil {
			return nil, err
		}
		switch {
		case s.name == "":
			return nil, item.fail("add name: munich", "a site needs a name")
		case len(s.written) == 1:
			return nil, item.fail("add regions, zones, providers or residency", "it is not said where the site %s is", s.name)
		case s.written.has("spot") && s.written.has("purchase_options"):
			return nil, s.written["purchase_options"].fail("purchase_options alone says it all", "both spot and purchase_options are given")
		case slices.ContainsFunc(out, func(o fedSite) bool { return o.name == s.name }):
			return nil, item.fail("give each a name of its own", "two sites are named %q", s.name)
		}
		out = append(out, s)
	}
	return out, nil
}

// atSites makes a group of each site, of one replica that runs there: a group is
// refused, planned and placed by itself.
func (g *group) atSites() ([]group, error) {
	if len(g.federated.sites) == 0 {
		return []group{*g}, nil
	}
	for _, name := range []string{"replicas", "gang", "scaling", "data", "stages", "model", "spread"} {
		if at, ok := g.written[name]; ok {
			return nil, at.fail("leave it out", "federated training has one whole replica at each site, and its data lies there")
		}
	}
	names := make([]string, len(g.federated.sites))
	for i, s := range g.federated.sites {
		names[i] = s.name
	}
	out := make([]group, len(names))
	for i, s := range g.federated.sites {
		one := *g
		one.noun.Name, one.noun.Exchange = g.noun.Name+"-"+s.name, g.federated.exchange
		one.noun.Where = s.within(g.noun.Where)
		one.noun.Run.Env = map[string]string{"FEDERATED_SITE": s.name, "FEDERATED_SITES": strings.Join(names, ",")}
		for k, v := range g.noun.Run.Env {
			one.noun.Run.Env[k] = v
		}
		if !purser.ValidName(one.noun.Name) {
			return nil, s.at.fail("shorten the name of the group or of the site", "%q cannot name a group", clip(one.noun.Name))
		}
		out[i] = one
	}
	return out, nil
}

// within is where a site is: what it says, and what its group says of all sites.
func (s *fedSite) within(w purser.Where) purser.Where {
	for _, f := range []struct {
		here, all *[]string
	}{
		{&s.where.Providers, &w.Providers},
		{&s.where.NoProviders, &w.NoProviders},
		{&s.where.Regions, &w.Regions},
		{&s.where.NoRegions, &w.NoRegions},
		{&s.where.Zones, &w.Zones},
		{&s.where.Countries, &w.Countries},
		{&s.where.Compliance, &w.Compliance},
	} {
		if len(*f.here) > 0 {
			*f.all = *f.here
		}
	}
	if s.written.has("spot") || s.written.has("purchase_options") {
		w.Options = s.where.Options
	}
	w.Confidential = w.Confidential || s.where.Confidential
	if s.where.MaxPerHour > 0 {
		w.MaxPerHour = s.where.MaxPerHour
	}
	return w
}

// spreadAfter lets what waits for a federated group wait for all of its sites.
func (j *job) spreadAfter() {
	for i := range j.noun.Groups {
		var after []string
		for _, name := range j.noun.Groups[i].After {
			sites := 0
			for _, g := range j.groups {
				if len(g.federated.sites) > 0 && g.base == name {
					after = append(after, g.noun.Name)
					sites++
				}
			}
			if sites == 0 {
				after = append(after, name)
			}
		}
		j.noun.Groups[i].After = after
	}
}
