// Package verda collects prices and capacity of Verda (formerly DataCrunch).
//
// # What it reads
//
//	POST /oauth2/token                        a token for the client credentials
//	GET  /instance-types?currency=usd         types, on-demand and spot price
//	GET  /instance-availability               which types each location can start now
//	GET  /instance-availability?is_spot=true  the same as spot
//	GET  /locations                           the country of each location
//
// Together they are one batch: an answer that fails leaves everything as it was.
//
// # What it decides
//
//   - A type is an offer in a location only where that location can start it under that
//     option now. A type that is listed nowhere has no row. How many machines there are
//     is not said.
//   - Prices are decimal texts of USD per hour of the machine, read exactly. The spot
//     price is spot_price, or spot_price_per_hour as newer answers name it. A type
//     priced in another currency is quarantined, since it must not pass for USD.
//   - Every collection asks for a token of its own. So nothing is kept between two, and
//     no clock has to agree with Verda's on when a token ends; a token that is refused
//     on the way (401) is replaced once.
//   - The device is read from gpu.description, such as "8x H100 SXM5 80GB"; a device
//     that Purser does not know keeps that name for the quarantine. GB are GiB.
//
// # Failures
//
// Missing credentials are unauthorized, before anything is asked; refused ones are
// unauthorized or forbidden, as is a token that is refused twice. An empty list of types
// or a missing one is invalid. The rest is package feed's.
package verda

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"purser"
	"purser/pricing"
	"purser/pricing/feed"
)

// DefaultURL is where Verda's public API is.
const DefaultURL = "https://api.verda.com/v1"

const (
	source = "verda"
	op     = "verda.Collect"
	keyFix = "make Cloud API credentials in the Verda console and give the source their client id and secret"
)

// Options says how Verda is asked.
type Options struct {
	URL          string           // base of the API. Defaults to DefaultURL
	ClientID     string           // of the API credentials; it must be given
	ClientSecret string           // likewise
	Client       *feed.Client     // Defaults to one with feed's defaults
	Now          func() time.Time // Defaults to time.Now
}

type collector struct{ opt Options }

