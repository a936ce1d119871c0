package jobfile

import (
	"slices"
	"strings"

	"purser"
)

// whereFields limit the offers that may serve a group.
var whereFields = []field[purser.Where]{
	{"providers", func(_ *reader, w *purser.Where, v value) (err error) {
		w.Providers, err = v.each(value.provider)
		return
	}},
	{"not_providers", func(_ *reader, w *purser.Where, v value) (err error) {
		w.NoProviders, err = v.each(value.provider)
		return
	}},
	{"regions", func(_ *reader, w *purser.Where, v value) (err error) { w.Regions, err = v.each(value.region); return }},
	{"not_regions", func(_ *reader, w *purser.Where, v value) (err error) { w.NoRegions, err = v.each(value.region); return }},
	{"zones", func(_ *reader, w *purser.Where, v value) (err error) { w.Zones, err = v.each(value.word); return }},
	{"residency", func(_ *reader, w *purser.Where, v value) (err error) {
		w.Countries, err = v.each(value.country)
		return
	}},
	{"confidential", func(_ *reader, w *purser.Where, v value) (err error) { w.Confidential, err = v.boolean(); return }},
	{"compliance", func(_ *reader, w *purser.Where, v value) (err error) { w.Compliance, err = v.compliance(); return }},
	{"spot", readSpot},
	{"purchase_options", readOptions},
	{"max_price", func(_ *reader, w *purser.Where, v value) error {
		p, err := v.price()
		if err == nil && p == 0 {
			err = v.fail("leave it out to set no ceiling", "a price ceiling must be above 0")
		}
		w.MaxPerHour = p
		return err
	}},
}

// each reads a list of texts; one text alone is a list of one.
func (v value) each(read func(value) (string, error)) ([]string, error) {
	items := v.items()
	if len(items) == 0 {
		return nil, v.fail("leave the field out to allow everything", "the list is empty")
	}
	if len(items) > maxListed {
		return nil, v.fail("", "the list has more than %d entries", maxListed)
	}
	out := make([]string, len(items))
	for i, item := range items {
		s, err := read(item)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out[:i], s) {
			return nil, item.fail("", "%q stands in the list twice", clip(s))
		}
		out[i] = s
	}
	return out, nil
}

// maxListed bounds the lists of places, labels, files and variables.
const maxListed = 1000

// provider is a cloud's name in small letters, as offers have it.
func (v value) provider() (string, error) {
	s, err := v.word()
	s = strings.ToLower(s)
	if err == nil && !purser.ValidName(s) {
		err = v.fail("write it like aws, gcp or lambda", "%q is not the name of a provider", clip(s))
	}
	return s, err
}

func (v value) region() (string, error) {
	s, err := v.word()
	if err == nil && strings.Contains(strings.TrimSuffix(s, "*"), "*") {
		err = v.fail("write it like eu-*", "a * may only end the name of a region")
	}
	return s, err
}

// country reads an ISO 3166 alpha-2 code, or EU for the European Union.
func (v value) country() (string, error) {
	s, err := v.word()
	if err != nil {
		return "", err
	}
	s = strings.ToUpper(s)
	if len(s) == 2 && (s == "EU" || strings.Contains(" "+countries+" ", " "+s+" ")) {
		return s, nil
	}
	hint := "write two letters such as DE or US, or EU for the European Union"
	if s == "UK" {
		hint = "write GB"
	}
	return "", v.fail(hint, "%q is not a country", clip(s))
}

// countries are the officially assigned codes of ISO 3166-1 alpha-2.
const countries = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
	"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ " +
	"NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW " +
	"SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
	"UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"

// steady are the purchase options that are not taken back by the cloud.
func steady() []purser.PurchaseOption {
	return []purser.PurchaseOption{purser.OnDemand, purser.Reserved, purser.CapacityBlock, purser.FlexStart, purser.Private}
}

// readSpot reads true (allowed, which is also the default), false or only.
func readSpot(_ *reader, w *purser.Where, v value) error {
	if v.tag() == "!!str" && v.node.Value == "only" {
		w.Options = []purser.PurchaseOption{purser.Spot}
		return nil
	}
	if v.tag() != "!!bool" {
		return v.wrong("true, false or only", "")
	}
	allowed, err := v.boolean()
	w.Options = nil
	if !allowed {
		w.Options = steady()
	}
	return err
}

func readOptions(_ *reader, w *purser.Where, v value) error {
	names, err := v.each(func(v value) (string, error) { return v.option() })
	w.Options = nil
	for _, s := range names {
		w.Options = append(w.Options, purser.PurchaseOption(s))
	}
	return err
}

// option reads a purchase option that is known by name. The set is open to the
// price feeds, not to users: a misspelt option would quietly allow nothing.
func (v value) option() (string, error) {
	s, err := v.text(maxWord)
	if err != nil {
		return "", err
	}
	known := []string{string(purser.Spot), string(purser.Serverless)}
	for _, o := range steady() {
		known = append(known, string(o))
	}
	slices.Sort(known)
	if slices.Contains(known, s) {
		return s, nil
	}
	hint := "one of " + listed(known)
	if near := nearest(strings.ReplaceAll(s, "-", "_"), known); near != "" {
		hint = "did you mean " + near + "?"
	}
	return "", v.fail(hint, "%q is not a purchase option", clip(s))
}
