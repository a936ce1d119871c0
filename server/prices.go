package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"purser"
	"purser/api"
)

// OfferQuery selects offers. Zero fields select all.
type OfferQuery struct {
	Provider, Region, Accelerator, Source string
	Option                                purser.PurchaseOption
	ID                                    purser.OfferID
	MinMemoryGiB, MinDevices              float64 // of one device; devices of the machine
	Accelerated                           bool    // only machines with devices
	Per                                   string  // what the price is compared for: machine, device, gib or tflop
	MaxPrice                              float64 // USD per hour for one of Per; 0: any
	AsOf                                  time.Time
	Limit                                 int
}

// PriceFile is a price list or a history of prices that a user brings.
type PriceFile struct {
	Name     string // e.g. aws.csv.gz
	Provider string // empty: from the name
	AsOf     time.Time
	Content  []byte
}

// Prices keeps offers and their prices.
type Prices interface {
	// Offers lists what can be had, or could be as of a time, cheapest first.
	Offers(ctx context.Context, q OfferQuery) (api.Offers, error)
	// History reads what was in force for an offer; byDay says day by day.
	History(ctx context.Context, id purser.OfferID, from, to time.Time, byDay bool) (api.PriceHistory, error)
	// Cheapest reads the cheapest of the offers over time.
	Cheapest(ctx context.Context, q OfferQuery, from, to time.Time) (api.Cheapest, error)
	Hazards(ctx context.Context, provider, region, instanceType string) (api.Hazards, error)
	// Import takes a price list whole or not at all.
	Import(ctx context.Context, actor string, f PriceFile) (api.PriceReport, error)
}

// Feeds are where prices come from.
type Feeds interface {
	Sources(ctx context.Context) ([]api.Source, error)
	// Collect has a feed collected now, and returns before that has ended.
	Collect(ctx context.Context, actor, source string) (api.Source, error)
}

// Reviews are what is not believed of prices, and what operators decide of it.
type Reviews interface {
	Quarantine(ctx context.Context, q QuarantineQuery) ([]api.QuarantinedPrice, error)
	Release(ctx context.Context, actor string, r api.Review) (purser.PriceRule, error)
	Keep(ctx context.Context, actor string, r api.Review) error
	Block(ctx context.Context, actor string, r api.Review) (purser.PriceRule, error)
	Rules(ctx context.Context) ([]purser.PriceRule, error)
	DropRule(ctx context.Context, actor string, offer purser.OfferID, reason purser.QuarantineReason) error
}

// QuarantineQuery selects prices that are not believed. Zero fields select all.
type QuarantineQuery struct {
	Source string
	Reason purser.QuarantineReason
	Offer  purser.OfferID
	Kept   bool // those that were reviewed and left as well
	Limit  int
}

// maxPriceFile bounds an imported price list, in bytes as it is sent.
const maxPriceFile = 64 << 20

// uploadTime bounds how long a large body may take to come in; small ones have 5 s.
const uploadTime = 90 * time.Second

// OfferFilters are the query parameters that select offers; exported because huma reads
// only exported fields.
type OfferFilters struct {
	Provider     string  `query:"provider" maxLength:"63"`
	Region       string  `query:"region" maxLength:"63"`
	Accelerator  string  `query:"accelerator" maxLength:"63" doc:"A model, or a family such as A100."`
	Option       string  `query:"option" maxLength:"63" doc:"on_demand, spot, private …"`
	Source       string  `query:"source" maxLength:"200"`
	ID           string  `query:"id" maxLength:"400" doc:"The offer's id."`
	MinMemoryGiB float64 `query:"min_memory_gib" minimum:"0" doc:"Least memory of one device."`
	MinDevices   float64 `query:"min_devices" minimum:"0" doc:"Least devices of the machine; 0.125 is an eighth of one."`
	Accelerated  bool    `query:"accelerated" doc:"Only machines with devices."`
	Per          string  `query:"per" enum:"machine,device,gib,tflop" default:"device" doc:"What the price is compared for: the machine, a device, a GiB of device memory, a TFLOP/s of dense bf16."`
	MaxPrice     float64 `query:"max_price" minimum:"0" doc:"Most USD per hour for one of per."`
}

func (f OfferFilters) query() OfferQuery {
	return OfferQuery{
		Provider: f.Provider, Region: f.Region, Accelerator: f.Accelerator, Source: f.Source, Option: purser.PurchaseOption(f.Option), ID: purser.OfferID(f.ID),
		MinMemoryGiB: f.MinMemoryGiB, MinDevices: f.MinDevices, Accelerated: f.Accelerated, Per: f.Per, MaxPrice: f.MaxPrice,
	}
}

