package jobfile

import (
	"slices"
	"strings"

	"purser"
)

// Limits are what an account may hold at once, what is promised to providers, and the machines that are owned.
type Limits struct {
	Quotas      []purser.Quota      `json:"quotas,omitempty"`
	Commitments []purser.Commitment `json:"commitments,omitempty"`
	// Private are machines of the user's own as offers: option private, limit the
	// count of equal machines, price what an hour of one costs. Provider is
	// "private", and so is the source, with a colon and how the price came about
	// where it was not written: private:amortization+power. ValidFrom and
	// ObservedAt are left to the caller.
	Private []purser.Offer `json:"private,omitempty"`
	// Atlas says where places lie and what they comply with; private machines that say where they stand come first in it.
	Atlas purser.Atlas `json:"atlas,omitempty"`
}

// PrivateProvider is the provider of private machines. DefaultSite is their
// region when the file names none.
const (
	PrivateProvider = "private"
	DefaultSite     = "local"
)

type limitsFile struct{ quotas, commitments, private, places value }

var limitsTable = table[limitsFile]{what: "a limits file", fields: []field[limitsFile]{
	{"version", func(_ *reader, _ *limitsFile, v value) error { return v.version() }},
	{"quotas", func(_ *reader, f *limitsFile, v value) error { f.quotas = v; return v.wantList("quotas") }},
	{"commitments", func(_ *reader, f *limitsFile, v value) error { f.commitments = v; return v.wantList("commitments") }},
	{"private", func(_ *reader, f *limitsFile, v value) error { f.private = v; return v.wantList("private machines") }},
	{"places", func(_ *reader, f *limitsFile, v value) error { f.places = v; return v.wantList("places") }},
}}

func (v value) wantList(what string) error {
	if !v.isList() {
		return v.wrong("a list of "+what, "")
	}
	return nil
}

var quotaTable = table[purser.Quota]{what: "a quota", fields: []field[purser.Quota]{
	{"name", func(_ *reader, q *purser.Quota, v value) (err error) { q.Name, err = v.word(); return }},
	{"provider", func(_ *reader, q *purser.Quota, v value) (err error) { q.Provider, err = v.provider(); return }},
	{"region", func(_ *reader, q *purser.Quota, v value) (err error) { q.Region, err = v.word(); return }},
	{"purchase_option", func(_ *reader, q *purser.Quota, v value) error {
		s, err := v.option()
		q.Option = purser.PurchaseOption(s)
		return err
	}},
	{"accelerator", func(_ *reader, q *purser.Quota, v value) error {
		m, err := v.oneModel(false)
		q.Accelerator = m.name
		return err
	}},
	{"instance_type_prefix", func(_ *reader, q *purser.Quota, v value) (err error) { q.TypePrefix, err = v.word(); return }},
	{"unit", func(_ *reader, q *purser.Quota, v value) error {
		s, err := v.text(maxWord)
		if err == nil && !slices.Contains(purser.QuotaUnits(), s) {
			err = v.fail("one of "+strings.Join(purser.QuotaUnits(), ", "), "%q is not the unit of a quota", clip(s))
		}
		q.Unit = s
		return err
	}},
	{"limit", func(_ *reader, q *purser.Quota, v value) error {
		n, err := v.integer(0, 1e9)
		q.Limit = int64(n)
		return err
	}},
}}

// oneModel reads an accelerator that is exactly one model: a machine has one,
// and a quota counts one. withCount reads A100-80GB:8.
func (v value) oneModel(withCount bool) (model, error) {
	s, err := v.text(maxWord)
	if err != nil {
		return model{}, v.wrong("an accelerator", "write it like A100-80GB:8")
	}
	word, count, given := strings.Cut(s, ":")
	switch {
	case given && !withCount:
		return model{}, v.fail("the number belongs in limit", "%q has a number of devices", clip(s))
	case !given:
		count = "1"
	}
	models, err := v.models(word, count)
	if err != nil {
		return model{}, err
	}
	if len(models) > 1 {
		return model{}, v.fail("write "+exactWords(word), "%s means several models", clip(word))
	}
	if withCount && !models[0].devices.Whole() {
		return model{}, v.fail("", "a machine has whole devices")
	}
	return models[0], nil
}

// exactWords lists for each model of a family a word that means it alone. Where
// the family has a model's own name (H100), that is the model's first alias.
func exactWords(family string) string {
	var words []string
	for _, a := range purser.AcceleratorsMatching(family) {
		for _, w := range append([]string{a.Name}, a.Aliases...) {
			if len(purser.AcceleratorsMatching(w)) == 1 {
				words = append(words, w)
				break
			}
		}
	}
	return strings.Join(words, " or ")
}

// ParseLimits reads a limits file. Names of quotas are unique, and so are the
// private machines' names within a region and zone.
func ParseLimits(name string, data []byte) (Limits, error) {
	limits, err := parseLimits(name, data)
	if err != nil {
		return Limits{}, inFile(name, err)
	}
	return limits, nil
}

func parseLimits(name string, data []byte) (Limits, error) {
	root, err := parseTree(name, data)
	if err != nil {
		return Limits{}, err
	}
	r := &reader{}
	var f limitsFile
	w, err := limitsTable.read(r, root, &f)
	if err != nil {
		return Limits{}, err
	}
	if count(w, "quotas", "commitments", "private", "places") == 0 {
		return Limits{}, root.fail("add quotas:, commitments:, private: or places:", "the file sets no limit")
	}
	var out Limits
	if w.has("quotas") {
		if out.Quotas, err = readQuotas(r, f.quotas); err != nil {
			return Limits{}, err
		}
	}
	if w.has("commitments") {
		if out.Commitments, err = readCommitments(r, f.commitments); err != nil {
			return Limits{}, err
		}
	}
	if w.has("private") {
		if out.Private, out.Atlas, err = readMachines(r, f.private); err != nil {
			return Limits{}, err
		}
	}
	if w.has("places") {
		places, err := readPlaces(r, f.places)
		if err != nil {
			return Limits{}, err
		}
		out.Atlas = append(out.Atlas, places...)
	}
	return out, nil
}

func readQuotas(r *reader, list value) ([]purser.Quota, error) {
	var out []purser.Quota
	first := map[string]int{}
	for _, item := range list.items() {
		var q purser.Quota
		w, err := quotaTable.read(r, item, &q)
		if err != nil {
			return nil, err
		}
		for _, need := range []string{"name", "unit", "limit"} {
			if !w.has(need) {
				return nil, item.fail("write {name: aws-spot-p, provider: aws, unit: vcpus, limit: 192}", "a quota needs %s", need)
			}
		}
		if line, ok := first[q.Name]; ok {
			return nil, w["name"].fail("", "two quotas are named %q; the first stands in line %d", clip(q.Name), line)
		}
		first[q.Name] = w["name"].at.Line
		if err := q.Check(); err != nil {
			return nil, item.fail("", "%s", err)
		}
		out = append(out, q)
	}
	return out, nil
}
