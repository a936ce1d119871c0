package agent

import (
	"context"

	"purser/api"
)

// hanging is a server that takes calls and does not answer them while hang is set.
type hanging struct {
	Server
	s    *server
	hang *bool
}

func (h hanging) Report(ctx context.Context, r api.AgentReport) (api.AgentOrders, error) {
	h.s.mu.Lock()
	hang := *h.hang
	h.s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return api.AgentOrders{}, ctx.Err()
	}
	return h.Server.Report(ctx, r)
}