func (s *Server) registerPrices() {
	tags := []string{"prices"}
	type offersIn struct {
		OfferFilters
		AsOf  time.Time `query:"as_of" doc:"The prices that were in force then. Default: now."`
		Limit int       `query:"limit" minimum:"1" maximum:"100000" default:"100"`
	}
	type offersOut struct{ Body api.Offers }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-prices", Method: http.MethodGet, Path: "/v1/prices", Tags: tags,
		Summary: "List offers with their price, now or as of a time, cheapest first",
	}, func(ctx context.Context, in *offersIn) (*offersOut, error) {
		q := in.query()
		q.AsOf, q.Limit = in.AsOf, in.Limit
		out, err := s.parts.Prices.Offers(ctx, q)
		return &offersOut{out}, err
	})
	s.registerHistory(tags)
	type hazardsIn struct {
		Provider     string `query:"provider" maxLength:"63"`
		Region       string `query:"region" maxLength:"63"`
		InstanceType string `query:"instance_type" maxLength:"200"`
	}
	type hazardsOut struct{ Body api.Hazards }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-hazards", Method: http.MethodGet, Path: "/v1/hazards", Tags: tags,
		Summary: "List how often spot machines are taken back, with the uncertainty and what the clouds say",
	}, func(ctx context.Context, in *hazardsIn) (*hazardsOut, error) {
		out, err := s.parts.Prices.Hazards(ctx, in.Provider, in.Region, in.InstanceType)
		return &hazardsOut{out}, err
	})
	type importIn struct {
		Name     string    `query:"name" required:"true" minLength:"1" maxLength:"200" doc:"The file's name; the provider is read from it, as in aws.csv.gz."`
		Provider string    `query:"provider" maxLength:"63"`
		AsOf     time.Time `query:"as_of" doc:"When the prices of a list were seen; a history says so itself."`
		RawBody  []byte    `contentType:"application/octet-stream"`
	}
	type importOut struct{ Body api.PriceReport }
	register(s, api.RoleAdmin, huma.Operation{
		OperationID: "import-prices", Method: http.MethodPost, Path: "/v1/prices/import", Tags: tags, MaxBodyBytes: maxPriceFile, BodyReadTimeout: uploadTime,
		Summary: "Import a price list in the catalogue form, or a history of prices, plain or gzip", Description: "It is taken whole or not at all. An older price never overwrites a newer one.",
	}, func(ctx context.Context, in *importIn) (*importOut, error) {
		report, err := s.parts.Prices.Import(ctx, caller(ctx).Name, PriceFile{Name: in.Name, Provider: in.Provider, AsOf: in.AsOf, Content: in.RawBody})
		return &importOut{report}, err
	})
	s.registerFeeds(tags)
}

// span fills a span of time that was left open: up to now, and days back from its end.
func span(from, to *time.Time, days int) {
	if to.IsZero() {
		*to = time.Now().UTC()
	}
	if from.IsZero() {
		*from = to.AddDate(0, 0, -days)
	}
}

func (s *Server) registerHistory(tags []string) {
	type historyIn struct {
		Offer string    `query:"offer" required:"true" maxLength:"400" doc:"The offer's id."`
		From  time.Time `query:"from" doc:"Default: 30 days ago."`
		To    time.Time `query:"to" doc:"Default: now."`
		By    string    `query:"by" enum:"change,day" default:"change" doc:"Every change, or a row for each day in which there was one; days reach further back."`
	}
	type historyOut struct{ Body api.PriceHistory }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "price-history", Method: http.MethodGet, Path: "/v1/prices/history", Summary: "Read what was in force for an offer over time", Tags: tags,
	}, func(ctx context.Context, in *historyIn) (*historyOut, error) {
		span(&in.From, &in.To, 30)
		out, err := s.parts.Prices.History(ctx, purser.OfferID(in.Offer), in.From, in.To, in.By == "day")
		return &historyOut{out}, err
	})
	type cheapestIn struct {
		OfferFilters
		From time.Time `query:"from" doc:"Default: 30 days ago."`
		To   time.Time `query:"to" doc:"Default: now."`
	}
	type cheapestOut struct{ Body api.Cheapest }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "cheapest-prices", Method: http.MethodGet, Path: "/v1/prices/cheapest", Tags: tags,
		Summary: "Read the cheapest offer of an accelerator over time", Description: "accelerator or id must be given. A span of more than 60 days is answered day by day.",
	}, func(ctx context.Context, in *cheapestIn) (*cheapestOut, error) {
		if in.Accelerator == "" && in.ID == "" {
			return nil, purser.Errorf(purser.KindInvalid, "server.cheapest", "say of which accelerator: accelerator=H100")
		}
		span(&in.From, &in.To, 30)
		out, err := s.parts.Prices.Cheapest(ctx, in.query(), in.From, in.To)
		return &cheapestOut{out}, err
	})
}
