package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"purser"
	"purser/api"
)

// Events reads the audit as it grows.
type Events interface {
	// Events lists what came after an id, oldest first.
	Events(ctx context.Context, after int64, limit int) ([]purser.Event, error)
	// Last is the newest id.
	Last(ctx context.Context) (int64, error)
	// Changed gives a channel that gets a value when events may have come. It is
	// closed when ctx ends.
	Changed(ctx context.Context) <-chan struct{}
}

// Ping keeps a stream open through proxies and tells the page that it lives.
type Ping struct {
	At time.Time `json:"at"`
}

// pingEvery is how often a silent stream says that it lives.
const pingEvery = 15 * time.Second

// eventPage bounds the events read at once.
const eventPage = 500

func (s *Server) registerEvents() {
	tags := []string{"events"}
	type listIn struct {
		After int64 `query:"after" minimum:"0" doc:"Only events after this id."`
		Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}
	type eventsOut struct{ Body api.Events }
	register(s, api.RoleViewer, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/v1/events", Summary: "List events after an id, oldest first", Tags: tags,
	}, func(ctx context.Context, in *listIn) (*eventsOut, error) {
		events, err := s.parts.Events.Events(ctx, in.After, in.Limit)
		return &eventsOut{api.Events{Events: list(events)}}, err
	})
	type streamIn struct {
		After  int64  `query:"after" minimum:"-1" default:"-1" doc:"Begin after this id; -1 begins now."`
		LastID string `header:"Last-Event-ID" maxLength:"20" doc:"Sent by browsers when they reconnect."`
	}
	op := huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: "/v1/events/stream", Summary: "Follow events as they come (server-sent events)", Tags: tags,
		Security:    []map[string][]string{{securityBearer: {string(api.RoleViewer)}}, {securityCookie: {string(api.RoleViewer)}}},
		Middlewares: huma.Middlewares{s.permit(api.RoleViewer), s.boundStreams},
	}
	sse.Register(s.api, op, map[string]any{"message": purser.Event{}, "ping": Ping{}}, func(ctx context.Context, in *streamIn, send sse.Sender) {
		s.stream(ctx, startOf(in.After, in.LastID), send)
	})
}

// maxStreams bounds the streams that are open at once: each holds a connection, and
// reads the database when something happens.
const maxStreams = 500

func (s *Server) boundStreams(hc huma.Context, next func(huma.Context)) {
	defer s.streams.Add(-1)
	if s.streams.Add(1) > maxStreams {
		s.refuse(hc, &purser.Error{Kind: purser.KindThrottled, Op: "server", Message: "too many streams are open", RetryAfter: 30 * time.Second})
		return
	}
	next(hc)
}

func startOf(after int64, lastID string) int64 {
	var n int64
	for _, c := range lastID {
		if c < '0' || c > '9' || n > 1<<55 {
			return after
		}
		n = n*10 + int64(c-'0')
	}
	return max(n, after)
}

// stream sends events until the caller goes, may no longer see them, or the server
// stops. An error ends the stream; the caller reconnects from the last event that
// it saw.
func (s *Server) stream(ctx context.Context, after int64, send sse.Sender) {
	ctx, cancel := context.WithCancel(ctx) // ends the watch with the stream
	defer cancel()
	changed := s.parts.Events.Changed(ctx)
	if after < 0 {
		last, err := s.parts.Events.Last(ctx)
		if err != nil {
			return
		}
		after = last
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	if send(sse.Message{Data: Ping{At: time.Now().UTC()}}) != nil {
		return
	}
	for {
		events, err := s.parts.Events.Events(ctx, after, eventPage)
		if err != nil || len(events) > 0 && stillPermitted(ctx) != nil {
			return
		}
		for _, e := range events {
			after = e.ID
			if send(sse.Message{ID: int(e.ID), Data: e}) != nil {
				return
			}
		}
		if len(events) == eventPage {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case _, ok := <-changed:
			if !ok {
				return
			}
		case <-ping.C:
			if stillPermitted(ctx) != nil {
				return
			}
			if send(sse.Message{Data: Ping{At: time.Now().UTC()}}) != nil {
				return
			}
		}
	}
}