// New gives the collector of Verda's price list.
func New(opt Options) pricing.Collector {
	opt.URL = strings.TrimSuffix(cmp.Or(opt.URL, DefaultURL), "/")
	if opt.Client == nil {
		opt.Client = &feed.Client{}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &collector{opt}
}

// Source is verda.
func (*collector) Source() string { return source }

// instanceType is one type as the API says it.
type instanceType struct {
	Name    string      `json:"instance_type"`
	Price   json.Number `json:"price_per_hour"`
	Spot    json.Number `json:"spot_price"`
	SpotToo json.Number `json:"spot_price_per_hour"`
	Money   string      `json:"currency"`
	CPU     struct {
		Cores int64 `json:"number_of_cores"`
	} `json:"cpu"`
	GPU struct {
		Description string `json:"description"`
		Number      int64  `json:"number_of_gpus"`
	} `json:"gpu"`
	Memory struct {
		GB int64 `json:"size_in_gigabytes"`
	} `json:"memory"`
}

type availability struct {
	Location string   `json:"location_code"`
	Types    []string `json:"availabilities"`
}

// answers are all that a collection asks for.
type answers struct {
	types      []instanceType
	now        map[purser.PurchaseOption][]availability
	countryOf  map[string]string // by location
	observedAt time.Time
}

// Collect asks for everything and emits it as one batch.
func (c *collector) Collect(ctx context.Context, emit func(pricing.Batch) error) error {
	if c.opt.ClientID == "" || c.opt.ClientSecret == "" {
		return &purser.Error{Kind: purser.KindUnauthorized, Op: op, Message: "Verda's API needs a client id and a secret, and they are not given", Hint: keyFix}
	}
	a, err := c.ask(ctx)
	if err != nil {
		return withHint(err)
	}
	if err := ctx.Err(); err != nil {
		return purser.Wrap(purser.KindUnavailable, op, err)
	}
	return emit(pricing.Batch{Source: source, ObservedAt: a.observedAt, Rows: a.rows(c.opt.URL + "/instance-types")})
}

func (c *collector) ask(ctx context.Context) (answers, error) {
	a := answers{now: map[purser.PurchaseOption][]availability{}, countryOf: map[string]string{}, observedAt: c.opt.Now().UTC()}
	s := session{opt: c.opt}
	if err := s.login(ctx); err != nil {
		return a, err
	}
	if err := s.get(ctx, "/instance-types?currency=usd", &a.types); err != nil {
		return a, err
	}
	if len(a.types) == 0 {
		return a, purser.Errorf(purser.KindInvalid, op, "%s/instance-types lists no instance type at all", c.opt.URL)
	}
	for _, option := range []purser.PurchaseOption{purser.OnDemand, purser.Spot} {
		path := "/instance-availability"
		if option == purser.Spot {
			path += "?is_spot=true"
		}
		var list []availability
		if err := s.get(ctx, path, &list); err != nil {
			return a, err
		}
		if list == nil {
			return a, purser.Errorf(purser.KindInvalid, op, "%s/instance-availability does not list any location", c.opt.URL)
		}
		a.now[option] = list
	}
	var locations []struct {
		Code    string `json:"code"`
		Country string `json:"country_code"`
	}
	if err := s.get(ctx, "/locations", &locations); err != nil {
		return a, err
	}
	for _, l := range locations {
		a.countryOf[l.Code] = l.Country
	}
	return a, nil
}

// session is the token of one collection.
type session struct {
	opt     Options
	token   string
	renewed bool
}

func (s *session) login(ctx context.Context) error {
	body, err := json.Marshal(map[string]string{"grant_type": "client_credentials", "client_id": s.opt.ClientID, "client_secret": s.opt.ClientSecret})
	if err != nil {
		return purser.Wrap(purser.KindInternal, op, err)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	err = s.opt.Client.JSON(ctx, op, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opt.URL+"/oauth2/token", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		return req, nil
	}, &answer)
	if err != nil {
		return err
	}
	if answer.Token == "" {
		return purser.Errorf(purser.KindInvalid, op, "%s/oauth2/token gives no token", s.opt.URL)
	}
	s.token = answer.Token
	return nil
}

// get asks with the token, and once in a session with a new one when it is refused.
func (s *session) get(ctx context.Context, path string, out any) error {
	err := s.opt.Client.JSON(ctx, op, feed.Get(s.opt.URL+path, "Authorization", "Bearer "+s.token), out)
	if purser.KindOf(err) != purser.KindUnauthorized || s.renewed {
		return err
	}
	s.renewed = true
	if err := s.login(ctx); err != nil {
		return err
	}
	return s.opt.Client.JSON(ctx, op, feed.Get(s.opt.URL+path, "Authorization", "Bearer "+s.token), out)
}

// withHint adds what to do about credentials that are refused. What the server said
// is left out, since it may repeat what it was sent.
func withHint(err error) error {
	e, ok := errors.AsType[*purser.Error](err)
	if !ok || (e.Kind != purser.KindUnauthorized && e.Kind != purser.KindForbidden) {
		return err
	}
	return &purser.Error{Kind: e.Kind, Op: op, Message: e.Message, Hint: "the credentials are not accepted: " + keyFix}
}

// rows are the types in each location that can start them.
func (a answers) rows(at string) []pricing.Row {
	types := make(map[string]instanceType, len(a.types))
	for _, t := range a.types {
		types[t.Name] = t
	}
	var rows []pricing.Row
	for option, list := range a.now {
		for _, l := range list {
			for _, name := range l.Types {
				figure := types[name].Price
				if option == purser.Spot {
					figure = cmp.Or(types[name].Spot, types[name].SpotToo)
				}
				if figure == "" {
					continue // not sold under this option, or a type without a price
				}
				row := types[name].row(figure)
				row.Place = at + "#" + name
				row.Offer.Region, row.Offer.Option, row.Offer.Country, row.Offer.ObservedAt = l.Location, option, a.countryOf[l.Location], a.observedAt
				rows = append(rows, row)
			}
		}
	}
	slices.SortFunc(rows, func(x, y pricing.Row) int { return cmp.Compare(x.Offer.ID(), y.Offer.ID()) })
	return rows
}

// row makes the row of a type at a price, without its place.
func (t instanceType) row(figure json.Number) pricing.Row {
	r := pricing.Row{Offer: purser.Offer{
		Provider: source, InstanceType: t.Name, Limit: purser.Unlimited, Source: source,
		Shape: purser.Shape{MilliCPU: t.CPU.Cores * 1000, MemoryMiB: t.Memory.GB * 1024},
	}}
	price, err := purser.ParseUSDPerHour(figure.String())
	r.Offer.UnitPrice = price
	switch {
	case err != nil:
		r.Reason, r.Detail = purser.QuarantineNoPrice, "the price is "+strconv.Quote(figure.String())
	case t.Money != "" && !strings.EqualFold(t.Money, "usd"):
		r.Reason, r.Detail = purser.QuarantineNoPrice, "the price is in "+strconv.Quote(t.Money)+", not in USD"
	}
	if t.GPU.Number == 0 {
		return r
	}
	r.Offer.Devices, r.Offer.Accelerator = purser.MilliDevices(t.GPU.Number*1000), accelerator(t.GPU.Description)
	if r.Offer.Accelerator == "" {
		r.AcceleratorName = cmp.Or(t.GPU.Description, t.Name)
	}
	return r
}

var described = regexp.MustCompile(`^(?:\d{1,3}x )?(.+?)( (?:SXM\d*|PCIe|OAM))?(?: (\d{1,4}) ?GB)?$`)

// accelerator is the model that a description means; empty when it is not known.
func accelerator(description string) string {
	m := described.FindStringSubmatch(description)
	if m == nil {
		return ""
	}
	name, form, memory := m[1], m[2], " "+m[3]+"GB"
	gb, err := strconv.ParseFloat(m[3], 64)
	for _, n := range []string{name + form + memory, name + form, name + memory, name} {
		// A tenth, since a B300 of 288 GB is sold as one of 262 GB.
		if a, ok := purser.AcceleratorNamed(n); ok && (err != nil || math.Abs(a.MemoryGiB-gb) <= a.MemoryGiB/10) {
			return a.Name
		}
	}
	return ""
}
