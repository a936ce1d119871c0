package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"purser"
	"purser/api"
)

// Leases keeps the capacity that is held.
type Leases interface {
	List(ctx context.Context, live bool, limit int) ([]api.Lease, error)
	Get(ctx context.Context, id purser.LeaseID) (api.Lease, error)
}

func (s *Server) registerLeases() {
	tags := []string{"leases"}
	type listIn struct {
		Live  bool `query:"live" doc:"Only leases that have not ended."`
		Limit int  `query:"limit" minimum:"1" maximum:"10000" default:"200"`
	}
	type leasesOut struct{ Body api.Leases }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-leases", Method: http.MethodGet, Path: "/v1/leases", Summary: "List leases with what runs on them, newest first", Tags: tags,
	}, func(ctx context.Context, in *listIn) (*leasesOut, error) {
		leases, err := s.parts.Leases.List(ctx, in.Live, in.Limit)
		return &leasesOut{api.Leases{Leases: list(leases)}}, err
	})
	type leaseIn struct {
		Lease string `path:"lease" maxLength:"63"`
	}
	type leaseOut struct{ Body api.Lease }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "get-lease", Method: http.MethodGet, Path: "/v1/leases/{lease}", Summary: "Read a lease", Tags: tags,
	}, func(ctx context.Context, in *leaseIn) (*leaseOut, error) {
		l, err := s.parts.Leases.Get(ctx, purser.LeaseID(in.Lease))
		return &leaseOut{l}, err
	})
}
