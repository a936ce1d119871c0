package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"purser"
	"purser/api"
)

// ChargeQuery selects charges. Zero fields select all.
type ChargeQuery struct {
	Project  string
	Job      JobRef
	Lease    purser.LeaseID
	From, To time.Time
	Limit    int
}

// Money reads the ledger.
type Money interface {
	Spend(ctx context.Context) (api.Spend, error)
	Charges(ctx context.Context, q ChargeQuery) (api.Charges, error)
}

func (s *Server) registerMoney() {
	tags := []string{"money"}
	type spendOut struct{ Body api.Spend }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "get-spend", Method: http.MethodGet, Path: "/v1/spend", Summary: "Read the spend rate, the month so far and its projected end", Tags: tags,
	}, func(ctx context.Context, _ *struct{}) (*spendOut, error) {
		out, err := s.parts.Money.Spend(ctx)
		out.ByJob = list(out.ByJob)
		return &spendOut{out}, err
	})
	type chargesIn struct {
		Project string    `query:"project" maxLength:"63"`
		Job     string    `query:"job" maxLength:"130"`
		Lease   string    `query:"lease" maxLength:"63"`
		From    time.Time `query:"from"`
		To      time.Time `query:"to"`
		Limit   int       `query:"limit" minimum:"1" maximum:"100000" default:"1000"`
	}
	type chargesOut struct{ Body api.Charges }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-charges", Method: http.MethodGet, Path: "/v1/charges", Summary: "Read the ledger, oldest first", Tags: tags,
	}, func(ctx context.Context, in *chargesIn) (*chargesOut, error) {
		out, err := s.parts.Money.Charges(ctx, ChargeQuery{
			Project: in.Project, Job: JobRef{Ref: in.Job, Project: in.Project}, Lease: purser.LeaseID(in.Lease), From: in.From, To: in.To, Limit: in.Limit,
		})
		out.Charges = list(out.Charges)
		return &chargesOut{out}, err
	})
}
