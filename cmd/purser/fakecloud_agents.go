package main

import (
	"context"
	"os"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/fake"
	"purser/providers/local"
)

// agents is the hardware of a made-up cloud whose machines are to do something: each is an
// agent process on this host, in a session of its own, so that it outlives the cloud.
type agents struct{ on *local.Provider }

// agentsOwner tags the folders of these agents, whichever installations they serve.
const agentsOwner = "fakecloud"

func newAgents(dir string, most int, grace time.Duration) (agents, error) {
	exe, err := os.Executable()
	if err != nil {
		return agents{}, purser.Wrap(purser.KindInternal, "fakecloud", err)
	}
	p, err := local.New(local.Config{Dir: dir, Installation: agentsOwner, Binary: exe, MaxMachines: most, StopGrace: grace})
	if err != nil {
		return agents{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), hardwareWait)
	defer cancel()
	_, err = p.List(ctx) // which removes what is left of agents that are long gone
	return agents{p}, err
}

// hardwareWait bounds a call, which only waits for another process that has the same folder.
const hardwareWait = 10 * time.Second

// Boot starts the agent, or finds it.
func (a agents) Boot(b fake.Boot) error {
	ctx, cancel := context.WithTimeout(context.Background(), hardwareWait)
	defer cancel()
	_, err := a.on.Launch(ctx, providers.Request{
		Lease: purser.Lease{ID: b.Lease, Offer: b.Offer}, Installation: agentsOwner, Token: b.Machine, JoinToken: b.JoinToken, ServerURL: b.ServerURL,
	})
	return err
}

// Lives says whether the agent or one of its tasks is there. While that cannot be known
// it is taken to be.
func (a agents) Lives(b fake.Boot) bool {
	ctx, cancel := context.WithTimeout(context.Background(), hardwareWait)
	defer cancel()
	in, err := a.on.Describe(ctx, purser.Lease{ID: b.Lease})
	if err != nil {
		return purser.KindOf(err) != purser.KindNotFound
	}
	return in.State != providers.Gone
}

// End asks the agent to end, and later kills it.
func (a agents) End(b fake.Boot) (left bool) {
	ctx, cancel := context.WithTimeout(context.Background(), hardwareWait)
	defer cancel()
	return a.on.Terminate(ctx, purser.Lease{ID: b.Lease}) != nil || a.Lives(b)
}
