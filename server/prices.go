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
	Limit                                 int
}

// PriceFile is a price list that a user brings.
type PriceFile struct {
	Name     string // e.g. aws.csv.gz
	Provider string // empty: from the name
	AsOf     time.Time
	Content  []byte
}

// Prices keeps offers and their prices.
type Prices interface {
	// Offers lists what can be had, cheapest first.
	Offers(ctx context.Context, q OfferQuery) ([]purser.Offer, error)
	History(ctx context.Context, id purser.OfferID, from, to time.Time) ([]purser.PricePoint, error)
	Sources(ctx context.Context) ([]api.Source, error)
	Quarantine(ctx context.Context, source string, limit int) ([]purser.Quarantined, error)
	// Import takes a price list whole or not at all.
	Import(ctx context.Context, actor string, f PriceFile) (api.PriceReport, error)
}

// maxPriceFile bounds an imported price list, in bytes as it is sent.
const maxPriceFile = 64 << 20

// uploadTime bounds how long a large body may take to come in; small ones have 5 s.
const uploadTime = 90 * time.Second

func (s *Server) registerPrices() {
	tags := []string{"prices"}
	type offersIn struct {
		Provider    string `query:"provider" maxLength:"63"`
		Region      string `query:"region" maxLength:"63"`
		Accelerator string `query:"accelerator" maxLength:"63" doc:"A model, or a family such as A100."`
		Option      string `query:"option" maxLength:"63" doc:"on_demand, spot, private …"`
		Source      string `query:"source" maxLength:"200"`
		Limit       int    `query:"limit" minimum:"1" maximum:"10000" default:"100"`
	}
	type offersOut struct{ Body api.Offers }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-offers", Method: http.MethodGet, Path: "/v1/offers", Tags: tags,
		Summary: "List offers with their newest price, cheapest per device first",
	}, func(ctx context.Context, in *offersIn) (*offersOut, error) {
		offers, err := s.parts.Prices.Offers(ctx, OfferQuery{
			Provider: in.Provider, Region: in.Region, Accelerator: in.Accelerator, Option: purser.PurchaseOption(in.Option), Source: in.Source, Limit: in.Limit,
		})
		out := api.Offers{Offers: []api.Offer{}}
		for _, o := range offers {
			out.Offers = append(out.Offers, api.OfferOf(o))
		}
		return &offersOut{out}, err
	})
	type historyIn struct {
		Offer string    `query:"offer" required:"true" maxLength:"400" doc:"The offer's id."`
		From  time.Time `query:"from" doc:"Default: 30 days ago."`
		To    time.Time `query:"to" doc:"Default: now."`
	}
	type historyOut struct{ Body api.PriceHistory }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "price-history", Method: http.MethodGet, Path: "/v1/prices/history", Summary: "Read the change points of an offer's price", Tags: tags,
	}, func(ctx context.Context, in *historyIn) (*historyOut, error) {
		if in.To.IsZero() {
			in.To = time.Now().UTC()
		}
		if in.From.IsZero() {
			in.From = in.To.AddDate(0, 0, -30)
		}
		points, err := s.parts.Prices.History(ctx, purser.OfferID(in.Offer), in.From, in.To)
		return &historyOut{api.PriceHistory{Offer: purser.OfferID(in.Offer), Points: list(points)}}, err
	})
	s.registerFeeds(tags)
}

func (s *Server) registerFeeds(tags []string) {
	type sourcesOut struct{ Body api.Sources }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-sources", Method: http.MethodGet, Path: "/v1/sources", Summary: "List the feeds of prices and how they fare", Tags: tags,
	}, func(ctx context.Context, _ *struct{}) (*sourcesOut, error) {
		sources, err := s.parts.Prices.Sources(ctx)
		return &sourcesOut{api.Sources{Sources: list(sources)}}, err
	})
	type quarantineIn struct {
		Source string `query:"source" maxLength:"200"`
		Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"100"`
	}
	type quarantineOut struct{ Body api.Quarantine }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-quarantine", Method: http.MethodGet, Path: "/v1/quarantine", Summary: "List the prices that are not believed, with the reason", Tags: tags,
	}, func(ctx context.Context, in *quarantineIn) (*quarantineOut, error) {
		rows, err := s.parts.Prices.Quarantine(ctx, in.Source, in.Limit)
		out := api.Quarantine{Quarantined: []api.QuarantinedPrice{}}
		for _, q := range rows {
			out.Quarantined = append(out.Quarantined, api.QuarantinedPrice{Offer: api.OfferOf(q.Offer), Reason: q.Reason, Detail: q.Detail, Place: q.Place})
		}
		return &quarantineOut{out}, err
	})
	type importIn struct {
		Name     string    `query:"name" required:"true" minLength:"1" maxLength:"200" doc:"The file's name; the provider is read from it, as in aws.csv.gz."`
		Provider string    `query:"provider" maxLength:"63"`
		AsOf     time.Time `query:"as_of" required:"true" doc:"When the prices were seen."`
		RawBody  []byte    `contentType:"application/octet-stream"`
	}
	type importOut struct{ Body api.PriceReport }
	register(s, api.RoleAdmin, huma.Operation{
		OperationID: "import-prices", Method: http.MethodPost, Path: "/v1/prices/import", Tags: tags, MaxBodyBytes: maxPriceFile, BodyReadTimeout: uploadTime,
		Summary: "Import a price list in the catalogue form, plain or gzip", Description: "It is taken whole or not at all. An older price never overwrites a newer one.",
	}, func(ctx context.Context, in *importIn) (*importOut, error) {
		report, err := s.parts.Prices.Import(ctx, caller(ctx).Name, PriceFile{Name: in.Name, Provider: in.Provider, AsOf: in.AsOf, Content: in.RawBody})
		return &importOut{report}, err
	})
}
