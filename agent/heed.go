package agent

import (
	"context"
	"sync"

	"purser"
	"purser/agent/notice"
	"purser/api"
)

// watch listens to the machine's cloud, where there is one, until the function that it
// gives is called.
func (a *agent) watch(ctx context.Context) (end func()) {
	if a.Notices == nil {
		return func() {}
	}
	c := *a.Notices
	if c.Logger == nil {
		c.Logger = a.Logger
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a drain goes on listening
	var watching sync.WaitGroup
	watching.Go(func() {
		notice.Watch(ctx, c, func(n notice.Notice) {
			select {
			case a.notices <- n:
			case <-ctx.Done():
			}
		})
	})
	return func() {
		cancel()
		watching.Wait()
	}
}

// heed deals with what the cloud says: the server is told, and when the machine has to
// be left, everything stops at a checkpoint while there is time. A notice that says so
// is not pushed out by a lesser one before the server has it.
func (a *agent) heed(n notice.Notice) {
	a.Logger.Warn("the machine's cloud gives notice", "lease", a.Lease, "kind", n.Kind, "at", n.At, "reason", n.Reason, "leave", n.Leave)
	if a.notice == nil || n.Leave || !a.notice.Leave {
		a.notice = &api.AgentNotice{Kind: string(n.Kind), At: n.At, Reason: n.Reason, Leave: n.Leave}
	}
	if n.Leave {
		a.drain(purser.TakenBack(n.Reason), nil)
	}
}
